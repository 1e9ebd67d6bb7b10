"""The WebSocket transport against an ASGI server's side of the connection, played by two lists."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Message
from starlette.websockets import WebSocket

from antiphon.runtime.transport import TransportClosedError
from antiphon.server.uvicorn_protocols import TEXTS
from antiphon.transports.websocket import WebSocketTransport


class Peer:
    """Hands out messages, keeps what is sent; ``fails`` is raised instead of sending."""

    def __init__(self, messages: Iterable[Message] = (), fails: Exception | None = None) -> None:
        self.messages = [{"type": "websocket.connect"}, *messages]
        self.sent: list[Message] = []
        self.fails = fails

    async def receive(self) -> Message:
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        if self.fails is not None and message["type"] != "websocket.accept":
            raise self.fails
        self.sent.append(message)

    async def open(self, **extensions: object) -> WebSocketTransport:
        scope = {"type": "websocket", "headers": [], "extensions": extensions}
        socket = WebSocket(scope, self.receive, self.send)
        await socket.accept()
        return WebSocketTransport(socket)


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ({"type": "websocket.receive", "text": "{}"}, "{}"),
        ({"type": "websocket.receive", "text": ""}, ""),
        ({"type": "websocket.receive", "text": None, "bytes": b"\x00"}, b"\x00"),
        ({"type": "websocket.receive", "bytes": b"\x00"}, b"\x00"),
    ],
)
def test_text_and_binary_frames_are_told_apart(message: dict[str, Any], frame: str | bytes) -> None:
    async def scenario() -> None:
        assert await (await Peer([message]).open()).receive() == frame

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("message", "clean", "code"),
    [
        ({"code": 1000, "reason": ""}, True, 1000),
        ({"code": 1001, "reason": "tab closed"}, True, 1001),
        ({"code": 1005, "reason": ""}, True, 1005),
        ({"code": 1005}, False, 1006),
        ({"code": 1006}, False, 1006),
        ({"code": 1009, "reason": "too big"}, False, 1009),
        ({"code": 1011, "reason": "keepalive ping timeout"}, False, 1011),
    ],
)
def test_a_close_frame_is_told_from_a_lost_connection(message: dict[str, Any], clean: bool, code: int) -> None:
    async def scenario() -> None:
        transport = await Peer([{"type": "websocket.disconnect", **message}]).open()
        with pytest.raises(TransportClosedError) as caught:
            await transport.receive()
        assert (caught.value.clean, caught.value.code) == (clean, code)
        with pytest.raises(TransportClosedError):
            await transport.receive()

    asyncio.run(scenario())


def test_events_leave_as_one_text_frame_each_in_order() -> None:
    async def scenario() -> None:
        peer = Peer()
        await (await peer.open()).send([b'{"a":1}', '{"b":"caf\u00e9"}'.encode()])
        assert [message.get("text") for message in peer.sent[1:]] == ['{"a":1}', '{"b":"caf\u00e9"}']

    asyncio.run(scenario())


def test_a_server_that_takes_many_texts_at_once_is_given_them_at_once() -> None:
    async def scenario() -> None:
        peer = Peer()
        frames = [b'{"a":1}', '{"b":"caf\u00e9"}'.encode()]
        await (await peer.open(**{TEXTS: {}})).send(frames)
        assert peer.sent[1:] == [{"type": "websocket.send", "texts": frames}]

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("after sending 'websocket.close'")])
def test_sending_to_a_peer_that_is_gone_is_a_closed_transport(error: Exception) -> None:
    async def scenario() -> None:
        transport = await Peer(fails=error).open()
        with pytest.raises(TransportClosedError) as caught:
            await transport.send([b"{}"])
        assert not caught.value.clean

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("reason", "sent"), [("going away", "going away"), ("é" * 100, "é" * 61), ("a" * 200, "a" * 123), ("", "")]
)
def test_a_reason_fits_its_frame(reason: str, sent: str) -> None:
    async def scenario() -> None:
        peer = Peer()
        await (await peer.open()).close(1001, reason)
        assert peer.sent[-1] == {"type": "websocket.close", "code": 1001, "reason": sent}

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [None, OSError("gone"), RuntimeError("closed")])
def test_closing_twice_or_too_late_is_no_error(error: Exception | None) -> None:
    async def scenario() -> None:
        transport = await Peer(fails=error).open()
        await transport.close(1000, "")
        await transport.close(1000, "")

    asyncio.run(scenario())
