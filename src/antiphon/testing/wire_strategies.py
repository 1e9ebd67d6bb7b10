"""Hypothesis strategies of wire values, made from the types. Needs the ``hypothesis`` package."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from antiphon.protocol.base import UNSET
from antiphon.protocol.client_events import ClientEvent
from antiphon.protocol.items import (
    ContentPart,
    InputAudio,
    InputImage,
    InputText,
    McpToolDescription,
    Message,
    OutputAudio,
    OutputText,
    ResponseInputItem,
)
from antiphon.protocol.session_config import AudioFormat, AudioFormatUpdate, PromptReference

__all__ = ["client_events", "json_values", "server_events", "wire_values"]

_T = TypeVar("_T")

_ITEM_TYPES: Final = frozenset(
    info.cls
    for union in (ResponseInputItem, ContentPart)
    for info in cast("inspect.UnionType", inspect.type_info(union)).types
    if isinstance(info, inspect.StructType)
) | {McpToolDescription}
_LIST_MAX: Final = 3
_INTEGER_BOUND: Final = 2**53

_TEXT: Final = st.text(max_size=20)


def json_values(*, max_leaves: int = 8) -> st.SearchStrategy[Any]:
    """Any JSON value that the codec keeps exactly."""
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | _TEXT
    finite = leaves.filter(lambda value: value not in (float("inf"), float("-inf")))
    return st.recursive(
        finite,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
        max_leaves=max_leaves,
    )


def wire_values(wire_type: type[_T]) -> st.SearchStrategy[_T]:
    """Valid values of a wire type as a decoder yields them: optional fields of items are absent, never None."""
    return cast("st.SearchStrategy[_T]", _strategy(inspect.type_info(wire_type)))


def server_events(wire_type: type[_T]) -> st.SearchStrategy[_T]:
    """Valid server events of one type as a server sends them: every item has its id."""
    return wire_values(wire_type).map(_with_item_ids)


def _with_item_ids(event: Any) -> Any:
    if hasattr(event, "item"):
        return msgspec.structs.replace(event, item=_with_id(event.item))
    if hasattr(event, "response"):
        output = [_with_id(item) for item in event.response.output]
        return msgspec.structs.replace(event, response=msgspec.structs.replace(event.response, output=output))
    return event


def _with_id(item: Any) -> Any:
    return msgspec.structs.replace(item, id="item_1") if item.id is UNSET else item


def client_events() -> st.SearchStrategy[ClientEvent]:
    """Any valid client event, with audio of any content and ids of no conversation."""
    return cast("st.SearchStrategy[ClientEvent]", _strategy(inspect.type_info(ClientEvent)))


def _strategy(info: inspect.Type) -> st.SearchStrategy[Any]:
    bare = info.type if isinstance(info, inspect.Metadata) else info
    return _MAKERS[type(bare)](bare)


def _string(info: inspect.StrType) -> st.SearchStrategy[str]:
    if info.pattern:
        return st.from_regex(info.pattern, fullmatch=True).filter(lambda text: len(text) <= (info.max_length or 20))
    return st.text(min_size=info.min_length or 0, max_size=min(info.max_length or 20, 20))


def _integer(info: inspect.IntType) -> st.SearchStrategy[int]:
    least = -_INTEGER_BOUND if info.ge is None else info.ge
    return st.integers(least, _INTEGER_BOUND if info.le is None else info.le)


def _number(info: inspect.FloatType) -> st.SearchStrategy[float]:
    return st.floats(info.ge, info.le, allow_nan=False, allow_infinity=False)


def _object(info: inspect.StructType) -> st.SearchStrategy[msgspec.Struct]:
    if info.cls is Message:
        return _any_fields(info).flatmap(_with_fitting_parts)
    return _any_fields(info).map(_MENDERS.get(info.cls, _as_it_is))


def _any_fields(info: inspect.StructType) -> st.SearchStrategy[Any]:
    required = {field.name: _strategy(field.type) for field in info.fields if field.required}
    optional = {field.name: _optional(info.cls, field) for field in info.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: info.cls(**fields))


def _optional(owner: type, field: inspect.Field) -> st.SearchStrategy[Any]:
    given = _strategy(field.type)
    null_allowed = owner not in _ITEM_TYPES or field.default is None
    return given if null_allowed else given.filter(lambda value: value is not None)


def _as_it_is(value: msgspec.Struct) -> msgspec.Struct:
    return value


def _with_fitting_parts(message: Message) -> st.SearchStrategy[Message]:
    """Each role has its own kinds of content, and only the assistant has phases."""
    kinds: Mapping[str, tuple[type, ...]] = {
        "system": (InputText,),
        "user": (InputText, InputAudio, InputImage),
        "assistant": (OutputText, OutputAudio),
    }
    parts = st.one_of([wire_values(kind) for kind in kinds[message.role]])
    phase = message.phase if message.role == "assistant" else UNSET
    return st.lists(parts, max_size=_LIST_MAX).map(
        lambda content: msgspec.structs.replace(message, content=content, phase=phase)
    )


def _without_wrong_rate(audio_format: Any) -> Any:
    if audio_format.type in ("audio/pcm", UNSET):
        return audio_format
    return msgspec.structs.replace(audio_format, rate=UNSET)


def _with_plain_variables(prompt: Any) -> Any:
    variables = prompt.variables
    if not isinstance(variables, dict):
        return prompt
    strings = {name: value for name, value in variables.items() if isinstance(value, str)}
    return msgspec.structs.replace(prompt, variables=strings)


_MENDERS: Final[Mapping[type, Callable[[Any], Any]]] = {
    AudioFormat: _without_wrong_rate,
    AudioFormatUpdate: _without_wrong_rate,
    PromptReference: _with_plain_variables,
}
"""What the types alone do not say."""

_MAKERS: Final[Mapping[type, Callable[[Any], st.SearchStrategy[Any]]]] = {
    inspect.AnyType: lambda _: json_values(),
    inspect.NoneType: lambda _: st.none(),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.BytesType: lambda _: st.binary(max_size=40),
    inspect.StrType: _string,
    inspect.IntType: _integer,
    inspect.FloatType: _number,
    inspect.LiteralType: lambda info: st.sampled_from(info.values),
    inspect.ListType: lambda info: st.lists(_strategy(info.item_type), max_size=_LIST_MAX),
    inspect.DictType: lambda info: st.dictionaries(_TEXT, _strategy(info.value_type), max_size=_LIST_MAX),
    inspect.UnionType: lambda info: st.one_of([_strategy(one) for one in info.types]),
    inspect.StructType: _object,
}
