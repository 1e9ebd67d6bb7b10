"""How calls are reached, kept and ended."""

import asyncio
import socket
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from antiphon.rtc import endpoint as endpoint_module
from antiphon.rtc.call import CallEnd
from antiphon.rtc.dtls import Dtls
from antiphon.rtc.endpoint import CallLimitError, Endpoint
from antiphon.rtc.sctp import DataChannel
from antiphon.rtc.sdp import SdpError
from antiphon.rtc.settings import EndpointSettings, local_addresses, own_addresses
from tests.support.rtc_caller import Caller, calling
from tests.support.rtc_caller import _certificate as caller_certificate
from tests.support.rtc_endpoint import PATIENCE_S, Owner, answered_by, open_endpoint, until
from tests.support.rtc_loop import in_real_time
from tests.support.rtc_offer import Plan, new_credentials, read_answer, write_offer
from tests.support.rtc_strangers import FINGERPRINT, Stranger, check, offer


def ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not ipv6_works(), reason="this machine has no ::1")


# Ways to reach a call


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("ipv6", [False, pytest.param(True, marks=needs_ipv6)], ids=["IPv4", "IPv6"])
@in_real_time
async def test_calls_come_over_udp_and_tcp_ipv4_and_ipv6(protocol: str, ipv6: bool) -> None:
    owner = Owner()
    addresses = ("127.0.0.1", "::1") if ipv6 else ("127.0.0.1",)
    async with (
        open_endpoint(*addresses) as endpoint,
        calling(answered_by(endpoint, owner), protocol=protocol, ipv6=ipv6) as caller,
    ):
        await caller.connect()
        caller.send("x" * 100_000)
        await owner.until("message", "x" * 100_000)
        assert owner.call is not None
        owner.call.send("y" * 100_000)
        assert await caller.message() == "y" * 100_000
        owner.call.play("tag", bytes(960 * 5))
        await owner.until("ended", "tag")
        await until(lambda: caller.received.packets == 5)
        await caller.close()
        await owner.until("closed", CallEnd.HUNG_UP)


@in_real_time
async def test_calls_come_over_tcp_where_there_is_no_udp() -> None:
    owner = Owner()
    async with open_endpoint(udp=False) as endpoint, calling(answered_by(endpoint, owner), protocol="tcp") as caller:
        await caller.connect()
        assert caller.answer is not None
        assert {callee.protocol for callee in caller.answer.callees} == {"tcp"}


@needs_ipv6
@in_real_time
async def test_an_answer_names_every_address_the_one_that_was_reached_first() -> None:
    async with open_endpoint("127.0.0.1", "::1", public_addresses=("203.0.113.7",)) as endpoint:
        names = {}
        for reached_at in (None, "::1", "::ffff:127.0.0.1", "192.0.2.9", "not an address"):
            call = endpoint.call(offer(), Owner(), reached_at=reached_at)
            names[reached_at] = list(dict.fromkeys(callee.address for callee in read_answer(call.answer).callees))
        assert names[None] == names["not an address"] == ["203.0.113.7", "127.0.0.1", "::1"]
        assert names["::1"] == ["::1", "203.0.113.7", "127.0.0.1"]
        assert names["::ffff:127.0.0.1"] == ["127.0.0.1", "203.0.113.7", "::1"]
        assert names["192.0.2.9"] == ["203.0.113.7"]


def test_a_server_on_loopback_takes_calls_on_loopback_and_one_on_all_addresses_on_all() -> None:
    assert local_addresses("127.0.0.1")[0] == local_addresses("localhost")[0] == "127.0.0.1"
    assert set(local_addresses("127.0.0.1")) <= {"127.0.0.1", "::1"}
    assert local_addresses("192.0.2.1") == ("192.0.2.1",)
    assert "127.0.0.1" in local_addresses("0.0.0.0")
    assert local_addresses("0.0.0.0") == local_addresses("::")
    with pytest.raises(ValueError, match=r"example\.com"):
        local_addresses("example.com")


def test_own_addresses_are_those_of_the_machine_beside_loopback() -> None:
    assert set(own_addresses()) == set(local_addresses("0.0.0.0")) - set(local_addresses("127.0.0.1"))


@in_real_time
async def test_an_answer_names_own_addresses_after_loopback_ones_wherever_it_was_reached() -> None:
    async with open_endpoint("127.0.0.1", own_addresses=("127.0.0.2",)) as endpoint:
        for reached_at in (None, "127.0.0.1"):
            call = endpoint.call(offer(), Owner(), reached_at=reached_at)
            callees = read_answer(call.answer).callees
            assert list(dict.fromkeys(callee.address for callee in callees)) == ["127.0.0.1", "127.0.0.2"]


