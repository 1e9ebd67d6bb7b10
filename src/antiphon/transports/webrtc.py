"""A WebRTC call as a connection: events on its data channel, audio on its track."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Final, Protocol, cast

import msgspec

from antiphon.core.inputs import PlayoutCleared, PlayoutEnded, PlayoutStarted
from antiphon.protocol.errors import ProtocolError
from antiphon.runtime.ids import new_id
from antiphon.runtime.transport import TransportClosedError
from antiphon.transports.playout_budget import PlayoutBudget

__all__ = ["CallEnding", "ClearedPlayout", "RtcCall", "WebRtcTransport"]

_SAMPLES_PER_MS: Final = 24
_BYTES_PER_S: Final = 48_000
_PAUSE_BYTES: Final = 1024 * 1024
"""Messages of a client that were not read yet: from here on it has to keep further ones."""
_RESUME_BYTES: Final = 256 * 1024
_WAITING_MAX_BYTES: Final = 8 * 1024 * 1024
"""A client that sends more all the same is gone."""
_MESSAGE_COST_BYTES: Final = 256
"""What a message takes beside its text: small ones are bounded too."""
_BUFFERED_BYTES: Final = 1024 * 1024
_SEND_MAX_BYTES: Final = 4 * 1024 * 1024
_PLAYOUT_S: Final = 180.0
_GOODBYE_S: Final = 2.0
_CLEAN, _LOST, _TOO_MUCH = 1000, 1006, 1008

_Tag = tuple[str, str]


class ClearedPlayout(Protocol):
    """What was cut of one item's audio."""

    @property
    def tag(self) -> Hashable: ...
    @property
    def sent_samples(self) -> int: ...


class CallEnding(Protocol):
    """Why a call is over."""

    @property
    def clean(self) -> bool: ...


class RtcCall(Protocol):
    """What is needed of a call of ``antiphon.rtc``."""

    @property
    def hears(self) -> bool: ...
    @property
    def buffered_bytes(self) -> int: ...
    @property
    def playout_pending_s(self) -> float: ...
    def send(self, text: str | bytes) -> None: ...
    async def drained(self) -> None: ...
    def pause_messages(self) -> None: ...
    def resume_messages(self) -> None: ...
    def play(self, tag: Hashable, pcm: bytes) -> None: ...
    def clear(self, drop: Callable[[Hashable], bool]) -> Sequence[ClearedPlayout]: ...
    def duck(self, on: bool) -> None: ...
    def heard_delay_ms(self) -> int: ...
    def close(self) -> None: ...


