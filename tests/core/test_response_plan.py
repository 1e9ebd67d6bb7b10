"""``response.create``: what a response takes from the session, and what it brings."""

import json
from typing import Any

import pytest

from antiphon.core.config import realtime_session
from antiphon.core.limits import Limits
from antiphon.core.response_plan import ResponsePlan, plan_response
from antiphon.core.session_update import updated_session
from antiphon.protocol.base import given
from antiphon.protocol.client_events import ResponseCreate, SessionUpdate
from antiphon.protocol.codec import decode_client_event
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.response import ResponseOverrides
from antiphon.protocol.session_config import RealtimeSession

TOOL = {"type": "function", "name": "look", "description": "Look", "parameters": {"type": "object"}}


def session(**changes: Any) -> RealtimeSession:
    current = realtime_session(id="s", model="m", created_at_unix_s=0, max_s=1, instructions="Session.")
    text = json.dumps({"type": "session.update", "session": {"type": "realtime", **changes}})
    event = decode_client_event(text).event
    assert isinstance(event, SessionUpdate)
    changed = updated_session(current, event.session, Limits(), voice_frozen=False)
    assert isinstance(changed, RealtimeSession)
    return changed


def plan(settings: RealtimeSession | None = None, limits: Limits | None = None, **overrides: Any) -> ResponsePlan:
    event = decode_client_event(json.dumps({"type": "response.create", "response": overrides})).event
    assert isinstance(event, ResponseCreate)
    return plan_response(settings or session(), given(event.response, ResponseOverrides()), limits or Limits())


@pytest.mark.parametrize(
    ("field", "changes", "overrides", "expected"),
    [
        ("modality", {}, {}, "audio"),
        ("modality", {"output_modalities": ["text"]}, {}, "text"),
        ("modality", {"output_modalities": ["text"]}, {"output_modalities": ["text", "audio"]}, "audio"),
        ("modality", {"output_modalities": ["text"]}, {"output_modalities": []}, "text"),
        ("modality", {"output_modalities": ["text"]}, {"output_modalities": None}, "text"),
        ("instructions", {}, {}, "Session."),
        ("instructions", {}, {"instructions": ""}, ""),
        ("instructions", {}, {"instructions": None}, "Session."),
        ("voice", {}, {"audio": {"output": {"voice": "ash"}}}, "ash"),
        ("voice", {"audio": {"output": {"voice": "ash"}}}, {"audio": {"output": {"voice": None}}}, "ash"),
        ("voice", {"audio": {"output": {"voice": "ash"}}}, {"audio": None}, "ash"),
        ("voice", {}, {"audio": {"output": {"voice": {"id": "voice_1"}}}}, "voice_1"),
        ("speed", {"audio": {"output": {"speed": 1.5}}}, {}, 1.5),
        ("max_output_tokens", {"max_output_tokens": 9}, {}, 9),
        ("max_output_tokens", {"max_output_tokens": 9}, {"max_output_tokens": "inf"}, "inf"),
        ("parallel_tool_calls", {}, {}, True),
        ("parallel_tool_calls", {"parallel_tool_calls": False}, {}, False),
        ("parallel_tool_calls", {"parallel_tool_calls": False}, {"parallel_tool_calls": True}, True),
        ("conversation", {}, {"conversation": None}, "auto"),
        ("conversation", {}, {"conversation": "none"}, "none"),
        ("metadata", {}, {"metadata": {}}, {}),
        ("metadata", {}, {"metadata": None}, None),
    ],
)
def test_an_override_wins_and_null_is_none(
    field: str, changes: dict[str, Any], overrides: dict[str, Any], expected: Any
) -> None:
    assert getattr(plan(session(**changes), **overrides), field) == expected


def test_the_format_of_one_response_may_differ() -> None:
    assert plan(audio={"output": {"format": {"type": "audio/pcmu"}}}).format.type == "audio/pcmu"
    assert plan(session(audio={"output": {"format": {"type": "audio/pcma"}}})).format.type == "audio/pcma"


@pytest.mark.parametrize(
    ("overrides", "code", "param"),
    [
        ({"tools": [TOOL, TOOL]}, "invalid_value", "response.tools[1].name"),
        ({"instructions": "x" * 11}, "string_above_max_length", "response.instructions"),
        ({"audio": {"output": {"voice": "x" * 257}}}, "string_above_max_length", "response.audio.output.voice"),
        ({"output_modalities": ["text"] * 3}, "invalid_value", "response.output_modalities"),
        (
            {"tools": [], "tool_choice": {"type": "function", "name": "look"}},
            "invalid_value",
            "response.tool_choice.name",
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "mcp", "server_label": "s"}},
            "invalid_value",
            "response.tool_choice.server_label",
        ),
        ({"metadata": {"k": "v" * 513}}, "invalid_value", "response.metadata"),
        ({"metadata": {"k" * 65: ""}}, "invalid_value", "response.metadata"),
    ],
)
def test_what_is_refused_names_its_place(overrides: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        plan(session(instructions="Short."), Limits(instructions_bytes=10), **overrides)
    assert (refusal.value.code, refusal.value.param) == (code, param)


@pytest.mark.parametrize(
    ("metadata", "accepted"),
    [
        ({str(number): "" for number in range(16)}, True),
        ({str(number): "" for number in range(17)}, False),
        ({"k" * 64: "v" * 512}, True),
        ({"k" * 65: ""}, False),
        ({"k": "v" * 513}, False),
        ({}, True),
    ],
)
def test_metadata_has_its_bounds_and_is_kept_as_it_came(metadata: dict[str, str], accepted: bool) -> None:
    if accepted:
        assert plan(metadata=metadata).metadata == metadata
    else:
        with pytest.raises(ProtocolError) as refused:
            plan(metadata=metadata)
        assert (refused.value.code, refused.value.param) == ("invalid_value", "response.metadata")
