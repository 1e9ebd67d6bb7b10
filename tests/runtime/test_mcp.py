"""Sessions with tools of a real MCP server: lists, calls, failures, their ends, and what stays secret."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.limits import Limits
from antiphon.core.stored_prompts import StoredPrompt
from antiphon.mcp_client.addresses import named_networks
from antiphon.mcp_client.client import HttpMcpClient
from antiphon.mcp_client.http import HttpBounds
from antiphon.protocol.codec import decode_body
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import PromptReference, RealtimeSessionUpdate
from antiphon.runtime.recorder import Replay
from antiphon.runtime.settings import RuntimeSettings
from tests.support.mcp_server import (
    App,
    RunningServer,
    endless_events,
    running_mcp_server,
    silence,
    tools_server,
)
from tests.support.relay import relay_to
from tests.support.runtime import Client, Noted, Server, serving

SECRET = "token-of-the-user-7f3a"
HEADER = "tenant-secret-91cc"


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await main

    asyncio.run(bounded())


@asynccontextmanager
async def with_tools(
    stopped: asyncio.Event | None = None, instead: Mapping[str, App] | None = None, **settings: Any
) -> AsyncIterator[tuple[Server, Client, RunningServer]]:
    """A session beside an MCP server that it may use."""
    limits = settings.pop("limits", {})
    bounds = HttpBounds(**settings.pop("bounds", {}))
    async with running_mcp_server(tools_server(stopped), instead=instead) as tools:
        runtime = RuntimeSettings(limits=Limits(**{"mcp_hosts": (tools.host,), **limits}), **settings)
        client = HttpMcpClient(named_networks(["127.0.0.1"], []), bounds=bounds)
        async with serving(settings=runtime, mcp=client) as server:
            yield server, await server.connect(), tools


def tool(tools: RunningServer, **fields: Any) -> dict[str, Any]:
    return {
        "type": "mcp",
        "server_label": "tools",
        "server_url": f"http://{tools.host}/mcp",
        "require_approval": "never",
        **fields,
    }


def noted(server: Server) -> Noted:
    assert isinstance(server.observer, Noted)
    return server.observer


async def listed(client: Client, tools: RunningServer, **fields: Any) -> None:
    client.update(output_modalities=["text"], tools=[tool(tools, **fields)])
    await client.until("mcp_list_tools.completed")
    await client.until("conversation.item.done")


def test_a_call_is_made_and_its_output_answers_the_next_response() -> None:
    async def main() -> None:
        async with with_tools() as (_, client, tools):
            await listed(client, tools)
            client.ask('call find {"city": "Bonn"}')
            done = await client.until("response.done")
            assert done["response"]["output"][0]["output"] == "It rains in Bonn."
            client.say("response.create")
            done = await client.until("response.done", 2)
            assert done["response"]["output"][0]["content"][0]["text"] == "The tool says: It rains in Bonn."

    run(main())


def test_a_call_waits_for_approval_and_is_made_then() -> None:
    async def main() -> None:
        async with with_tools() as (_, client, tools):
            await listed(client, tools, require_approval="always")
            client.ask('call find {"city": "Bonn"}')
            await client.until("response.done")
            assert not client.of_type("response.mcp_call.in_progress")
            items = [event["item"] for event in client.of_type("conversation.item.done")]
            (request,) = [item for item in items if item["type"] == "mcp_approval_request"]
            answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
            client.say("conversation.item.create", item=answer)
            await client.until("response.mcp_call.completed")
            (call,) = [
                event["item"]
                for event in client.of_type("conversation.item.done")
                if event["item"]["type"] == "mcp_call"
            ]
            assert call["output"] == "It rains in Bonn."

    run(main())


@pytest.mark.parametrize(
    ("words", "kind", "why"),
    [
        ("call fail", {"type": "tool_execution_error"}, "no luck"),
        ("call slow", {"type": "http_error", "code": 0}, "The server did not answer within 0.5 s."),
        ('call find {"town": 1}', {"type": "tool_execution_error"}, "city"),
    ],
)
def test_a_call_that_fails_tells_why_and_the_response_completes(words: str, kind: dict[str, Any], why: str) -> None:
    async def main() -> None:
        async with with_tools(limits={"mcp_call_s": 0.5}) as (_, client, tools):
            await listed(client, tools)
            client.ask(words)
            done = await client.until("response.done")
            assert done["response"]["status"] == "completed"
            error = done["response"]["output"][0]["error"]
            assert why in error.pop("message")
            assert error == kind
            assert await client.until("response.mcp_call.failed")

    run(main())


def test_an_output_that_is_too_long_is_cut() -> None:
    async def main() -> None:
        async with with_tools(limits={"mcp_output_bytes": 300}) as (_, client, tools):
            await listed(client, tools)
            client.ask('call long {"size": 5000}')
            done = await client.until("response.done")
            output = done["response"]["output"][0]["output"]
            assert output == "x" * 300 + "\n[cut here: 5000 bytes in all]"

    run(main())


def test_cancelling_the_response_cancels_the_call_at_its_server() -> None:
    async def main() -> None:
        stopped = asyncio.Event()
        async with with_tools(stopped) as (_, client, tools):
            await listed(client, tools)
            client.ask("call slow")
            await client.until("response.mcp_call.in_progress")
            client.say("response.cancel")
            done = await client.until("response.done")
            assert done["response"]["status"] == "cancelled"
            await stopped.wait()

    run(main())


def test_the_end_of_the_session_ends_the_call_and_the_connection() -> None:
    async def main() -> None:
        stopped = asyncio.Event()
        async with with_tools(stopped) as (server, client, tools):
            await listed(client, tools)
            client.ask("call slow")
            await client.until("response.mcp_call.in_progress")
            client.hang_up()
            await server.all_ended()
            await stopped.wait()

    run(main())


def test_a_server_is_connected_to_once_in_a_session() -> None:
    async def main() -> None:
        async with with_tools() as (_, client, tools):
            await listed(client, tools)
            for number in (1, 2):
                client.ask('call find {"city": "Bonn"}')
                await client.until("response.done", number)
            asked = [headers.get("mcp-method") for _, _, headers in tools.requests]
            assert asked == ["server/discover", "tools/list", "tools/call", "tools/call"]

    run(main())


def test_a_server_that_is_away_fails_the_list_with_a_reason() -> None:
    async def main() -> None:
        async with with_tools() as (_, client, tools):
            client.update(tools=[{**tool(tools), "server_url": f"http://{tools.host}/elsewhere"}])
            await client.until("mcp_list_tools.failed")
            error = await client.until("error")
            assert error["error"]["code"] == "mcp_list_tools_failed"
            assert "404" in error["error"]["message"]

    run(main())


def test_a_server_that_dies_in_a_call_fails_it_and_the_next_call_connects_anew() -> None:
    async def main() -> None:
        begun = asyncio.Event()
        async with running_mcp_server(tools_server(begun=begun)) as tools:
            with relay_to(tools.port) as relay:
                host = f"127.0.0.1:{relay.port}"
                settings = RuntimeSettings(limits=Limits(mcp_hosts=(host,)))
                mcp = HttpMcpClient(named_networks(["127.0.0.1"], []))
                async with serving(settings=settings, mcp=mcp) as server:
                    client = await server.connect()
                    await listed(client, tools, server_url=f"http://{host}/mcp")
                    client.ask("call slow")
                    await begun.wait()
                    relay.cut()
                    done = await client.until("response.done")
                    assert done["response"]["status"] == "completed"
                    assert done["response"]["output"][0]["error"] == {
                        "type": "http_error",
                        "code": 0,
                        "message": "The server broke the connection.",
                    }
                    client.ask('call find {"city": "Bonn"}')
                    done = await client.until("response.done", 2)
                    assert done["response"]["output"][0]["output"] == "It rains in Bonn."
                    assert noted(server).mcp == [("list", "done"), ("call", "http"), ("call", "done")]

    run(main())


@pytest.mark.parametrize(
    ("data", "pause_s", "message"),
    [
        (b": " + b"x" * 4096 + b"\n\n", 0.0, "too large"),
        (b": still there\n\n", 0.01, "did not answer within 0.5 s"),
    ],
)
def test_a_stream_without_end_or_result_is_bounded_in_size_and_time(data: bytes, pause_s: float, message: str) -> None:
    async def main() -> None:
        instead = {"tools/call": endless_events(data, pause_s)}
        limits, bounds = {"mcp_call_s": 0.5 if pause_s else 10.0}, {"reply_bytes": 200_000}
        async with with_tools(instead=instead, limits=limits, bounds=bounds) as (server, client, tools):
            await listed(client, tools)
            client.ask('call find {"city": "Bonn"}')
            done = await client.until("response.done")
            assert message in done["response"]["output"][0]["error"]["message"]
            client.ask("hello")
            done = await client.until("response.done", 2)
            assert done["response"]["output"][0]["content"][0]["text"] == "You said: hello"
            assert noted(server).mcp == [("list", "done"), ("call", "http")]

    run(main())


def test_a_list_that_hangs_fails_in_time() -> None:
    async def main() -> None:
        async with with_tools(instead={"tools/list": silence}, limits={"mcp_list_s": 0.5}) as (server, client, tools):
            client.update(output_modalities=["text"], tools=[tool(tools)])
            await client.until("mcp_list_tools.failed")
            error = (await client.until("error"))["error"]
            assert "did not answer within 0.5 s" in error["message"]
            client.ask("hello")
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            assert noted(server).mcp == [("list", "http")]

    run(main())


def bound_to(tools: RunningServer, **fields: Any) -> RealtimeSessionUpdate:
    """What a client secret binds."""
    body = {"type": "realtime", "output_modalities": ["text"], "tools": [tool(tools, **fields)]}
    return decode_body(json.dumps(body), RealtimeSessionUpdate).event


def test_tools_that_a_secret_binds_are_listed_at_once_and_their_credentials_are_not_shown(tmp_path: Path) -> None:
    async def main() -> None:
        async with with_tools(record_dir=str(tmp_path)) as (server, _, tools):
            bound = bound_to(tools, authorization=SECRET, headers={"X-Tenant": HEADER})
            client = await server.connect(bound=bound)
            (shown,) = client.of_type("session.created")[0]["session"]["tools"]
            assert shown == tool(tools)
            await client.until("mcp_list_tools.completed")
            await client.until("conversation.item.done")
            client.ask('call find {"city": "Bonn"}')
            done = await client.until("response.done")
            assert done["response"]["output"][0]["output"] == "It rains in Bonn."
            assert {headers["authorization"] for _, _, headers in tools.requests} == {f"Bearer {SECRET}"}
            assert SECRET not in repr(server.sessions.new_session("realtime", "m", bound))
            assert not any(SECRET.encode() in frame for frame in client.frames)
            client.hang_up()

    run(main())
    assert not any(SECRET in log.read_text() or HEADER in log.read_text() for log in tmp_path.glob("*.jsonl"))


def test_tools_of_a_prompt_that_a_secret_refers_to_are_listed_at_once() -> None:
    async def main() -> None:
        async with running_mcp_server() as tools:
            stored = StoredPrompt("1", {"1": bound_to(tools)})
            runtime = RuntimeSettings(limits=Limits(mcp_hosts=(tools.host,)), prompts={"p": stored})
            client = HttpMcpClient(named_networks(["127.0.0.1"], []))
            async with serving(settings=runtime, mcp=client) as server:
                session = await server.connect(bound=RealtimeSessionUpdate(prompt=PromptReference(id="p")))
                await session.until("mcp_list_tools.completed")

    run(main())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"server_url": "http://other.example/mcp"}, "session.tools[0].server_url"),
        ({"server_url": None}, "session.tools[0].server_url"),
        ({"authorization": "a\r\nb"}, "session.tools[0].authorization"),
    ],
)
def test_tools_that_no_session_could_have_are_refused_before_one_begins(fields: dict[str, Any], param: str) -> None:
    async def main() -> None:
        async with with_tools() as (server, _, tools):
            with pytest.raises(ProtocolError) as caught:
                server.sessions.new_session("realtime", "m", bound_to(tools, **fields))
            assert caught.value.param == param

    run(main())


def test_credentials_reach_the_server_and_nobody_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    frames: list[bytes] = []

    async def main() -> None:
        async with with_tools(record_dir=str(tmp_path)) as (server, client, tools):
            headers = {"X-Tenant": HEADER}
            await listed(client, tools, authorization=SECRET, headers=headers)
            client.ask('call find {"city": "Bonn"}')
            await client.until("response.done")
            response = {"tools": [tool(tools, server_label="b", authorization=SECRET + "2", headers=headers)]}
            client.say("response.create", response=response)
            await client.until("response.done", 2)
            both = {"authorization": SECRET, "headers": {"Authorization": SECRET}}
            client.update(tools=[tool(tools, **both)])
            await client.until("error")
            client.update(tools=[tool(tools, headers={"X-A": f"{SECRET}\r\nX-B: {HEADER}"})])
            await client.until("error", 2)
            client.hang_up()
            await server.all_ended()
            frames.extend(client.frames)
            sent = [headers for _, _, headers in tools.requests]
            assert {headers["authorization"] for headers in sent} == {f"Bearer {SECRET}", f"Bearer {SECRET}2"}
            assert {headers["x-tenant"] for headers in sent} == {HEADER}

    run(main())
    (log,) = tmp_path.glob("*.jsonl")
    shown = b"".join(frames).decode() + log.read_text() + caplog.text
    assert '"mcp_list_tools"' in shown
    assert SECRET not in shown
    assert HEADER not in shown
    events = [json.loads(frame)["type"] for frame in frames]
    replayed = [output.event for call in Replay(log) for output in call.outputs if hasattr(output, "event")]
    assert [str(type(event).__struct_config__.tag) for event in replayed] == events


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"authorization": "a", "headers": {"authorization": "b"}}, "session.tools[0].authorization"),
        ({"authorization": "a\nb"}, "session.tools[0].authorization"),
        ({"authorization": ""}, "session.tools[0].authorization"),
        ({"headers": {"Host": "other"}}, "session.tools[0].headers"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "session.tools[0].headers"),
        ({"headers": {"Proxy-Authorization": "x"}}, "session.tools[0].headers"),
        ({"headers": {"A b": "x"}}, "session.tools[0].headers"),
        ({"headers": {"A": "x\r\nB: y"}}, "session.tools[0].headers"),
        ({"headers": {"A": "ü"}}, "session.tools[0].headers"),
        ({"headers": {"A": "x", "a": "y"}}, "session.tools[0].headers"),
        ({"headers": {f"A{n}": "x" for n in range(33)}}, "session.tools[0].headers"),
        ({"connector_id": "connector_gmail"}, "session.tools[0].connector_id"),
        ({"server_url": None, "connector_id": "connector_gmail"}, "session.tools[0].connector_id"),
        ({"server_url": None, "tunnel_id": "tunnel_1"}, "session.tools[0].tunnel_id"),
        ({"server_url": None}, "session.tools[0].server_url"),
    ],
)
def test_a_definition_that_cannot_be_used_is_refused_and_nobody_is_asked(fields: dict[str, Any], param: str) -> None:
    async def main() -> None:
        async with with_tools() as (_, client, tools):
            definition = {key: value for key, value in tool(tools, **fields).items() if value is not None}
            client.say("session.update", event_id="mine", session={"type": "realtime", "tools": [definition]})
            error = (await client.until("error"))["error"]
            assert (error["param"], error["event_id"]) == (param, "mine")
            assert not client.of_type("session.updated")
            assert not tools.requests

    run(main())
