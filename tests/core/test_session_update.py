"""``updated_session`` as a pure function; the rules one by one stand in ``tests/scenarios/settings.toml``."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from antiphon.core.config import realtime_session, transcription_session
from antiphon.core.limits import Limits
from antiphon.core.session_update import updated_session
from antiphon.protocol.client_events import SessionUpdate
from antiphon.protocol.codec import decode_client_event
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import (
    RealtimeSession,
    RealtimeSessionUpdate,
    SessionObject,
    SessionUpdateBody,
    TranscriptionSession,
    TranscriptionSessionUpdate,
)
from antiphon.testing.wire_strategies import wire_values
from tests.support.properties import bounded

REALTIME = realtime_session(id="sess_1", model="gpt-realtime", created_at_unix_s=0, max_s=3600, instructions="Hi.")
TRANSCRIPTION = transcription_session(id="sess_1", created_at_unix_s=0, max_s=3600)


def updated(current: SessionObject, **session: Any) -> SessionObject:
    kind = "realtime" if isinstance(current, RealtimeSession) else "transcription"
    text = json.dumps({"type": "session.update", "session": {"type": kind, **session}})
    event = decode_client_event(text).event
    assert isinstance(event, SessionUpdate)
    return updated_session(current, event.session, Limits(), voice_frozen=False)


def plain(session: SessionObject) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(msgspec.json.encode(session))
    return value


def updated_or_refused(current: SessionObject, update: SessionUpdateBody) -> SessionObject | None:
    try:
        return updated_session(current, update, Limits(), voice_frozen=False)
    except ProtocolError:
        return None


CHANGES: list[dict[str, Any]] = [
    {},
    {"instructions": "Sing.", "output_modalities": ["text"]},
    {"audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1", "language": "en"}}}},
    {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}},
    {"audio": {"input": {"noise_reduction": {"type": "near_field", "strength": 0.5}}}},
    {
        "audio": {
            "input": {"format": {"type": "audio/pcmu"}},
            "output": {"format": {"type": "audio/pcma"}, "speed": 1.5},
        }
    },
    {"tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "tool_choice": "required"},
    {"tools": [{"type": "mcp", "server_label": "s", "server_url": "https://example.org"}]},
    {"truncation": {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 100}}},
    {"tracing": {"workflow_name": "w"}, "prompt": {"id": "p", "variables": {"a": "b"}}, "max_output_tokens": 9},
    {"reasoning": {"effort": "low"}, "parallel_tool_calls": False},
]


@pytest.mark.parametrize("change", CHANGES, ids=json.dumps)
def test_a_session_that_is_sent_back_as_it_was_shown_changes_nothing(change: dict[str, Any]) -> None:
    session = updated(REALTIME, **change)
    shown = plain(session)
    assert shown.pop("type") == "realtime"
    assert updated(session, **shown) == session


@pytest.mark.parametrize("change", CHANGES, ids=json.dumps)
def test_an_update_twice_is_the_update_once(change: dict[str, Any]) -> None:
    assert updated(updated(REALTIME, **change), **change) == updated(REALTIME, **change)


def test_a_transcription_session_merges_its_input_and_nothing_else() -> None:
    session = updated(
        TRANSCRIPTION,
        audio={"input": {"transcription": {"language": "fr", "keywords": ["Antiphon"]}, "noise_reduction": None}},
        include=["item.input_audio_transcription.logprobs"],
    )
    assert isinstance(session, TranscriptionSession)
    assert plain(session)["audio"]["input"]["transcription"] == {
        "model": "whisper-1",
        "language": "fr",
        "prompt": None,
        "keywords": ["Antiphon"],
    }
    assert session.include == ["item.input_audio_transcription.logprobs"]
    assert plain(updated(session, include=None))["include"] is None


@bounded(150)
@given(wire_values(RealtimeSessionUpdate))
def test_any_update_is_taken_whole_or_refused_and_never_touches_the_session_it_came_to(
    update: RealtimeSessionUpdate,
) -> None:
    before = plain(REALTIME)
    session = updated_or_refused(REALTIME, update)
    assert plain(REALTIME) == before
    if session is not None:
        shown = plain(session)
        assert (shown["id"], shown["object"], shown["expires_at"]) == ("sess_1", "realtime.session", 3600)
        assert shown["output_modalities"] in (["audio"], ["text"])


@bounded(100)
@given(wire_values(TranscriptionSessionUpdate))
def test_any_update_of_a_transcription_session_is_taken_or_refused(update: TranscriptionSessionUpdate) -> None:
    session = updated_or_refused(TRANSCRIPTION, update)
    assert session is None or isinstance(session, TranscriptionSession)
