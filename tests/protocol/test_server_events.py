"""Every server event that our types can hold is one that clients can read."""

import json
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.conform.shapes import api_shapes
from antiphon.protocol.codec import decode_server_event, encode_server_event
from antiphon.protocol.items import InputAudio, Message
from antiphon.protocol.server_events import ConversationItemAdded, ServerEvent
from antiphon.testing.wire import assert_valid_server_event
from antiphon.testing.wire_strategies import server_events

_TYPES = get_args(ServerEvent)
_settings = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def test_the_types_are_exactly_the_server_events_of_the_api() -> None:
    assert {one.__struct_config__.tag for one in _TYPES} == set(api_shapes().server_events)


@pytest.mark.parametrize("wire_type", _TYPES, ids=lambda one: one.__struct_config__.tag)
@given(data=st.data())
@_settings
def test_any_event_is_valid_and_survives_a_round_trip(wire_type: Any, data: st.DataObject) -> None:
    event = data.draw(server_events(wire_type))
    text = encode_server_event(event)
    assert_valid_server_event(json.loads(text))
    assert decode_server_event(text) == event


def test_absent_item_fields_are_left_out_and_user_audio_always_has_a_transcript() -> None:
    item = Message(role="user", content=[InputAudio()])
    text = encode_server_event(ConversationItemAdded(event_id="event_1", previous_item_id=None, item=item))
    assert json.loads(text) == {
        "type": "conversation.item.added",
        "event_id": "event_1",
        "previous_item_id": None,
        "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]},
    }
