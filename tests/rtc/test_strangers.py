"""What strangers get from an endpoint: nothing."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from antiphon.rtc import tcp
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
