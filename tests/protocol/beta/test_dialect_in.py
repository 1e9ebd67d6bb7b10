"""What a client of the beta sends, in today's words."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.protocol.beta.dialect import BetaDialect
from antiphon.protocol.client_events import ClientEvent, ConversationItemCreate, ResponseCreate
from antiphon.protocol.codec import decode_client_event, encode_client_event
from antiphon.protocol.errors import ProtocolError
from antiphon.testing.wire_strategies import client_events, json_values

_NAMES = ("session.update", "transcription_session.update", "response.create", "conversation.item.create")
_FLAT: dict[str, Any] = {
    "model": "gpt-4o-realtime-preview",
    "modalities": ["text", "audio"],
    "instructions": "Be brief.",
    "voice": "sage",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1", "language": "en"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "threshold": 0.4, "create_response": False},
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
    "tool_choice": {"type": "function", "name": "weather"},
    "temperature": 0.7,
    "max_response_output_tokens": 200,
    "speed": 1.1,
    "tracing": "auto",
    "truncation": "disabled",
    "prompt": {"id": "pmpt_1"},
    "include": ["item.input_audio_transcription.logprobs"],
}
_NESTED: dict[str, Any] = {
    "type": "realtime",
    "model": "gpt-4o-realtime-preview",
    "output_modalities": ["text", "audio"],
    "instructions": "Be brief.",
    "tools": _FLAT["tools"],
    "tool_choice": _FLAT["tool_choice"],
    "max_output_tokens": 200,
    "tracing": "auto",
    "truncation": "disabled",
    "prompt": {"id": "pmpt_1"},
    "include": _FLAT["include"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": _FLAT["input_audio_transcription"],
            "noise_reduction": {"type": "near_field"},
            "turn_detection": _FLAT["turn_detection"],
        },
        "output": {"format": {"type": "audio/pcma"}, "voice": "sage", "speed": 1.1},
    },
}


def _update(session: dict[str, Any]) -> dict[str, Any]:
    return {"type": "session.update", "event_id": "e1", "session": session}


def _message(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content)}


def _create(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "conversation.item.create", "previous_item_id": "item_0", "item": item}


def _respond(**response: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": response}


def _audio(**output: Any) -> dict[str, Any]:
    return {"output": output}


_CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
_RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
_REFERENCE = {"type": "item_reference", "id": "item_1"}
_TEXT_IN = {"type": "input_text", "text": "hello"}
_AUDIO_IN = {"type": "input_audio", "audio": "AAAA", "transcript": "hello"}

EVENTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "every field of a session": (_update(_FLAT), _update(_NESTED)),
    "manual turns": (
        _update({"turn_detection": None, "input_audio_transcription": None}),
        _update(
            {
                "type": "realtime",
                "audio": {"input": {"turn_detection": None, "transcription": None}, "output": {}},
            }
        ),
    ),
    "a user's words": (_create(_message("user", _TEXT_IN)), _create(_message("user", _TEXT_IN))),
    "a user's speech": (_create(_message("user", _AUDIO_IN)), _create(_message("user", _AUDIO_IN))),
    "the assistant's words": (
        _create(_message("assistant", {"type": "text", "text": "hi"})),
        _create(_message("assistant", {"type": "output_text", "text": "hi"})),
    ),
    "the assistant's speech": (
        _create(_message("assistant", {"type": "audio", "transcript": "hi"})),
        _create(_message("assistant", {"type": "output_audio", "transcript": "hi"})),
    ),
    "text of a user": (
        _create(_message("user", {"type": "text", "text": "hi"})),
        _create(_message("user", {"type": "input_text", "text": "hi"})),
    ),
    "a call": (_create(_CALL), _create(_CALL)),
    "its result": (_create(_RESULT), _create(_RESULT)),
    "a plain response": ({"type": "response.create"}, {"type": "response.create"}),
    "a response's settings": (
        _respond(
            modalities=["text"],
            instructions="Sing.",
            voice="ash",
            output_audio_format="pcm16",
            tools=[],
            tool_choice="none",
            temperature=1.1,
            max_response_output_tokens="inf",
            conversation="none",
            metadata={"a": "b"},
            input=[_REFERENCE, _message("user", _TEXT_IN)],
        ),
        _respond(
            output_modalities=["text"],
            instructions="Sing.",
            audio=_audio(format={"type": "audio/pcm"}, voice="ash"),
            tools=[],
            tool_choice="none",
            max_output_tokens="inf",
            conversation="none",
            metadata={"a": "b"},
            input=[_REFERENCE, _message("user", _TEXT_IN)],
        ),
    ),
    "a response's length in the examples' word": (
        _respond(max_output_tokens=5),
        _respond(audio=_audio(), max_output_tokens=5),
    ),
    "a response's length in both words": (
        _respond(max_output_tokens=5, max_response_output_tokens=6),
        _respond(audio=_audio(), max_output_tokens=6),
    ),
    "cancel": ({"type": "response.cancel", "response_id": "r"}, {"type": "response.cancel", "response_id": "r"}),
}


def dialect(conversation_id: str | None = "conv_1") -> BetaDialect:
    return BetaDialect(conversation_id=conversation_id, new_id=lambda prefix: f"{prefix}_1")


@pytest.mark.parametrize(("sent", "today"), EVENTS.values(), ids=EVENTS.keys())
def test_an_event_of_the_beta_means_todays(sent: dict[str, Any], today: dict[str, Any]) -> None:
    decoded = dialect().decode(json.dumps(sent), strict=True)
    assert decoded.event == decode_client_event(json.dumps(today)).event


@pytest.mark.parametrize("type", ["transcription_session.update", "session.update"])
def test_a_session_that_transcribes_is_set_by_either_event(type: str) -> None:
    session = {"input_audio_format": "g711_alaw", "input_audio_transcription": {"model": "gpt-4o-transcribe"}}
    decoded = dialect(None).decode(json.dumps({"type": type, "session": session}))
    wanted = {
        "type": "transcription",
        "audio": {"input": {"format": {"type": "audio/pcma"}, "transcription": {"model": "gpt-4o-transcribe"}}},
    }
    assert decoded.event == decode_client_event(json.dumps({"type": "session.update", "session": wanted})).event


def test_a_conversation_is_not_set_by_transcription_session_update() -> None:
    with pytest.raises(ProtocolError) as caught:
        dialect().decode('{"type":"transcription_session.update","event_id":"e1","session":{}}')
    assert (caught.value.code, caught.value.param, caught.value.event_id) == ("invalid_value", "type", "e1")


@pytest.mark.parametrize(
    ("sent", "code", "param"),
    [
        (_update({"input_audio_format": "mp3"}), "invalid_value", "session.input_audio_format"),
        (_update({"temperature": "hot"}), "invalid_type", "session.temperature"),
        (_update({"turn_detection": {"threshold": 2}}), "invalid_value", "session.turn_detection.threshold"),
        (_update({"max_response_output_tokens": 0}), "invalid_value", "session.max_response_output_tokens"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        (_respond(modalities=["video"]), "invalid_value", "response.modalities[0]"),
        (_create(_message("user", {"type": "video"})), "invalid_value", "item.content[0].type"),
        ({"type": "session.dance"}, "invalid_value", "type"),
        ({}, "invalid_event", "type"),
    ],
)
def test_what_is_wrong_is_named_as_the_client_knows_it(sent: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        dialect().decode(json.dumps(sent))
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.event_id == sent.get("event_id")


def test_unknown_fields_are_named_and_refused_where_asked() -> None:
    text = json.dumps(_update({"output_modalities": ["text"]}))
    assert dialect().decode(text).unknown_fields == ("session.output_modalities",)
    with pytest.raises(ProtocolError) as caught:
        dialect().decode(text, strict=True)
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "session.output_modalities")


def test_a_first_session_update_with_a_type_ends_the_translation() -> None:
    client = dialect()
    today = json.dumps(_update({"type": "realtime", "output_modalities": ["text"]}))
    assert client.decode(today) == decode_client_event(today)
    later = json.dumps(_respond(output_modalities=["audio"]))
    assert client.decode(later) == decode_client_event(later)


def test_only_the_first_session_update_decides() -> None:
    client = dialect()
    client.decode(json.dumps(_update({"modalities": ["text"]})))
    decoded = client.decode(json.dumps(_update({"type": "realtime", "modalities": ["text"], "voice": "ash"})))
    assert decoded.unknown_fields == ("session.type",)


@given(event=client_events())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_an_event_of_today_is_read_as_what_it_is_or_refused(event: ClientEvent) -> None:
    text = encode_client_event(event)
    if isinstance(event, ResponseCreate | ConversationItemCreate):
        with contextlib.suppress(ProtocolError):
            assert type(dialect().decode(text).event) is type(event)
    else:
        assert dialect().decode(text) == decode_client_event(text)


@given(value=json_values() | st.fixed_dictionaries({"type": st.sampled_from(_NAMES), "session": json_values()}))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_comes_is_an_event_or_one_error(value: Any) -> None:
    for conversation_id in ("conv_1", None):
        with contextlib.suppress(ProtocolError):
            dialect(conversation_id).decode(json.dumps(value))


@given(text=st.text() | st.binary())
def test_whatever_is_no_event_is_one_error(text: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        dialect().decode(text)


def test_an_append_takes_the_short_way_and_an_odd_one_the_exact_one() -> None:
    text = '{"type":"input_audio_buffer.append","audio":"AAAA"}'
    assert dialect().decode(text) == decode_client_event(text)
    with pytest.raises(ProtocolError) as caught:
        dialect().decode('{"type":"input_audio_buffer.append","audio":"!"}')
    assert caught.value.param == "audio"
