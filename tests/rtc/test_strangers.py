"""What strangers get from an endpoint: nothing."""

import asyncio
import itertools
import socket
import sys
from contextlib import AsyncExitStack, suppress

import pytest

from antiphon.rtc import tcp
from antiphon.rtc.endpoint import Endpoint
from antiphon.rtc.mux import Mux
from antiphon.rtc.settings import EndpointSettings
from antiphon.rtc.stun import parse_binding_response
from tests.support.rtc_caller import calling
from tests.support.rtc_endpoint import PATIENCE_S, Owner, answered_by, open_endpoint, until
from tests.support.rtc_loop import in_real_time
from tests.support.rtc_offer import read_answer
from tests.support.rtc_strangers import Stranger, check, offer


@in_real_time
async def test_strangers_get_no_answer() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert caller.answer is not None
        ufrag, pwd = caller.answer.ufrag, caller.answer.pwd
        with Stranger(endpoint) as stranger:
            for datagram in (
                check("unknown", pwd),
                check(ufrag, "wrong"),
                check(ufrag, ""),
                check("", pwd),
                check(ufrag, pwd)[:-1],
                check(ufrag, pwd)[:20],
                b"",
                b"\x00",
                b"\x16\xfe\xff" + bytes(60),
                b"\x80\x00" + bytes(30),
                b"\x80\xc8" + bytes(30),
                b"\xff" * 100,
                b"GET / HTTP/1.1\r\n\r\n",
            ):
                stranger.send(datagram)
            assert await stranger.received() == []
        assert {"unknown_call", "wrong_password", "stun", "stranger"} <= endpoint.statistics.dropped.keys()
        assert sum(local.paths for local in endpoint._udp) == 1
        caller.send("alive")
        await owner.until("message", "alive")


@in_real_time
async def test_an_address_is_answered_with_less_than_it_sent_and_not_spoken_to_before_it_is_nominated() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert caller.answer is not None
        assert owner.call is not None
        ufrag, pwd = caller.answer.ufrag, caller.answer.pwd
        with Stranger(endpoint) as other:
            request = check(ufrag, pwd)
            other.send(request)
            (response,) = await other.received()
            assert len(response) <= len(request)
            parsed = parse_binding_response(response)
            assert parsed is not None
            assert parsed.verify(pwd.encode())
            owner.call.send("not for the other")
            assert await caller.message() == "not for the other"
            assert await other.received() == []


@in_real_time
async def test_the_addresses_of_a_call_are_bounded() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller, AsyncExitStack() as stack:
        await caller.connect()
        assert caller.answer is not None
        for _ in range(50):
            other = stack.enter_context(Stranger(endpoint))
            other.send(check(caller.answer.ufrag, caller.answer.pwd))
        await asyncio.sleep(0.05)
        assert sum(local.paths for local in endpoint._udp) == 16
        caller.send("alive")
        await owner.until("message", "alive")
    assert sum(local.paths for local in endpoint._udp) == 0


@in_real_time
async def test_an_address_in_use_cannot_be_claimed_by_another_call() -> None:
    owner, other = Owner(), Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        foreign = read_answer(endpoint.call(offer(), other).answer)
        caller.send_raw(check(foreign.ufrag, foreign.pwd, nominate=True))
        caller.send("still mine")
        await owner.until("message", "still mine")
        assert endpoint.statistics.dropped["address_taken"] == 1


# Addresses at which an endpoint hears nobody but this machine. One of 127.0.0.0/8 that is not named plays the other
# machine.

_OWN = {"own_addresses": ("127.0.0.2",)}
_OUTSIDE = "127.0.0.3"
needs_many = pytest.mark.skipif(sys.platform != "linux", reason="this machine has no address but 127.0.0.1")


@needs_many
@in_real_time
async def test_where_only_this_machine_is_heard_it_calls_and_others_get_no_answer_even_with_the_password() -> None:
    owner = Owner()
    async with open_endpoint(**_OWN) as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert caller.answer is not None
        request = check(caller.answer.ufrag, caller.answer.pwd, nominate=True)
        heard = {}
        for source, to in itertools.product(("127.0.0.1", "127.0.0.2", _OUTSIDE), ("127.0.0.1", "127.0.0.2")):
            with Stranger(endpoint, source=source, to=to) as one:
                one.send(request)
                heard[source, to] = len(await one.received()) == 1
        assert [way for way, answered in heard.items() if not answered] == [(_OUTSIDE, "127.0.0.2")]
        assert endpoint.statistics.dropped == {"outside": 1}


@needs_many
@in_real_time
async def test_where_only_this_machine_is_heard_nothing_of_others_is_read() -> None:
    async with open_endpoint(**_OWN) as endpoint:
        with Stranger(endpoint, source=_OUTSIDE, to="127.0.0.2") as outside:
            for datagram in (check("unknown", "wrong"), b"\x16\xfe\xfd", b"\x80\x6f" + bytes(20), b"\xff", b""):
                outside.send(datagram)
            assert await outside.received() == []
        assert endpoint.statistics.dropped == {"outside": 5}


@needs_many
@in_real_time
async def test_where_only_this_machine_is_heard_connections_of_others_are_cut_at_once() -> None:
    async with open_endpoint(**_OWN) as endpoint:
        own = await asyncio.open_connection("127.0.0.2", endpoint.port, local_addr=("127.0.0.2", 0))
        await until(lambda: endpoint._listener.connections == 1)
        reader, writer = await asyncio.open_connection("127.0.0.2", endpoint.port, local_addr=(_OUTSIDE, 0))
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()
        assert endpoint._listener.connections == 1
        assert endpoint.statistics.dropped == {"outside": 1}
        own[1].close()


