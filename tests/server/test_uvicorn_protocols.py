"""The bounds below the application: raw bytes on a socket, and the protocols on a recording transport."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import h11
import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from antiphon.server import uvicorn_protocols
from antiphon.server.uvicorn_protocols import HttpProtocol, WebSocketProtocol
from antiphon.testing.clock import run_virtual

UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
PLAIN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
LONG = b"a" * 9_000


@pytest.mark.parametrize(
    ("name", "request_bytes", "status"),
    [
        ("header of an upgrade", UPGRADE + b"X-Long: " + LONG + b"\r\n\r\n", 431),
        ("many headers of an upgrade", UPGRADE + b"X-A: b\r\n" * 200 + b"\r\n", 431),
        ("address of an upgrade", UPGRADE.replace(b"/v1/realtime", b"/" + LONG) + b"\r\n", 414),
        ("header", PLAIN + b"X-Long: " + LONG + b"\r\n\r\n", 431),
        ("headers together", PLAIN + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 7000) for n in range(6)) + b"\r\n", 431),
        ("header without end", PLAIN + b"X-Long: " + b"a" * 1_000_000, 431),
        ("address", PLAIN.replace(b"/healthz", b"/" + LONG) + b"\r\n", 414),
        ("address without end", b"GET /" + b"a" * 1_000_000, 431),
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400),
        ("no host", b"GET / HTTP/1.1\r\n\r\n", 400),
        ("two hosts", PLAIN + b"Host: evil.example\r\n\r\n", 400),
        ("header with a control character", PLAIN + b"X-A: a\x00b\r\n\r\n", 400),
    ],
)
def test_what_is_too_long_or_not_http_is_answered_at_once(
    run_server: Any, name: str, request_bytes: bytes, status: int
) -> None:
    async def scenario(server: Any) -> None:
        answer = await server.raw(request_bytes)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split(b" ", 2)[1] == str(status).encode(), name
        assert b"x-request-id: req_" in head.lower()
        assert json.loads(body)["error"]["type"] == "invalid_request_error"

    run_server(scenario)


def test_headers_in_small_pieces_are_bounded_like_those_in_one(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        pieces = [PLAIN, *(b"X-Long: " + b"a" * 500 + b"\r\n" for _ in range(150)), b"\r\n"]
        assert b" 431 " in (await server.raw(*pieces)).split(b"\r\n")[0]

    run_server(scenario)


def test_headers_of_a_usual_size_pass(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        request = PLAIN + b"X-Long: " + b"a" * 7_000 + b"\r\nConnection: close\r\n\r\n"
        assert b" 200 " in (await server.raw(request)).split(b"\r\n")[0]

    run_server(scenario)


class RecordingTransport(asyncio.Transport):
    """Keeps what is written and what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.resumed = asyncio.Event()
        self.closed = False
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

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


