"""The data channel of a call: aiortc's SCTP association, made safe against what a peer may send.

Everything that depends on aiortc's ``RTCSctpTransport`` is in this file. The private members that it uses, checked by
``tests/rtc/test_aiortc_members.py``: the methods that ``_Association`` overrides, ``_data_channel_close``,
``_data_channels``, ``_association_state`` and ``State``, ``_last_received_tsn``, ``_local_tsn``, ``_sack_needed``,
``_remote_verification_tag``, ``_reset_deferred_streams``, ``_sent_queue``, ``_outbound_queue``, ``_flight_size``,
``_cwnd``, ``_rto``, ``_srtt``, ``_rttvar``; and what it asks of a transport.

Received fragments do not go through aiortc's reassembly, which grows without bound, but through ours; packets are
looked over before aiortc parses them (a parameter of length 0 would keep its parser busy for ever); acknowledgements
are cut to what was sent. A packet that is broken is dropped and counted, and nothing else happens.
"""

import asyncio
import logging
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiortc import rtcsctptransport as aiosctp
from aiortc.rtcdatachannel import RTCDataChannel
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from antiphon.rtc.reassembly import Fragment, Message, Oversized, Reassembly
from antiphon.rtc.settings import MAX_MESSAGE_BYTES

__all__ = ["DRAINED_BYTES", "MAX_SENT_BYTES", "ChannelEvents", "DataChannel"]

_LOG = logging.getLogger(__name__)

MAX_SENT_BYTES: Final = 4 * 1024 * 1024
"""Browsers take that much whatever they advertise, and close the channel at 10 MB."""
DRAINED_BYTES: Final = 65_536

_PORT: Final = 5000
_WINDOW_BYTES: Final = 1024 * 1024
_MAX_EARLY: Final = 2048
_MAX_GAPS: Final = 64
_MAX_FLIGHT_BYTES: Final = 65_536
"""Sent and not acknowledged. More at once overflows the socket buffers of some peers, and what is lost costs time."""
_FIRST_RTO_S: Final = 1.0
_LEAST_RTO_S: Final = 0.4
"""What is lost last is sent again after this, as browsers do; they acknowledge after 0.2 s at the latest."""
_MAX_CONTROL_CHUNKS: Final = 8
_MAX_CHANNELS: Final = 16
_CLOSE_S: Final = 0.25

_CHUNK: Final = struct.Struct("!BBH")
_PARAMETERS_AT: Final = {1: 16, 2: 16, 4: 0, 5: 0, 6: 0, 9: 0, 130: 0}
"""Where a chunk's parameters begin, by its type."""
_DATA: Final = 0


class ChannelEvents(Protocol):
    """To whom a data channel tells what happens; none of these raises."""

    def channel_opened(self, label: str) -> None: ...
    def message_received(self, data: str | bytes) -> None: ...
    def message_refused(self, size_bytes: int) -> None: ...
    def channel_ended(self, opened: bool) -> None:
        """The peer closed it or aborted the association; not ``opened``: it never came to that."""

    def packet_dropped(self, reason: str) -> None: ...
    def faulted(self, error: Exception) -> None:
        """Something here is wrong that no peer should be able to cause."""


