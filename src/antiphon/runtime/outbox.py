"""Events on their way to one client: bounded by bytes, so that a client that does not read ends only itself."""

import asyncio
from collections import deque
from collections.abc import Callable

from antiphon.runtime.transport import Transport

__all__ = ["Outbox"]

_AT_ONCE_BYTES = 16 * 1024
"""Up to this, and to an eighth of what may wait, several events are sent at once: so a slow client is seen to take
something as often as it does."""
_STALLED_S = 5.0
"""A client that takes nothing for so long is not slow but gone."""


class Outbox:
    def __init__(self, transport: Transport, max_bytes: int) -> None:
        self._transport = transport
        self._max_bytes = max_bytes
        self._at_once_bytes = min(_AT_ONCE_BYTES, max_bytes // 8)
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._sent_bytes = 0
        self._marks: deque[tuple[int, Callable[[], None]]] = deque()
        """Whom to tell once so many bytes are sent."""
        self._ready = asyncio.Event()
        self._taken = asyncio.Event()
        self._stalled = False
        self._ended = False
        self.reached = asyncio.Event()
        """Set once the client has taken anything."""

    @property
    def full(self) -> bool:
        """More waits than a client may leave unread."""
        return self._bytes > self._max_bytes

    def put(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._bytes += len(frame)
        self._ready.set()

    def when_sent(self, told: Callable[[], None]) -> None:
        """``told`` is called once all that was put so far is handed to the network; never where it is not."""
        if self._bytes:
            self._marks.append((self._sent_bytes + self._bytes, told))
        else:
            told()

    def forget(self) -> None:
        """Nothing that waits is sent, but for what is being sent already."""
        self._bytes -= sum(map(len, self._frames))
        self._frames.clear()
        self._marks.clear()

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
        """Send in order, what is small together. Raises ``TransportClosedError``."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._frames:
                frames, size_bytes = self._next()
                await self._transport.send(frames)
                self._sending_ended(size_bytes)
                self._stalled = False
                self.reached.set()
                self._taken.set()
            if self._ended:
                return

    def _sending_ended(self, size_bytes: int) -> None:
        self._bytes -= size_bytes
        self._sent_bytes += size_bytes
        while self._marks and self._marks[0][0] <= self._sent_bytes:
            self._marks.popleft()[1]()

    def _next(self) -> tuple[list[bytes], int]:
        """What is sent at once: one frame, and those after it that fit in with it."""
        frames = [self._frames.popleft()]
        size_bytes = len(frames[0])
        while self._frames and size_bytes + len(self._frames[0]) <= self._at_once_bytes:
            frames.append(self._frames.popleft())
            size_bytes += len(frames[-1])
        return frames, size_bytes
