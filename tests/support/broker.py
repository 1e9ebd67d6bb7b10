"""The application's endpoint between pages that misbehave and an upstream that does as it is told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from antiphon.broker import Broker, BrokerSettings, create_broker

__all__ = ["ANSWER", "CALL_ID", "KEY", "OFFER", "OWN", "Heard", "ScriptedUpstream", "application", "ask", "error_of"]

KEY = "sk-test-0123456789-abcdefghij"
OFFER = b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=x-odd:\xc3\xa9 \xff\r\n"
ANSWER = b"v=0\r\no=- 2 2 IN IP4 0.0.0.0\r\ns=\xff-\r\n"
CALL_ID = "rtc_u2_E4xw9V7Wm6BbwNyTjXvsL"
SECRET = {"value": "ek_abc", "expires_at": 1795370735, "session": {"type": "realtime", "id": "sess_1"}}
OWN = "http://app.example.com"


@dataclass(frozen=True)
class Heard:
    """A request as upstream got it."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    form: Mapping[str, tuple[bytes, str, str | None]]
    """Of each part: content, type and file name."""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class ScriptedUpstream:
    """Answers each request with the next response of ``answers``, and as the API does when there is none left."""

    answers: list[Response | Exception] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=["POST", "GET", "DELETE"])])

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        return _Transport(self)

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        form: dict[str, tuple[bytes, str, str | None]] = {}
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            form = parts_of(request.headers["content-type"], body)
        self.heard.append(Heard(request.url.path, dict(request.headers), body, form))
        if self.answers:
            answer = self.answers.pop(0)
            assert isinstance(answer, Response)
            return answer
        return _api(request.url.path)


class _Transport(httpx.ASGITransport):
    """Raises what the script has instead of an answer; a connection that fails is not heard of."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        super().__init__(upstream.app)
        self._upstream = upstream

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answers = self._upstream.answers
        if answers and isinstance(answers[0], Exception):
            failure = answers.pop(0)
            assert isinstance(failure, Exception)
            raise failure
        return await super().handle_async_request(request)


def _api(path: str) -> Response:
    if path.endswith("/client_secrets"):
        return Response(msgspec.json.encode(SECRET), media_type="application/json")
    if path.endswith("/hangup"):
        return Response()
    location = {"Location": f"/v1/realtime/calls/{CALL_ID}"}
    return Response(ANSWER, 201, location, "application/sdp") if path.endswith("/calls") else Response(ANSWER, 200)


def parts_of(content_type: str, body: bytes) -> dict[str, tuple[bytes, str, str | None]]:
    """The parts of a form as they were sent: read here by hand, because parsers decode them."""
    boundary = content_type.partition("boundary=")[2].encode()
    parts: dict[str, tuple[bytes, str, str | None]] = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = [line.decode().partition(": ") for line in head.split(b"\r\n")]
        headers = {name.lower(): value for name, _, value in lines}
        values = dict(pair.strip().split("=", 1) for pair in headers["content-disposition"].split(";") if "=" in pair)
        name = values["name"].strip('"')
        parts[name] = (content.removesuffix(b"\r\n"), headers.get("content-type", ""), values.get("filename"))
    return parts


def application(
    upstream: ScriptedUpstream, mount: str = "/api/realtime", hooks: Mapping[str, Any] | None = None, **settings: Any
) -> Starlette:
    """An application with the endpoint mounted in it. Anonymous unless a hook or a setting says otherwise."""
    hooks = hooks or {}
    settings = {"upstream": "https://upstream.example/v1", "api_key": KEY, **settings}
    settings.setdefault("allow_anonymous", "authorize" not in hooks)
    broker: Broker = create_broker(BrokerSettings(**settings), transport=upstream.transport, **hooks)
    return Starlette(routes=[Mount(mount, broker)], lifespan=broker.lifespan)


def ask(
    app: Any,
    method: str = "POST",
    path: str = "/api/realtime/session",
    *,
    content: bytes = OFFER,
    content_type: str | None = "application/sdp",
    headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    url: str = OWN,
    peer: str = "203.0.113.9",
    times: int = 1,
) -> httpx.Response:
    """Send a request as a page or a program would; the last answer where it is sent several times."""
    sent = list(headers.items() if isinstance(headers, Mapping) else headers or [])
    if content_type is not None:
        sent.append(("Content-Type", content_type))

    async def send(client: httpx.AsyncClient) -> httpx.Response:
        for _ in range(times):
            answer = await client.request(method, path, content=content, headers=sent)
        return answer

    return asyncio.run(_with_client(app, url, peer, send))


async def _with_client(
    app: Any, url: str, peer: str, send: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
) -> httpx.Response:
    transport = httpx.ASGITransport(app, client=(peer, 1234))
    async with httpx.AsyncClient(transport=transport, base_url=url) as client:
        return await send(client)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    return error