class DataChannel:
    """The first data channel that the peer opens, whatever its label; further ones are closed."""

    def __init__(self, send: Callable[[bytes], None], events: ChannelEvents) -> None:
        self._association = _Association(_Carrier(send), events)

    async def start(self, port: int) -> None:
        """Begins the association with the SCTP port of the peer."""
        await self._association.start(RTCSctpCapabilities(maxMessageSize=0), port)

    async def receive(self, packet: bytes) -> None:
        await self._association._handle_data(packet)

    def send(self, data: str | bytes) -> None:
        """Queues a message. ValueError if it is too large; ConnectionError if the channel is not open."""
        size_bytes = len(data.encode()) if isinstance(data, str) else len(data)
        if size_bytes > MAX_SENT_BYTES:
            raise ValueError(f"a message may have {MAX_SENT_BYTES} bytes, this one has {size_bytes}")
        channel = self._association.channel
        if channel is None or channel.readyState != "open":
            raise ConnectionError("the data channel is not open")
        channel.send(data)

    @property
    def buffered_bytes(self) -> int:
        """About how much was neither sent nor acknowledged yet; never too little."""
        return self._association.buffered_bytes

    async def drained(self, limit_bytes: int = DRAINED_BYTES) -> None:
        """Waits while more than that is buffered; returns when the channel is over, too."""
        while self._association.channel_lives and self.buffered_bytes > limit_bytes:
            await self._association.progress()

    def pause(self) -> None:
        """Takes nothing more in: the peer keeps what it has to send (what is under way already is sent again)."""
        self._association.paused = True

    async def resume(self) -> None:
        """Takes messages in again, and tells the peer at once."""
        if self._association.paused:
            self._association.paused = False
            await self._association.announce_window()

    async def close(self, flush_s: float) -> None:
        """Sends what is buffered, closes the channel and aborts the association. No timer is left."""
        association = self._association
        association.leaving = True
        try:
            async with asyncio.timeout(flush_s):
                await self.drained(0)
        except TimeoutError:
            pass  # the peer takes nothing: it hears of the end all the same
        try:
            async with asyncio.timeout(_CLOSE_S):
                await association.close_channel()
        except TimeoutError:
            pass  # it does not confirm: the abort says the same
        await self.stop()

    async def stop(self) -> None:
        """Aborts the association at once. No timer is left."""
        self._association.leaving = True
        await self._association.stop()
        self._association.release()


class _Carrier:
    """What ``RTCSctpTransport`` needs of a DTLS transport."""

    state = "connected"
    _role = "server"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    async def _send_data(self, data: bytes) -> None:
        self._send(data)

    def _register_data_receiver(self, receiver: object) -> None:
        pass

    def _unregister_data_receiver(self, receiver: object) -> None:
        self._send = lambda data: None


