"""From a connection's frames to facts for the core, in the order in which they came."""

import asyncio
from collections.abc import Callable
from itertools import count

from antiphon.core.inputs import ClientEventReceived, ClientEventRefused, Origin
from antiphon.protocol.base import given
from antiphon.protocol.beta.dialect import BetaDialect
from antiphon.protocol.client_events import ClientEvent, InputAudioBufferAppend
from antiphon.protocol.codec import decode_client_event
from antiphon.protocol.errors import ProtocolError
from antiphon.runtime.budget import ByteBudget
from antiphon.runtime.hearing import Hearing
from antiphon.runtime.image_checks import ImageChecks
from antiphon.runtime.pace import Pace
from antiphon.runtime.settings import RuntimeSettings
from antiphon.runtime.transport import Transport

__all__ = ["Reading"]

_LARGE_FRAME = 64 * 1024
_UNKNOWN_FIELDS = 64
_AT_A_STRETCH = 16
"""Frames that are taken without a turn for others, where so many have come."""
_BINARY = "Binary frames are not part of this API: send each event as JSON text."


class Reading:
    """Reads one connection until it closes."""

    def __init__(
        self,
        transport: Transport,
        hearing: Hearing,
        images: ImageChecks,
        *,
        settings: RuntimeSettings,
        decoding: ByteBudget,
        report: Callable[[ClientEventReceived | ClientEventRefused], None],
        sealed: Callable[[ClientEvent], ClientEvent],
        unknown_field: Callable[[str], None],
        dialect: BetaDialect | None = None,
        origin: Origin = 0,
    ) -> None:
        """``sealed`` takes what is secret out of an event; ``unknown_field`` is told each name once, at most 64.

        ``origin``: the connection's number. ``dialect``: what the client speaks, where that is not today's API.
        """
        self._decode = decode_client_event if dialect is None else dialect.decode
        self._origin = origin
        self._transport = transport
        self._hearing = hearing
        self._images = images
        self._settings = settings
        self._decoding = decoding
        self._report = report
        self._sealed = sealed
        self._unknown_field = unknown_field
        self._unknown: set[str] = set()

    async def run(self) -> None:
        """Raises ``TransportClosedError``."""
        loop = asyncio.get_running_loop()
        pace = Pace(self._settings.events_per_s, loop.time())
        for number in count(1):
            frame = await self._received()
            wait_s = pace.step(loop.time())
            if wait_s or number % _AT_A_STRETCH == 0:
                await asyncio.sleep(wait_s)
            if frame is None:
                continue
            if len(frame) > _LARGE_FRAME:
                async with self._decoding.hold(len(frame)):
                    event = await self._take(frame)
            else:
                event = await self._take(frame)
            # Images take long: neither the text of their event nor the others' share of decoding is kept meanwhile.
            del frame
            if event is not None:
                await self._other(event)

    async def _received(self) -> str | None:
        """The next frame of text; None: there was another one, which is dealt with."""
        try:
            frame = await self._transport.receive()
        except ProtocolError as error:
            self._report(ClientEventRefused(error, self._origin))
            return None
        if isinstance(frame, bytes):
            self._report(ClientEventRefused(ProtocolError("invalid_event", _BINARY), self._origin))
            return None
        return frame

    async def _take(self, frame: str) -> ClientEvent | None:
        """Decode an event; None: it is dealt with."""
        try:
            decoded = self._decode(frame, strict=self._settings.strict, nesting=self._settings.limits.nesting)
        except ProtocolError as error:
            self._report(ClientEventRefused(error, self._origin))
            return None
        if decoded.unknown_fields:
            self._note(decoded.unknown_fields)
        event = decoded.event
        if isinstance(event, InputAudioBufferAppend):
            await self._append(event)
            return None
        return event

    async def _append(self, event: InputAudioBufferAppend) -> None:
        try:
            await self._hearing.append(event.audio)
        except ProtocolError as error:
            self._refuse(event, error)

    async def _other(self, event: ClientEvent) -> None:
        await self._hearing.settle()
        try:
            await self._images.check(event)
            sealed = self._sealed(event)
        except ProtocolError as error:
            self._refuse(event, error)
        else:
            self._report(ClientEventReceived(sealed, self._origin))

    def _refuse(self, event: ClientEvent, error: ProtocolError) -> None:
        error.event_id = given(event.event_id, None)
        self._report(ClientEventRefused(error, self._origin))

    def _note(self, paths: tuple[str, ...]) -> None:
        for path in paths:
            if path not in self._unknown and len(self._unknown) < _UNKNOWN_FIELDS:
                self._unknown.add(path)
                self._unknown_field(path)
