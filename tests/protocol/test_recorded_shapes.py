"""What our types encode has the fields that recorded real events have."""

import json
from pathlib import Path
from typing import Any, Final, cast, get_args

import pytest
from msgspec import NODEFAULT, inspect

from antiphon.protocol.client_events import ClientEvent
from antiphon.protocol.items import Item
from antiphon.protocol.response import Response
from antiphon.protocol.server_events import Part, ServerEvent

_RECORDED: Final = json.loads((Path(__file__).parents[1] / "data" / "recorded_shapes.json").read_text())["shapes"]


def _struct(wire_type: Any) -> inspect.StructType:
    return cast("inspect.StructType", inspect.type_info(wire_type))


def _structs(union: Any) -> dict[str, inspect.StructType]:
    infos = (_struct(one) for one in get_args(union))
    return {str(info.tag): info for info in infos}


_EVENTS: Final = {"client": _structs(ClientEvent), "server": _structs(ServerEvent)}


def _assert_same_fields(info: inspect.StructType, recorded: set[str]) -> None:
    known = {"type", *(field.name for field in info.fields)}
    always_sent = {field.name for field in info.fields if field.required or field.default is not NODEFAULT}
    assert recorded <= known
    assert always_sent <= recorded


def _described(detail: list[str]) -> tuple[inspect.StructType, set[str]] | None:
    """Our type of the event's item, part or response, and its recorded keys."""
    words = dict(word.split("=", 1) for one in detail for word in one.split(","))
    if "response.keys" in words:
        return _struct(Response), set(words["response.keys"].split("|"))
    if "item.type" in words:
        return _structs(Item)[words["item.type"]], set(words["keys"].split("|"))
    if "part.type" in words:
        return _structs(Part)[words["part.type"]], set(words["keys"].split("|"))
    return None


@pytest.mark.parametrize("shape", _RECORDED, ids=lambda shape: " ".join([*shape[:2], *shape[3:]]))
def test_recorded_events_have_the_fields_of_our_types(shape: list[Any]) -> None:
    direction, event_type, fields, *detail = shape
    _assert_same_fields(_EVENTS[direction][event_type], {*fields})
    inner = _described(detail)
    if inner is not None:
        _assert_same_fields(*inner)


def test_the_fixture_holds_every_kind_of_event_of_a_spoken_turn() -> None:
    assert {shape[1] for shape in _RECORDED} >= {
        "session.created",
        "input_audio_buffer.append",
        "input_audio_buffer.speech_started",
        "conversation.item.added",
        "response.output_audio.delta",
        "response.done",
    }