class _Association(RTCSctpTransport):
    def __init__(self, carrier: Any, events: ChannelEvents) -> None:
        super().__init__(carrier, _PORT)
        self._owner: ChannelEvents | None = events
        self._inbox: Reassembly | None = None
        self._progress: asyncio.Future[None] | None = None
        self.channel: RTCDataChannel | None = None
        self.paused = False
        self.leaving = False
        """We end it: the peer's part in that is no news."""
        self._over = False

    @property
    def channel_lives(self) -> bool:
        return not self._over and self.channel is not None and self.channel.readyState == "open"

    @property
    def buffered_bytes(self) -> int:
        queued = self.channel.bufferedAmount if self.channel else 0
        return queued + len(self._outbound_queue) * aiosctp.USERDATA_MAX_LENGTH + self._flight_size

    async def progress(self) -> None:
        """Waits until something was acknowledged, or all is over."""
        if self._progress is None:
            self._progress = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._progress)

    async def announce_window(self) -> None:
        if self._inbox is not None and self._association_state == self.State.ESTABLISHED:
            await self._send_sack()

    async def close_channel(self) -> None:
        """Closes the channel and waits until the peer did the same."""
        if self.channel is None or self._association_state != self.State.ESTABLISHED:
            return
        self._data_channel_close(self.channel)
        while not self._over and self.channel.readyState != "closed":
            await self.progress()

    def release(self) -> None:
        """Lets go of all others."""
        self._over = True
        self._advance()
        self._owner = self._inbox = self.channel = None
        self._data_channels.clear()
        self._data_channel_queue.clear()

    # Receiving

    async def _handle_data(self, data: bytes) -> None:
        if self._over or self._owner is None:
            return
        if not _is_sound(data):
            self._owner.packet_dropped("sctp")
            return
        try:
            await super()._handle_data(data)
        except Exception:  # of aiortc's code, on bytes that a peer chose
            _LOG.debug("an SCTP packet was dropped", exc_info=True)
            self._drop("sctp")
        self._look_for_end()

    async def _receive_chunk(self, chunk: aiosctp.Chunk) -> None:
        if self._over:
            return
        if isinstance(chunk, aiosctp.InitChunk | aiosctp.InitAckChunk):
            await self._receive_init(chunk)
        elif self._inbox is None:
            self._drop("sctp_early")
        else:
            await super()._receive_chunk(chunk)

    async def _receive_init(self, chunk: aiosctp.BaseInitChunk) -> None:
        if self._association_state == self.State.ESTABLISHED:
            self._drop("sctp_late")  # an old one; it would set back what was received
            return
        before = self._remote_verification_tag
        await super()._receive_chunk(chunk)
        if self._inbox is None or self._remote_verification_tag != before:
            self._inbox = Reassembly(
                self._last_received_tsn or 0,
                max_message_bytes=MAX_MESSAGE_BYTES,
                window_bytes=_WINDOW_BYTES,
                max_early=_MAX_EARLY,
            )
        self._last_received_tsn = self._inbox.tsn

    async def _receive_data_chunk(self, chunk: aiosctp.DataChunk) -> None:
        self._sack_needed = True
        if self.paused or not chunk.user_data:
            self._drop("sctp_paused" if self.paused else "sctp")
            return
        fragment = Fragment(
            chunk.tsn,
            chunk.stream_id,
            chunk.protocol,
            bool(chunk.flags & aiosctp.SCTP_DATA_FIRST_FRAG),
            bool(chunk.flags & aiosctp.SCTP_DATA_LAST_FRAG),
            chunk.user_data,
        )
        if self._inbox is not None:
            await self._deliver(self._inbox, self._inbox.push(fragment))

    async def _receive_forward_tsn_chunk(self, chunk: aiosctp.ForwardTsnChunk) -> None:
        self._sack_needed = True
        if self._inbox is not None:
            await self._deliver(self._inbox, self._inbox.skip_to(chunk.cumulative_tsn))

    async def _deliver(self, inbox: Reassembly, completed: list[Message | Oversized]) -> None:
        self._last_received_tsn = inbox.tsn
        for message in completed:
            if isinstance(message, Message):
                await self._receive(message.stream_id, message.protocol, message.data)
            elif self._owner is not None and self._is_ours(message.stream_id):
                self._owner.message_refused(message.size_bytes)
        await self._reset_deferred_streams()

    async def _send_sack(self) -> None:
        self._sack_needed = False
        if self._inbox is None:
            return
        sack = aiosctp.SackChunk()
        sack.cumulative_tsn = self._inbox.tsn
        sack.advertised_rwnd = 0 if self.paused else self._inbox.free_bytes
        sack.duplicates = self._inbox.take_duplicates()
        sack.gaps = self._inbox.gaps(_MAX_GAPS)
        await self._send_chunk(sack)

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        if pp_id == aiosctp.WEBRTC_DCEP:
            if data[0] == aiosctp.DATA_CHANNEL_OPEN and stream_id not in self._data_channels:
                await self._open(stream_id, data)
        elif self._owner is not None and self._is_ours(stream_id):
            message = _message(pp_id, data)
            if message is not None:
                self._owner.message_received(message)

    async def _open(self, stream_id: int, data: bytes) -> None:
        if len(self._data_channels) >= _MAX_CHANNELS:
            self._drop("sctp_channels")
            return
        await super()._data_channel_receive(stream_id, aiosctp.WEBRTC_DCEP, data)
        channel = self._data_channels.get(stream_id)
        if channel is None:
            return
        if self.channel is None:
            self.channel = channel
            if self._owner is not None:
                self._owner.channel_opened(channel.label)
        else:
            self._data_channel_close(channel)

    def _is_ours(self, stream_id: int) -> bool:
        return self.channel is not None and self.channel.id == stream_id and self.channel.readyState == "open"

    # Sending

    async def _receive_sack_chunk(self, chunk: aiosctp.SackChunk) -> None:
        unsent = (self._local_tsn - chunk.cumulative_tsn - 1) % aiosctp.SCTP_TSN_MODULO
        gaps = _gaps_within(chunk.gaps, len(self._sent_queue))
        if unsent >= aiosctp.SCTP_TSN_MODULO // 2 or gaps is None:
            self._drop("sctp")
            return
        chunk.gaps = gaps
        await super()._receive_sack_chunk(chunk)
        self._cwnd = min(self._cwnd, _MAX_FLIGHT_BYTES)
        self._advance()

    def _update_rto(self, R: float) -> None:  # noqa: N803 - its name there
        super()._update_rto(R)
        if self._srtt is not None and self._rttvar is not None:
            self._rto = min(max(self._srtt + 4 * self._rttvar, _LEAST_RTO_S), self._rto)

    async def _send_chunk(self, chunk: aiosctp.Chunk) -> None:
        await self._guarded(super()._send_chunk(chunk))

    async def _data_channel_flush(self) -> None:
        await self._guarded(super()._data_channel_flush())

    async def _transmit(self) -> None:
        await self._guarded(super()._transmit())

    async def _transmit_reconfig(self) -> None:
        await self._guarded(super()._transmit_reconfig())

    async def _guarded(self, step: Any) -> None:
        """aiortc runs such steps as tasks that nobody waits for: what they raise is told here."""
        try:
            await step
        except Exception as error:
            if self._owner is not None:
                self._owner.faulted(error)

    # The end

    def _set_state(self, state: RTCSctpTransport.State) -> None:
        super()._set_state(state)
        if state == self.State.ESTABLISHED and self._srtt is None:
            self._rto = _FIRST_RTO_S
        if state == self.State.CLOSED:
            self._look_for_end()

    def _look_for_end(self) -> None:
        """Told once: the association or the channel is over."""
        self._advance()
        alive = {self.State.COOKIE_WAIT, self.State.COOKIE_ECHOED, self.State.ESTABLISHED}
        closed = self.channel is not None and self.channel.readyState != "open"
        if self._over or (self._association_state in alive and (not closed or self.leaving)):
            return
        self._over = True
        self._advance()
        if self._owner is not None and not self.leaving:
            self._owner.channel_ended(self.channel is not None)

    def _advance(self) -> None:
        if self._progress is not None and not self._progress.done():
            self._progress.set_result(None)
        self._progress = None

    def _drop(self, reason: str) -> None:
        if self._owner is not None:
            self._owner.packet_dropped(reason)