@in_real_time
async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open() -> None:
    async with open_endpoint() as endpoint:
        with pytest.raises(OSError, match="in use"):
            async with Endpoint(EndpointSettings(("127.0.0.1",), endpoint.port)):
                pass
        with pytest.raises(OSError, match="assign"):
            async with Endpoint(EndpointSettings(("192.0.2.77",), 0)):
                pass


@in_real_time
async def test_an_address_that_the_machine_lacks_is_left_out() -> None:
    async with open_endpoint("192.0.2.77", "127.0.0.1") as endpoint:
        call = endpoint.call(offer(), Owner())
        assert {callee.address for callee in read_answer(call.answer).callees} == {"127.0.0.1"}


@in_real_time
async def test_a_caller_may_move_to_another_address() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert owner.call is not None
        await caller.move()
        owner.call.send("found you")
        assert await caller.message() == "found you"
        caller.send("me too")
        await owner.until("message", "me too")


@in_real_time
async def test_old_and_new_credentials_are_valid_until_a_pair_is_chosen_with_the_new() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert owner.call is not None
        assert caller.answer is not None
        old, call = caller.answer, owner.call
        new = read_answer(call.renegotiate(restarted(caller)))
        assert new.ufrag != old.ufrag
        assert new.pwd != old.pwd
        assert new.fingerprint == old.fingerprint
        with Stranger(endpoint) as other:
            for answer in (old, new):
                other.send(check(answer.ufrag, answer.pwd))
                assert len(await other.received()) == 1
            other.send(check(new.ufrag, new.pwd, nominate=True))
            assert len(await other.received()) == 1
            other.send(check(old.ufrag, old.pwd))
            assert await other.received() == []


@in_real_time
async def test_a_call_lives_through_ice_restarts() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        for cycle in range(3):
            await caller.renegotiate(restart_ice=True)
            caller.send(f"restarted {cycle}")
            await owner.until("message", f"restarted {cycle}")
        assert endpoint._mux.names == 1
    assert endpoint._mux.names == 0


def restarted(caller: Caller) -> str:
    plan = replace(caller.plan, credentials=new_credentials())
    own = next(one.value for one in caller_certificate().getFingerprints() if one.algorithm == "sha-256")
    return write_offer(plan, own, caller.ssrc)


# Ways to end one


@in_real_time
async def test_a_caller_that_hangs_up_is_gone_at_once() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        begun_s = asyncio.get_running_loop().time()
        await caller.close()
        await owner.until("closed", CallEnd.HUNG_UP)
        assert asyncio.get_running_loop().time() - begun_s < 0.5
        assert CallEnd.HUNG_UP.clean


@in_real_time
async def test_closing_the_data_channel_alone_is_hanging_up() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert caller.channel is not None
        caller.channel.close()
        await owner.until("closed", CallEnd.HUNG_UP)


@in_real_time
async def test_a_caller_that_vanishes_is_noticed_by_its_silence() -> None:
    owner = Owner()
    async with open_endpoint(silent_s=0.8) as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        await caller.vanish()
        await owner.until("closed", CallEnd.SILENT)
        assert not CallEnd.SILENT.clean


@pytest.mark.parametrize("sign", ["a check", "speech", "a message"])
@in_real_time
async def test_a_caller_that_gives_a_sign_of_life_is_not_silent(sign: str) -> None:
    owner = Owner()
    async with open_endpoint(silent_s=0.8) as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        for _ in range(10):
            await asyncio.sleep(0.1)
            if sign == "a check":
                await caller.check()
            elif sign == "speech":
                caller.say(b"\xf8\xff\xfe")
            else:
                caller.send("alive")
        assert "closed" not in {told[0] for told in owner.told}


@in_real_time
async def test_the_owner_closes_a_call_and_what_it_said_last_arrives() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert owner.call is not None
        for number in range(20):
            owner.call.send(f"{number} " + "x" * 20_000)
        owner.call.close()
        owner.call.close()
        with pytest.raises(ConnectionError):
            owner.call.send("too late")
        async with asyncio.timeout(PATIENCE_S):
            await caller.ended.wait()
            await caller.channel_closed.wait()
        await owner.until("closed", CallEnd.SHUT_DOWN)
        assert caller.messages.qsize() == 20
        with pytest.raises(SdpError):
            owner.call.renegotiate(restarted(caller))
        owner.call.play("tag", bytes(960))
        assert owner.call.playout_pending_s == 0
        assert owner.call.heard_delay_ms() == 0
        await owner.call.drained()


@in_real_time
async def test_the_end_of_the_endpoint_says_goodbye_to_all() -> None:
    owners = [Owner() for _ in range(3)]
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(Endpoint(EndpointSettings(("127.0.0.1",), 0)))
        callers = [await stack.enter_async_context(calling(answered_by(endpoint, owner))) for owner in owners]
        for caller in callers[:2]:
            await caller.connect()
        owners[2].call = endpoint.call(offer(), owners[2])
        await endpoint.__aexit__(None, None, None)
        assert [owner.told[-1] for owner in owners] == [("closed", CallEnd.SHUT_DOWN)] * 3
        for caller in callers[:2]:
            async with asyncio.timeout(PATIENCE_S):
                await caller.ended.wait()
        with pytest.raises(CallLimitError):
            endpoint.call(offer(), Owner())


