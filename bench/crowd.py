"""Many clients in one process that cost next to nothing: WebSocket frames made once, written in real time.

What is measured is the server; a client library for each session would take more of the machine than the server does.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from bench.client import frames

__all__ = ["Member", "crowd", "handshake", "stream", "wire_frames"]

_TICK_S = 0.002
_HANDSHAKE = (
    "GET {path}?model=gpt-realtime HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer x\r\n\r\n"
)
_MASKED = 0x80
_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A


def handshake(path: str, host: str) -> bytes:
    return _HANDSHAKE.format(path=path, host=host).encode()


def wire_frames(pcm: bytes, chunk_ms: int) -> list[bytes]:
    """``input_audio_buffer.append`` events as they travel, of ``chunk_ms`` each."""
    return [_frame(_TEXT, text.encode(), os.urandom(4)) for text in frames(pcm, chunk_ms)]


def _frame(opcode: int, payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes((opcode, _MASKED | size))
    elif size < 65536:
        head = bytes((opcode, _MASKED | 126)) + size.to_bytes(2)
    else:
        head = bytes((opcode, _MASKED | 127)) + size.to_bytes(8)
    stretched = (key * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload) ^ int.from_bytes(stretched)
    return head + key + masked.to_bytes(size)


class Member(asyncio.Protocol):
    """One session: what came is counted, not kept."""

    def __init__(self, path: str, host: str) -> None:
        self._handshake = handshake(path, host)
        self._unread = bytearray()
        self._joined = False
        self._asked_at: float | None = None
        self.ready = asyncio.Event()
        self.lags_ms: list[float] = []
        """From each question to its answer, which the server gives once it has heard all audio sent before."""
        self.responses = 0
        self.errors: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._handshake)

    def send(self, type: str, **fields: object) -> None:
        self.transport.write(_frame(_TEXT, json.dumps({"type": type, **fields}).encode(), b"\0\0\0\0"))

    def ask(self) -> None:
        """Nothing if the last answer is not there yet."""
        if self._asked_at is None:
            self._asked_at = time.perf_counter()
            self.send("session.update", session={"type": "realtime"})

    @property
    def unanswered_ms(self) -> float:
        return 0.0 if self._asked_at is None else (time.perf_counter() - self._asked_at) * 1000

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if not self._joined:
            head, found, rest = self._unread.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head[:16]:
                raise RuntimeError(bytes(head).decode())
            self._joined, self._unread = True, rest
        while (end := self._take()) is not None:
            del self._unread[:end]

    def _take(self) -> int | None:
        """One frame; where it ends."""
        buffer = self._unread
        if len(buffer) < 2:
            return None
        size, start = buffer[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(buffer[2:start])
        if len(buffer) < start + size:
            return None
        if buffer[0] == _PING:
            self.transport.write(_frame(_PONG, bytes(buffer[start : start + size]), b"\0\0\0\0"))
        elif buffer[0] == _TEXT:
            self._note(bytes(buffer[start : start + min(size, 400)]))
        return start + size

    def _note(self, text: bytes) -> None:
        if b'"session.created"' in text:
            self.ready.set()
        elif b'"response.done"' in text:
            self.responses += 1
        elif b'"session.updated"' in text and self._asked_at is not None:
            self.lags_ms.append(self.unanswered_ms)
            self._asked_at = None
        elif text.startswith(b'{"type":"error"'):
            self.errors.append(text.decode(errors="replace"))


@asynccontextmanager
async def crowd(url: str, sessions: int) -> AsyncIterator[Sequence[Member]]:
    """So many open sessions."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    members = []
    try:
        for _ in range(sessions):
            _, member = await loop.create_connection(
                lambda: Member(parts.path, parts.netloc), parts.hostname or "", parts.port or 80
            )
            members.append(member)
            async with asyncio.timeout(30):
                await member.ready.wait()
        yield members
    finally:
        for member in members:
            member.transport.abort()


async def stream(members: Sequence[Member], audio: Sequence[Sequence[bytes]], chunk_ms: int) -> None:
    """Every member sends its own frames in real time, again and again and spread over the chunk, until cancelled.

    A member is asked a question now and then, so that it is seen how far behind the server is.
    """
    began = time.perf_counter()
    step_s = chunk_ms / 1000
    sent = [0] * len(members)
    asked = 0
    while True:
        now = time.perf_counter() - began
        for number, member in enumerate(members):
            due = int((now - step_s * number / len(members)) / step_s)
            mine = audio[number]
            while sent[number] < due:
                member.transport.write(mine[sent[number] % len(mine)])
                sent[number] += 1
        if now * 10 > asked:
            members[asked % len(members)].ask()
            asked += 1
        await asyncio.sleep(_TICK_S)
