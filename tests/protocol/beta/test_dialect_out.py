"""What a client of the beta is told, out of today's events."""

import json
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from antiphon.protocol.beta.dialect import BetaDialect
from antiphon.protocol.beta.errors import beta_error
from antiphon.protocol.codec import decode_server_event, encode_server_event
from antiphon.protocol.server_events import (
    ConversationItemDone,
    ErrorBody,
    InputAudioBufferDtmfEventReceived,
    InputAudioBufferTimeoutTriggered,
    ServerEvent,
)
from antiphon.testing.wire import assert_valid_server_event, complaints_about_server_event
from antiphon.testing.wire_strategies import server_events
from tests.support.beta import assert_valid_beta_event, beta_shapes

_TYPES = get_args(ServerEvent)
_settings = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

RENAMED = {
    "conversation.item.added": "conversation.item.created",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}
NEWER = {
    "conversation.item.input_audio_transcription.segment",
    "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.dtmf_event_received",
    "mcp_list_tools.in_progress",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
}
"""Younger than the beta: told as they are, to clients that asked for what causes them."""


def dialect(event: Any = None) -> BetaDialect:
    transcribes = getattr(getattr(event, "session", None), "object", "") == "realtime.transcription_session"
    return BetaDialect(conversation_id=None if transcribes else "conv_1", new_id=lambda prefix: f"{prefix}_1")


def told(client: BetaDialect, event: Any) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in client.encode(event)]


def today(type: str, **fields: Any) -> Any:
    event = decode_server_event(json.dumps({"type": type, "event_id": "event_1", **fields}))
    assert_valid_server_event(json.loads(encode_server_event(event)))  # type: ignore[arg-type]
    return event


@pytest.mark.parametrize("wire_type", _TYPES, ids=lambda one: one.__struct_config__.tag)
@given(data=st.data())
@_settings
def test_any_event_is_told_in_the_betas_shape(wire_type: Any, data: st.DataObject) -> None:
    event = data.draw(server_events(wire_type))
    name = wire_type.__struct_config__.tag
    frames = told(dialect(event), event)
    if wire_type is ConversationItemDone:
        assert frames == []
        return
    if name in NEWER:
        assert frames == [json.loads(encode_server_event(event))]
        return
    for frame in frames:
        assert_valid_beta_event(frame)
    assert frames[0]["event_id"] == event.event_id
    expected = RENAMED.get(name, name)
    if name.startswith("session.") and dialect(event)._conversation_id is None:
        expected = f"transcription_{name}"
    assert frames[0]["type"] == expected
    assert [frame["type"] for frame in frames[1:]] == (
        ["conversation.created"] if expected == "session.created" else []
    )


def test_every_event_of_the_beta_is_told_by_some_event() -> None:
    names = {one.__struct_config__.tag for one in _TYPES} - NEWER - {"conversation.item.done", *RENAMED}
    names |= {*RENAMED.values(), "transcription_session.created", "transcription_session.updated"}
    assert names == set(beta_shapes().server_events)


_PCM = {"type": "audio/pcm", "rate": 24000}
_SESSION: dict[str, Any] = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "m",
    "output_modalities": ["audio"],
    "instructions": "Be brief.",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "expires_at": 7,
    "audio": {
        "input": {"format": {"type": "audio/pcmu"}, "transcription": None, "noise_reduction": None},
        "output": {"format": _PCM, "voice": "sage", "speed": 1.0},
    },
    "include": None,
}
_VAD = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
_SESSION["audio"]["input"]["turn_detection"] = _VAD
_FLAT = {
    "id": "sess_1",
    "object": "realtime.session",
    "expires_at": 7,
    "input_audio_noise_reduction": None,
    "turn_detection": _VAD,
    "input_audio_format": "g711_ulaw",
    "input_audio_transcription": None,
    "client_secret": None,
    "include": None,
    "model": "m",
    "modalities": ["text", "audio"],
    "instructions": "Be brief.",
    "voice": "sage",
    "output_audio_format": "pcm16",
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
    "speed": 1.0,
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "tools": [],
}
_TRANSCRIBING = {
    "type": "transcription",
    "object": "realtime.transcription_session",
    "id": "sess_1",
    "expires_at": 7,
    "include": None,
    "audio": {
        "input": {
            "format": _PCM,
            "transcription": {"model": "whisper-1", "language": None, "prompt": None},
            "noise_reduction": None,
            "turn_detection": _VAD,
        }
    },
}
_FLAT_TRANSCRIBING = {
    "id": "sess_1",
    "object": "realtime.transcription_session",
    "expires_at": 7,
    "input_audio_noise_reduction": None,
    "turn_detection": _VAD,
    "input_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1", "language": None, "prompt": None},
    "client_secret": None,
    "include": None,
    "modalities": ["text", "audio"],
}