@pytest.mark.parametrize("method", ["connected", "channel_opened", "message_received", "audio_received", "closed"])
@in_real_time
async def test_a_fault_of_the_owner_ends_its_call_and_no_other(method: str, caplog: pytest.LogCaptureFixture) -> None:
    owner, other = Owner(), Owner()

    def fail(*_: object) -> None:
        raise RuntimeError("the owner is at fault")

    setattr(owner, method, fail)
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, other)) as bystander:
        await bystander.connect()
        async with calling(answered_by(endpoint, owner)) as caller:
            try:
                async with asyncio.timeout(1 if method in ("connected", "channel_opened") else PATIENCE_S):
                    await caller.connect()
                caller.send("hello")
                caller.say(b"\xf8\xff\xfe")
                await asyncio.sleep(0.05)
            except TimeoutError:
                assert method in ("connected", "channel_opened")
        await until(lambda: endpoint.calls == 1)
        if method != "closed":
            assert owner.told[-1] == ("closed", CallEnd.FAILED)
        bystander.send("alive")
        await other.until("message", "alive")
    assert "the owner is at fault" in caplog.text


@pytest.mark.parametrize("part", [Dtls, DataChannel])
@in_real_time
async def test_a_call_whose_end_fails_is_told_to_be_over_all_the_same(
    part: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: object) -> None:
        raise RuntimeError("it does not stop")

    monkeypatch.setattr(part, "stop", fail)
    owner, other = Owner(), Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, other)) as bystander:
        await bystander.connect()
        async with calling(answered_by(endpoint, owner)) as caller:
            await caller.connect()
        await owner.until("closed")
        assert endpoint.calls == 1
        bystander.send("alive")
        await other.until("message", "alive")
    assert "it does not stop" in caplog.text


@in_real_time
async def test_a_call_that_nobody_connects_to_ends_and_is_bounded_in_number() -> None:
    owners = [Owner() for _ in range(4)]
    async with open_endpoint(half_open_calls=4, half_open_s=0.2) as endpoint:
        for owner in owners:
            endpoint.call(offer(), owner)
        assert endpoint.statistics.half_open == 4
        with pytest.raises(CallLimitError, match="try again"):
            endpoint.call(offer(), Owner())
        with pytest.raises(SdpError):
            endpoint.call("nonsense", Owner())
        for owner in owners:
            await owner.until("closed", CallEnd.UNREACHED)
        endpoint.call(offer(), Owner())
        assert endpoint.statistics.ended == {CallEnd.UNREACHED: 4}


@in_real_time
async def test_a_call_that_is_reached_but_never_encrypted_ends_as_such() -> None:
    owner = Owner()
    async with open_endpoint(half_open_s=0.2) as endpoint:
        answer = read_answer(endpoint.call(offer(), owner).answer)
        with Stranger(endpoint) as peer:
            peer.send(check(answer.ufrag, answer.pwd, nominate=True))
            await owner.until("closed", CallEnd.NEVER_CONNECTED)


@in_real_time
async def test_calls_are_bounded_in_number() -> None:
    owner = Owner()
    async with open_endpoint(max_calls=1) as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        with pytest.raises(CallLimitError, match="1 calls"):
            endpoint.call(offer(), Owner())
        await caller.close()
        await owner.until("closed")
        endpoint.call(offer(), Owner())


@in_real_time
async def test_a_caller_with_another_certificate_than_its_offer_names_is_refused() -> None:
    owner = Owner()

    async def signal(text: str) -> str:
        fingerprint = next(line for line in text.splitlines() if line.startswith("a=fingerprint"))
        owner.call = endpoint.call(text.replace(fingerprint, f"a=fingerprint:sha-256 {FINGERPRINT}"), owner)
        return owner.call.answer

    async with open_endpoint() as endpoint, calling(signal, Plan(data=False)) as caller:
        await caller.connect()
        caller.say(b"\xf8\xff\xfe")
        await owner.until("closed", CallEnd.REFUSED)
        async with asyncio.timeout(PATIENCE_S):
            await caller.ended.wait()
    assert owner.told == [("closed", CallEnd.REFUSED)]
    assert not owner.pcm


@in_real_time
async def test_silence_while_we_stood_still_ourselves_is_not_held_against_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint_module, "_STALL_S", 0.2)
    owner = Owner()
    async with open_endpoint(silent_s=0.8) as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        time.sleep(1.0)  # noqa: ASYNC251 - this is the stall
        await asyncio.sleep(0.15)
        assert endpoint.calls == 1
        await caller.check()
