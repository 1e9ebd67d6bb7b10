"""Events on their way to one client: bounded by bytes, so that a client that does not read ends only itself."""

import asyncio
from collections import deque

from antiphon.protocol.beta.dialect import BetaDialect
from antiphon.protocol.codec import encode_server_event
from antiphon.protocol.server_events import ServerEvent
from antiphon.runtime.transport import Transport

__all__ = ["Outbox"]

_STALLED_S = 5.0
"""A client that takes nothing for so long is not slow but gone."""


class Outbox:
    def __init__(self, transport: Transport, max_bytes: int, dialect: BetaDialect | None = None) -> None:
        """``dialect``: what the client speaks, where that is not today's API."""
        self._transport = transport
        self._max_bytes = max_bytes
        self._dialect = dialect
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()
        self._taken = asyncio.Event()
        self._stalled = False
        self._ended = False

    @property
    def full(self) -> bool:
        """More waits than a client may leave unread."""
        return self._bytes > self._max_bytes

    def post(self, event: ServerEvent) -> None:
        """Put an event, in the client's dialect."""
        if self._dialect is None:
            self.put(encode_server_event(event))
        else:
            for frame in self._dialect.encode(event):
                self.put(frame)

    def put(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._bytes += len(frame)
        self._ready.set()

    async def room(self) -> None:
        """Wait until no more than half of what may wait does, for as long as the client reads at all."""
        while 2 * self._bytes > self._max_bytes and not self._stalled:
            self._taken.clear()
            try:
                async with asyncio.timeout(_STALLED_S):
                    await self._taken.wait()
            except TimeoutError:
                self._stalled = True

    def end(self) -> None:
        """``run`` returns once everything put so far is sent."""
        self._ended = True
        self._ready.set()

    async def run(self) -> None:
        """Send in order. Raises ``TransportClosedError``."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._frames:
                frame = self._frames.popleft()
                await self._transport.send([frame])
                self._bytes -= len(frame)
                self._stalled = False
                self._taken.set()
            if self._ended:
                return