class _App:
    """Accepts when told, then does nothing but what a test does through ``receive`` and ``send``."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.over = asyncio.Event()

    async def __call__(self, scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        self.receive = receive
        self.send = send
        self.started.set()
        await self.over.wait()


async def _connected() -> tuple[WebSocketProtocol, RecordingTransport, _App]:
    app = _App()
    config = uvicorn.Config(app, http=HttpProtocol, ws=WebSocketProtocol, log_config=None, ws_max_size=1 << 20)
    config.load()
    protocol = WebSocketProtocol(config, ServerState(), {})
    transport = RecordingTransport()
    protocol.connection_made(transport)
    protocol.data_received(UPGRADE + b"\r\n")
    await app.started.wait()
    return protocol, transport, app


async def _leave(protocol: WebSocketProtocol, app: _App) -> None:
    protocol.connection_lost(ConnectionResetError())
    app.over.set()
    tasks = list(protocol.tasks)
    for task in tasks:
        await task


def _text(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return bytes(Frame(opcode, data, fin).serialize(mask=True))


def test_nothing_is_read_before_the_application_asks() -> None:
    async def scenario() -> None:
        protocol, transport, app = await _connected()
        assert not transport.reading
        assert (await app.receive())["type"] == "websocket.connect"
        assert not transport.reading
        await app.send({"type": "websocket.accept"})
        assert not transport.reading
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(app.receive())
            await transport.resumed.wait()
            protocol.data_received(_text(b"one"))
            assert (await first)["text"] == "one"
        await _leave(protocol, app)

    run_virtual(scenario())


def test_reading_stops_after_each_message_until_it_is_taken() -> None:
    async def scenario() -> None:
        protocol, transport, app = await _connected()
        await app.receive()
        await app.send({"type": "websocket.accept"})
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(app.receive())
            await transport.resumed.wait()
            protocol.data_received(_text(b"one") + _text(b"two"))
            assert not transport.reading
            await first
        assert not transport.reading
        assert (await app.receive())["text"] == "two"
        assert transport.reading
        await _leave(protocol, app)

    run_virtual(scenario())


@pytest.mark.parametrize("content", [b"", b"a"])
def test_a_message_of_endless_fragments_is_refused(content: bytes) -> None:
    async def scenario() -> None:
        protocol, transport, app = await _connected()
        await app.receive()
        await app.send({"type": "websocket.accept"})
        protocol.data_received(_text(content, fin=False))
        for _ in range(uvicorn_protocols.FRAGMENTS_MAX):
            protocol.data_received(_text(content, Opcode.CONT, fin=False))
        message = await app.receive()
        assert (message["type"], message["code"]) == ("websocket.disconnect", 1009)
        assert transport.closed
        await _leave(protocol, app)

    run_virtual(scenario())


async def _listening() -> tuple[WebSocketProtocol, RecordingTransport, _App]:
    """Connected, and one message taken: it was the first to be read."""
    protocol, transport, app = await _connected()
    await app.receive()
    await app.send({"type": "websocket.accept"})
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(app.receive())
        await transport.resumed.wait()
        protocol.data_received(_text(b"first"))
        assert (await first)["text"] == "first"
    return protocol, transport, app


def test_many_messages_of_one_read_are_parsed_slice_by_slice_and_none_is_lost() -> None:
    async def scenario() -> None:
        protocol, transport, app = await _listening()
        texts = [f"message {number}" for number in range(5_000)]
        protocol.data_received(b"".join(_text(text.encode()) for text in texts))
        assert 0 < protocol.queue.qsize() < uvicorn_protocols.SLICE_BYTES // 10
        for text in texts:
            assert not transport.reading
            assert (await app.receive())["text"] == text
        assert transport.reading
        await _leave(protocol, app)

    run_virtual(scenario())


def test_a_large_message_may_come_in_any_number_of_reads() -> None:
    async def scenario() -> None:
        protocol, _, app = await _listening()
        data = _text(b"a" * 1_000_000) + _text(b"next")
        for start in range(0, len(data), 300_000):
            protocol.data_received(data[start : start + 300_000])
        assert (await app.receive())["text"] == "a" * 1_000_000
        assert (await app.receive())["text"] == "next"
        await _leave(protocol, app)

    run_virtual(scenario())


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG])
def test_control_frames_are_paced(opcode: Opcode) -> None:
    async def scenario() -> None:
        protocol, transport, app = await _listening()
        transport.resumed.clear()
        started_s = asyncio.get_running_loop().time()
        protocol.data_received(_text(b"", opcode) * 20_000)
        assert not transport.reading
        await transport.resumed.wait()
        took_s = asyncio.get_running_loop().time() - started_s
        assert 1.5 < took_s < 2.5
        assert transport.reading
        await _leave(protocol, app)

    run_virtual(scenario())


def test_a_few_control_frames_wait_for_nothing() -> None:
    async def scenario() -> None:
        protocol, transport, app = await _listening()
        protocol.data_received(_text(b"?", Opcode.PING) * 10)
        assert transport.reading
        assert transport.written.endswith(bytes(Frame(Opcode.PONG, b"?").serialize(mask=False)) * 10)
        await _leave(protocol, app)

    run_virtual(scenario())


def test_of_the_pings_of_a_client_that_does_not_read_only_the_latest_is_answered() -> None:
    async def scenario() -> None:
        protocol, transport, app = await _listening()
        protocol.pause_writing()
        written = len(transport.written)
        for number in range(1_000):
            protocol.data_received(_text(str(number).encode(), Opcode.PING))
        assert len(transport.written) == written
        protocol.resume_writing()
        assert transport.written[written:] == bytes(Frame(Opcode.PONG, b"999").serialize(mask=False))
        await _leave(protocol, app)

    run_virtual(scenario())


def test_a_close_is_sent_behind_what_a_slow_client_has_not_read_and_then_cuts() -> None:
    async def scenario() -> None:
        protocol, transport, app = await _connected()
        await app.receive()
        await app.send({"type": "websocket.accept"})
        protocol.pause_writing()
        await app.send({"type": "websocket.close", "code": 1013, "reason": "too slow"})
        assert transport.written.endswith(b"\x03\xf5too slow")
        assert not transport.closed
        await asyncio.sleep(uvicorn_protocols.CLOSE_TIMEOUT_S + 0.1)
        assert transport.aborted
        await _leave(protocol, app)

    run_virtual(scenario())


def test_a_peer_that_answers_no_ping_is_cut_off() -> None:
    async def scenario() -> None:
        protocol, transport, app = await _connected()
        await app.receive()
        await app.send({"type": "websocket.accept"})
        await asyncio.sleep(20.0 + 20.0 + 0.1)
        assert transport.aborted
        await _leave(protocol, app)

    run_virtual(scenario())


def _http() -> tuple[HttpProtocol, RecordingTransport, _App]:
    app = _App()
    config = uvicorn.Config(app, http=HttpProtocol, ws=WebSocketProtocol, log_config=None)
    config.load()
    protocol = HttpProtocol(config, ServerState(), {})
    transport = RecordingTransport()
    protocol.connection_made(transport)
    return protocol, transport, app


@pytest.mark.parametrize("sent", [b"", PLAIN])
def test_a_connection_without_a_whole_request_is_cut_off(sent: bytes) -> None:
    async def scenario() -> None:
        protocol, transport, _ = _http()
        await asyncio.sleep(uvicorn_protocols.HEAD_TIMEOUT_S / 2)
        if sent:
            protocol.data_received(sent)
        await asyncio.sleep(uvicorn_protocols.HEAD_TIMEOUT_S / 2 + 0.1)
        assert transport.aborted
        protocol.connection_lost(None)

    run_virtual(scenario())


def test_a_whole_request_stops_that_clock() -> None:
    async def scenario() -> None:
        protocol, transport, app = _http()
        protocol.data_received(PLAIN + b"\r\n")
        assert protocol.conn.their_state is not h11.IDLE
        await asyncio.sleep(uvicorn_protocols.HEAD_TIMEOUT_S + 0.1)
        assert not transport.aborted
        app.over.set()
        tasks = list(protocol.tasks)
        for task in tasks:
            await task
        protocol.connection_lost(ConnectionResetError())

    run_virtual(scenario())