def test_an_updated_session_is_flat() -> None:
    (event,) = told(dialect(), today("session.updated", session=_SESSION))
    assert event["session"] == _FLAT


def test_a_new_session_has_both_shapes_and_its_conversation_is_told_next() -> None:
    created, conversation = told(dialect(), today("session.created", session=_SESSION))
    assert created["session"] == {**_SESSION, **_FLAT}
    assert {name: created["session"][name] for name in _SESSION} == _SESSION
    # Today's strictest clients read it, too: what is the beta's is all that they do not know.
    complaints = complaints_about_server_event(created)
    assert [one for one in complaints if "no field of" not in one] == []
    assert len(complaints) == len(_FLAT.keys() - _SESSION.keys())
    assert conversation == {
        "type": "conversation.created",
        "event_id": "event_1",
        "conversation": {"id": "conv_1", "object": "realtime.conversation"},
    }


def test_a_new_transcription_session_has_both_shapes_and_no_conversation() -> None:
    event = today("session.created", session=_TRANSCRIBING)
    (created,) = told(dialect(event), event)
    assert created["type"] == "transcription_session.created"
    assert created["session"] == {**_TRANSCRIBING, **_FLAT_TRANSCRIBING}


def test_an_updated_transcription_session_is_flat() -> None:
    event = today("session.updated", session=_TRANSCRIBING)
    (updated,) = told(dialect(event), event)
    assert (updated["type"], updated["session"]) == ("transcription_session.updated", _FLAT_TRANSCRIBING)


_ANSWER = {
    "id": "item_2",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "hi"}, {"type": "output_audio", "transcript": "hi"}],
}
_FLAT_ANSWER = {
    **_ANSWER,
    "object": "realtime.item",
    "content": [{"type": "text", "text": "hi"}, {"type": "audio", "transcript": "hi"}],
}
_CALL = {"id": "item_3", "type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}
_SAID = {"id": "item_1", "type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]}


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        (_ANSWER, _FLAT_ANSWER),
        (_SAID, {**_SAID, "object": "realtime.item"}),
        (_CALL, {**_CALL, "object": "realtime.item"}),
    ],
)
def test_items_have_the_betas_parts_wherever_they_are_shown(item: Any, shown: Any) -> None:
    place = {"response_id": "resp_1", "output_index": 0}
    for name, fields in (
        ("conversation.item.added", {"previous_item_id": "item_0"}),
        ("conversation.item.retrieved", {}),
        ("response.output_item.added", place),
        ("response.output_item.done", place),
    ):
        (event,) = told(dialect(), today(name, item=item, **fields))
        assert event["item"] == shown
        assert {**event, "item": None} == {"event_id": "event_1", "item": None, **fields, "type": event["type"]}


_RESPONSE = {
    "object": "realtime.response",
    "id": "resp_1",
    "status": "cancelled",
    "status_details": {"type": "cancelled", "reason": "turn_detected"},
    "output": [_ANSWER],
    "conversation_id": "conv_1",
    "output_modalities": ["audio"],
    "max_output_tokens": 9,
    "audio": {"output": {"format": _PCM, "voice": "ash"}},
    "usage": None,
    "metadata": {"a": "b"},
}


