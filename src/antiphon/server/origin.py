"""Which web pages may call, in one place for HTTP and WebSocket.

A browser lets any page connect to a server on the reader's own machine. Without keys that would hand the microphone's
words and the models to every site, so the caller's ``Host`` (against DNS rebinding) and ``Origin`` are checked before
anything else is read. With keys the key is what protects, and origins are narrowed only on request.
Cookies are never used, so no answer allows credentials.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.server.errors import ApiError, error_response
from antiphon.server.logs import escaped
from antiphon.web.hosts import is_loopback, normal_origin, split_host

__all__ = ["BrowserRules", "OriginPolicy"]

_REQUEST_ID = "X-Request-Id"
_METHODS = "GET, POST, DELETE, OPTIONS"
_HEADERS = frozenset(
    {
        "accept",
        "authorization",
        "content-type",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "openai-safety-identifier",
        "traceparent",
        "tracestate",
        "x-client-request-id",
        "x-openai-agents-sdk",
    }
)
_HEADER_PREFIX = "x-stainless-"
_EXPOSED = f"Location, {_REQUEST_ID}"
_PREFLIGHT_MAX_AGE_S = 600
_ANSWER_STARTS = ("http.response.start", "websocket.accept", "websocket.http.response.start")


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """What ``Host`` and ``Origin`` may be."""

    keys_required: bool
    allowed_hosts: frozenset[str] = frozenset()
    allowed_origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *, keys_required: bool, hosts: Iterable[str], origins: Iterable[str]) -> "OriginPolicy":
        normal = (normal_origin(origin) for origin in origins)
        return cls(
            keys_required,
            frozenset(host.lower().removesuffix(".") for host in hosts),
            frozenset(origin for origin in normal if origin),
        )

    def refuses_host(self, headers: Headers) -> bool:
        if self.keys_required and not self.allowed_hosts:
            return False
        hosts = headers.getlist("host")
        parts = split_host(hosts[0]) if len(hosts) == 1 else None
        return parts is None or not (is_loopback(parts[0]) or parts[0] in self.allowed_hosts)

    def allow_origin(self, headers: Headers, scheme: str) -> str | None:
        """The value of ``Access-Control-Allow-Origin``; "" where the request has no ``Origin``; None: refused."""
        origins = headers.getlist("origin")
        if not origins:
            return ""
        if self.keys_required and not self.allowed_origins:
            return "*"
        origin = normal_origin(origins[0]) if len(origins) == 1 else None
        return origins[0] if origin is not None and self._is_allowed(origin, headers, scheme) else None

    def _is_allowed(self, origin: str, headers: Headers, scheme: str) -> bool:
        if origin in self.allowed_origins:
            return True
        web_scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
        if origin == normal_origin(f"{web_scheme}://{headers.get('host', '')}"):
            return True
        if self.keys_required:
            return False
        kind, _, authority = origin.partition("://")
        parts = split_host(authority)
        return kind in ("http", "https") and parts is not None and is_loopback(parts[0])


class BrowserRules:
    """The outermost ASGI layer: refuses foreign pages, answers preflights, adds CORS headers and a request id."""

    def __init__(
        self, app: ASGIApp, policy: OriginPolicy, on_refused: Callable[[str, str, str, str], None] = lambda *_: None
    ) -> None:
        """``on_refused`` is told the reason, the request's id, the escaped user agent, and the origin or host."""
        self._app = app
        self._policy = policy
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(16)}"
        scope.setdefault("state", {})["request_id"] = request_id
        headers = Headers(scope=scope)
        refusal, allowed = self._judge(headers, scope["scheme"])
        send = _with_headers(send, _cors_headers(allowed, request_id))
        if refusal is not None:
            sent = headers.get("origin" if refusal.status == 403 else "host", "")
            self._on_refused(refusal.code or "", request_id, escaped(headers.get("user-agent", "")), sent)
            # An ASGI server may want the connect message taken before a handshake is refused.
            if scope["type"] == "websocket":
                await receive()
            await error_response(refusal)(scope, receive, send)
        elif allowed and scope.get("method") == "OPTIONS" and "access-control-request-method" in headers:
            await _preflight(headers)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _judge(self, headers: Headers, scheme: str) -> tuple[ApiError | None, str]:
        if self._policy.refuses_host(headers):
            return _wrong_host(), ""
        allowed = self._policy.allow_origin(headers, scheme)
        return (_wrong_origin(), "") if allowed is None else (None, allowed)


def _preflight(headers: Headers) -> Response:
    asked = (name.strip().lower() for name in headers.get("access-control-request-headers", "").split(","))
    granted = [name for name in asked if name in _HEADERS or name.startswith(_HEADER_PREFIX)]
    answer = {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Max-Age": str(_PREFLIGHT_MAX_AGE_S),
        "Vary": "Access-Control-Request-Headers",
    }
    if granted:
        answer["Access-Control-Allow-Headers"] = ", ".join(granted)
    return Response(status_code=204, headers=answer)


def _cors_headers(allowed: str, request_id: str) -> Sequence[tuple[str, str]]:
    headers = [(_REQUEST_ID, request_id)]
    if allowed:
        headers += [("Access-Control-Allow-Origin", allowed), ("Access-Control-Expose-Headers", _EXPOSED)]
    return headers


def _with_headers(send: Send, headers: Sequence[tuple[str, str]]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] in _ANSWER_STARTS:
            answer = MutableHeaders(raw=list(message.get("headers", [])))
            for name, value in headers:
                answer[name] = value
            # Caches must not serve one origin's answer to another, nor the answer without CORS headers to a page.
            answer.add_vary_header("Origin")
            message = {**message, "headers": answer.raw}
        await send(message)

    return send_with_headers


def _wrong_host() -> ApiError:
    message = "This server does not answer to that host name; allowed_hosts (ANTIPHON_ALLOWED_HOSTS) can add it."
    return ApiError(421, message, code="host_not_allowed")


def _wrong_origin() -> ApiError:
    message = "Pages of this origin may not call; allowed_origins (ANTIPHON_ALLOWED_ORIGINS) can add it."
    return ApiError(403, message, code="origin_not_allowed")
