"""Our types know every field of the API, and accept every value that the API allows there."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast, get_args

import pytest
from msgspec import inspect

from antiphon.conform.shapes import api_shapes
from antiphon.protocol.client_events import ClientEvent
from antiphon.protocol.codec import decode_body, decode_client_event, encode_client_event
from antiphon.protocol.rest import (
    CallAcceptRequest,
    CallCreateRequest,
    CallReferRequest,
    CallRejectRequest,
    ClientSecretRequest,
    ClientSecretResponse,
    encode_body,
)
from antiphon.protocol.server_events import ServerEvent

SHAPES: Final = api_shapes()
BODIES: Final[Mapping[str, Any]] = {
    "POST /realtime/client_secrets": ClientSecretRequest,
    "POST /realtime/client_secrets 200": ClientSecretResponse,
    "POST /realtime/calls": CallCreateRequest,
    "POST /realtime/calls/{call_id}/accept": CallAcceptRequest,
    "POST /realtime/calls/{call_id}/refer": CallReferRequest,
    "POST /realtime/calls/{call_id}/reject": CallRejectRequest,
}


def by_tag(union: Any) -> dict[str, Any]:
    return {str(one.__struct_config__.tag): one for one in get_args(union)}


CLIENT: Final = by_tag(ClientEvent)
SERVER: Final = by_tag(ServerEvent)


def test_the_client_events_are_exactly_those_of_the_api() -> None:
    assert set(CLIENT) == set(SHAPES.client_events)


def test_the_bodies_are_exactly_those_of_the_api() -> None:
    assert set(BODIES) == set(SHAPES.rest)


# --- every field is known ------------------------------------------------------------------------------------------

_NEVER_SENT: Final = {".session.audio.output.voice.id": "several clients cannot parse a voice object"}
_FREE_FORM: Final = (inspect.AnyType, inspect.DictType)


def _parts(info: inspect.Type) -> list[inspect.Type]:
    return list(info.types) if isinstance(info, inspect.UnionType) else [info]


def unknown_fields(kind: Any, infos: list[inspect.Type], path: str) -> Iterator[str]:
    """Paths of fields of ``kind`` that none of our types ``infos`` has."""
    parts = [part for info in infos for part in _parts(info)]
    if any(isinstance(part, _FREE_FORM) for part in parts):
        return
    structs = [part for part in parts if isinstance(part, inspect.StructType)]
    elements = [part.item_type for part in parts if isinstance(part, inspect.ListType)]
    for one in SHAPES.alternatives(kind):
        if isinstance(one, dict) and "list" in one:
            yield from unknown_fields(one["list"], elements, f"{path}[]")
        elif isinstance(one, dict) and "shape" in one:
            yield from _unknown_in_shape(one["shape"], structs, path)


def _unknown_in_shape(shape: str, structs: list[inspect.StructType], path: str) -> Iterator[str]:
    fields = SHAPES.official_fields(shape)
    kinds = SHAPES.alternatives(fields.get("type", "string"))
    tags = {tag for one in kinds if isinstance(one, dict) for tag in one["one_of"]}
    candidates = [struct for struct in structs if struct.tag is None or struct.tag in tags or "string" in kinds]
    for name, kind in fields.items():
        ours = [field.type for struct in candidates for field in struct.fields if field.encode_name == name]
        if not ours and not (name == "type" and candidates):
            yield f"{path}.{name}"
        else:
            yield from unknown_fields(kind, ours, f"{path}.{name}")


@pytest.mark.parametrize("event_type", SHAPES.client_events)
def test_every_field_of_a_client_event_is_known(event_type: str) -> None:
    for shape in SHAPES.client_events[event_type]:
        assert not list(_unknown_in_shape(shape, [_struct(CLIENT[event_type])], ""))


@pytest.mark.parametrize("event_type", SHAPES.server_events)
def test_every_field_of_a_server_event_is_known(event_type: str) -> None:
    for shape in SHAPES.server_events[event_type]:
        assert set(_unknown_in_shape(shape, [_struct(SERVER[event_type])], "")) <= set(_NEVER_SENT)


@pytest.mark.parametrize("name", SHAPES.rest)
def test_every_field_of_a_body_is_known(name: str) -> None:
    assert set(_unknown_in_shape(SHAPES.rest[name], [_struct(BODIES[name])], "")) <= set(_NEVER_SENT)


def _struct(wire_type: Any) -> inspect.StructType:
    return cast("inspect.StructType", inspect.type_info(wire_type))


# --- every value is accepted ---------------------------------------------------------------------------------------

_SAMPLES: Final[Mapping[str, Any]] = {
    "audio": "aGk=",
    "speed": 1.25,
    "threshold": 0.25,
    "strength": 0.5,
    "retention_ratio": 0.75,
    "idle_timeout_ms": 6000,
    "seconds": 60,
    "status_code": 486,
    "conversation": "auto",
}
_OF_KIND: Final[Mapping[str, list[Any]]] = {
    "string": ["text"],
    "integer": [100],
    "number": [0.5, 1],
    "boolean": [True, False],
    "anything": [{"any": ["thing", 1.0]}],
    "null": [],  # the official types allow null for all that is optional; test_codec_leniency says where it matters
}
_PARTS: Final[Mapping[str, list[dict[str, Any]]]] = {
    "user": [
        {"type": "input_text", "text": "a"},
        {"type": "input_audio", "audio": "aGk="},
        {"type": "input_audio", "audio": "aGk=", "transcript": "a"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        *({"type": "input_image", "image_url": "data:", "detail": detail} for detail in ("auto", "low", "high")),
    ],
    "assistant": [
        {"type": "output_text", "text": "a"},
        {"type": "output_audio", "audio": "aGk=", "transcript": "a"},
    ],
    "system": [{"type": "input_text", "text": "a"}],
}
"""Content parts, which the official types describe as one loose shape per role."""


def samples(kind: Any, name: str = "") -> Iterator[Any]:
    """Values of a kind that together use all that it allows; ``name`` is its field's."""
    for one in SHAPES.alternatives(kind):
        if isinstance(one, str):
            yield from [_SAMPLES[name]] if name in _SAMPLES and one != "null" else _OF_KIND[one]
        elif "one_of" in one:
            yield from one["one_of"]
        elif "shape" in one:
            yield from _objects(one["shape"])
        elif "list" in one:
            yield from ([element] for element in samples(one["list"]))
        else:
            yield from ({"key": element} for element in samples(one["map"]))


