"""Functions and MCP tools as the model is offered them: unique, legal names, and a choice that can be made."""

import json
from typing import Any

import pytest

from antiphon.core.config import realtime_session
from antiphon.core.limits import Limits
from antiphon.core.mcp_definitions import defined_servers
from antiphon.core.response_plan import plan_response
from antiphon.core.session_update import updated_session
from antiphon.core.tool_offer import OfferedTool, ToolOffer, tool_offer
from antiphon.protocol.client_events import SessionUpdate
from antiphon.protocol.codec import decode_client_event
from antiphon.protocol.response import ResponseOverrides
from antiphon.protocol.session_config import RealtimeSession, RealtimeSessionUpdate
from antiphon.vocabulary.llm import NamedTool, ToolSpec
from antiphon.vocabulary.mcp import McpToolInfo

LIMITS = Limits(mcp_hosts=("tools.example.com",))
LOOK = {"type": "function", "name": "look", "description": "Look", "parameters": {"type": "object"}}


def mcp(label: str = "s", **fields: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": label, "server_url": "https://tools.example.com", **fields}


def offer(tools: list[Any], choice: Any = "auto", listed: dict[str, list[str]] | None = None) -> ToolOffer:
    """``listed``: the tools of each server."""
    body = {"type": "realtime", "tools": tools, "tool_choice": choice}
    event = decode_client_event(json.dumps({"type": "session.update", "session": body})).event
    assert isinstance(event, SessionUpdate)
    assert isinstance(event.session, RealtimeSessionUpdate)
    current = realtime_session(id="s", model="m", created_at_unix_s=0, max_s=1)
    session = updated_session(current, event.session, LIMITS, voice_frozen=False)
    assert isinstance(session, RealtimeSession)
    definitions = defined_servers(event.session.tools or [], {}, LIMITS, "session.tools")
    offered = [
        OfferedTool(definitions[label], McpToolInfo(name, {"type": "object"}, f"Does {name}"))
        for label, names in (listed or {}).items()
        for name in names
    ]
    return tool_offer(plan_response(session, ResponseOverrides(), LIMITS), offered)


def test_a_function_is_offered_as_it_was_given() -> None:
    bare = {"type": "function", "name": "bare"}
    assert offer([LOOK, bare]).specs == (
        ToolSpec("look", "Look", {"type": "object"}),
        ToolSpec("bare", "", {"type": "object", "properties": {}}),
    )


def test_an_mcp_tool_is_offered_with_its_description_and_its_servers() -> None:
    specs = offer([mcp(server_description="Of the city.")], listed={"s": ["find"]}).specs
    assert specs == (ToolSpec("find", "Does find Of the city.", {"type": "object"}),)


@pytest.mark.parametrize(
    ("rule", "tools", "listed", "names"),
    [
        ("a legal and free name stays", [LOOK, mcp()], {"s": ["find"]}, ["look", "find"]),
        ("a function comes first", [LOOK, mcp()], {"s": ["look"]}, ["look", "s_look"]),
        ("two servers", [mcp("a"), mcp("b")], {"a": ["find"], "b": ["find"]}, ["find", "b_find"]),
        ("no legal name", [mcp("a.b")], {"a.b": ["find it", "find.it"]}, None),
        ("a long name", [mcp()], {"s": ["x" * 100, "x" * 99]}, None),
    ],
)
def test_names_are_legal_and_unique(
    rule: str, tools: list[Any], listed: dict[str, list[str]], names: list[str] | None
) -> None:
    made = offer(tools, listed=listed)
    found = [spec.name for spec in made.specs]
    assert names is None or found == names, rule
    assert len(set(found)) == len(found)
    assert all(1 <= len(name) <= 64 and name.replace("_", "").replace("-", "").isalnum() for name in found), found
    assert sorted(made.names) == sorted((label, name) for label, those in listed.items() for name in those)


@pytest.mark.parametrize(
    ("tools", "listed", "choice", "expected", "offered"),
    [
        ([LOOK], {}, "auto", "auto", ["look"]),
        ([LOOK], {}, "none", "none", ["look"]),
        ([LOOK], {}, "required", "required", ["look"]),
        ([], {}, "required", "auto", []),
        ([mcp()], {}, "required", "auto", []),
        ([mcp()], {"s": ["find"]}, "required", "required", ["find"]),
        ([LOOK], {}, {"type": "function", "name": "look"}, NamedTool("look"), ["look"]),
        ([], {}, {"type": "function", "name": "look"}, "auto", []),
        ([mcp()], {"s": ["look"]}, {"type": "function", "name": "look"}, "auto", ["look"]),
        ([mcp()], {}, {"type": "mcp", "server_label": "s"}, "auto", []),
        ([LOOK, mcp()], {"s": ["a", "b"]}, {"type": "mcp", "server_label": "s"}, "required", ["a", "b"]),
        ([LOOK, mcp()], {"s": ["a", "b"]}, {"type": "mcp", "server_label": "s", "name": "b"}, NamedTool("b"), ["b"]),
        ([LOOK, mcp()], {"s": ["a"]}, {"type": "mcp", "server_label": "s", "name": "c"}, "auto", ["look", "a"]),
    ],
)
def test_the_model_is_asked_only_for_what_it_can_do(
    tools: list[Any], listed: dict[str, list[str]], choice: Any, expected: Any, offered: list[str]
) -> None:
    made = offer(tools, choice, listed)
    assert made.choice == expected
    assert [spec.name for spec in made.specs] == offered
