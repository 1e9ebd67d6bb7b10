"""Our client reads what servers send, also with fields more or fewer than today's."""

import json
from typing import Any

import pytest

from antiphon.protocol.base import UNSET
from antiphon.protocol.codec import UnknownServerEvent, decode_server_event, encode_server_event
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import FunctionCall, InputAudio, Message
from antiphon.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemTruncated,
    Error,
    ErrorBody,
    ResponseDone,
    ResponseOutputAudioDelta,
    SessionUpdated,
)


def read(**event: Any) -> Any:
    return decode_server_event(json.dumps(event))


def test_a_known_event_becomes_its_type() -> None:
    place = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
    event = read(type="response.output_audio.delta", delta="aGk=", **place)
    assert event == ResponseOutputAudioDelta(
        event_id="e", response_id="r", item_id="i", output_index=0, content_index=0, delta=b"hi"
    )


def test_unknown_fields_are_ignored() -> None:
    event = read(
        type="error", event_id="e", error={"type": "t", "message": "m", "code": None, "param": None, "x": 1}, y=2
    )
    assert event == Error(event_id="e", error=ErrorBody(type="t", message="m", code=None, param=None, event_id=None))


def test_what_is_missing_is_null_where_null_is_allowed() -> None:
    event = read(type="error", event_id="e", error={"type": "t", "message": "m"})
    assert event == Error(event_id="e", error=ErrorBody(type="t", message="m", code=None, param=None, event_id=None))


@pytest.mark.parametrize(
    "session",
    [
        {"type": "realtime"},
        {"type": "realtime", "id": "sess_1", "model": "m", "audio": {"input": {}}},
        {"type": "realtime", "audio": {"output": {"voice": "ash"}}},
        {"type": "transcription", "audio": {"input": {"transcription": {}}}},
    ],
)
def test_a_session_of_another_server_may_lack_any_field(session: dict[str, Any]) -> None:
    event = read(type="session.updated", event_id="e", session=session)
    assert isinstance(event, SessionUpdated)
    shown = json.loads(encode_server_event(event))["session"]
    assert shown.items() >= {key: value for key, value in session.items() if key != "audio"}.items()
    if session["type"] == "realtime":
        assert event.session.truncation is UNSET  # type: ignore[union-attr]
        assert "truncation" not in shown


def test_a_response_of_another_server_may_lack_any_field() -> None:
    event = read(type="response.done", event_id="e", response={"id": "resp_1", "status": "completed", "output": []})
    assert isinstance(event, ResponseDone)
    shown = json.loads(encode_server_event(event))["response"]
    assert (shown["id"], shown["usage"], shown["status_details"]) == ("resp_1", None, None)
    assert "audio" not in shown


def test_an_event_may_not_lack_what_makes_it_one() -> None:
    assert isinstance(read(type="response.output_text.delta", event_id="e", delta="a"), UnknownServerEvent)
    assert isinstance(read(type="session.updated", event_id="e"), UnknownServerEvent)


def test_null_item_fields_are_absent() -> None:
    item = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": None, "id": "i", "object": None}
    event = read(type="conversation.item.added", event_id="e", item=item)
    assert event == ConversationItemAdded(
        event_id="e", previous_item_id=None, item=FunctionCall(name="f", arguments="{}", id="i")
    )
    assert event.item.call_id is UNSET


def test_an_integer_may_have_a_point() -> None:
    event = read(type="conversation.item.truncated", event_id="e", item_id="i", content_index=0.0, audio_end_ms=1500.0)
    assert event == ConversationItemTruncated(event_id="e", item_id="i", content_index=0, audio_end_ms=1500)


def test_audio_of_a_retrieved_item_is_decoded() -> None:
    part = {"type": "input_audio", "audio": "aGk=", "transcript": "hi"}
    item = {"type": "message", "role": "user", "id": "i", "content": [part]}
    event = read(type="conversation.item.retrieved", event_id="e", item=item)
    assert event.item == Message(role="user", id="i", content=[InputAudio(audio=b"hi", transcript="hi")])


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.hologram.delta", "event_id": "e", "delta": {"x": 1}},
        {"type": "conversation.item.added", "event_id": "e", "item": {"type": "hologram"}},
        {"type": "conversation.item.deleted", "event_id": "e", "item_id": 5},
    ],
)
def test_an_unknown_type_or_shape_is_kept_as_plain_values(event: dict[str, Any]) -> None:
    assert read(**event) == UnknownServerEvent(event["type"], event)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type":1}', b"\xff", "[" * 100_000])
def test_what_is_no_event_is_refused(text: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_server_event(text)
