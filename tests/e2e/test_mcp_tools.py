"""The official Python client, a server process and a real MCP server: lists, calls, approvals and failures."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from openai.types.realtime import RealtimeToolsConfigUnionParam

from tests.support.mcp_server import RunningServer, served_mcp
from tests.support.official_client import Client, connected
from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Pair:
    server: ServerProcess
    tools: RunningServer


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with served_mcp() as tools:
        flags = ["--engine", "scripted", "--set", f"mcp.allowed_hosts={tools.host}", "--set", "mcp.call_s=0.5"]
        with running_server(flags) as server:
            yield Pair(server, tools)


Scenario = Callable[[Client, RunningServer], Awaitable[None]]


async def listed(client: Client, tools: RunningServer, approval: Literal["always", "never"] = "never") -> None:
    tool: RealtimeToolsConfigUnionParam = {
        "type": "mcp",
        "server_label": "weather",
        "server_url": f"http://{tools.host}/mcp",
        "require_approval": approval,
    }
    await client.connection.session.update(session={"type": "realtime", "output_modalities": ["text"], "tools": [tool]})
    await client.until("mcp_list_tools.completed")
    item = (await client.until("conversation.item.done"))["item"]
    assert [tool["name"] for tool in item["tools"]] == ["find", "fail", "slow", "long"]


async def answered(client: Client, words: str) -> dict[str, Any]:
    """The first item of the response to these words."""
    await client.say(words)
    await client.connection.response.create()
    done = (await client.until("response.done"))["response"]
    assert done["status"] == "completed"
    item: dict[str, Any] = done["output"][0]
    return item


async def the_model_is_told(client: Client, words: str) -> None:
    await client.connection.response.create()
    done = (await client.until("response.done"))["response"]
    assert words in done["output"][0]["content"][0]["text"]


async def a_call(client: Client, tools: RunningServer) -> None:
    await listed(client, tools)
    call = await answered(client, 'call find {"city": "Bonn"}')
    assert (call["type"], call["server_label"], call["name"]) == ("mcp_call", "weather", "find")
    assert json.loads(call["arguments"]) == {"city": "Bonn"}
    assert call["output"] == "It rains in Bonn."
    assert [one for one in client.types if "mcp" in one] == [
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
        "response.mcp_call.completed",
    ]
    await the_model_is_told(client, "The tool says: It rains in Bonn.")


async def an_approved_call(client: Client, tools: RunningServer) -> None:
    request = await asked(client, tools)
    await answer(client, request, approve=True)
    await client.until("response.mcp_call.completed")
    assert (await client.until("conversation.item.done"))["item"]["output"] == "It rains in Bonn."
    await the_model_is_told(client, "The tool says: It rains in Bonn.")


async def a_call_that_is_not_approved(client: Client, tools: RunningServer) -> None:
    request = await asked(client, tools)
    await answer(client, request, approve=False)
    await client.until("response.mcp_call.failed")
    error = (await client.until("conversation.item.done"))["item"]["error"]
    assert error == {"type": "tool_execution_error", "message": "The call was not approved: not now"}
    await the_model_is_told(client, "not approved")


async def asked(client: Client, tools: RunningServer) -> dict[str, Any]:
    await listed(client, tools, "always")
    assert (await answered(client, 'call find {"city": "Bonn"}')).get("output") is None
    assert "response.mcp_call.in_progress" not in client.types
    items = [event["item"] for event in client.events if event["type"] == "conversation.item.done"]
    request: dict[str, Any]
    (request,) = [item for item in items if item["type"] == "mcp_approval_request"]
    return request


async def answer(client: Client, request: dict[str, Any], *, approve: bool) -> None:
    await client.connection.conversation.item.create(
        item={
            "type": "mcp_approval_response",
            "id": "answer_1",
            "approval_request_id": request["id"],
            "approve": approve,
            "reason": "not now",
        }
    )


async def calls_that_fail(client: Client, tools: RunningServer) -> None:
    await listed(client, tools)
    error = (await answered(client, "call fail"))["error"]
    assert error["type"] == "tool_execution_error"
    assert "no luck" in error["message"]
    await the_model_is_told(client, "no luck")
    error = (await answered(client, "call slow"))["error"]
    assert error == {"type": "http_error", "code": 0, "message": "The server did not answer within 0.5 s."}
    assert (await answered(client, 'call find {"city": "Bonn"}'))["output"] == "It rains in Bonn."
    assert client.types.count("response.mcp_call.failed") == 2


async def a_server_that_is_not_there(client: Client, tools: RunningServer) -> None:
    tool: RealtimeToolsConfigUnionParam = {
        "type": "mcp",
        "server_label": "gone",
        "server_url": f"http://{tools.host}/gone",
    }
    await client.connection.session.update(session={"type": "realtime", "tools": [tool]})
    await client.until("mcp_list_tools.failed")
    assert (await client.until("error"))["error"]["code"] == "mcp_list_tools_failed"
    tool = {"type": "mcp", "server_label": "other", "server_url": "http://127.0.0.1:9/mcp"}
    await client.connection.session.update(session={"type": "realtime", "tools": [tool]})
    assert (await client.until("error"))["error"]["param"] == "session.tools[0].server_url"
    await listed(client, tools)
    assert (await answered(client, 'call find {"city": "Bonn"}'))["output"] == "It rains in Bonn."


@pytest.mark.parametrize(
    "scenario",
    [a_call, an_approved_call, a_call_that_is_not_approved, calls_that_fail, a_server_that_is_not_there],
    ids=lambda scenario: scenario.__name__,
)
def test_the_official_client_and_an_mcp_server(pair: Pair, scenario: Scenario) -> None:
    async def run() -> None:
        async with connected(pair.server) as client:
            await scenario(client, pair.tools)

    asyncio.run(run())
