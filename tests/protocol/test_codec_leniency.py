"""What clients really send is accepted and kept."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.protocol.base import UNSET
from antiphon.protocol.client_events import ClientEvent, ConversationItemCreate, SessionUpdate
from antiphon.protocol.codec import decode_client_event, decode_server_event, encode_client_event
from antiphon.protocol.items import InputAudio, Message
from antiphon.protocol.server_events import ConversationItemDone
from antiphon.protocol.session_config import FunctionTool, RealtimeSessionUpdate
from antiphon.testing.wire_strategies import client_events, json_values


def decoded(event: dict[str, Any]) -> Any:
    return decode_client_event(json.dumps(event), strict=True).event


def session(**fields: Any) -> Any:
    return decoded({"type": "session.update", "session": {"type": "realtime", **fields}}).session


@given(event=client_events())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_client_event_survives_a_round_trip(event: ClientEvent) -> None:
    result = decode_client_event(encode_client_event(event), strict=True)
    assert result.event == event
    assert result.unknown_fields == ()


@pytest.mark.parametrize("value", [200, 200.0, 0, -0.0])
def test_a_number_without_fraction_is_an_integer(value: float) -> None:
    found = session(audio={"input": {"turn_detection": {"silence_duration_ms": value}}})
    milliseconds = found.audio.input.turn_detection.silence_duration_ms
    assert type(milliseconds) is int
    assert milliseconds == value


@pytest.mark.parametrize(("sent", "kept"), [(1, 1), (4096.0, 4096), ("inf", "inf"), (None, None)])
def test_max_output_tokens_is_a_whole_number_or_inf(sent: Any, kept: Any) -> None:
    found = session(max_output_tokens=sent).max_output_tokens
    assert (type(found), found) == (type(kept), kept)


def test_an_integer_is_a_number() -> None:
    speed = session(audio={"output": {"speed": 1}}).audio.output.speed
    assert type(speed) is float


def test_a_literal_rate_may_have_a_point() -> None:
    assert session(audio={"input": {"format": {"type": "audio/pcm", "rate": 24000.0}}}).audio.input.format.rate == 24000


@given(parameters=st.dictionaries(st.text(max_size=10), json_values(), max_size=4))
def test_tool_parameters_are_kept_exactly(parameters: dict[str, Any]) -> None:
    tool = {"type": "function", "name": "f", "parameters": parameters}
    (found,) = session(tools=[tool]).tools
    assert isinstance(found, FunctionTool)
    assert repr(found.parameters) == repr(parameters)
    text = encode_client_event(SessionUpdate(session=RealtimeSessionUpdate(tools=[found])))
    assert repr(json.loads(text)["session"]["tools"][0]["parameters"]) == repr(parameters)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (("audio", "input", "turn_detection"), {"create_response": False}),
        (("audio", "input", "turn_detection"), {}),
        (("audio", "input", "format"), {}),
        (("audio", "input", "noise_reduction"), {"strength": 0.5}),
        (("audio", "input", "transcription"), {"language": "de"}),
        (("audio", "output", "format"), {"rate": 24000}),
    ],
)
def test_partial_updates_may_leave_out_what_the_current_value_supplies(
    path: tuple[str, ...], fields: dict[str, Any]
) -> None:
    nested: dict[str, Any] = fields
    for name in reversed(path):
        nested = {name: nested}
    found = session(**nested)
    for name in path:
        found = getattr(found, name)
    assert getattr(found, "type", UNSET) is UNSET
    for name, value in fields.items():
        assert getattr(found, name) == value


@pytest.mark.parametrize(
    "path",
    [
        ("instructions",),
        ("tools",),
        ("tracing",),
        ("prompt",),
        ("audio", "input", "turn_detection"),
        ("audio", "input", "transcription"),
        ("audio", "input", "noise_reduction"),
    ],
)
def test_null_and_absent_stay_apart_in_a_session(path: tuple[str, ...]) -> None:
    nested: Any = None
    for name in reversed(path):
        nested = {name: nested}
    with_null, without = session(**nested), session(**{path[0]: {"input": {}}} if len(path) > 1 else {})
    for name in path:
        with_null, without = getattr(with_null, name), getattr(without, name)
    assert with_null is None
    assert without is UNSET


def test_null_is_absent_in_items() -> None:
    item = {
        "type": "message",
        "role": "user",
        "id": None,
        "status": None,
        "object": None,
        "content": [{"type": "input_audio", "audio": None, "transcript": None}],
    }
    event = decoded({"type": "conversation.item.create", "item": item})
    assert event == ConversationItemCreate(item=Message(role="user", content=[InputAudio()]))
    sent_back = json.loads(encode_client_event(event))["item"]
    assert sent_back == {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}


def test_null_is_absent_in_items_of_other_servers() -> None:
    item: dict[str, Any] = {
        "type": "message",
        "role": "assistant",
        "id": "item_1",
        "status": None,
        "phase": None,
        "content": [],
    }
    event = decode_server_event(
        json.dumps({"type": "conversation.item.done", "event_id": "event_1", "previous_item_id": None, "item": item})
    )
    assert isinstance(event, ConversationItemDone)
    assert event.item == Message(role="assistant", id="item_1", content=[])


@pytest.mark.parametrize("previous_item_id", ["", "root", None, "item_1"])
def test_previous_item_id_may_be_empty_root_or_null(previous_item_id: str | None) -> None:
    item = {"type": "message", "role": "user", "content": []}
    event = decoded({"type": "conversation.item.create", "item": item, "previous_item_id": previous_item_id})
    assert event.previous_item_id == previous_item_id


def test_at_most_64_names_of_unknown_fields_are_kept() -> None:
    names = {f"x{index}": 1 for index in range(1000)}
    result = decode_client_event(json.dumps({"type": "response.create", "response": names, **names}))
    assert len(result.unknown_fields) == 64
    assert result.unknown_fields[0] == "response.x0"


def test_one_unknown_field_of_many_elements_is_named_once() -> None:
    tools = [{"type": "function", "name": "f", "colour": 1}] * 50
    result = decode_client_event(json.dumps({"type": "response.create", "response": {"tools": tools}}))
    assert result.unknown_fields == ("response.tools[].colour",)
