"""A client that sends whatever it is told, and checks what comes back; and a look at the server from outside."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psutil
import websockets
from websockets.frames import Frame, Opcode

from antiphon.testing.wire import assert_valid_server_event
from tests.support.server import ServerProcess

__all__ = [
    "WireClient",
    "append",
    "connected",
    "frame",
    "message",
    "metrics",
    "raw_socket",
    "resident_mib",
    "sent_and_answered",
    "sessions_gone",
    "update",
]

_PATIENCE_S = 20
_LEAK = re.compile(r"Traceback|site-packages|\.py\b|/(?:home|root|usr|work|tmp)/")
_HANDSHAKE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)

Event = Mapping[str, Any] | str | bytes


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def message(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """An event that creates a user message."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}
    return {"type": "conversation.item.create", "item": item}


def append(base64_text: str) -> str:
    return f'{{"type":"input_audio_buffer.append","audio":"{base64_text}"}}'


class WireClient:
    """One connection. Every event that comes is valid, and tells nothing of the server's insides."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def send(self, event: Event) -> None:
        await self.socket.send(json.dumps(event) if isinstance(event, Mapping) else event)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(_PATIENCE_S):
            text = await self.socket.recv()
        event: dict[str, Any] = json.loads(text)
        assert_valid_server_event(event)
        if event["type"] in ("error", "response.done") or event["type"].endswith(".failed"):
            assert not _LEAK.search(str(text)), text
        return event

    async def until(self, type: str) -> dict[str, Any]:
        while (event := await self.next())["type"] != type:
            pass
        return event

    async def refusal(self, event: Event) -> dict[str, Any]:
        """Send what must be answered by an error event, and by nothing else before it."""
        await self.send(event)
        answer = await self.next()
        assert answer["type"] == "error", answer
        error: dict[str, Any] = answer["error"]
        return error

    async def ask(self, text: str, **response: Any) -> dict[str, Any]:
        """One turn; returns the response as it ended."""
        await self.send(message(text))
        await self.send({"type": "response.create", "response": response})
        done: dict[str, Any] = (await self.until("response.done"))["response"]
        return done

    async def assert_works(self) -> None:
        """The session takes turns as if nothing had happened."""
        done = await self.ask("still there?", output_modalities=["text"])
        assert done["status"] == "completed", done
        assert done["output"][0]["content"][0]["text"] == "You said: still there?"


@asynccontextmanager
async def connected(server: ServerProcess, query: str = "", **options: Any) -> AsyncIterator[WireClient]:
    options.setdefault("compression", None)
    options.setdefault("max_size", None)
    async with websockets.connect(server.websocket_url + query, **options) as socket:
        client = WireClient(socket)
        assert (await client.next())["type"] == "session.created"
        yield client


# --- raw bytes -----------------------------------------------------------------------------------------------------


def frame(data: bytes = b"", opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """A frame as a client sends it."""
    return bytes(Frame(opcode, data, fin).serialize(mask=True))


def _port(server: ServerProcess) -> int:
    return int(server.base_url.rsplit(":", 1)[1].partition("/")[0])


@asynccontextmanager
async def raw_socket(
    server: ServerProcess, *, upgrade: bool = False, headers: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection; with ``upgrade`` a WebSocket one whose handshake is done."""
    reader, writer = await asyncio.open_connection("127.0.0.1", _port(server))
    try:
        if upgrade:
            writer.write(_HANDSHAKE + headers + b"\r\n")
            async with asyncio.timeout(_PATIENCE_S):
                assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.transport.abort()


async def sent_and_answered(server: ServerProcess, data: bytes, *, upgrade: bool = False) -> bytes:
    """Everything that the server answers to these bytes until it closes; fails the test if it does not close."""
    async with raw_socket(server, upgrade=upgrade) as (reader, writer), asyncio.timeout(_PATIENCE_S):
        writer.write(data)
        return await reader.read()


# --- the server from outside ---------------------------------------------------------------------------------------


async def metrics(server: ServerProcess) -> dict[str, float]:
    """Every series and its value."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(server.base_url.removesuffix("/v1") + "/metrics")).text
    return {name: float(value) for name, value in _series(text.splitlines())}


def _series(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            yield name, value


async def sessions_gone(server: ServerProcess) -> None:
    """Returns as soon as no session is active any more."""
    async with asyncio.timeout(_PATIENCE_S):
        while (await metrics(server))["antiphon_sessions"]:
            pass


def resident_mib(server: ServerProcess) -> float:
    return float(psutil.Process(server.pid).memory_info().rss) / 2**20
