"""The WebSocket protocol of our server on a transport that records, with an application that a test plays."""

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from antiphon.server.uvicorn_protocols import HttpProtocol, WebSocketProtocol

__all__ = ["UPGRADE", "App", "RecordingTransport", "connected", "leave", "listening", "text_frame"]

UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def text_frame(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return bytes(Frame(opcode, data, fin).serialize(mask=True))


class RecordingTransport(asyncio.Transport):
    """Keeps what is written and what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.writes = 0
        self.reading = True
        self.resumed = asyncio.Event()
        self.closed = False
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)
        self.writes += 1

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        self.resumed.set()

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def can_write_eof(self) -> bool:
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass


class App:
    """Accepts when told, then does nothing but what a test does through ``receive`` and ``send``."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        self.receive = receive
        self.send = send
        self.started.set()
        await self.over.wait()


async def connected() -> tuple[WebSocketProtocol, RecordingTransport, App]:
    app = App()
    config = uvicorn.Config(app, http=HttpProtocol, ws=WebSocketProtocol, log_config=None, ws_max_size=1 << 20)
    config.load()
    protocol = WebSocketProtocol(config, ServerState(), {})
    transport = RecordingTransport()
    protocol.connection_made(transport)
    protocol.data_received(UPGRADE + b"\r\n")
    await app.started.wait()
    return protocol, transport, app


async def leave(protocol: WebSocketProtocol, app: App) -> None:
    protocol.connection_lost(ConnectionResetError())
    app.over.set()
    tasks = list(protocol.tasks)
    for task in tasks:
        await task


async def listening() -> tuple[WebSocketProtocol, RecordingTransport, App]:
    """Connected, and one message taken: it was the first to be read."""
    protocol, transport, app = await connected()
    await app.receive()
    await app.send({"type": "websocket.accept"})
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(app.receive())
        await transport.resumed.wait()
        protocol.data_received(text_frame(b"first"))
        assert (await first)["text"] == "first"
    return protocol, transport, app
