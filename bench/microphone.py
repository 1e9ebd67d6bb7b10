"""A microphone that never stops: it sends silence in real time, and what is to be said when it is asked."""

import asyncio
import itertools
import time
from collections.abc import Iterator

from bench.client import Client, frames
from tests.support.audio import silence_ms

__all__ = ["Microphone"]

_CHUNK_MS = 20


class Microphone:
    """Use it with ``async with``."""

    def __init__(self, client: Client, *, drain: bool = False) -> None:
        """``drain``: it also reads and forgets what the server sends."""
        self._client = client
        self._drain = drain
        (self._silence,) = frames(silence_ms(_CHUNK_MS), _CHUNK_MS)
        self._due: Iterator[str] = iter(())
        self._said: asyncio.Future[float] | None = None
        self.began_s = 0.0
        """When the first chunk of what is said was sent."""

    async def __aenter__(self) -> "Microphone":
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._own = [self._tasks.create_task(self._run())]
        if self._drain:
            self._own.append(self._tasks.create_task(self._client.drain()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._own:
            task.cancel()
        await self._tasks.__aexit__(None, None, None)

    def say(self, speech: bytes) -> "asyncio.Future[float]":
        """It tells when the last chunk was sent, a chunk later."""
        self._due = iter(frames(speech, _CHUNK_MS))
        self._said = asyncio.get_running_loop().create_future()
        self.began_s = 0.0
        return self._said

    def repeat(self, speech: bytes) -> None:
        """Again and again, with a second between."""
        pause = [self._silence] * (1000 // _CHUNK_MS)
        self._due = itertools.cycle([*frames(speech, _CHUNK_MS), *pause])

    async def _run(self) -> None:
        sent = due = time.perf_counter()
        while True:
            text = next(self._due, None)
            if text is None and self._said is not None and not self._said.done():
                self._said.set_result(sent)
            await self._client.send_text(text or self._silence)
            sent = time.perf_counter()
            if text is not None and not self.began_s:
                self.began_s = sent
            due += _CHUNK_MS / 1000
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
