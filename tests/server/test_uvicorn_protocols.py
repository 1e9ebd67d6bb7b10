"""The bounds below the application: raw bytes on a socket, and the protocols on a recording transport."""

import asyncio
import json
import logging
from typing import Any

import h11
import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from antiphon.server import uvicorn_protocols
from antiphon.server.uvicorn_protocols import HttpProtocol, WebSocketProtocol
from antiphon.testing.clock import run_virtual
from tests.support.asgi import UPGRADE, App, RecordingTransport, connected, leave, listening, text_frame

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
        ("two lengths", PLAIN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("two content lengths", PLAIN + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        ("length that is no number", PLAIN + b"Content-Length: +5\r\n\r\n", 400),
        ("coding that nobody knows", PLAIN + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("chunk that is none", PLAIN + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        ("handshake by POST", UPGRADE.replace(b"GET", b"POST") + b"\r\n", 405),
        ("handshake of an old version", UPGRADE.replace(b"Version: 13", b"Version: 8") + b"\r\n", 426),
        ("handshake without a version", UPGRADE.replace(b"Sec-WebSocket-Version: 13\r\n", b"") + b"\r\n", 426),
        ("handshake without a key", UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key") + b"\r\n", 400),
        ("handshake with a bad key", UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"abc") + b"\r\n", 400),
        ("handshake with a short key", UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"YWJj") + b"\r\n", 400),
        ("handshake with two keys", UPGRADE + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 400),
        ("handshake with a body", UPGRADE + b"Content-Length: 2\r\n\r\nab", 400),
        ("handshake of HTTP/1.0", UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n", 400),
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


def test_a_version_that_is_not_spoken_is_answered_with_the_one_that_is(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        answer = await server.raw(UPGRADE.replace(b"Version: 13", b"Version: 8") + b"\r\n")
        assert b"\r\nsec-websocket-version: 13\r\n" in answer.lower()

    run_server(scenario)


def test_a_body_that_breaks_after_the_answer_ends_the_connection_and_nothing_else(
    run_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(server: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b" 405 " in await reader.readline()
        writer.write(b"ZZ\r\n")
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
        assert (await server.get("/healthz")).status_code == 200

    run_server(scenario)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


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


def test_nothing_is_read_before_the_application_asks() -> None:
    async def scenario() -> None:
        protocol, transport, app = await connected()
        assert not transport.reading
        assert (await app.receive())["type"] == "websocket.connect"
        assert not transport.reading
        await app.send({"type": "websocket.accept"})
        assert not transport.reading
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(app.receive())
            await transport.resumed.wait()
            protocol.data_received(text_frame(b"one"))
            assert (await first)["text"] == "one"
        await leave(protocol, app)

    run_virtual(scenario())


@pytest.mark.parametrize("content", [b"", b"a"])
def test_a_message_of_endless_fragments_is_refused(content: bytes) -> None:
    async def scenario() -> None:
        protocol, transport, app = await connected()
        await app.receive()
        await app.send({"type": "websocket.accept"})
        protocol.data_received(text_frame(content, fin=False))
        for _ in range(uvicorn_protocols.FRAGMENTS_MAX):
            protocol.data_received(text_frame(content, Opcode.CONT, fin=False))
        message = await app.receive()
        assert (message["type"], message["code"]) == ("websocket.disconnect", 1009)
        await _assert_refused(protocol, transport, b"\x03\xf1too many fragments")
        await leave(protocol, app)

    run_virtual(scenario())


async def _assert_refused(protocol: WebSocketProtocol, transport: RecordingTransport, close: bytes) -> None:
    """The reason was sent; what still comes is discarded for a while, so that the peer can read it."""
    assert transport.written.endswith(close)
    assert transport.reading
    assert not transport.closed
    for _ in range(3):
        protocol.data_received(text_frame(b"too late"))
        await asyncio.sleep(uvicorn_protocols.QUIET_S - 0.1)
    assert protocol.queue.empty()
    assert not transport.closed
    await asyncio.sleep(uvicorn_protocols.QUIET_S)
    assert transport.closed


def test_a_peer_that_breaks_the_rules_and_is_never_quiet_is_cut_off() -> None:
    async def scenario() -> None:
        protocol, transport, app = await listening()
        protocol.data_received(text_frame(b"", Opcode.CONT))
        for _ in range(60):
            protocol.data_received(b"more")
            await asyncio.sleep(0.1)
        assert transport.aborted
        await leave(protocol, app)

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("data", "close"),
    [
        (text_frame(b"\xff\xfe"), b"\x03\xefnot UTF-8"),
        (text_frame(b"\xe2", fin=False) + text_frame(b"\x82", Opcode.CONT), b"\x03\xefnot UTF-8"),
        (text_frame(b"a" * (1 << 20)) + text_frame(b"a" * ((1 << 20) + 1)), b"exceeds limit of 1048576 bytes"),
        (b"\x81\x02{}", b"\x03\xeaincorrect masking"),
        (b"\xc1\x80\x00\x00\x00\x00", b"\x03\xeareserved bits must be 0"),
        (text_frame(b"", Opcode.CONT), b"\x03\xeaunexpected continuation frame"),
        (text_frame(b"\x03", Opcode.CLOSE), b"\x03\xeaclose frame too short"),
    ],
    ids=["bytes", "split bytes", "size", "mask", "reserved bits", "continuation", "close"],
)
def test_frames_that_break_the_rules_are_answered_with_a_reason_and_no_log_line(
    data: bytes, close: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        protocol, transport, app = await listening()
        for start in range(0, len(data), 100_000):
            protocol.data_received(data[start : start + 100_000])
        while (message := await app.receive())["type"] == "websocket.receive":
            pass
        assert message["type"] == "websocket.disconnect"
        await _assert_refused(protocol, transport, close)
        await leave(protocol, app)

    run_virtual(scenario())
    assert not caplog.records


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG])
def test_control_frames_are_paced(opcode: Opcode) -> None:
    async def scenario() -> None:
        protocol, transport, app = await listening()
        transport.resumed.clear()
        started_s = asyncio.get_running_loop().time()
        protocol.data_received(text_frame(b"", opcode) * 20_000)
        assert not transport.reading
        await transport.resumed.wait()
        took_s = asyncio.get_running_loop().time() - started_s
        assert 1.5 < took_s < 2.5
        assert transport.reading
        await leave(protocol, app)

    run_virtual(scenario())


def test_a_few_control_frames_wait_for_nothing() -> None:
    async def scenario() -> None:
        protocol, transport, app = await listening()
        protocol.data_received(text_frame(b"?", Opcode.PING) * 10)
        assert transport.reading
        assert transport.written.endswith(bytes(Frame(Opcode.PONG, b"?").serialize(mask=False)) * 10)
        await leave(protocol, app)

    run_virtual(scenario())


def test_of_the_pings_of_a_client_that_does_not_read_only_the_latest_is_answered() -> None:
    async def scenario() -> None:
        protocol, transport, app = await listening()
        protocol.pause_writing()
        written = len(transport.written)
        for number in range(1_000):
            protocol.data_received(text_frame(str(number).encode(), Opcode.PING))
        assert len(transport.written) == written
        protocol.resume_writing()
        assert transport.written[written:] == bytes(Frame(Opcode.PONG, b"999").serialize(mask=False))
        await leave(protocol, app)

    run_virtual(scenario())


def test_a_close_is_sent_behind_what_a_slow_client_has_not_read_and_then_cuts() -> None:
    async def scenario() -> None:
        protocol, transport, app = await connected()
        await app.receive()
        await app.send({"type": "websocket.accept"})
        protocol.pause_writing()
        await app.send({"type": "websocket.close", "code": 1013, "reason": "too slow"})
        assert transport.written.endswith(b"\x03\xf5too slow")
        assert not transport.closed
        await asyncio.sleep(uvicorn_protocols.CLOSE_TIMEOUT_S + 0.1)
        assert transport.aborted
        await leave(protocol, app)

    run_virtual(scenario())


def test_a_peer_that_answers_no_ping_is_cut_off() -> None:
    async def scenario() -> None:
        protocol, transport, app = await connected()
        await app.receive()
        await app.send({"type": "websocket.accept"})
        await asyncio.sleep(20.0 + 20.0 + 0.1)
        assert transport.aborted
        await leave(protocol, app)

    run_virtual(scenario())


def _http() -> tuple[HttpProtocol, RecordingTransport, App]:
    app = App()
    config = uvicorn.Config(app, http=HttpProtocol, ws=WebSocketProtocol, log_config=None)
    config.load()
    protocol = HttpProtocol(config, ServerState(), {})
    transport = RecordingTransport()
    protocol.connection_made(transport)
    return protocol, transport, app


@pytest.mark.parametrize("sent", [b"", PLAIN, PLAIN + b"Content-Length: 5\r\n\r\nabc"])
def test_a_connection_without_a_whole_request_is_cut_off(sent: bytes) -> None:
    async def scenario() -> None:
        protocol, transport, app = _http()
        await asyncio.sleep(uvicorn_protocols.REQUEST_TIMEOUT_S / 2)
        if sent:
            protocol.data_received(sent)
        await asyncio.sleep(uvicorn_protocols.REQUEST_TIMEOUT_S / 2 + 0.1)
        assert transport.aborted
        await _over(protocol, app)

    run_virtual(scenario())


def test_a_large_body_has_the_time_that_a_slow_network_takes_and_no_more() -> None:
    async def scenario() -> None:
        protocol, transport, app = _http()
        protocol.data_received(PLAIN + b"Content-Length: 1000000\r\n\r\n")
        pace = uvicorn_protocols.LEAST_BYTES_PER_S
        for _ in range(3 * int(uvicorn_protocols.REQUEST_TIMEOUT_S)):
            protocol.data_received(b"x" * pace)
            protocol.flow.resume_reading()  # the application takes it
            await asyncio.sleep(1)
        assert not transport.aborted
        await asyncio.sleep(uvicorn_protocols.REQUEST_TIMEOUT_S + 1)
        assert transport.aborted
        await _over(protocol, app)

    run_virtual(scenario())


def test_time_in_which_a_body_is_not_read_is_not_its_senders() -> None:
    async def scenario() -> None:
        protocol, transport, app = _http()
        protocol.data_received(PLAIN + b"Content-Length: 1000000\r\n\r\n" + b"x" * 100_000)
        assert protocol.flow.read_paused
        await asyncio.sleep(3 * uvicorn_protocols.REQUEST_TIMEOUT_S)
        assert not transport.aborted
        protocol.flow.resume_reading()
        await asyncio.sleep(2 * uvicorn_protocols.REQUEST_TIMEOUT_S)
        assert transport.aborted
        await _over(protocol, app)

    run_virtual(scenario())


async def _over(protocol: HttpProtocol, app: App) -> None:
    protocol.connection_lost(None)
    app.over.set()
    for task in list(protocol.tasks):
        await task


@pytest.mark.parametrize("request_bytes", [PLAIN + b"\r\n", PLAIN + b"Content-Length: 2\r\n\r\nab", UPGRADE + b"\r\n"])
def test_a_whole_request_stops_that_clock(request_bytes: bytes) -> None:
    async def scenario() -> None:
        protocol, transport, app = _http()
        protocol.data_received(request_bytes)
        assert protocol.conn.their_state is not h11.IDLE
        await asyncio.sleep(uvicorn_protocols.REQUEST_TIMEOUT_S + 0.1)
        assert not transport.aborted
        app.over.set()
        tasks = list(protocol.tasks)
        for task in tasks:
            await task
        if request_bytes.startswith(PLAIN):
            protocol.connection_lost(ConnectionResetError())

    run_virtual(scenario())
