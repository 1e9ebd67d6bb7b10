"""The fields of every event of the Realtime API, and what an event made of plain values has against it."""

import functools
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Final

__all__ = ["ApiShapes", "api_shapes", "item_complaints", "table_complaints"]

_SESSION_FIELDS: Final = {"object": "string", "id": "string", "expires_at": "integer"}
_PHASE: Final = {"phase": {"one_of": ["commentary", "final_answer"]}}
_OBFUSCATION: Final = {"obfuscation": "string"}
_RECORDED_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "RealtimeSessionCreateRequest": _SESSION_FIELDS,
    "RealtimeTranscriptionSessionCreateRequest": _SESSION_FIELDS,
    "RealtimeConversationItemAssistantMessage": _PHASE,
    "ResponseTextDeltaEvent": _OBFUSCATION,
    "ResponseAudioTranscriptDeltaEvent": _OBFUSCATION,
    "ResponseFunctionCallArgumentsDeltaEvent": _OBFUSCATION,
    "ResponseMcpCallArgumentsDelta": _OBFUSCATION,
    "ConversationItemInputAudioTranscriptionDeltaEvent": _OBFUSCATION,
}
"""Fields of recorded real events that the official types lack, by shape."""

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}


class ApiShapes:
    """The API's fields: which exist in each event, item and body, and what values they take."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.client_events: Mapping[str, list[str]] = table["client_events"]
        """Event type to the names of its shapes."""
        self.server_events: Mapping[str, list[str]] = table["server_events"]
        self.rest: Mapping[str, str] = table["rest"]
        self._shapes: Mapping[str, Any] = table["shapes"]

    def official_fields(self, shape: str) -> Mapping[str, Any]:
        """Names and kinds of the fields that the official types have."""
        fields: Mapping[str, Any] = self._shapes[shape].get("fields", {})
        return fields

    def required(self, shape: str) -> list[str]:
        required: list[str] = self._shapes[shape].get("required", [])
        return required

    def alternatives(self, kind: Any) -> list[Any]:
        """The kinds that ``kind`` allows, unions and aliases resolved."""
        if isinstance(kind, dict) and "any" in kind:
            return [one for each in kind["any"] for one in self.alternatives(each)]
        if isinstance(kind, dict) and "shape" in kind and "alias" in self._shapes[kind["shape"]]:
            return self.alternatives(self._shapes[kind["shape"]]["alias"])
        return [kind]

    def complaints(self, value: object, kind: Any, path: str = "") -> list[str]:
        """What keeps ``value`` from being of ``kind``; for a union, of the alternative that comes nearest."""
        alternatives = self.alternatives(kind)
        fitting = [one for one in alternatives if _is_of(value, _json_kind(one))] or alternatives
        if len(fitting) == 1:
            return list(self._complaints(value, fitting[0], path))
        each = [list(self._complaints(value, one, path)) for one in fitting]
        return min(each, key=_distance)

    def _complaints(self, value: object, kind: Any, path: str) -> Iterator[str]:
        if isinstance(kind, str):
            if not _is_of(value, kind):
                yield f"{path}: expected {kind}, got {json.dumps(value)[:80]}"
        elif "one_of" in kind:
            if value not in kind["one_of"] or isinstance(value, bool):
                yield f"{path}: expected one of {kind['one_of']}, got {json.dumps(value)[:80]}"
        elif "shape" in kind:
            yield from self._object_complaints(value, kind["shape"], path)
        else:
            yield from self._container_complaints(value, kind, path)

    def _container_complaints(self, value: object, kind: Mapping[str, Any], path: str) -> Iterator[str]:
        if "list" in kind and isinstance(value, list):
            for index, one in enumerate(value):
                yield from self.complaints(one, kind["list"], f"{path}[{index}]")
        elif "map" in kind and isinstance(value, dict):
            for key, one in value.items():
                yield from self.complaints(one, kind["map"], f"{path}.{key}")
        else:
            yield f"{path}: expected {kind}, got {json.dumps(value)[:80]}"

    def _object_complaints(self, value: object, shape: str, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: expected an object ({shape}), got {json.dumps(value)[:80]}"
            return
        recorded = _RECORDED_FIELDS.get(shape, {})
        fields = {**self.official_fields(shape), **recorded} if recorded else self.official_fields(shape)
        prefix = f"{path}." if path else ""
        yield from (f"{prefix}{name}: missing" for name in self.required(shape) if name not in value)
        for name, one in value.items():
            if name in fields:
                yield from self.complaints(one, fields[name], prefix + name)
            else:
                yield f"{prefix}{name}: no field of {shape}"


def _json_kind(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if "one_of" in kind:
        return "string" if isinstance(kind["one_of"][0], str) else "number"
    return "array" if "list" in kind else "object"


def _distance(complaints: list[str]) -> int:
    """How far from an alternative; a wrong ``type`` or ``role`` says that another alternative was meant."""
    return sum(10 if one.split(":")[0].endswith(("type", "role")) else 1 for one in complaints)


def _is_of(value: object, kind: str) -> bool:
    if kind == "anything":
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _KINDS[kind])


@functools.cache
def api_shapes() -> ApiShapes:
    """The table, as derived from the official types."""
    text = resources.files("antiphon.conform").joinpath("api_shapes.json").read_text("utf-8")
    return ApiShapes(json.loads(text))


def table_complaints(payload: Mapping[str, Any]) -> Iterator[str]:
    """What the table of the API's fields has against a server event."""
    shapes = api_shapes()
    names = shapes.server_events.get(str(payload.get("type")))
    if names is None:
        yield f"type: {payload.get('type')!r} is no server event"
    else:
        yield from shapes.complaints(dict(payload), {"any": [{"shape": name} for name in names]})


def item_complaints(payload: Mapping[str, Any]) -> Iterator[str]:
    """What in the items of a server event real clients were seen to break on."""
    response = payload.get("response")
    items = [payload.get("item")]
    if isinstance(response, dict) and isinstance(response.get("output"), list):
        items += response["output"]
    for item in items:
        if isinstance(item, dict):
            yield from _item_complaints(item)
            parts = item.get("content")
            for part in parts if isinstance(parts, list) else ():
                yield from _part_complaints(part)


def _item_complaints(item: Mapping[str, Any]) -> Iterator[str]:
    may_be_null = {"output"} if item.get("type") == "mcp_call" else set()
    if item.get("type") == "mcp_call" and "output" not in item:
        yield "item.output: an mcp_call without this key stops a client"
    for name in item:
        if item[name] is None and name not in may_be_null:
            yield f"item.{name}: null, where a client needs it left out"


def _part_complaints(part: object) -> Iterator[str]:
    if not isinstance(part, dict):
        return
    may_be_null = {"transcript"} if part.get("type") == "input_audio" else set()
    if part.get("type") == "input_audio" and "transcript" not in part:
        yield "item.content: an input_audio part without the key 'transcript' crashes a client"
    for name in part:
        if part[name] is None and name not in may_be_null:
            yield f"item.content.{name}: null, where a client needs it left out"
