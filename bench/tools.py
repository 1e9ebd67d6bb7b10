"""Calls of tools: through the server, and by the client of MCP servers alone."""

import asyncio
import json
import statistics
import time
from collections.abc import Sequence

from antiphon.mcp_client.addresses import named_networks
from antiphon.mcp_client.client import HttpMcpClient
from antiphon.vocabulary.mcp import McpServer
from bench.client import Client, connected
from tests.support.mcp_server import RunningServer, served_mcp
from tests.support.server import ServerProcess, running_server

__all__ = ["tools"]

_ARGUMENTS = {"city": "Bonn"}


def tools(calls: int) -> Sequence[Sequence[str]]:
    """A tool that answers at once, at a server of the official package on this machine."""
    with served_mcp() as mcp:
        with running_server(["--engine", "scripted", "--set", f"mcp.allowed_hosts={mcp.host}"]) as server:
            through = asyncio.run(_through(server, mcp, calls))
        alone = asyncio.run(_alone(mcp, calls))
    return [("through the server", _summary(through)), ("by the client alone", _summary(alone))]


def _summary(values_ms: Sequence[float]) -> str:
    return f"{statistics.median(values_ms):.1f} ({min(values_ms):.1f} to {max(values_ms):.1f})"


async def _through(server: ServerProcess, mcp: RunningServer, calls: int) -> list[float]:
    tool = {
        "type": "mcp",
        "server_label": "weather",
        "server_url": f"http://{mcp.host}/mcp",
        "require_approval": "never",
    }
    async with connected(server.websocket_url) as client:
        await client.send(
            type="session.update", session={"type": "realtime", "output_modalities": ["text"], "tools": [tool]}
        )
        await client.until("mcp_list_tools.completed")
        await client.until("conversation.item.done")
        times = [await _call(client) for _ in range(calls + 2)]
    return times[2:]


async def _call(client: Client) -> float:
    content = [{"type": "input_text", "text": f"call find {json.dumps(_ARGUMENTS)}"}]
    await client.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await client.until("conversation.item.done")
    await client.send(type="response.create")
    began = await client.until("response.mcp_call.in_progress")
    ended = await client.until("response.mcp_call.completed")
    await client.until("response.done")
    return (ended - began) * 1000


async def _alone(mcp: RunningServer, calls: int) -> list[float]:
    client = HttpMcpClient(named_networks(["127.0.0.1"], []))
    times = []
    async with client.connect(McpServer(f"http://{mcp.host}/mcp")) as connection:
        for _ in range(calls + 2):
            began = time.perf_counter()
            await connection.call_tool("find", _ARGUMENTS)
            times.append((time.perf_counter() - began) * 1000)
    return times[2:]