def test_a_response_is_flat() -> None:
    (event,) = told(dialect(), today("response.done", response=_RESPONSE))
    assert event["response"] == {
        "object": "realtime.response",
        "id": "resp_1",
        "status": "cancelled",
        "status_details": {"type": "cancelled", "reason": "turn_detected"},
        "output": [_FLAT_ANSWER],
        "conversation_id": "conv_1",
        "modalities": ["text", "audio"],
        "voice": "ash",
        "output_audio_format": "pcm16",
        "temperature": 0.8,
        "max_output_tokens": 9,
        "usage": None,
        "metadata": {"a": "b"},
    }


def test_the_temperature_of_a_session_and_of_a_response_come_back() -> None:
    client = dialect()
    response = {**_RESPONSE, "output": []}

    def shown(name: str) -> float:
        temperature: float = told(client, today(name, response=response))[0]["response"]["temperature"]
        return temperature

    client.decode('{"type":"session.update","session":{"temperature":0.7}}')
    assert told(client, today("session.updated", session=_SESSION))[0]["session"]["temperature"] == 0.7
    client.decode('{"type":"response.create","response":{"temperature":1.1}}')
    assert (shown("response.created"), shown("response.done")) == (1.1, 1.1)
    client.decode('{"type":"response.create"}')
    assert (shown("response.created"), shown("response.done")) == (0.7, 0.7)


def test_a_refused_temperature_is_forgotten() -> None:
    client = dialect()
    client.decode('{"type":"session.update","session":{"temperature":0.7}}')
    error = {"type": "invalid_request_error", "code": "c", "message": "m", "param": None, "event_id": None}
    told(client, today("error", error=error))
    assert told(client, today("session.updated", session=_SESSION))[0]["session"]["temperature"] == 0.8


def test_after_a_first_session_update_with_a_type_todays_events_are_told() -> None:
    client = dialect()
    client.decode('{"type":"session.update","session":{"type":"realtime"}}')
    for event in (
        today("session.updated", session=_SESSION),
        today("response.done", response=_RESPONSE),
        today("conversation.item.done", item=_ANSWER, previous_item_id=None),
    ):
        assert client.encode(event) == (encode_server_event(event),)


@pytest.mark.parametrize(
    ("param", "shown"),
    [
        ("session.audio.input.format", "session.input_audio_format"),
        ("session.audio.input.format.type", "session.input_audio_format"),
        ("session.audio.input.turn_detection.type", "session.turn_detection.type"),
        ("session.audio.input.transcription", "session.input_audio_transcription"),
        ("session.audio.input.noise_reduction.type", "session.input_audio_noise_reduction.type"),
        ("session.audio.output.voice", "session.voice"),
        ("session.audio.output.speed", "session.speed"),
        ("session.output_modalities", "session.modalities"),
        ("session.max_output_tokens", "session.max_response_output_tokens"),
        ("response.output_modalities[0]", "response.modalities[0]"),
        ("response.audio.output.voice", "response.voice"),
        ("response.audio.output.format", "response.output_audio_format"),
        ("session.instructions", "session.instructions"),
        ("item.content[0].audio", "item.content[0].audio"),
        ("session.output_modalities_of_others", "session.output_modalities_of_others"),
    ],
)
def test_errors_name_the_field_as_the_client_knows_it(param: str, shown: str) -> None:
    error = ErrorBody(type="t", code="c", message=f"Invalid '{param}'.", param=param, event_id="e1")
    assert beta_error(error) == structs.replace(error, param=shown, message=f"Invalid '{shown}'.")


def test_an_error_without_a_field_stays_as_it_is() -> None:
    error = ErrorBody(type="t", code="c", message="No.", param=None, event_id=None)
    assert beta_error(error) == error


def test_events_that_the_beta_did_not_know_are_the_same() -> None:
    for event in (
        InputAudioBufferTimeoutTriggered(event_id="e", audio_start_ms=0, audio_end_ms=1, item_id="i"),
        InputAudioBufferDtmfEventReceived(event="1", received_at=1),
    ):
        assert dialect().encode(event) == (encode_server_event(event),)