class WebRtcTransport:
    """What ``antiphon.rtc`` tells of a call, as the ``Transport`` of a session. ``begin`` it before anything comes."""

    def __init__(self, playout: PlayoutBudget | None = None) -> None:
        """``playout`` is shared by all calls of the process."""
        self._media = _Track(playout or PlayoutBudget())
        self._messages: deque[str | bytes | ProtocolError] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._arrived = asyncio.Event()
        self._opened_or_over = asyncio.Event()
        self._over = asyncio.Event()
        self._lost: TransportClosedError | None = None
        self.ending: CallEnding | None = None
        """Why the call is over, once it is."""

    def begin(self, call: RtcCall) -> None:
        self._call = call
        self._media.begin(call)

    # --- the session's side ----------------------------------------------------------------------------------------

    @property
    def media(self) -> "_Track":
        return self._media

    async def receive(self) -> str | bytes:
        while not self._messages:
            if self._lost is not None:
                raise self._lost
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        self._waiting_bytes -= _cost(message)
        if self._paused and self._waiting_bytes < _RESUME_BYTES:
            self._paused = False
            self._call.resume_messages()
        if isinstance(message, ProtocolError):
            raise message
        return message

    async def send(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            await self._writable()
            told = frame if len(frame) <= _SEND_MAX_BYTES else _too_large(frame)
            try:
                self._call.send(str(told, "utf-8"))
            except ConnectionError as error:
                raise TransportClosedError(clean=False, code=_LOST) from error

    async def close(self, code: int, reason: str) -> None:
        # A data channel closes without a code or reason.
        try:
            async with asyncio.timeout(_GOODBYE_S):
                if self._opened_or_over.is_set() and self._lost is None:
                    await self._call.drained()
        except TimeoutError:
            pass  # the client does not read any more
        self._call.close()
        await self._over.wait()

    async def _writable(self) -> None:
        await self._opened_or_over.wait()
        if self._lost is None and self._call.buffered_bytes > _BUFFERED_BYTES:
            await self._call.drained()
        if self._lost is not None:
            raise self._lost

    # --- the call's side -------------------------------------------------------------------------------------------

    def connected(self) -> None: ...

    def channel_opened(self, label: str) -> None:
        self._opened_or_over.set()

    def message_received(self, data: str | bytes) -> None:
        self._arrive(data)

    def message_refused(self, size_bytes: int) -> None:
        message = (
            f"A message of {size_bytes} bytes is too large for the data channel: at most 262144 are taken. "
            "Send a smaller image, or the item to POST /v1/realtime/calls/{call_id}/items."
        )
        self._arrive(ProtocolError("message_too_large", message))

    def audio_received(self, pcm: bytes) -> None:
        self._media.hear(pcm)

    def playout_started(self, tag: Hashable) -> None:
        self._media.report(PlayoutStarted(*cast("_Tag", tag)))

    def playout_ended(self, tag: Hashable, sent_samples: int) -> None:
        self._media.report(PlayoutEnded(*cast("_Tag", tag), sent_samples))

    def playout_taken(self) -> None:
        self._media.changed()

    def closed(self, reason: CallEnding) -> None:
        self.ending = reason
        if self._lost is None:
            self._lose(TransportClosedError(clean=reason.clean, code=_CLEAN if reason.clean else _LOST))
        self._over.set()

    def _arrive(self, message: str | bytes | ProtocolError) -> None:
        if self._lost is not None:
            return
        self._waiting_bytes += _cost(message)
        if self._waiting_bytes > _PAUSE_BYTES and not self._paused:
            self._paused = True
            self._call.pause_messages()
        if self._waiting_bytes > _WAITING_MAX_BYTES:
            self._messages.clear()
            self._lose(TransportClosedError(clean=False, code=_TOO_MUCH))
            return
        self._messages.append(message)
        self._arrived.set()

    def _lose(self, lost: TransportClosedError) -> None:
        self._lost = lost
        self._arrived.set()
        self._opened_or_over.set()
        self._media.end()


class _Track:
    """The audio of the call, as ``CallMedia``."""

    def __init__(self, budget: PlayoutBudget) -> None:
        self.hear: Callable[[bytes], None] = lambda pcm: None
        self.report: Callable[[PlayoutStarted | PlayoutEnded], None] = lambda fact: None
        self._budget = budget
        self._held_bytes = 0
        self._changed = asyncio.Event()
        self._over = False

    def begin(self, call: RtcCall) -> None:
        self._call = call
        self._budget.join()

    def changed(self) -> None:
        """More or less waits to be played."""
        if self._over:
            return
        held_bytes = round(self._call.playout_pending_s * _BYTES_PER_S)
        self._budget.change(held_bytes - self._held_bytes)
        self._held_bytes = held_bytes
        self._changed.set()

    def end(self) -> None:
        """Nothing more is played."""
        self._over = True
        self._budget.leave(self._held_bytes)
        self._changed.set()

    @property
    def hears(self) -> bool:
        return self._call.hears

    def attach(self, hear: Callable[[bytes], None], report: Callable[[PlayoutStarted | PlayoutEnded], None]) -> None:
        self.hear, self.report = hear, report

    def play(self, response_id: str, item_id: str, pcm: bytes) -> None:
        self._call.play((response_id, item_id), pcm)
        self.changed()

    def clear(self, response_ids: Collection[str]) -> list[PlayoutCleared]:
        # Asked before: with an empty queue the estimate may say less.
        delay_ms = self._call.heard_delay_ms()
        cleared = self._call.clear(lambda tag: cast("_Tag", tag)[0] in response_ids)
        self.changed()
        return [
            PlayoutCleared(
                *cast("_Tag", one.tag), one.sent_samples, max(0, one.sent_samples // _SAMPLES_PER_MS - delay_ms)
            )
            for one in cleared
        ]

    def duck(self, on: bool) -> None:
        self._call.duck(on)

    async def room(self) -> None:
        while not self._over and not self._has_room:
            self._changed.clear()
            await self._changed.wait()

    @property
    def _has_room(self) -> bool:
        return self._call.playout_pending_s <= _PLAYOUT_S and self._budget.has_room(self._held_bytes)


def _cost(message: str | bytes | ProtocolError) -> int:
    size_bytes = len(message) if isinstance(message, str | bytes) else 0
    return size_bytes + _MESSAGE_COST_BYTES


class _Named(msgspec.Struct):
    type: str = "event"


def _too_large(frame: bytes) -> bytes:
    name = msgspec.json.decode(frame, type=_Named).type
    message = (
        f"The event {name} has {len(frame)} bytes, which the data channel cannot carry (at most {_SEND_MAX_BYTES}). "
        "A sideband WebSocket gets it."
    )
    error = ProtocolError("message_too_large", message, type="server_error")
    return msgspec.json.encode(error.as_event(new_id("event")))
