"""The Realtime server behind the endpoint: one client, bounded in time, attempts, connections and what it reads.

The key goes to this server only: redirects are not followed, cookies are not kept, and no text that holds the key
leaves this module.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Literal
from urllib.parse import urlsplit

import httpx

from antiphon import __version__
from antiphon.broker.redaction import Redaction
from antiphon.broker.settings import BrokerSettings
from antiphon.web.errors import ApiError
from antiphon.web.hosts import is_loopback

__all__ = ["Answer", "Body", "Upstream"]

_ANSWER_MAX_BYTES: Final = 2 * 1024 * 1024
_CONNECT_S: Final = 5.0
"""Until there is a connection, a new one or one that another request has used."""
_KEEP_ALIVE_S: Final = 4.0
"""Shorter than servers keep idle connections, so that none is cut while an offer is sent on it."""
_MAX_CONNECTIONS: Final = 128
_FIRST_PAUSE_S: Final = 0.1

_Repeatable = Literal["refused", "any"]


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent: ``content`` of one type, or a form of named parts, each with its type."""

    content: bytes = b""
    content_type: str = ""
    form: Mapping[str, tuple[bytes, str]] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer below 300."""

    status: int
    content: bytes
    location: str


class Upstream:
    def __init__(self, settings: BrokerSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self._redaction = Redaction(settings.api_key)
        self._client: httpx.AsyncClient | None = None

    def open(self) -> httpx.AsyncClient:
        """The client that all requests share; made at the first call."""
        if self._client is None:
            settings = self._settings
            patience_s = min(_CONNECT_S, settings.timeout_s)
            headers = {"Accept-Encoding": "identity", "User-Agent": f"antiphon-broker/{__version__}"}
            if settings.api_key:
                headers["Authorization"] = f"Bearer {settings.api_key}"
            self._client = httpx.AsyncClient(
                headers=headers,
                # One user's cookies must not go out with another's request.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                timeout=httpx.Timeout(settings.timeout_s, connect=patience_s, pool=patience_s),
                limits=httpx.Limits(max_connections=_MAX_CONNECTIONS, keepalive_expiry=_KEEP_ALIVE_S),
                follow_redirects=False,
                # A proxy of the environment is no way to this very machine.
                trust_env=not is_loopback(urlsplit(settings.upstream).hostname or ""),
                transport=self._transport,
            )
        return self._client

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def post(
        self, path: str, body: Body, *, headers: Mapping[str, str] | None = None, repeatable: _Repeatable = "refused"
    ) -> Answer:
        """Send a request. Raises ``ApiError`` for everything that is no success.

        It is sent again only where it was certainly not taken: without a connection, or refused with a time to come
        back. ``repeatable="any"``: what a second one does besides does no harm.
        """
        try:
            due_s = asyncio.get_running_loop().time() + self._settings.timeout_s
            async with asyncio.timeout_at(due_s):
                return await self._attempts(path, body, headers or {}, repeatable, due_s)
        except (httpx.ConnectTimeout, httpx.ConnectError):
            raise _unreachable("The Realtime server cannot be reached.") from None
        except httpx.PoolTimeout:
            message = "Too many requests to the Realtime server are under way."
            raise ApiError(503, message, code="overloaded", type="server_error", headers={"Retry-After": "1"}) from None
        except (httpx.TimeoutException, TimeoutError):
            message = "The Realtime server did not answer in time."
            raise ApiError(504, message, code="upstream_timeout", type="server_error") from None
        except (httpx.HTTPError, httpx.StreamError):
            raise _unreachable("The Realtime server broke off the connection.") from None

    async def _attempts(
        self, path: str, body: Body, headers: Mapping[str, str], repeatable: _Repeatable, due_s: float
    ) -> Answer:
        loop = asyncio.get_running_loop()
        for attempt in range(self._settings.retries):
            try:
                status, content, answered = await self._exchange(path, body, headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                pause_s = _FIRST_PAUSE_S * 2**attempt
            else:
                asked_s = self._pause_s(status, answered, repeatable)
                if asked_s is None or loop.time() + asked_s >= due_s:
                    return self._answer(status, content, answered)
                pause_s = asked_s
            await asyncio.sleep(pause_s)
        return self._answer(*await self._exchange(path, body, headers))

    def _pause_s(self, status: int, headers: httpx.Headers, repeatable: _Repeatable) -> float | None:
        """How long to wait before the next attempt; None: the answer stands."""
        if status not in (429, 503) and not (status == 502 and repeatable == "any"):
            return None
        asked_s = retry_after_s(headers)
        return float(asked_s) if asked_s is not None and asked_s <= self._settings.retry_after_max_s else None

    async def _exchange(self, path: str, body: Body, headers: Mapping[str, str]) -> tuple[int, bytes, httpx.Headers]:
        sent = {**headers, "Content-Type": body.content_type} if body.content_type else dict(headers)
        files = None
        if body.form is not None:
            files = {name: (None, content, kind) for name, (content, kind) in body.form.items()}
        content = None if body.form is not None else body.content
        url = f"{self._settings.upstream}/{path}"
        async with self.open().stream("POST", url, headers=sent, content=content, files=files) as response:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise _unreachable("The Realtime server's answer cannot be read.")
            received = bytearray()
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > _ANSWER_MAX_BYTES:
                    raise _unreachable("The Realtime server's answer is too large.")
            return response.status_code, bytes(received), response.headers

    def _answer(self, status: int, content: bytes, headers: httpx.Headers) -> Answer:
        if 300 <= status < 400:
            raise _unreachable("The Realtime server answered with a redirect; it is not followed.")
        if not 200 <= status < 600:
            raise _unreachable("The Realtime server answered with a status that HTTP does not have.")
        if status >= 400:
            raise self._redaction.error(status, content, retry_after_s(headers))
        location = headers.get("location", "")
        if self._redaction.is_in(content):
            raise _unreachable("The Realtime server's answer holds the application's key; it is not passed on.")
        return Answer(status, content, "" if self._redaction.is_in(location.encode()) else location)


def retry_after_s(headers: httpx.Headers) -> int | None:
    text = headers.get("retry-after", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def _unreachable(message: str) -> ApiError:
    return ApiError(502, message, code="upstream_error", type="server_error")
