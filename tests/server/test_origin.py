"""The browser rules, each row a request by its scheme, headers and what must come of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from antiphon.server.origin import BrowserRules, OriginPolicy

OPEN = OriginPolicy.of(keys_required=False, hosts=(), origins=())
OPEN_NAMED = OriginPolicy.of(keys_required=False, hosts=("voice.lan",), origins=("https://app.example",))
KEYED = OriginPolicy.of(keys_required=True, hosts=(), origins=())
KEYED_NARROW = OriginPolicy.of(keys_required=True, hosts=("voice.example",), origins=("https://app.example",))


class Answer:
    def __init__(self, messages: list[Message]) -> None:
        start = messages[0]
        self.type: str = start["type"]
        self.status: int = start.get("status", 101)
        self.headers = {name.decode().lower(): value.decode() for name, value in start.get("headers", [])}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def reached(self) -> bool:
        return "x-reached" in self.headers


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"x-reached", b"1")]
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
    else:
        await receive()
        await send({"type": "websocket.accept", "headers": headers})


def ask(policy: OriginPolicy, kind: str, headers: Mapping[str, str], method: str = "GET") -> Answer:
    scheme = {"http": "http", "websocket": "ws"}[kind]
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": kind, "scheme": scheme, "method": method, "headers": raw, "path": "/v1/realtime"}
    scope["extensions"] = {"websocket.http.response": {}}
    sent: list[Message] = []
    taken: list[str] = []

    async def receive() -> Message:
        taken.append("message")
        # Nothing beyond the handshake itself may be read of a refused caller.
        assert kind == "websocket"
        assert len(taken) == 1
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(BrowserRules(_app, policy)(scope, receive, send))
    return Answer(sent)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("policy", "host", "reached"),
    [
        (OPEN, "localhost:8000", True),
        (OPEN, "127.0.0.1", True),
        (OPEN, "[::1]:8000", True),
        (OPEN, "rebound.evil.example:8000", False),
        (OPEN, "localhost.evil.example", False),
        (OPEN, "voice.lan", False),
        (OPEN, "", False),
        (OPEN_NAMED, "voice.lan", True),
        (OPEN_NAMED, "VOICE.lan.:8000", True),
        (OPEN_NAMED, "other.lan", False),
        (KEYED, "anything.example", True),
        (KEYED_NARROW, "voice.example", True),
        (KEYED_NARROW, "localhost", True),
        (KEYED_NARROW, "rebound.evil.example", False),
    ],
)
def test_a_host_that_is_not_ours_is_421(kind: str, policy: OriginPolicy, host: str, reached: bool) -> None:
    answer = ask(policy, kind, {"host": host})
    assert (answer.reached, answer.status == 421) == (reached, not reached)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("policy", "origin", "allowed"),
    [
        (OPEN, None, ""),
        (OPEN, "https://evil.example", None),
        (OPEN, "null", None),
        (OPEN, "http://localhost:5173", "http://localhost:5173"),
        (OPEN, "https://127.0.0.1", "https://127.0.0.1"),
        (OPEN, "http://[::1]:3000", "http://[::1]:3000"),
        (OPEN, "http://localhost.evil.example", None),
        (OPEN, "http://localhost:8000@evil.example", None),
        (OPEN, "file://localhost", None),
        (OPEN, "https://app.example", None),
        (OPEN_NAMED, "https://app.example", "https://app.example"),
        (OPEN_NAMED, "https://app.example:443", "https://app.example:443"),
        (OPEN_NAMED, "http://app.example", None),
        (KEYED, None, ""),
        (KEYED, "https://anything.example", "*"),
        (KEYED, "null", "*"),
        (KEYED_NARROW, "https://app.example", "https://app.example"),
        (KEYED_NARROW, "http://localhost:8000", "http://localhost:8000"),
        (KEYED_NARROW, "http://localhost:5173", None),
        (KEYED_NARROW, "https://evil.example", None),
        (KEYED_NARROW, "null", None),
    ],
)
def test_a_foreign_origin_is_403_and_an_allowed_one_is_named(
    kind: str, policy: OriginPolicy, origin: str | None, allowed: str | None
) -> None:
    answer = ask(policy, kind, {"host": "localhost:8000"} | ({"origin": origin} if origin is not None else {}))
    assert answer.reached is (allowed is not None)
    assert answer.headers.get("access-control-allow-origin") == (allowed or None)
    if allowed is None:
        assert answer.status == 403
        assert b'"origin_not_allowed"' in answer.body


@pytest.mark.parametrize("policy", [OPEN, KEYED])
@pytest.mark.parametrize("origin", [None, "http://localhost:8000"])
def test_our_own_pages_may_call(policy: OriginPolicy, origin: str | None) -> None:
    headers = {"host": "localhost:8000"} | ({"origin": origin} if origin else {})
    assert ask(policy, "websocket", headers).reached


def test_our_own_name_is_an_origin_of_ours() -> None:
    assert ask(OPEN_NAMED, "http", {"host": "voice.lan:8000", "origin": "http://voice.lan:8000"}).reached
    assert not ask(OPEN_NAMED, "http", {"host": "voice.lan:8000", "origin": "http://voice.lan:9000"}).reached


def test_a_simple_post_of_a_foreign_page_is_refused() -> None:
    headers = {"host": "localhost", "origin": "https://evil.example", "content-type": "text/plain"}
    assert ask(OPEN, "http", headers, "POST").status == 403


@pytest.mark.parametrize(
    ("policy", "origin", "status", "allowed"),
    [
        (OPEN, "http://localhost:5173", 204, "http://localhost:5173"),
        (OPEN, "https://evil.example", 403, None),
        (OPEN, "null", 403, None),
        (KEYED, "https://app.example", 204, "*"),
        (KEYED_NARROW, "https://app.example", 204, "https://app.example"),
        (KEYED_NARROW, "https://evil.example", 403, None),
    ],
)
def test_preflights_are_answered_before_any_key_is_looked_at(
    policy: OriginPolicy, origin: str, status: int, allowed: str | None
) -> None:
    asked = "authorization, content-type, x-openai-agents-sdk, x-stainless-os, x-evil"
    headers = {
        "host": "localhost",
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": asked,
    }
    answer = ask(policy, "http", headers, "OPTIONS")
    assert (answer.status, answer.headers.get("access-control-allow-origin")) == (status, allowed)
    if status == 204:
        granted = answer.headers["access-control-allow-headers"].split(", ")
        assert granted == ["authorization", "content-type", "x-openai-agents-sdk", "x-stainless-os"]
        assert "POST" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize("policy", [OPEN, OPEN_NAMED, KEYED, KEYED_NARROW])
@pytest.mark.parametrize("origin", ["http://localhost:8000", "https://app.example", "https://evil.example", None])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_every_answer_has_a_request_id_and_none_allows_credentials(
    policy: OriginPolicy, origin: str | None, kind: str
) -> None:
    headers = {"host": "localhost:8000"} | ({"origin": origin} if origin else {})
    first, second = (ask(policy, kind, headers) for _ in range(2))
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert "origin" in first.headers["vary"].lower()
    assert "access-control-allow-credentials" not in first.headers
    if first.headers.get("access-control-allow-origin"):
        assert "X-Request-Id" in first.headers["access-control-expose-headers"]
        assert "Location" in first.headers["access-control-expose-headers"]


def test_two_origins_are_none() -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "scheme": "http",
        "method": "GET",
        "headers": [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"https://evil.example")],
    }
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing may be read")

    asyncio.run(BrowserRules(_app, OPEN)(scope, receive, send))
    assert Answer(sent).status == 403
