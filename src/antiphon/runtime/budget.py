"""Bytes that several sessions share."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["ByteBudget"]


class ByteBudget:
    """At most ``max_bytes`` are held at one time; whoever wants more waits, first come, first served.

    One larger than all of it goes alone.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held_bytes(self) -> int:
        return self._held

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        size_bytes = min(size_bytes, self._max_bytes)
        await self._take(size_bytes)
        try:
            yield
        finally:
            self._give_back(size_bytes)

    async def _take(self, size_bytes: int) -> None:
        if not self._waiting and self._held + size_bytes <= self._max_bytes:
            self._held += size_bytes
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size_bytes, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._give_back(size_bytes)  # its turn had come in the same step
            elif (size_bytes, turn) in self._waiting:
                self._waiting.remove((size_bytes, turn))
                self._admit()
            raise

    def _give_back(self, size_bytes: int) -> None:
        self._held -= size_bytes
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._held + self._waiting[0][0] <= self._max_bytes:
            size_bytes, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._held += size_bytes
                turn.set_result(None)
