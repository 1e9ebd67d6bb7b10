"""A call as a transport, against a call of ``antiphon.rtc`` that is played by a few lists."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field

import pytest

from antiphon.core.inputs import PlayoutCleared, PlayoutEnded, PlayoutStarted
from antiphon.protocol.errors import ProtocolError
from antiphon.runtime.transport import TransportClosedError
from antiphon.transports.playout_budget import PlayoutBudget
from antiphon.transports.webrtc import WebRtcTransport
from tests.support.rtc_loop import in_virtual_time

MIB = 1024 * 1024


@dataclass
class Ending:
    clean: bool


@dataclass
class Cleared:
    tag: Hashable
    sent_samples: int


@dataclass
class Call:
    """What a test says of the call, and what was done with it."""

    transport: WebRtcTransport
    hears: bool = True
    buffered_bytes: int = 0
    playout_pending_s: float = 0.0
    delay_ms: int = 100
    queue: list[Cleared] = field(default_factory=list)
    sent: list[str | bytes] = field(default_factory=list)
    played: list[tuple[Hashable, bytes]] = field(default_factory=list)
    ducked: bool = False
    is_open: bool = True
    paused: bool = False
    closings: int = 0
    drain: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, text: str | bytes) -> None:
        if not self.is_open:
            raise ConnectionError("the data channel is not open")
        self.sent.append(text)

    async def drained(self) -> None:
        if self.buffered_bytes:
            await self.drain.wait()

    def pause_messages(self) -> None:
        self.paused = True

    def resume_messages(self) -> None:
        self.paused = False

    def play(self, tag: Hashable, pcm: bytes) -> None:
        self.played.append((tag, pcm))

    def clear(self, drop: Callable[[Hashable], bool]) -> Sequence[Cleared]:
        cleared = [one for one in self.queue if drop(one.tag)]
        self.queue = [one for one in self.queue if one not in cleared]
        return cleared

    def duck(self, on: bool) -> None:
        self.ducked = on

    def heard_delay_ms(self) -> int:
        return self.delay_ms

    def close(self) -> None:
        self.closings += 1
        self.transport.closed(Ending(clean=True))


def run(scenario: Callable[[WebRtcTransport, Call], Awaitable[None]]) -> None:
    async def begun() -> None:
        transport = WebRtcTransport()
        call = Call(transport)
        transport.begin(call)
        async with asyncio.timeout(5):
            await scenario(transport, call)

    asyncio.run(begun())


async def _settled() -> None:
    """Everything that can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


# --- messages ------------------------------------------------------------------------------------------------------


def test_messages_come_in_order_and_binary_ones_are_told_apart() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        for message in ("one", b"two", "three"):
            transport.message_received(message)
        assert [await transport.receive() for _ in range(3)] == ["one", b"two", "three"]

    run(scenario)


def test_a_message_that_was_thrown_away_is_refused_in_its_place() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        transport.message_received("one")
        transport.message_refused(300_000)
        transport.message_received("two")
        assert await transport.receive() == "one"
        with pytest.raises(ProtocolError, match=r"300000 bytes .* 262144 .* POST /v1/realtime/calls/\{call_id\}/items"):
            await transport.receive()
        assert await transport.receive() == "two"

    run(scenario)


