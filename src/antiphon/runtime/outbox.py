"""Events on their way to one client: bounded by bytes, so that a client that does not read ends only itself."""

import asyncio

from antiphon.runtime.transport import Transport

__all__ = ["Outbox"]


class Outbox:
    def __init__(self, transport: Transport, max_bytes: int) -> None:
        self._transport = transport
        self._max_bytes = max_bytes
        self._frames: list[bytes] = []
        self._bytes = 0
        self._ready = asyncio.Event()
        self._ended = False

    @property
    def full(self) -> bool:
        """More waits than a client may leave unread."""
        return self._bytes > self._max_bytes

    def put(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._bytes += len(frame)
        self._ready.set()

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
                frame = self._frames.pop(0)
                await self._transport.send([frame])
                self._bytes -= len(frame)
            if self._ended:
                return
