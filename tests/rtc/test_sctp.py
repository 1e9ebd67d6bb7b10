"""The data channel against aiortc's own association as the peer, in memory: no DTLS, no network."""

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport
from google_crc32c import value as crc32c

from antiphon.rtc.sctp import DRAINED_BYTES, MAX_SENT_BYTES, DataChannel
from antiphon.rtc.settings import MAX_MESSAGE_BYTES
from tests.support.rtc_loop import in_virtual_time

PATIENCE_S = 5
MIB = 1024 * 1024


class Heard:
    """The owner of the channel; everything it is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.dropped: list[str] = []
        self.news = asyncio.Event()

    def channel_opened(self, label: str) -> None:
        self._tell("opened", label)

    def message_received(self, data: str | bytes) -> None:
        self._tell("message", data)

    def message_refused(self, size_bytes: int) -> None:
        self._tell("refused", size_bytes)

    def channel_ended(self, opened: bool) -> None:
        self._tell("ended", opened)

    def packet_dropped(self, reason: str) -> None:
        self.dropped.append(reason)

    def faulted(self, error: Exception) -> None:
        self._tell("faulted", error)

    def _tell(self, *what: Any) -> None:
        self.told.append(what)
        self.news.set()

    async def until(self, *what: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while what not in self.told:
                self.news.clear()
                await self.news.wait()


class Carrier:
    """What aiortc's association needs of a DTLS transport."""

    state = "connected"
    _role = "client"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    async def _send_data(self, data: bytes) -> None:
        self._send(data)

    def _register_data_receiver(self, receiver: object) -> None: ...
    def _unregister_data_receiver(self, receiver: object) -> None: ...


class Pair:
    """Ours and a peer's association, with a wire between them."""

    def __init__(self) -> None:
        self.heard = Heard()
        self._to_us: asyncio.Queue[bytes] = asyncio.Queue()
        self._to_peer: asyncio.Queue[bytes] = asyncio.Queue()
        self.ours = DataChannel(self._to_peer.put_nowait, self.heard)
        carrier: Any = Carrier(self._to_us.put_nowait)
        self.peer = RTCSctpTransport(carrier)
        self.messages: list[str | bytes] = []

    def channel(self, label: str = "oai-events", **options: Any) -> RTCDataChannel:
        channel = RTCDataChannel(self.peer, RTCDataChannelParameters(label=label, **options))
        channel.on("message", self.messages.append)
        return channel

    async def start(self) -> RTCDataChannel:
        await self.ours.start(5000)
        await self.peer.start(RTCSctpCapabilities(maxMessageSize=0), 5000)
        channel, opened = self.channel(), asyncio.Event()
        channel.on("open", opened.set)
        await self.heard.until("opened", "oai-events")
        async with asyncio.timeout(PATIENCE_S):
            await opened.wait()
        return channel

    async def carry_to_us(self) -> None:
        while True:
            await self.ours.receive(await self._to_us.get())

    async def carry_to_peer(self) -> None:
        while True:
            await self.peer._handle_data(await self._to_peer.get())

    async def settle(self) -> None:
        """Until nothing is under way."""
        await asyncio.sleep(0.01)

    async def inject(self, *chunks: bytes, tag: int | None = None) -> None:
        """A packet of the peer's with these chunks, whatever they are."""
        tag = self.ours._association._local_verification_tag if tag is None else tag
        head = struct.pack("!HHL", 5000, 5000, tag)
        body = b"".join(chunks)
        await self.ours.receive(head + struct.pack("<L", crc32c(head + bytes(4) + body)) + body)

    @property
    def next_tsn(self) -> int:
        return self.peer._local_tsn


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Pair, RTCDataChannel]]:
    pair = Pair()
    async with asyncio.TaskGroup() as tasks:
        wires = [tasks.create_task(pair.carry_to_us()), tasks.create_task(pair.carry_to_peer())]
        yield pair, await pair.start()
        await pair.ours.stop()
        await pair.peer.stop()
        for wire in wires:
            wire.cancel()


