"""An upstream that refuses, fails, is slow, floods or sends elsewhere: the page is told the truth, never the key."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from starlette.responses import Response, StreamingResponse

from antiphon.broker import BrokerSettings, create_broker
from antiphon.testing.clock import run_virtual
from tests.support.broker import ANSWER, CALL_ID, KEY, OFFER, SECRET, ScriptedUpstream, application, ask, error_of

ASKED = b'{"method":"client_secret"}'


def refusal(status: int, message: str = "No.", code: Any = "some_code", **headers: str) -> Response:
    error = {"message": message, "type": "some_type", "param": "session.voice", "code": code}
    return Response(msgspec.json.encode({"error": error}), status, headers, "application/json")


def secret(app: Any) -> httpx.Response:
    return ask(app, content=ASKED, content_type="application/json")


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504])
def test_a_refusal_is_passed_on_as_it_is(status: int) -> None:
    upstream = ScriptedUpstream([refusal(status)])
    answer = ask(application(upstream))
    assert answer.status_code == status
    assert error_of(answer) == {"message": "No.", "type": "some_type", "param": "session.voice", "code": "some_code"}
    assert len(upstream.heard) == 1


def test_a_refused_key_is_told_without_upstream_s_words() -> None:
    upstream = ScriptedUpstream([refusal(401, f"Incorrect API key provided: {KEY[:8]}****ghij.", "invalid_api_key")])
    answer = ask(application(upstream))
    assert answer.status_code == 401
    error = error_of(answer)
    assert error["message"] == "The Realtime server does not accept the application's key."
    assert error["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>nginx</html>", b"[]", b'"x"', b'{"error": "x"}', b'{"error": {"message": 7}}', b"\xff", b"[" * 9999],
)
@pytest.mark.parametrize("status", [400, 500])
def test_a_refusal_in_another_shape_is_told_by_its_status(body: bytes, status: int) -> None:
    answer = ask(application(ScriptedUpstream([Response(body, status)])))
    assert answer.status_code == status
    assert error_of(answer)["message"] == f"The Realtime server answered {status}."
    assert error_of(answer)["type"] == ("server_error" if status == 500 else "invalid_request_error")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    upstream = ScriptedUpstream([Response("", status, {"Location": "https://evil.example/v1/realtime/calls"})])
    answer = ask(application(upstream))
    assert (answer.status_code, error_of(answer)["code"]) == (502, "upstream_error")
    assert "location" not in answer.headers
    assert "redirect" in error_of(answer)["message"]
    assert len(upstream.heard) == 1


@pytest.mark.parametrize("status", [600, 999])
def test_a_status_that_no_server_can_pass_on_is_an_error_of_upstream(status: int) -> None:
    answer = ask(application(ScriptedUpstream([Response(ANSWER, status)])))
    assert (answer.status_code, error_of(answer)["code"]) == (502, "upstream_error")


# --- the key --------------------------------------------------------------------------------------------------------

LEAKS = [
    refusal(400, f"Your key {KEY} is fine."),
    refusal(400, f"Bearer {KEY}", KEY),
    refusal(500, f"x{KEY}x", {"key": KEY}),
    refusal(401, KEY, KEY),
    Response(KEY, 500),
    Response(KEY, 200),
    Response(f"v=0\r\na={KEY}", 201),
    Response(json.dumps({**SECRET, "session": {"key": KEY}}), 200),
    Response(json.dumps({**SECRET, "session": {"key": KEY}}).replace("sk-", "\\u0073k-"), 200),
    Response(ANSWER, 201, {"Location": f"/v1/realtime/calls/rtc_1?key={KEY}", "X-Key": KEY}),
    Response(ANSWER, 201, {"Location": f"/v1/realtime/calls/rtc_{KEY}"}),
    Response("", 302, {"Location": f"/{KEY}"}),
    httpx.ReadError(f"while sending {KEY}"),
    httpx.ConnectError(f"while sending {KEY}"),
]


@pytest.mark.parametrize("leak", LEAKS, ids=range(len(LEAKS)))
def test_the_key_never_reaches_the_page_nor_the_log(leak: Response | Exception, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    for send in (ask, secret):
        answer = send(application(ScriptedUpstream([leak]), retries=0))
        for text in (answer.text, str(answer.headers), caplog.text):
            assert KEY not in text
            assert KEY[3:] not in text
            assert "\\u0073k-" not in text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no sk-proj-1234****abcd here", "no [hidden] here"),
        ("ek_abcdef is not known", "[hidden] is not known"),
        ("header 'Bearer abc.def'", "header '[hidden]"),
        ("Ask for a task.", "Ask for a task."),
    ],
)
def test_what_looks_like_a_key_is_hidden_too(said: str, shown: str) -> None:
    answer = ask(application(ScriptedUpstream([refusal(400, said)])))
    assert error_of(answer)["message"] == shown


def test_a_key_that_is_no_secret_hides_nothing() -> None:
    answer = ask(application(ScriptedUpstream([refusal(400, "any word")]), api_key="any"))
    assert error_of(answer)["message"] == "any word"


# --- size -----------------------------------------------------------------------------------------------------------


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(4 * 1024):
        yield b"v=0\r\n" + b"x" * 1019


@pytest.mark.parametrize("status", [200, 500])
def test_a_flood_is_not_read_to_its_end(status: int) -> None:
    answer = ask(application(ScriptedUpstream([StreamingResponse(_endless(), status)])))
    assert (answer.status_code, error_of(answer)["message"]) == (502, "The Realtime server's answer is too large.")


def test_a_compressed_answer_is_not_unpacked() -> None:
    answer = ask(application(ScriptedUpstream([Response(b"x", 200, {"Content-Encoding": "gzip"})])))
    assert (answer.status_code, error_of(answer)["code"]) == (502, "upstream_error")


def test_a_long_message_is_cut() -> None:
    answer = ask(application(ScriptedUpstream([refusal(400, "no " * 100_000)])))
    assert len(answer.content) < 3000


# --- attempts -------------------------------------------------------------------------------------------------------

UNCONNECTED = httpx.ConnectError("refused")
LATE = httpx.ConnectTimeout("late")
LOST = httpx.ReadError("reset")
DROPPED = httpx.RemoteProtocolError("disconnected")
SLOW = httpx.ReadTimeout("slow")


def busy(status: int, wait: str | None = "1") -> Response:
    return refusal(status) if wait is None else refusal(status, **{"Retry-After": wait})


@pytest.mark.parametrize(
    ("answers", "calls", "secrets"),
    [
        # what upstream says; status and attempts heard by upstream for an offer; the same for a secret
        ([UNCONNECTED], (201, 1), (200, 1)),
        ([UNCONNECTED, LATE], (201, 1), (200, 1)),
        ([UNCONNECTED] * 3, (502, 0), (502, 0)),
        ([LATE] * 3, (502, 0), (502, 0)),
        ([busy(503)], (201, 2), (200, 2)),
        ([busy(429), busy(429)], (201, 3), (200, 3)),
        ([busy(429)] * 3, (429, 3), (429, 3)),
        ([busy(502)], (502, 1), (200, 2)),
        ([busy(503, None)], (503, 1), (503, 1)),
        ([busy(429, "60")], (429, 1), (429, 1)),
        ([busy(429, "Wed, 21 Oct 2026 07:28:00 GMT")], (429, 1), (429, 1)),
        ([busy(500)], (500, 1), (500, 1)),
        ([LOST], (502, 0), (502, 0)),
        ([DROPPED], (502, 0), (502, 0)),
        ([SLOW], (504, 0), (504, 0)),
    ],
)
def test_only_what_was_not_taken_is_sent_again(
    answers: list[Any], calls: tuple[int, int], secrets: tuple[int, int]
) -> None:
    for content_type, content, expected in (
        ("application/sdp", OFFER, calls),
        ("application/json", ASKED, secrets),
    ):
        upstream = ScriptedUpstream(list(answers))
        status = run_virtual(_status(upstream, content_type, content))
        assert (status, len(upstream.heard)) == expected


async def _status(upstream: ScriptedUpstream, content_type: str, content: bytes) -> int:
    transport = httpx.ASGITransport(application(upstream))
    async with httpx.AsyncClient(transport=transport, base_url="http://app.example.com") as client:
        headers = {"Content-Type": content_type}
        return (await client.post("/api/realtime/session", content=content, headers=headers)).status_code


def test_a_page_is_told_when_to_come_back() -> None:
    answer = ask(application(ScriptedUpstream([busy(429, "60")])))
    assert answer.headers["retry-after"] == "60"


def test_a_wait_beyond_the_time_that_is_left_is_told_instead() -> None:
    answer = ask(application(ScriptedUpstream([busy(429, "3")]), timeout_s=2.0))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


def test_cookies_of_upstream_are_not_kept_for_the_next_page() -> None:
    upstream = ScriptedUpstream([Response(ANSWER, 201, {"Set-Cookie": "user=1; Path=/"})])
    app = application(upstream)
    ask(app, times=2)
    assert "cookie" not in upstream.heard[1].headers


# --- over the network -----------------------------------------------------------------------------------------------


async def _over_the_network(peer: "_Peer", **settings: Any) -> tuple[int, dict[str, Any]]:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if not peer.listens:
        server.close()
        await server.wait_closed()
    broker = create_broker(
        BrokerSettings(upstream=f"http://127.0.0.1:{port}/v1", api_key=KEY, allow_anonymous=True, **settings)
    )
    async with broker.lifespan():
        transport = httpx.ASGITransport(broker)
        async with httpx.AsyncClient(transport=transport, base_url="http://app.example.com") as client:
            answer = await client.post("/session", content=OFFER, headers={"Content-Type": "application/sdp"})
    peer.ended.set()
    server.close()
    await server.wait_closed()
    return answer.status_code, error_of(answer)


class _Peer:
    """Reads one request and answers with ``pieces``; then it closes, or waits without a word."""

    def __init__(self, *pieces: bytes, closes: bool = False, listens: bool = True) -> None:
        self.pieces = pieces
        self.closes = closes
        self.listens = listens
        self.ended = asyncio.Event()
        self.requests = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        for piece in self.pieces:
            writer.write(piece)
        if not self.closes:
            await self.ended.wait()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


_HEAD = b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "options", "status", "words"),
    [
        ((), {}, 504, "did not answer in time"),
        ((_HEAD, b"v=0"), {}, 504, "did not answer in time"),
        ((_HEAD, b"v=0"), {"closes": True}, 502, "broke off"),
        ((), {"closes": True}, 502, "broke off"),
        ((b"nonsense\r\n\r\n",), {"closes": True}, 502, "broke off"),
        ((), {"listens": False}, 502, "cannot be reached"),
    ],
)
def test_an_upstream_that_is_slow_or_absent_is_told_as_what_it_is(
    pieces: tuple[bytes, ...], options: dict[str, Any], status: int, words: str
) -> None:
    async def run() -> None:
        peer = _Peer(*pieces, **options)
        answered, error = await _over_the_network(peer, timeout_s=0.4)
        assert answered == status
        assert words in error["message"]
        assert error["type"] == "server_error"
        assert peer.requests <= 1

    asyncio.run(run())


def test_a_redirect_on_the_network_is_not_followed() -> None:
    async def run() -> None:
        target = _Peer()
        other = await asyncio.start_server(target.serve, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        head = f"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n"
        status, error = await _over_the_network(_Peer(head.encode()))
        assert status == 502
        assert "redirect" in error["message"]
        assert target.requests == 0
        other.close()
        await other.wait_closed()

    asyncio.run(run())


def test_a_closed_endpoint_opens_its_client_again() -> None:
    upstream = ScriptedUpstream()
    broker = create_broker(
        BrokerSettings(upstream="https://upstream.example/v1", allow_anonymous=True), transport=upstream.transport
    )

    async def run() -> None:
        async with broker.lifespan():
            pass

    asyncio.run(run())
    assert ask(broker, path="/session").headers["location"].endswith(CALL_ID)
