"""The HTTP under the client of MCP servers: one server, one checked address, no redirects, bounded replies.

A failure does not break the connection that several calls share: it becomes a reply that the protocol's client takes
for one of the server's, and what really happened is noted in the ``Exchange`` of the call that it befell.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2

from antiphon.mcp_client.addresses import Network, Resolve, forbidden
from antiphon.vocabulary.mcp import McpFault

__all__ = ["Exchange", "HttpBounds", "ServerTransport", "exchange"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ADDRESSES = 4
"""Of one name that are tried."""
_REASON_CHARS = 200
_GOODBYE_S = 1.0
"""For the end of a session at its server."""


@dataclass(slots=True)
class Exchange:
    """What happened to the requests of one call."""

    fault: McpFault | None = None
    """The last one."""
    failed: asyncio.Event = field(default_factory=asyncio.Event)


exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
"""Of the call that is being made; the protocol's client sends each request in the context of its call."""


@dataclass(frozen=True, slots=True)
class HttpBounds:
    connect_s: float = 5.0
    read_s: float = 60.0
    """Longest silence."""
    reply_bytes: int = 4 * 1024 * 1024
    """Of one reply, and of a list of tools in several."""
    tools: int = 128
    """Of a server; once there are more nothing further is listed."""


class _Pinned(httpcore2.AsyncNetworkBackend):
    """Connects to the addresses that were found and checked first, whatever the name resolves to later."""

    def __init__(self, resolve: Resolve, named: Sequence[Network]) -> None:
        self._backend = httpcore2.AnyIOBackend()
        self._resolve = resolve
        self._named = named
        self._addresses: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        if not self._addresses:
            self._addresses = await self._checked(host, port, timeout)
        for address in self._addresses[:-1]:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                pass
        return await self._backend.connect_tcp(self._addresses[-1], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError("Nothing but TCP is used.")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    async def _checked(self, host: str, port: int, timeout_s: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout_s):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # TimeoutError is one of them
            raise httpcore2.ConnectError("Its name cannot be resolved.") from error
        reasons = {text: _reason(text, self._named) for text in found}
        usable = [text for text, reason in reasons.items() if not reason]
        if not usable:
            reason = next(iter(reasons.values()), "its name has none")
            raise httpcore2.ConnectError(f"Its address cannot be used: {reason}.")
        return usable[:_ADDRESSES]


def _reason(text: str, named: Sequence[Network]) -> str:
    try:
        return forbidden(ipaddress.ip_address(text), named)
    except ValueError:
        return "it is of one link only"


class ServerTransport(httpx2.AsyncBaseTransport):
    """For the requests to one server."""

    def __init__(
        self,
        origin: httpx2.URL,
        *,
        resolve: Resolve,
        named: Sequence[Network],
        bounds: HttpBounds,
        listens: bool,
        tls: ssl.SSLContext,
    ) -> None:
        """``listens``: GET is used, for a stream with all replies (the elder transport of the protocol)."""
        self._origin = (origin.scheme, origin.host, origin.port)
        self._bounds = bounds
        self._listens = listens
        self._budget_bytes = bounds.reply_bytes
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            network_backend=_Pinned(resolve, named),
            max_connections=32,
            keepalive_expiry=30.0,
            http2=False,
            retries=0,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if (request.url.scheme, request.url.host, request.url.port) != self._origin:
            return _instead(502, McpFault("http", "The server led to another address; it was not followed."))
        if request.method == "GET" and not self._listens:
            return _instead(405, None)  # nothing is expected from the server but replies
        self._budget_bytes += self._bounds.reply_bytes
        try:
            if request.method == "DELETE":
                async with asyncio.timeout(_GOODBYE_S):
                    return await self._send(request)
            return await self._send(request)
        except httpcore2.ConnectError as error:
            return _instead(502, McpFault("http", f"The server cannot be reached: {str(error)[:_REASON_CHARS]}"))
        except (httpcore2.TimeoutException, TimeoutError):
            return _instead(504, McpFault("http", "The server does not answer."))
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            return _instead(502, McpFault("http", "The server broke the connection."))

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"accept-encoding"]
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=[*headers, (b"accept-encoding", b"identity")],
                content=request.stream,
                extensions=request.extensions,
            )
        )
        fault = _fault_of(answer)
        if fault is not None and answer.status < 400:
            await answer.aclose()
            return _instead(502, fault)
        _note(fault)
        # A cookie would be kept, and sent with every later request.
        kept = [(name, value) for name, value in answer.headers if name.lower() != b"set-cookie"]
        return httpx2.Response(answer.status, headers=kept, stream=_Bounded(answer, self))

    def spend(self, size_bytes: int, before: int) -> bool:
        """Whether so much more of a reply is taken. A stream that goes on has as much as its requests may have."""
        if not self._listens:
            return before + size_bytes <= self._bounds.reply_bytes
        self._budget_bytes -= size_bytes
        return self._budget_bytes >= 0


class _Bounded(httpx2.AsyncByteStream):
    """A reply's body. What ends it early is a ``StreamError``: that breaks off this reply alone."""

    def __init__(self, answer: httpcore2.Response, transport: ServerTransport) -> None:
        self._answer = answer
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for part in self._answer.aiter_stream():
                if not self._transport.spend(len(part), size):
                    raise _broken("The server's reply is too large.")
                size += len(part)
                yield part
        except httpcore2.TimeoutException:
            raise _broken("The server does not go on with its reply.") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            raise _broken("The server broke off its reply.") from None

    async def aclose(self) -> None:
        await self._answer.aclose()


def _broken(message: str) -> httpx2.StreamError:
    _note(McpFault("http", message))
    return httpx2.StreamError(message)


def _fault_of(answer: httpcore2.Response) -> McpFault | None:
    if answer.status in _REDIRECTS:
        return McpFault("http", "The server redirects, which is not followed.", answer.status)
    if answer.status >= 400:
        return McpFault("http", f"The server answered with HTTP status {answer.status}.", answer.status)
    encoding = next((value for name, value in answer.headers if name.lower() == b"content-encoding"), b"identity")
    if encoding.strip().lower() not in (b"identity", b""):
        return McpFault("http", "The server's reply is compressed, which was not asked for.", answer.status)
    return None


def _instead(status: int, fault: McpFault | None) -> httpx2.Response:
    """A reply for one that there is not."""
    _note(fault)
    return httpx2.Response(status, content=b"")


def _note(fault: McpFault | None) -> None:
    noted = exchange.get()
    if noted is not None and fault is not None:
        noted.fault = fault
        noted.failed.set()
