"""The check of emitted events complains about what clients cannot read."""

import copy
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from antiphon.conform.shapes import api_shapes
from antiphon.testing.wire import assert_valid_server_event, complaints_about_server_event

ITEM_ADDED: dict[str, Any] = {
    "type": "conversation.item.added",
    "event_id": "event_1",
    "previous_item_id": None,
    "item": {
        "id": "item_1",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_audio", "transcript": None}],
    },
}
PART_ADDED: dict[str, Any] = {
    "type": "response.content_part.added",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "part": {"type": "audio", "transcript": ""},
}
STARTED: dict[str, Any] = {
    "type": "input_audio_buffer.speech_started",
    "event_id": "event_1",
    "audio_start_ms": 100,
    "item_id": "item_1",
}
TEXT_DELTA: dict[str, Any] = {
    **{name: value for name, value in PART_ADDED.items() if name != "part"},
    "type": "response.output_text.delta",
    "delta": "Hello",
    "obfuscation": "abc",
}


def changed(event: dict[str, Any], path: str, *value: Any) -> dict[str, Any]:
    """The event with another value at a path, or without it if there is no value."""
    event = copy.deepcopy(event)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place: Any = event
    for step in way:
        place = place[step]
    if value:
        place[last] = value[0]
    else:
        del place[last]
    return event


@pytest.mark.parametrize("event", [ITEM_ADDED, PART_ADDED, STARTED, TEXT_DELTA], ids=lambda event: event["type"])
def test_events_as_recorded_are_valid(event: dict[str, Any]) -> None:
    assert_valid_server_event(event)


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        (changed(STARTED, "event_id"), "event_id: missing"),
        (changed(STARTED, "audio_start_ms", 100.5), "audio_start_ms: expected integer, got 100.5"),
        (changed(STARTED, "audio_start_ms", True), "audio_start_ms: expected integer, got true"),
        (changed(STARTED, "item_id", None), "item_id: expected string, got null"),
        (changed(STARTED, "audio_start", 1), "audio_start: no field of"),
        (changed(STARTED, "type", "input_audio_buffer.speech_begun"), "is no server event"),
        (changed(PART_ADDED, "part.type", "output_audio"), "part.type: expected one of"),
        (changed(ITEM_ADDED, "item.status", None), "item.status: null"),
        (changed(ITEM_ADDED, "item.status", "done"), "item.status: expected one of"),
        (changed(ITEM_ADDED, "item.content.0.transcript"), "without the key 'transcript'"),
        (changed(ITEM_ADDED, "item.content.0.text", None), "item.content.text: null"),
        (changed(ITEM_ADDED, "item.content.0.type", "audio"), "item.content[0].type: expected one of"),
        (changed(ITEM_ADDED, "item.colour", "red"), "item.colour: no field of RealtimeConversationItemUserMessage"),
        (changed(TEXT_DELTA, "delta", "x" * 2**20), "a frame of"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["type"],
)
def test_a_bent_event_is_complained_about(event: dict[str, Any], complaint: str) -> None:
    complaints = complaints_about_server_event(event)
    assert any(complaint in one for one in complaints), complaints
    with pytest.raises(AssertionError, match=f"invalid {event['type']} event"):
        assert_valid_server_event(event)


def test_the_table_is_what_the_official_types_say() -> None:
    tool = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "make_api_shapes.py"))
    assert tool["TARGET"].read_text() == tool["as_text"](tool["shapes"]())


def test_the_table_names_its_origin() -> None:
    table = json.loads((Path(__file__).parents[2] / "src/antiphon/conform/api_shapes.json").read_text())
    assert "Apache-2.0" in table["origin"]
    assert len(api_shapes().server_events) == 46
