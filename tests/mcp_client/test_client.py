"""The client against real MCP servers and hostile ones, over loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp.server.mcpserver import MCPServer

from antiphon.mcp_client.addresses import named_networks
from antiphon.mcp_client.client import HttpMcpClient
from antiphon.mcp_client.http import HttpBounds
from antiphon.runtime.mcp_work import McpConnection
from antiphon.vocabulary.mcp import McpError, McpFault, McpServer
from tests.support.mcp_server import answering, running_app, running_mcp_server, tools_server

LOOPBACK = named_networks(["127.0.0.1"], [])
KINDS = [("http", "/mcp"), ("json", "/mcp"), ("sse", "/sse")]


def run(main: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await main

    return asyncio.run(bounded())


def client(**bounds: Any) -> HttpMcpClient:
    return HttpMcpClient(LOOPBACK, bounds=HttpBounds(**bounds))


@asynccontextmanager
async def connected(
    kind: str, path: str, server: MCPServer | None = None, **bounds: Any
) -> AsyncIterator[McpConnection]:
    async with (
        running_mcp_server(server, kind=kind) as running,
        client(**bounds).connect(McpServer(f"http://{running.host}{path}")) as connection,
    ):
        yield connection


async def fault_of(question: Awaitable[Any]) -> McpFault:
    with pytest.raises(McpError) as raised:
        await question
    return raised.value.fault


@pytest.mark.parametrize(("kind", "path"), KINDS)
def test_tools_are_listed_and_called(kind: str, path: str) -> None:
    async def main() -> None:
        async with connected(kind, path) as connection:
            tools = {tool.name: tool for tool in await connection.list_tools()}
            assert list(tools) == ["find", "fail", "slow", "long"]
            assert tools["find"].description == "The weather of a city."
            assert tools["find"].read_only
            assert not tools["fail"].read_only
            assert tools["find"].input_schema["properties"]["city"]["type"] == "string"
            assert await connection.call_tool("find", {"city": "Bonn"}) == "It rains in Bonn."

    run(main())


@pytest.mark.parametrize(("kind", "path"), KINDS)
def test_a_failure_of_a_tool_is_the_tools(kind: str, path: str) -> None:
    async def main() -> None:
        async with connected(kind, path) as connection:
            fault = await fault_of(connection.call_tool("fail", {}))
            assert fault.kind == "tool"
            assert "no luck" in fault.message
            assert await connection.call_tool("find", {"city": "Bonn"}) == "It rains in Bonn."

    run(main())


@pytest.mark.parametrize(("kind", "path"), KINDS)
def test_a_reply_that_is_too_large_fails_alone(kind: str, path: str) -> None:
    async def main() -> None:
        async with connected(kind, path, reply_bytes=50_000) as connection:
            fault = await fault_of(connection.call_tool("long", {"size": 1_000_000}))
            assert fault.kind in ("http", "protocol")
            if kind != "sse":
                assert await connection.call_tool("find", {"city": "Bonn"}) == "It rains in Bonn."

    run(main())


@pytest.mark.parametrize(("kind", "path"), [KINDS[0], KINDS[2]])
def test_a_call_that_is_cancelled_is_cancelled_at_the_server(kind: str, path: str) -> None:
    async def main() -> None:
        stopped = asyncio.Event()
        async with connected(kind, path, tools_server(stopped)) as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await connection.call_tool("slow", {})
            await stopped.wait()
            assert await connection.call_tool("find", {"city": "Bonn"}) == "It rains in Bonn."

    run(main())


@pytest.mark.parametrize(("kind", "path"), KINDS)
def test_credentials_arrive_with_every_request(kind: str, path: str) -> None:
    async def main() -> None:
        async with running_mcp_server(kind=kind) as server:
            to = McpServer(f"http://{server.host}{path}", "token-1", (("x-tenant", "a b"),))
            async with client().connect(to) as connection:
                await connection.call_tool("find", {"city": "Bonn"})
            assert server.requests
            for _, _, headers in server.requests:
                assert headers["authorization"] == "Bearer token-1"
                assert headers["x-tenant"] == "a b"
                assert headers["host"] == server.host
                assert headers["accept-encoding"] == "identity"

    run(main())


@asynccontextmanager
async def answered(results: dict[str, Any], **bounds: Any) -> AsyncIterator[McpConnection]:
    """A connection to a server that answers so."""
    async with (
        running_app(answering(results)) as running,
        client(**bounds).connect(McpServer(f"http://{running.host}/mcp")) as connection,
    ):
        yield connection


def tool(name: str = "find", **fields: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **fields}


def test_a_result_is_not_checked_by_the_patterns_of_a_server() -> None:
    async def main() -> None:
        # To look for this pattern in this text takes longer than the sun will shine.
        schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
        result = {"content": [{"type": "text", "text": "It rains."}], "structuredContent": {"a": "a" * 64 + "!"}}
        tools = {"tools": [tool(outputSchema=schema)]}
        async with answered({"tools/list": tools, "tools/call": result}) as connection:
            await connection.list_tools()
            assert await connection.call_tool("find", {}) == "It rains."

    run(main())


@pytest.mark.parametrize("result", [None, {"content": [{"type": "text", "text": "\ud800"}]}], ids=["none", "surrogate"])
def test_an_answer_that_is_not_of_the_protocol_fails_in_our_own_words(result: Any) -> None:
    async def main() -> None:
        async with answered({"tools/list": {"tools": [tool()]}, "tools/call": result}) as connection:
            fault = await fault_of(connection.call_tool("find", {}))
            assert fault == McpFault("protocol", "The server's answer is not of the protocol.", -32700)

    run(main())


def test_pages_that_are_too_large_together_fail() -> None:
    async def main() -> None:
        page = {"tools": [tool(description="x" * 9_000)], "nextCursor": "more"}
        async with answered({"tools/list": page}, reply_bytes=20_000) as connection:
            fault = await fault_of(connection.list_tools())
            assert fault == McpFault("http", "The server's list of tools is too large.")

    run(main())


def test_a_list_that_is_too_long_is_not_read_to_its_end() -> None:
    async def main() -> None:
        page = {"tools": [tool(f"tool_{index}") for index in range(3)], "nextCursor": "more"}
        async with answered({"tools/list": page}, tools=7) as connection:
            assert len(await connection.list_tools()) == 9

    run(main())