def test_a_client_that_is_read_too_slowly_has_to_wait() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        for _ in range(9):
            transport.message_received("x" * (MIB // 8))
        assert call.paused
        for _ in range(6):
            await transport.receive()
        assert call.paused
        for _ in range(3):
            await transport.receive()
        assert not call.paused

    run(scenario)


@pytest.mark.parametrize(("message", "count"), [("x" * MIB, 9), ("", 40_000)])
def test_a_client_that_does_not_wait_is_gone(message: str, count: int) -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        for _ in range(count):
            transport.message_received(message)
        with pytest.raises(TransportClosedError) as caught:
            await transport.receive()
        assert (caught.value.clean, caught.value.code) == (False, 1008)

    run(scenario)


@pytest.mark.parametrize(("clean", "code"), [(True, 1000), (False, 1006)])
def test_what_came_before_the_end_is_read_before_it(clean: bool, code: int) -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        transport.message_received("last")
        transport.closed(Ending(clean))
        transport.message_received("too late")
        assert await transport.receive() == "last"
        for _ in range(2):
            with pytest.raises(TransportClosedError) as caught:
                await transport.receive()
            assert (caught.value.clean, caught.value.code) == (clean, code)

    run(scenario)


# --- events --------------------------------------------------------------------------------------------------------


def test_events_wait_for_the_channel_and_for_what_is_on_its_way() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(transport.send([b'{"a":1}', '{"b":"caf\u00e9"}'.encode()]))
            await _settled()
            assert call.sent == []
            call.buffered_bytes = 2 * MIB
            transport.channel_opened("oai-events")
            await _settled()
            assert call.sent == []
            call.buffered_bytes = 0
            call.drain.set()
        assert call.sent == ['{"a":1}', '{"b":"caf\u00e9"}']

    run(scenario)


def test_an_event_that_no_channel_carries_becomes_an_error() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        transport.channel_opened("oai-events")
        frame = json.dumps({"type": "conversation.item.retrieved", "padding": "x" * (4 * MIB)}).encode()
        await transport.send([frame])
        (told,) = call.sent
        error = json.loads(told)["error"]
        assert (error["type"], error["code"]) == ("server_error", "message_too_large")
        assert f"conversation.item.retrieved has {len(frame)} bytes" in error["message"]

    run(scenario)


@pytest.mark.parametrize("opened", [True, False])
def test_nothing_can_be_sent_after_the_end(opened: bool) -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        if opened:
            transport.channel_opened("oai-events")
        transport.closed(Ending(clean=True))
        with pytest.raises(TransportClosedError):
            await transport.send([b"{}"])

    run(scenario)


def test_closing_waits_for_the_last_events_and_then_for_the_calls_end() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        transport.channel_opened("oai-events")
        call.buffered_bytes = 1
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(transport.close(1000, ""))
            await _settled()
            assert call.closings == 0
            call.drain.set()
        assert call.closings == 1
        assert transport.ending == Ending(clean=True)

    run(scenario)


def test_a_channel_that_closes_while_something_is_sent_is_the_end() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        transport.channel_opened("oai-events")
        call.is_open = False
        with pytest.raises(TransportClosedError) as caught:
            await transport.send([b"{}"])
        assert not caught.value.clean

    run(scenario)


@in_virtual_time
async def test_a_client_that_reads_nothing_any_more_delays_the_end_by_two_seconds() -> None:
    transport, call = _sharing(PlayoutBudget())
    transport.channel_opened("oai-events")
    call.buffered_bytes = 1
    begun_s = asyncio.get_running_loop().time()
    await transport.close(1000, "")
    assert call.closings == 1
    assert asyncio.get_running_loop().time() - begun_s == pytest.approx(2.0)


# --- audio ---------------------------------------------------------------------------------------------------------


def test_audio_and_playout_are_told_to_whoever_attached() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        heard: list[bytes] = []
        facts: list[PlayoutStarted | PlayoutEnded] = []
        transport.audio_received(b"before")
        transport.media.attach(heard.append, facts.append)
        transport.audio_received(b"after")
        transport.media.play("resp_1", "item_1", b"pcm")
        ((tag, pcm),) = call.played
        assert pcm == b"pcm"
        transport.playout_started(tag)
        transport.playout_ended(tag, 480)
        assert heard == [b"after"]
        assert facts == [PlayoutStarted("resp_1", "item_1"), PlayoutEnded("resp_1", "item_1", 480)]

    run(scenario)


def test_a_call_is_turned_down_and_up_again() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        for on in (True, False):
            transport.media.duck(on)
            assert call.ducked == on

    run(scenario)


def test_of_what_is_cleared_as_much_was_heard_as_left_without_what_is_on_its_way() -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        call.queue = [
            Cleared(("resp_1", "item_1"), 24_000),
            Cleared(("resp_1", "item_2"), 480),
            Cleared(("resp_2", "item_3"), 0),
        ]
        assert transport.media.clear({"resp_1"}) == [
            PlayoutCleared("resp_1", "item_1", 24_000, 900),
            PlayoutCleared("resp_1", "item_2", 480, 0),
        ]
        assert [one.tag for one in call.queue] == [("resp_2", "item_3")]

    run(scenario)


@pytest.mark.parametrize("by", ["what was played", "what was cleared", "the end of the call"])
def test_speech_waits_while_three_minutes_of_it_are_to_be_played(by: str) -> None:
    async def scenario(transport: WebRtcTransport, call: Call) -> None:
        call.playout_pending_s = 180.5
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(transport.media.room())
            await _settled()
            transport.playout_taken()
            await _settled()
            assert not waiting.done()
            if by == "what was played":
                call.playout_pending_s = 179.9
                transport.playout_taken()
            elif by == "what was cleared":
                call.playout_pending_s = 0.0
                transport.media.clear({"resp_1"})
            else:
                transport.closed(Ending(clean=False))

    run(scenario)


def test_where_all_calls_hold_too_much_speech_those_with_the_most_wait() -> None:
    async def scenario() -> None:
        budget = PlayoutBudget(10 * 48_000)
        (much, much_call), (little, little_call) = _sharing(budget), _sharing(budget)
        for transport, call, pending_s in ((much, much_call, 7.0), (little, little_call, 4.0)):
            call.playout_pending_s = pending_s
            transport.media.play("resp_1", "item_1", b"pcm")
        assert budget.held_bytes == 11 * 48_000
        await little.media.room()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(much.media.room())
            await _settled()
            assert not waiting.done()
            much_call.playout_pending_s = 6.0
            much.playout_taken()
            await waiting
        assert budget.held_bytes == 10 * 48_000
        for transport in (much, little):
            transport.closed(Ending(clean=True))
            transport.playout_taken()
        assert budget.held_bytes == 0

    asyncio.run(scenario())


def test_a_call_alone_gets_all_that_calls_may_hold() -> None:
    async def scenario() -> None:
        budget = PlayoutBudget(10 * 48_000)
        (over, _), (transport, call) = _sharing(budget), _sharing(budget)
        over.closed(Ending(clean=True))
        call.playout_pending_s = 10.0
        transport.media.play("resp_1", "item_1", b"pcm")
        await transport.media.room()

    asyncio.run(scenario())


def _sharing(budget: PlayoutBudget) -> tuple[WebRtcTransport, Call]:
    transport = WebRtcTransport(budget)
    call = Call(transport)
    transport.begin(call)
    return transport, call