def _is_sound(packet: bytes) -> bool:
    """Whether the chunks' and parameters' lengths are right, and those that ask for an answer are few."""
    at, control = aiosctp.SCTP_COMMON_HEADER_LENGTH, 0
    while at <= len(packet) - _CHUNK.size:
        kind, _, length = _CHUNK.unpack_from(packet, at)
        if length < _CHUNK.size or at + length > len(packet):
            return False
        if kind in _PARAMETERS_AT and not _are_parameters(
            packet[at + _CHUNK.size + _PARAMETERS_AT[kind] : at + length]
        ):
            return False
        control += kind != _DATA
        at += length + -length % 4
    return control <= _MAX_CONTROL_CHUNKS


def _are_parameters(body: bytes) -> bool:
    at = 0
    while at <= len(body) - 4:
        length = int.from_bytes(body[at + 2 : at + 4])
        if length < 4 or at + length > len(body):
            return False
        at += length + -length % 4
    return True


def _gaps_within(gaps: list[tuple[int, int]], reach: int) -> list[tuple[int, int]] | None:
    """The blocks as far as ``reach``; None if they are not in order."""
    kept: list[tuple[int, int]] = []
    before = 0
    for start, end in gaps:
        if start <= before or end < start:
            return None
        before = end
        if start <= reach:
            kept.append((start, min(end, reach)))
    return kept


def _message(pp_id: int, data: bytes) -> str | bytes | None:
    """A message as the application knows it. Text that is none stays bytes."""
    if pp_id == aiosctp.WEBRTC_STRING:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data
    if pp_id == aiosctp.WEBRTC_BINARY:
        return data
    if pp_id == aiosctp.WEBRTC_STRING_EMPTY:
        return ""
    return b"" if pp_id == aiosctp.WEBRTC_BINARY_EMPTY else None
