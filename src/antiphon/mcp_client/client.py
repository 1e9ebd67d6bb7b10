"""Connections to MCP servers by the official ``mcp`` package: streamable HTTP, else the elder HTTP with SSE."""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import httpx2
import msgspec
from mcp import Client, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from antiphon.mcp_client.addresses import Network, Resolve, resolve
from antiphon.mcp_client.http import Exchange, HttpBounds, ServerTransport, exchange
from antiphon.vocabulary.mcp import McpError, McpFault, McpServer, McpToolInfo

__all__ = ["HttpMcpClient"]

_T = TypeVar("_T")
_PAGES = 64
_NO_STREAMABLE = frozenset({400, 404, 405})
"""How a server of the elder transport answers the first request of the newer one."""
_LOUD = ("mcp", "httpx2", "httpcore2")
"""Loggers that would tell headers and bodies."""
_SILENT = logging.CRITICAL + 1
_OF_HTTP = frozenset({types.CONNECTION_CLOSED, types.PARSE_ERROR, types.INTERNAL_ERROR, types.INVALID_REQUEST})
"""Codes that the package itself gives where the reply was none of the protocol's."""
_NOT_OF_THE_PROTOCOL = "The server's answer is not of the protocol."


class HttpMcpClient:
    """Shared by all sessions; holds nothing of them."""

    def __init__(
        self,
        named: Sequence[Network] = (),
        *,
        bounds: HttpBounds | None = None,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``named``: networks that may be spoken to though they are not public. ``tls`` None: the authorities that this
        machine trusts (or those of ``SSL_CERT_FILE``), read once."""
        self._named = named
        self._bounds = bounds or HttpBounds()
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        for name in _LOUD:
            logging.getLogger(name).setLevel(_SILENT)

    @asynccontextmanager
    async def connect(self, server: McpServer) -> AsyncGenerator["_Connection"]:
        noted = Exchange()
        exchange.set(noted)
        of_user: Exception | None = None
        try:
            async with AsyncExitStack() as stack:
                connection = await self._entered(stack, server, noted)
                try:
                    yield connection
                except Exception as error:
                    of_user = error
                    raise
        except McpError:
            raise
        except Exception as error:
            if of_user is not None:
                raise of_user from None  # the package's task groups wrap whatever passes
            raise McpError(_fault_of(error, noted)) from error

    async def _entered(self, stack: AsyncExitStack, server: McpServer, noted: Exchange) -> "_Connection":
        try:
            http = await stack.enter_async_context(self._http(server, listens=False))
            transport = streamable_http_client(
                server.url, http_client=http, max_sse_event_size=self._bounds.reply_bytes
            )
            client = await stack.enter_async_context(Client(transport, cache=None))
            return _Connection(client, listens=False, bounds=self._bounds)
        except Exception as error:
            if noted.fault is None or noted.fault.code not in _NO_STREAMABLE:
                raise McpError(_fault_of(error, noted)) from error
        first = noted.fault

        def http_client(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
            return self._http(server, listens=True)

        try:
            transport = sse_client(server.url, httpx_client_factory=http_client)
            client = await stack.enter_async_context(Client(transport, mode="legacy", cache=None))
        except Exception as error:
            raise McpError(first) from error
        return _Connection(client, listens=True, bounds=self._bounds)

    def _http(self, server: McpServer, *, listens: bool) -> httpx2.AsyncClient:
        bounds = self._bounds
        transport = ServerTransport(
            httpx2.URL(server.url),
            resolve=self._resolve,
            named=self._named,
            bounds=bounds,
            listens=listens,
            tls=self._tls,
        )
        headers = {"user-agent": "antiphon", **dict(server.headers)}
        if server.authorization is not None:
            token = server.authorization
            headers["authorization"] = token if token[:7].lower() == "bearer " else f"Bearer {token}"
        timeout = httpx2.Timeout(bounds.read_s, connect=bounds.connect_s, read=None if listens else bounds.read_s)
        return httpx2.AsyncClient(transport=transport, headers=headers, timeout=timeout, trust_env=False)


class _Connection:
    def __init__(self, client: Client, *, listens: bool, bounds: HttpBounds) -> None:
        # By itself the package checks each result against a schema of the server's own, whose patterns could keep the
        # event loop busy for ever. A result is text for a model, whatever its form.
        client.session.validate_tool_result = _taken_as_it_is  # type: ignore[method-assign]
        self._client = client
        self._listens = listens
        self._bounds = bounds

    async def list_tools(self) -> Sequence[McpToolInfo]:
        """Once there are more than may be used nothing further is listed."""
        tools: list[McpToolInfo] = []
        cursor: str | None = None
        room = self._bounds.reply_bytes
        for _ in range(_PAGES):
            page = await self._asked(self._client.list_tools(cursor=cursor))
            found = [_tool_info(tool) for tool in page.tools]
            room -= len(repr(found))
            if room < 0:
                raise McpError(McpFault("http", "The server's list of tools is too large."))
            tools += found
            cursor = page.next_cursor
            if not cursor or len(tools) > self._bounds.tools:
                return tools
        raise McpError(McpFault("protocol", f"The server's list of tools has more than {_PAGES} pages."))

    async def call_tool(self, name: str, arguments: Mapping[str, Any]) -> str:
        result = await self._asked(self._client.call_tool(name, dict(arguments)))
        text = _text_of(result)
        if result.is_error:
            raise McpError(McpFault("tool", text or "The tool failed."))
        return text

    async def _asked(self, question: Coroutine[Any, Any, _T]) -> _T:
        noted = Exchange()
        exchange.set(noted)
        try:
            return await (_or_fault(question, noted) if self._listens else question)
        except McpError:
            raise
        except Exception as error:
            raise McpError(_fault_of(error, noted)) from error


async def _taken_as_it_is(name: str, result: types.CallToolResult) -> None:
    pass


async def _or_fault(question: Coroutine[Any, Any, _T], noted: Exchange) -> _T:
    """The answer, unless its request fails: the elder transport would wait for it all the same."""
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(question, name="mcp answer")
        failure = tasks.create_task(noted.failed.wait(), name="mcp failure")
        await asyncio.wait((answer, failure), return_when=asyncio.FIRST_COMPLETED)
        answer.cancel()
        failure.cancel()
    if answer.cancelled() and noted.fault is not None:
        raise McpError(noted.fault)
    return answer.result()


def _fault_of(error: Exception, noted: Exchange) -> McpFault:
    if isinstance(error, ExceptionGroup):
        return _fault_of(error.exceptions[0], noted)
    answer = error if isinstance(error, MCPError) and error.code != types.PARSE_ERROR else None
    if answer is not None and (noted.fault is None or answer.code not in _OF_HTTP):
        return McpFault("protocol", answer.message or "The server refused.", answer.code)
    if noted.fault is not None:
        return noted.fault
    if isinstance(error, (MCPError, ValueError, RuntimeError)):
        # In the package's own words it would tell of our insides.
        return McpFault("protocol", _NOT_OF_THE_PROTOCOL, types.PARSE_ERROR)
    return McpFault("http", "The connection to the server is lost.")


# --- values --------------------------------------------------------------------------------------------------------


def _tool_info(tool: types.Tool) -> McpToolInfo:
    annotations = None
    if tool.annotations is not None:
        annotations = tool.annotations.model_dump(by_alias=True, exclude_none=True, mode="json")
    return McpToolInfo(tool.name, tool.input_schema, tool.description or "", annotations)


def _text_of(result: types.CallToolResult) -> str:
    """What a model can read of a result."""
    parts = [_block_text(block) for block in result.content]
    if not parts and result.structured_content is not None:
        return msgspec.json.encode(result.structured_content).decode()
    return "\n".join(parts)


def _block_text(block: types.ContentBlock) -> str:
    match block:
        case types.TextContent():
            return block.text
        case types.ImageContent() | types.AudioContent():
            return f"({block.type}, {block.mime_type})"
        case types.ResourceLink():
            return f"({block.name}: {block.uri})"
        case types.EmbeddedResource(resource=types.TextResourceContents() as resource):
            return resource.text
        case _:
            return "(data)"
