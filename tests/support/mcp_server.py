"""A real MCP server on the loopback interface, and ones that misbehave."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations

__all__ = [
    "App",
    "RunningServer",
    "Scope",
    "answering",
    "endless_events",
    "running_app",
    "running_mcp_server",
    "served_mcp",
    "silence",
    "tools_server",
]

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@dataclass
class RunningServer:
    port: int
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers of what came."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


def tools_server(stopped: asyncio.Event | None = None, begun: asyncio.Event | None = None) -> MCPServer:
    """Tools that work, fail, are slow and say too much; the events say of the slow one that it is called, cancelled."""
    server = MCPServer("tools", log_level="CRITICAL")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def find(city: str) -> str:
        """The weather of a city."""
        return f"It rains in {city}."

    @server.tool()
    def fail() -> str:
        """Always fails."""
        raise ToolError("no luck")

    @server.tool()
    async def slow() -> str:
        """Never comes back."""
        if begun is not None:
            begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if stopped is not None:
                stopped.set()
            raise
        return ""

    @server.tool()
    def long(size: int) -> str:
        """Says much."""
        return "x" * size

    return server


def answering(results: Mapping[str, Any]) -> App:
    """A server that gives these results by method, whatever the protocol has to say of them."""

    async def app(scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        question = json.loads(body or b"{}")
        status, answer = (202, b"") if "id" not in question else (200, json.dumps(_answer(question, results)).encode())
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": answer})

    return app


def _answer(question: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    answer = {"jsonrpc": "2.0", "id": question["id"]}
    if question["method"] == "initialize":
        version = question["params"]["protocolVersion"]
        server = {"name": "answering", "version": "1"}
        return {**answer, "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}}
    if question["method"] in results:
        return {**answer, "result": results[question["method"]]}
    return {**answer, "error": {"code": -32601, "message": "There is no such method."}}


@asynccontextmanager
async def running_app(app: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[RunningServer]:
    """An ASGI application on a free port; what it is asked is noted."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as a server has it that listens by itself
    running = RunningServer(listener.getsockname()[1])

    async def noting(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            running.requests.append((scope["method"], scope["path"], headers))
        await app(scope, receive, send)

    config = uvicorn.Config(
        noting,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=0,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(server.serve([listener]))
        await server.listening.wait()
        try:
            yield running
        finally:
            server.should_exit = True
            server.force_exit = True
            await asyncio.wait([task], timeout=5)
            task.cancel()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@asynccontextmanager
async def running_mcp_server(
    server: MCPServer | None = None,
    *,
    kind: str = "http",
    instead: Mapping[str, App] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RunningServer]:
    """``kind``: "http" at /mcp, "json" the same with plain JSON replies, "sse" the elder transport at /sse.

    ``instead`` answers the methods of the protocol that it names.
    """
    server = server or tools_server()
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = (
        server.sse_app(transport_security=security)
        if kind == "sse"
        else server.streamable_http_app(json_response=kind == "json", transport_security=security)
    )
    async with running_app(_bent(app, instead or {}), tls) as running:
        yield running


def _bent(app: Any, instead: Mapping[str, App]) -> App:
    async def bent(scope: Scope, receive: Any, send: Any) -> None:
        method = dict(scope["headers"]).get(b"mcp-method", b"") if scope["type"] == "http" else b""
        await instead.get(method.decode(), app)(scope, receive, send)

    return bent


def endless_events(data: bytes, pause_s: float) -> App:
    """Begins an answer and sends ``data`` again and again."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while True:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            await asyncio.sleep(pause_s)

    return app


async def silence(scope: Scope, receive: Any, send: Any) -> None:
    """Answers nothing."""
    while (await receive())["type"] != "http.disconnect":
        pass


@contextmanager
def served_mcp() -> Iterator[RunningServer]:
    """The same in a thread of its own, for tests whose servers are processes."""
    found: list[tuple[RunningServer, asyncio.AbstractEventLoop, asyncio.Event]] = []
    listening = threading.Event()

    async def main() -> None:
        over = asyncio.Event()
        async with running_mcp_server() as running:
            found.append((running, asyncio.get_running_loop(), over))
            listening.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert listening.wait(20), "the MCP server did not start"
    running, loop, over = found[0]
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)
