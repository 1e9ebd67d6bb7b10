"""The exported JSON Schema says what the codec does."""

import json
import subprocess
import sys
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from antiphon.conform.shapes import api_shapes
from antiphon.protocol.client_events import ClientEvent
from antiphon.protocol.codec import encode_client_event, encode_server_event
from antiphon.protocol.schema import json_schema
from antiphon.protocol.server_events import ServerEvent
from antiphon.testing.wire_strategies import client_events, server_events

SCHEMA = json_schema()
_relaxed = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def validator(group: str, name: str) -> Draft202012Validator:
    return Draft202012Validator({**SCHEMA, **SCHEMA["x-groups"][group][name]})


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_names_every_event() -> None:
    assert set(SCHEMA["x-groups"]["client_events"]) == set(api_shapes().client_events)
    assert set(SCHEMA["x-groups"]["server_events"]) == set(api_shapes().server_events)


@given(event=client_events())
@_relaxed
def test_client_events_satisfy_the_schema(event: ClientEvent) -> None:
    plain = json.loads(encode_client_event(event))
    validator("client_events", plain["type"]).validate(plain)


@given(data=st.data())
@_relaxed
def test_server_events_satisfy_the_schema(data: st.DataObject) -> None:
    event = data.draw(server_events(data.draw(st.sampled_from(get_args(ServerEvent)))))
    plain = json.loads(encode_server_event(event))
    validator("server_events", plain["type"]).validate(plain)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "input_audio_buffer.append"},
        {"type": "input_audio_buffer.append", "audio": None},
        {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["video"]}},
        {"type": "conversation.item.delete", "item_id": 1},
    ],
)
def test_the_schema_refuses_what_the_codec_refuses(event: dict[str, Any]) -> None:
    assert not validator("client_events", event["type"]).is_valid(event)


def test_the_module_prints_the_schema() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "antiphon.protocol.schema"], capture_output=True, check=True, text=True
    ).stdout
    assert json.loads(printed) == SCHEMA
