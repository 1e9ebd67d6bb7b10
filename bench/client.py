"""A client that measures: plain JSON over WebSocket, times from its own clock."""

import asyncio
import base64
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from tests.support.audio import silence_ms

__all__ = ["Client", "connected", "frames"]


def frames(pcm: bytes, chunk_ms: int) -> list[str]:
    """``input_audio_buffer.append`` events of ``chunk_ms`` each."""
    size = 48 * chunk_ms
    parts = [pcm[start : start + size] for start in range(0, len(pcm), size)]
    return [
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(part).decode()}) for part in parts
    ]


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, **event: Any) -> None:
        await self._socket.send(json.dumps(event))

    async def send_text(self, text: str) -> None:
        await self._socket.send(text)

    async def next(self) -> tuple[float, dict[str, Any]]:
        text = await self._socket.recv()
        return time.perf_counter(), json.loads(text)

    async def until(self, type: str) -> float:
        """When an event of this type came."""
        while True:
            at, event = await asyncio.wait_for(self.next(), 60)
            if event["type"] == type:
                return at
            if event["type"] == "error":
                raise RuntimeError(event["error"]["message"])

    async def drain(self) -> None:
        """Read and forget, until cancelled."""
        while True:
            await self._socket.recv()

    async def microphone(self, speech: bytes, chunk_ms: int, spoken: "asyncio.Future[float] | None" = None) -> None:
        """Send speech, then silence, in real time, until cancelled; ``spoken`` is told when the speech was sent."""
        await self._in_real_time(frames(speech, chunk_ms), chunk_ms)
        if spoken is not None:
            spoken.set_result(time.perf_counter())
        await self._in_real_time(itertools.cycle(frames(silence_ms(chunk_ms), chunk_ms)), chunk_ms)

    async def _in_real_time(self, texts: Iterable[str], chunk_ms: int) -> None:
        due = time.perf_counter()
        for text in texts:
            await self._socket.send(text)
            due += chunk_ms / 1000
            await asyncio.sleep(max(0.0, due - time.perf_counter()))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    async with websockets.connect(
        f"{url}?model=gpt-realtime", max_size=2**24, compression=None, additional_headers={"Authorization": "Bearer x"}
    ) as socket:
        client = Client(socket)
        await client.until("session.created")
        yield client
