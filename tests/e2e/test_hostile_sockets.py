"""Hostile bytes below the events: HTTP that is none, slow requests, broken frames. The server answers and lives."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.frames import Opcode

from tests.support.server import ServerProcess, running_server
from tests.support.wire_client import (
    connected,
    frame,
    message,
    metrics,
    raw_socket,
    sent_and_answered,
    sessions_gone,
)

pytestmark = pytest.mark.e2e

HOST = b"Host: localhost\r\n"
END = HOST + b"Connection: close\r\n\r\n"
UPGRADE = (
    HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
POST = b"POST /v1/models HTTP/1.1\r\n" + HOST

REQUESTS: dict[str, tuple[bytes, int]] = {
    "unknown path": (b"GET /v1/sessions HTTP/1.1\r\n" + END, 404),
    "path upwards": (b"GET /v1/../../etc/passwd HTTP/1.1\r\n" + END, 404),
    "path upwards, escaped": (b"GET /v1/%2e%2e/%2e%2e/etc/passwd%00 HTTP/1.1\r\n" + END, 404),
    "broken escapes": (b"GET /%zz%ff%0d%0aX:%20y HTTP/1.1\r\n" + END, 404),
    "another server's address": (b"GET http://evil.example/healthz HTTP/1.1\r\n" + END, 404),
    "a proxy's method": (b"CONNECT localhost:22 HTTP/1.1\r\n" + END, 404),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + END, 404),
    "TRACE": (b"TRACE /healthz HTTP/1.1\r\n" + END, 405),
    "DELETE": (b"DELETE /v1/models HTTP/1.1\r\n" + END, 405),
    "a method of one's own": (b"STEAL /v1/models HTTP/1.1\r\n" + END, 405),
    "a long method": (b"A" * 9_000 + b" /healthz HTTP/1.1\r\n" + END, 405),
    "bytes in the path": (b"GET /\xff\xfe HTTP/1.1\r\n" + END, 400),
    "HTTP/2 without asking": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 421),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "garbage": (bytes(range(256)) + b"\r\n\r\n", 400),
    "a request of another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two content lengths": (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
    "space before a colon": (b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
    "unknown coding": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n", 501),
    "no chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\nXYZ\r\n", 400),
    "a header of 9 KB": (b"GET /healthz HTTP/1.1\r\nX-Long: " + b"a" * 9_000 + b"\r\n" + END, 431),
    "200 headers": (b"GET /healthz HTTP/1.1\r\n" + b"X-A: b\r\n" * 200 + END, 431),
    "an address of 9 KB": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + END, 414),
    "a long header of a handshake": (
        b"GET /v1/realtime HTTP/1.1\r\nX-Long: " + b"a" * 9_000 + b"\r\n" + UPGRADE + b"\r\n",
        431,
    ),
    "a socket elsewhere": (b"GET /v1/elsewhere HTTP/1.1\r\n" + UPGRADE + b"\r\n", 404),
    "a handshake by POST": (b"POST /v1/realtime HTTP/1.1\r\n" + UPGRADE + b"\r\n", 405),
    "a handshake without a key": (b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE.replace(b"-Key", b"-K") + b"\r\n", 400),
    "a handshake with a control character": (
        b"GET /v1/realtime HTTP/1.1\r\nUser-Agent: \x1b[31m\r\n" + UPGRADE + b"\r\n",
        400,
    ),
    "an old handshake": (b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE.replace(b": 13", b": 8") + b"\r\n", 426),
    "no socket": (b"GET /v1/realtime HTTP/1.1\r\n" + END, 426),
    "a foreign host": (
        b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE.replace(b"localhost", b"evil.example") + b"\r\n",
        421,
    ),
    "a foreign origin": (b"GET /v1/realtime HTTP/1.1\r\nOrigin: https://evil.example\r\n" + UPGRADE + b"\r\n", 403),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_an_odd_request_gets_an_error_in_the_apis_shape(scripted_server: ServerProcess, name: str) -> None:
    data, status = REQUESTS[name]

    async def run() -> None:
        head, _, body = (await sent_and_answered(scripted_server, data)).partition(b"\r\n\r\n")
        assert head.split(b" ", 2)[1] == str(status).encode()
        assert b"\r\nx-request-id: req_" in head.lower()
        error = json.JSONDecoder().raw_decode(body.decode())[0]["error"]
        assert sorted(error) == ["code", "message", "param", "type"]
        assert error["type"] == "invalid_request_error"

    asyncio.run(run())


def test_a_second_request_hidden_in_a_body_is_not_answered(scripted_server: ServerProcess) -> None:
    hidden = b"GET /healthz HTTP/1.1\r\n" + END

    async def run() -> None:
        for head in (
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            b"Content-Length: %d\r\n\r\n" % len(hidden),
        ):
            answer = await sent_and_answered(scripted_server, POST + b"Connection: close\r\n" + head + hidden)
            assert answer.count(b"HTTP/1.1 ") == 1

    asyncio.run(run())


HALF: dict[str, bytes] = {
    "nothing": b"",
    "half a request": b"GET /healthz HTTP/1.1\r\n" + HOST,
    "half a handshake": b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE,
    "half a body": POST + b"Content-Length: 100\r\n\r\nabc",
    "a body without end": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
}


def test_half_a_request_is_not_waited_for_for_ever_but_a_quiet_session_may_stay(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server) as client:
            answers = await _until_closed()
            await client.assert_works()
        for name in ("nothing", "half a request", "half a handshake"):
            assert answers[name] == b""
        for name in ("half a body", "a body without end"):
            assert answers[name].startswith(b"HTTP/1.1 405 ")

    async def _until_closed() -> dict[str, bytes]:
        async with asyncio.TaskGroup() as tasks:
            answers = {name: tasks.create_task(sent_and_answered(scripted_server, HALF[name])) for name in HALF}
        return {name: answer.result() for name, answer in answers.items()}

    asyncio.run(run())


FEW_DESCRIPTORS = ("sh", "-c", 'ulimit -n 700 && exec "$0" "$@"', sys.executable, "-m", "antiphon.cli.main", "serve")


def test_connections_beyond_half_of_the_file_descriptors_are_cut_without_a_word() -> None:
    async def run() -> None:
        async with asyncio.timeout(8), contextlib.AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(raw_socket(server)) for _ in range(600)]
            for reader, _ in opened[350:]:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        async with asyncio.timeout(8):
            while not await _works():
                pass

    async def _works() -> bool:
        """As soon as the server has noticed that the others are gone."""
        try:
            async with connected(server) as client:
                await client.assert_works()
        except (ConnectionError, InvalidMessage):
            return False
        return True

    with running_server(["--engine", "scripted"], command=FEW_DESCRIPTORS) as server:
        ready = len(server.lines)
        asyncio.run(run())
        assert len(server.lines) - ready < 10


def test_handshakes_that_are_given_up_leave_nothing_behind(scripted_server: ServerProcess) -> None:
    async def give_up(data: bytes) -> None:
        async with raw_socket(scripted_server) as (_, writer):
            writer.write(data)
            await writer.drain()

    async def run() -> None:
        whole = b"GET /v1/realtime HTTP/1.1\r\n" + UPGRADE + b"\r\n"
        async with asyncio.TaskGroup() as tasks:
            for number in range(100):
                tasks.create_task(give_up(whole if number % 2 else whole[:-10]))
        await sessions_gone(scripted_server)

    asyncio.run(run())


BROKEN: dict[str, tuple[bytes, int]] = {
    "no mask": (b"\x81\x02{}", 1002),
    "reserved bits": (b"\xf1\x80\0\0\0\0", 1002),
    "a reserved opcode": (b"\x83\x80\0\0\0\0", 1002),
    "a ping in pieces": (b"\x09\x80\0\0\0\0", 1002),
    "a long ping": (b"\x89\xfe\x00\xff\0\0\0\0" + b"a" * 255, 1002),
    "the end of nothing": (frame(b"", Opcode.CONT), 1002),
    "a message within another": (frame(b"{", fin=False) + frame(b"{}"), 1002),
    "a close of one byte": (frame(b"\x03", Opcode.CLOSE), 1002),
    "a close with a code that nobody sends": (frame(b"\x03\xed", Opcode.CLOSE), 1002),
    "a close that is not UTF-8": (frame(b"\x03\xe8\xff", Opcode.CLOSE), 1007),
    "a text that is not UTF-8": (frame(b"\xff\xfe"), 1007),
    "a frame of 16 MiB and a byte": (b"\x81\xff" + (16 * 2**20 + 1).to_bytes(8, "big") + b"\0\0\0\0", 1009),
    "a frame of all the bytes there are": (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"\0\0\0\0", 1009),
    "17 MiB in two frames": (frame(b"a" * 9_000_000, fin=False) + frame(b"a" * 9_000_000, Opcode.CONT), 1009),
    "endless fragments": (frame(b"", fin=False) + frame(b"", Opcode.CONT, fin=False) * 5_000, 1009),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_ends_its_connection_with_a_reason(scripted_server: ServerProcess, name: str) -> None:
    data, code = BROKEN[name]

    async def run() -> None:
        async with raw_socket(scripted_server, upgrade=True) as (reader, writer), asyncio.timeout(20):
            writer.write(data)
            answer = close = b""
            # The events so far end with a brace; then comes the close frame.
            while len(close) < 4:
                answer += await reader.read(2**16)
                close = answer[answer.rindex(b"}") + 1 :]
        assert close[0] == 0x88
        assert int.from_bytes(close[2:4], "big") == code
        await sessions_gone(scripted_server)

    asyncio.run(run())


async def _in_pieces(text: str, size: int) -> AsyncIterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]


@pytest.mark.parametrize("size", [1, 100, 4_000])
def test_an_event_may_come_in_fragments(scripted_server: ServerProcess, size: int) -> None:
    async def run() -> None:
        async with connected(scripted_server) as client:
            await client.socket.send(_in_pieces(json.dumps(message("a" * 1_000)), size))
            assert (await client.until("conversation.item.done"))["item"]["content"][0]["text"] == "a" * 1_000
            await client.assert_works()

    asyncio.run(run())


def test_compression_is_not_agreed_on(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server, compression="deflate") as client:
            assert client.socket.response is not None
            assert "Sec-WebSocket-Extensions" not in client.socket.response.headers
            await client.assert_works()

    asyncio.run(run())


def test_the_largest_message_is_taken_and_a_larger_one_closes_with_1009(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server) as client:
            text = '{"type":"input_audio_buffer.clear","x":"'
            await client.send(text + "a" * (16 * 2**20 - len(text) - 2) + '"}')
            assert (await client.next())["type"] == "input_audio_buffer.cleared"
            with contextlib.suppress(ConnectionClosed):
                await client.send(text + "a" * (16 * 2**20 - len(text) - 1) + '"}')
            with pytest.raises(ConnectionClosed) as caught:
                await client.next()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009

    asyncio.run(run())


def test_metrics_count_what_was_refused_under_names_that_are_fixed(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        before = await metrics(scripted_server)
        await sent_and_answered(
            scripted_server, b"GET /v1/realtime?intent=evil-intent HTTP/1.1\r\n" + UPGRADE + b"\r\n"
        )
        async with connected(scripted_server, "?model=evil-model", user_agent_header="evil-agent") as client:
            await client.refusal({"type": "evil.type"})
            await client.send({"type": "input_audio_buffer.clear", "evil_field": 1})
            await client.next()
        after = await metrics(scripted_server)
        assert not [name for name in after if "evil" in name]
        assert {name.partition("{")[0] for name in after} == {name.partition("{")[0] for name in before}
        assert after['antiphon_refusals_total{reason="bad_request"}'] > before.get(
            'antiphon_refusals_total{reason="bad_request"}', 0
        )

    asyncio.run(run())