@needs_many
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@in_real_time
async def test_a_whole_call_comes_from_this_machine_to_its_own_address(protocol: str) -> None:
    owner = Owner()

    async def signal(text: str) -> str:
        lines = (await answered_by(endpoint, owner)(text)).splitlines(keepends=True)
        return "".join(line for line in lines if not (line.startswith("a=candidate") and "127.0.0.1" in line))

    async with open_endpoint(**_OWN) as endpoint, calling(signal, protocol=protocol) as caller:
        await caller.connect()
        assert caller.answer is not None
        assert {callee.address for callee in caller.answer.callees} == {"127.0.0.2"}
        caller.send("hello")
        await owner.until("message", "hello")
        assert not endpoint.statistics.dropped.keys() & {"outside"}


@pytest.mark.parametrize(
    ("source", "is_heard"),
    [
        ("192.0.2.1", True),
        ("::ffff:192.0.2.1", True),
        ("192.0.2.2", False),
        ("::ffff:192.0.2.2", False),
        ("2001:db8::1", True),
        ("2001:DB8:0::1", True),
        ("2001:db8::1%eth0", True),
        ("2001:db8::2", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("not an address", False),
    ],
)
def test_the_form_of_an_address_does_not_matter(source: str, is_heard: bool) -> None:
    mux = Mux()
    assert mux.hears(source, frozenset({"192.0.2.1", "2001:db8::1"})) is is_heard
    assert mux.dropped["outside"] == (not is_heard)
    assert mux.hears(source, None)


@needs_many
@in_real_time
async def test_an_own_address_that_cannot_be_bound_is_a_warning_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        settings = EndpointSettings(("127.0.0.1",), port, own_addresses=("192.0.2.77", "127.0.0.2", "127.0.0.4"))
        async with Endpoint(settings) as endpoint:
            answer = read_answer(endpoint.call(offer(), Owner()).answer)
            assert list(dict.fromkeys(callee.address for callee in answer.callees)) == ["127.0.0.1", "127.0.0.4"]
    warnings = [record.getMessage() for record in caplog.records]
    assert [line.partition(": ")[0] for line in warnings] == [
        "programs on this machine cannot call 192.0.2.77",
        "programs on this machine cannot call 127.0.0.2",
    ]


# TCP


@in_real_time
async def test_tcp_connections_that_show_no_check_are_told_nothing_and_closed() -> None:
    async with open_endpoint() as endpoint:
        frames = [b"\x00\x05hello", b"\xff\xff" + b"x" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00" * 50]
        for frame in frames:
            reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
            writer.write(frame)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE_S):
                with suppress(ConnectionError):  # cut while something was still unread
                    assert await reader.read() == b""
            writer.close()
        assert endpoint._listener.connections == 0


@in_real_time
async def test_slow_tcp_connections_end_at_a_deadline_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "_STRANGER_S", 0.5)
    monkeypatch.setattr(tcp, "_MAX_STRANGERS", 5)
    owner = Owner()
    async with (
        open_endpoint() as endpoint,
        calling(answered_by(endpoint, owner), protocol="tcp") as caller,
    ):
        await caller.connect()
        connections = [await asyncio.open_connection("127.0.0.1", endpoint.port) for _ in range(9)]
        for _, writer in connections:
            writer.write(b"\x00")
        await until(lambda: endpoint._listener.connections == 6)
        await until(lambda: endpoint._listener.connections == 1)
        for _, writer in connections:
            writer.close()
        assert endpoint.statistics.dropped["tcp_deadline"] == 5
        assert endpoint.statistics.dropped["tcp_strangers"] == 4
        caller.send("alive")
        await owner.until("message", "alive")


@in_real_time
async def test_a_tcp_connection_that_talks_without_a_valid_check_is_cut() -> None:
    async with open_endpoint() as endpoint:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        writer.write(bytes(2) * (tcp._STRANGER_FRAMES + 1))
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        assert endpoint.statistics.dropped["tcp_strangers"] == 1
        assert endpoint.statistics.dropped["stranger"] == tcp._STRANGER_FRAMES + 1


@in_real_time
async def test_many_frames_in_one_read_let_others_have_their_turn() -> None:
    owner = Owner()
    async with (
        open_endpoint() as endpoint,
        calling(answered_by(endpoint, owner), protocol="tcp") as caller,
    ):
        await caller.connect()
        (path,) = endpoint._listener._connections
        path.data_received(bytes(2) * 1_000)
        assert endpoint.statistics.dropped["unknown_kind"] == tcp._FRAMES_A_WAKE
        await until(lambda: endpoint.statistics.dropped["unknown_kind"] == 1_000)
        caller.send("alive")
        await owner.until("message", "alive")


@in_real_time
async def test_connections_of_calls_leave_file_descriptors_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "connections_max", lambda: 3)
    owner = Owner()
    async with (
        open_endpoint() as endpoint,
        calling(answered_by(endpoint, owner), protocol="tcp") as caller,
    ):
        await caller.connect()
        assert caller.answer is not None
        writers = []
        for _ in range(6):
            _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
            writers.append(writer)
            signed = check(caller.answer.ufrag, caller.answer.pwd)
            writer.write(len(signed).to_bytes(2) + signed)
        await until(lambda: endpoint.statistics.dropped.get("tcp_strangers") == 4)
        assert endpoint._listener.connections == 3
        caller.send("alive")
        await owner.until("message", "alive")
        for writer in writers:
            writer.close()