def _objects(shape: str) -> Iterator[dict[str, Any]]:
    fields = SHAPES.official_fields(shape)
    always = {*SHAPES.required(shape), *({"type"} & set(fields))}
    if shape.startswith("RealtimeFunctionTool"):
        always.add("name")
    if "role" in fields:
        role = next(samples(fields["role"]))
        yield from ({"type": "message", "role": role, "content": [part]} for part in _PARTS[role])
        fields = {name: kind for name, kind in fields.items() if name != "content"}
        base = {"type": "message", "role": role, "content": []}
    else:
        base = {name: next(samples(fields[name], name)) for name in always}
    yield base
    for name, kind in fields.items():
        yield from ({**base, name: value} for value in samples(kind, name))


def assert_kept(sent: Any, kept: Any, path: str = "") -> None:
    """All that was sent is there; more may be."""
    if isinstance(sent, dict):
        assert isinstance(kept, dict), path
        for name, value in sent.items():
            assert name in kept, f"{path}.{name}"
            assert_kept(value, kept[name], f"{path}.{name}")
    elif isinstance(sent, list):
        assert isinstance(kept, list), path
        assert len(kept) == len(sent), path
        for index, (one, other) in enumerate(zip(sent, kept, strict=True)):
            assert_kept(one, other, f"{path}[{index}]")
    else:
        assert kept == sent, path


@pytest.mark.parametrize("event_type", SHAPES.client_events)
def test_every_value_that_the_api_allows_in_a_client_event_is_accepted_and_kept(event_type: str) -> None:
    for shape in SHAPES.client_events[event_type]:
        for event in _objects(shape):
            result = decode_client_event(json.dumps(event), strict=True)
            assert_kept(event, json.loads(encode_client_event(result.event)))


@pytest.mark.parametrize("name", [name for name in SHAPES.rest if not name.endswith(" 200")])
def test_every_value_that_the_api_allows_in_a_body_is_accepted_and_kept(name: str) -> None:
    for body in _objects(SHAPES.rest[name]):
        result = decode_body(json.dumps(body), BODIES[name], strict=True)
        assert_kept(body, json.loads(encode_body(result.event)))


def test_the_samples_reach_deep_into_a_session() -> None:
    sessions = [event["session"] for event in _objects("SessionUpdateEvent")]
    text = json.dumps(sessions)
    assert len(sessions) > 100
    for field in (
        "eagerness",
        "idle_timeout_ms",
        "post_instructions",
        "tool_names",
        "group_id",
        "keywords",
        "strength",
    ):
        assert f'"{field}"' in text