def chunk(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("!BBH", kind, flags, len(body) + 4) + body + bytes(-len(body) % 4)


def data(tsn: int, payload: bytes, *, stream: int = 0, flags: int = 3, protocol: int = 51) -> bytes:
    return chunk(0, struct.pack("!LHHL", tsn % 2**32, stream, 0, protocol) + payload, flags)


async def is_alive(pair: Pair, channel: RTCDataChannel) -> None:
    """A message still passes both ways."""
    word = f"still there {len(pair.heard.told)}"
    channel.send(word)
    await pair.heard.until("message", word)
    pair.ours.send(word)
    await pair.settle()
    assert word in pair.messages


@pytest.mark.parametrize(
    "message",
    ["text é", b"bytes", "", b"", "x" * 200_000, b"x" * MAX_MESSAGE_BYTES],
    ids=["text", "bytes", "empty text", "no bytes", "long text", "as many bytes as may be"],
)
@in_virtual_time
async def test_messages_pass_both_ways(message: str | bytes) -> None:
    async with connected() as (pair, channel):
        channel.send(message)
        await pair.heard.until("message", message)
        pair.ours.send(message)
        await pair.settle()
        assert pair.messages == [message]
        assert pair.heard.dropped == []


@in_virtual_time
async def test_we_send_up_to_4_mib_and_no_more() -> None:
    async with connected() as (pair, channel):
        pair.ours.send("x" * MAX_SENT_BYTES)
        assert pair.ours.buffered_bytes >= MAX_SENT_BYTES
        await pair.ours.drained()
        assert pair.ours.buffered_bytes <= DRAINED_BYTES
        await pair.ours.drained(0)
        assert [len(message) for message in pair.messages] == [MAX_SENT_BYTES]
        with pytest.raises(ValueError, match="4194305"):
            pair.ours.send("x" * (MAX_SENT_BYTES + 1))
        await is_alive(pair, channel)


@in_virtual_time
async def test_a_message_that_is_too_large_is_told_with_its_size_and_the_channel_lives() -> None:
    async with connected() as (pair, channel):
        for size_bytes in (MAX_MESSAGE_BYTES + 1, 3 * MIB):
            channel.send(b"x" * size_bytes)
            await pair.heard.until("refused", size_bytes)
        assert [told for told in pair.heard.told if told[0] == "message"] == []
        await is_alive(pair, channel)


@in_virtual_time
async def test_text_that_is_not_utf_8_comes_as_bytes() -> None:
    async with connected() as (pair, _):
        await pair.inject(data(pair.next_tsn, b"\xff\xfe"))
        assert pair.heard.told[-1] == ("message", b"\xff\xfe")


@in_virtual_time
async def test_before_the_channel_is_open_and_after_its_end_nothing_can_be_sent() -> None:
    pair = Pair()
    with pytest.raises(ConnectionError):
        pair.ours.send("early")
    async with connected() as (pair, _):
        await pair.ours.close(flush_s=1)
        with pytest.raises(ConnectionError):
            pair.ours.send("late")
        await pair.ours.drained(0)


@in_virtual_time
async def test_while_paused_nothing_comes_in_and_afterwards_all_of_it_in_order() -> None:
    async with connected() as (pair, channel):
        pair.ours.pause()
        for number in range(50):
            channel.send(f"{number} " + "x" * 5000)
        await asyncio.sleep(5)
        assert [told for told in pair.heard.told if told[0] == "message"] == []
        await pair.ours.resume()
        await pair.heard.until("message", "49 " + "x" * 5000)
        numbers = [told[1].split()[0] for told in pair.heard.told if told[0] == "message"]
        assert numbers == [str(number) for number in range(50)]


@pytest.mark.parametrize("loss", [0.05, 0.3])
@in_virtual_time
async def test_losses_and_repetition_change_nothing(loss: float) -> None:
    fate = random.Random(1)
    async with connected() as (pair, channel):
        for queue in (pair._to_us, pair._to_peer):
            put = queue.put_nowait

            def impaired(packet: bytes, put: Callable[[bytes], None] = put) -> None:
                for _ in range(0 if fate.random() < loss else 2 if fate.random() < 0.1 else 1):
                    put(packet)

            queue.put_nowait = impaired  # type: ignore[assignment]
        sent = [f"{number} " + "x" * fate.randrange(4000) for number in range(100)]
        for message in sent:
            channel.send(message)
            pair.ours.send(message)
        await asyncio.sleep(600)
        assert [told[1] for told in pair.heard.told if told[0] == "message"] == sent
        assert pair.messages == sent


@in_virtual_time
async def test_only_the_first_channel_is_used_and_further_ones_are_closed() -> None:
    async with connected() as (pair, first):
        others = [pair.channel(f"other {number}") for number in range(10)]
        for other in others:
            other.on("open", lambda other=other: other.send("hello"))
        await asyncio.sleep(5)
        assert {other.readyState for other in others} == {"closed"}
        assert [told for told in pair.heard.told if told[0] != "opened"] == []
        assert len(pair.ours._association._data_channels) == 1
        await is_alive(pair, first)


@in_virtual_time
async def test_channels_without_number_are_bounded() -> None:
    async with connected() as (pair, first):
        for number in range(500):
            pair.channel(f"other {number}")
        await asyncio.sleep(5)
        assert len(pair.ours._association._data_channels) <= 16
        assert set(pair.heard.dropped) == {"sctp_channels"}
        await is_alive(pair, first)


@in_virtual_time
async def test_the_peer_closing_the_channel_is_the_end() -> None:
    async with connected() as (pair, channel):
        channel.close()
        await pair.heard.until("ended", True)
        assert pair.heard.told.count(("ended", True)) == 1


@in_virtual_time
async def test_an_abort_is_the_end() -> None:
    async with connected() as (pair, _):
        await pair.peer.stop()
        await pair.heard.until("ended", True)


@in_virtual_time
async def test_a_peer_that_never_answers_is_told_as_never_opened() -> None:
    pair = Pair()
    await pair.ours.start(5000)
    await asyncio.sleep(120)
    assert pair.heard.told == [("ended", False)]
    await pair.ours.stop()


@in_virtual_time
async def test_our_goodbye_delivers_what_was_queued_and_closes_the_peers_channel() -> None:
    async with connected() as (pair, channel):
        for number in range(20):
            pair.ours.send(f"{number} " + "x" * 10_000)
        await pair.ours.close(flush_s=1)
        await pair.settle()
        assert len(pair.messages) == 20
        assert channel.readyState == "closed"
        assert ("ended", True) not in pair.heard.told


@in_virtual_time
async def test_our_goodbye_to_a_peer_that_is_silent_is_short() -> None:
    async with connected() as (pair, _):
        pair.ours._association._RTCSctpTransport__transport._send = lambda packet: None  # type: ignore[attr-defined]
        pair.ours.send("x" * MIB)
        begun_s = asyncio.get_running_loop().time()
        await pair.ours.close(flush_s=1)
        assert asyncio.get_running_loop().time() - begun_s < 1.5


def initiation(parameters: bytes = b"") -> bytes:
    return struct.pack("!LLHHL", 1, MIB, 10, 10, 5) + parameters


ODD_CHUNKS = {
    "a parameter of length 0": chunk(4, struct.pack("!HH", 1, 0)),
    "a parameter beyond its chunk": chunk(4, struct.pack("!HH", 1, 500)),
    "a parameter of length 0 in an INIT": chunk(1, initiation(struct.pack("!HH", 1, 0))),
    "a parameter of length 0 in a RE-CONFIG": chunk(130, struct.pack("!HH", 13, 0)),
    "a short RE-CONFIG": chunk(130, struct.pack("!HHL", 13, 8, 1)),
    "a response to no request": chunk(130, struct.pack("!HHLL", 16, 12, 1, 1)),
    "a short INIT": chunk(1, b"abc"),
    "an empty INIT": chunk(1, b""),
    "an INIT ACK": chunk(2, initiation()),
    "a short DATA": chunk(0, b"abc"),
    "an empty DATA": chunk(0, b""),
    "a short SACK": chunk(3, b"abc"),
    "a SACK that promises gaps": chunk(3, struct.pack("!LLHH", 0, 0, 65_535, 65_535)),
    "a short FORWARD TSN": chunk(192, b"abc"),
    "a FORWARD TSN with half a stream": chunk(192, struct.pack("!LH", 1, 1)),
    "an invalid cookie": chunk(10, b"x" * 24),
    "a cookie's answer": chunk(11, b""),
    "an error": chunk(9, b""),
    "an unknown kind": chunk(77, b"xyz"),
    "an unknown kind that asks for a report": chunk(0xC5, b"xyz"),
    "a chunk of length 0": struct.pack("!BBH", 4, 0, 0),
    "a chunk of length 3": struct.pack("!BBH", 4, 0, 3),
    "a chunk beyond the packet": struct.pack("!BBH", 4, 0, 500),
    "many heartbeats": chunk(4, b"") * 300,
    "many INITs": chunk(1, initiation()) * 50,
    "an OPEN without its label": data(2**31, struct.pack("!BBHLHH", 3, 0, 0, 0, 500, 0), stream=9, protocol=50),
}


@pytest.mark.parametrize("what", ODD_CHUNKS)
@in_virtual_time
async def test_odd_chunks_change_nothing(what: str) -> None:
    async with connected() as (pair, channel):
        await pair.inject(ODD_CHUNKS[what])
        await pair.inject(ODD_CHUNKS[what], tag=0)
        await is_alive(pair, channel)


@in_virtual_time
async def test_open_messages_that_are_broken_change_nothing() -> None:
    opens = [
        struct.pack("!BBHLHH", 3, 0, 0, 0, 500, 0),
        struct.pack("!BBHLHH", 3, 0, 0, 0, 2, 0) + b"\xff\xfe",
        b"\x03",
        b"\x02",
        b"\x77" * 20,
    ]
    async with connected() as (pair, _):
        for number, message in enumerate(opens):
            await pair.inject(data(pair.next_tsn + number, message, stream=20 + number, protocol=50))
        await pair.inject(data(pair.next_tsn + len(opens), b"alive"))
        assert pair.heard.told[-1] == ("message", "alive")


@in_virtual_time
async def test_fragments_that_never_end_and_streams_without_number_take_no_memory() -> None:
    async with connected() as (pair, _):
        tsn, inbox = pair.next_tsn, pair.ours._association._inbox
        assert inbox is not None
        for number in range(2000):
            await pair.inject(data(tsn + number, b"x" * 1000, flags=2 if number == 0 else 0))
        assert inbox.held_bytes == 0
        for number in range(2000, 4000):
            await pair.inject(data(tsn + number, b"x" * 1000, stream=number, flags=2))
            assert inbox.held_bytes <= MAX_MESSAGE_BYTES
        assert pair.ours._association._inbound_streams == {}
        await pair.inject(data(tsn + 4000, b"alive"))
        assert pair.heard.told[-1] == ("message", "alive")


@in_virtual_time
async def test_what_comes_out_of_order_is_bounded_and_acknowledged_in_one_packet() -> None:
    async with connected() as (pair, _):
        tsn, inbox = pair.next_tsn, pair.ours._association._inbox
        assert inbox is not None
        for number in range(2, 6000, 2):
            await pair.inject(data(tsn + number, b"x" * 900))
        assert inbox.held_bytes <= MIB
        sacks = [pair._to_peer.get_nowait() for _ in range(pair._to_peer.qsize())]
        assert max(map(len, sacks)) < 1200


@in_virtual_time
async def test_acknowledgements_of_what_was_never_sent_are_refused() -> None:
    async with connected() as (pair, channel):
        ours = pair.ours._association
        gaps = b"".join(struct.pack("!HH", 1, 65_535) for _ in range(250))
        await pair.inject(chunk(3, struct.pack("!LLHH", ours._last_sacked_tsn, MIB, 250, 0) + gaps))
        await pair.inject(chunk(3, struct.pack("!LLHH", (ours._local_tsn + 1000) % 2**32, MIB, 0, 0)))
        assert pair.heard.dropped == ["sctp", "sctp"]
        await is_alive(pair, channel)


@in_virtual_time
async def test_a_skip_over_half_the_numbers_is_survived() -> None:
    async with connected() as (pair, _):
        tsn = pair.next_tsn
        await pair.inject(chunk(192, struct.pack("!L", (tsn + 2**31 - 10) % 2**32) + struct.pack("!HH", 3, 3) * 200))
        assert pair.ours._association._inbound_streams == {}
        await pair.inject(data(tsn + 2**31 - 9, b"alive"))
        assert pair.heard.told[-1] == ("message", "alive")


@in_virtual_time
async def test_random_bytes_are_dropped() -> None:
    fate = random.Random(2)
    async with connected() as (pair, channel):
        for size_bytes in (*range(40), 100, 1200, 1500):
            await pair.ours.receive(fate.randbytes(size_bytes))
        kinds = [0, 1, 2, 3, 4, 5, 9, 10, 11, 130, 192, 255]
        for _ in range(3000):
            body = fate.randbytes(fate.choice([0, 1, 4, 8, 12, 16, 40]))
            await pair.inject(chunk(fate.choice(kinds[:1] + kinds[3:]), body, fate.randrange(256)))
        assert not [told for told in pair.heard.told if told[0] == "faulted"]
        assert pair.heard.dropped
        assert channel.readyState == "open"
