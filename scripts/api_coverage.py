"""Prints ``docs/reference/coverage.md``: every event and field of the Realtime API, and whether it is there.

What the API has comes from the table that the conformance suite ships; what is here from our wire types, from the
events that the code emits and from the routes of the server. Below stands only what code cannot tell: what is taken
and has no effect, and why something is missing.
"""

import ast
import functools
import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from msgspec import inspect
from starlette.routing import Route, WebSocketRoute

import antiphon.core
from antiphon.conform.shapes import api_shapes
from antiphon.protocol.client_events import ClientEvent
from antiphon.protocol.items import Item
from antiphon.protocol.response import Response, ResponseOverrides
from antiphon.protocol.server_events import ServerEvent
from antiphon.protocol.session_config import (
    RealtimeSession,
    RealtimeSessionUpdate,
    TranscriptionSession,
    TranscriptionSessionUpdate,
)
from antiphon.server.app import ROUTES

__all__ = ["MISSING", "Row", "emitted_types", "page", "sections", "wrong_remarks"]

_SHAPES: Final = api_shapes()
_YES, _KEPT, _NO = "yes", "kept", "no"

# --- what code cannot tell -----------------------------------------------------------------------------------------

KEPT: Final[Mapping[str, str]] = {
    "session.model": "the model is that of the connection; any name will do, the engines that are configured answer",
    "session.tracing": "nothing is traced; a configuration cannot be modified, only removed",
    "session.audio.input.transcription.model": "any name; the engine that is configured transcribes",
    "item.object": "never shown, as with the hosted API",
    "response.input[].object": "never shown, as with the hosted API",
}
"""Fields of clients that are taken, checked and shown, and change nothing, although code reads a field of that name.
One stands for all below it."""

UNREAD: Final[Mapping[str, str]] = {
    "delay": "words are told as soon as they are stable",
    "rate": "24000 is the only one",
    "allowed_callers": "the model calls, and nobody else",
    "defer_loading": "all tools are listed at once",
}
"""The same for fields that no code reads, wherever they stand: every such field has a reason here, and no other."""

MISSING: Final[Mapping[str, str]] = {
    "session.audio.output.voice.id": "a voice is always shown by its name",
    "conversation.created": "the hosted API does not send it either",
    "conversation.item.created": "only in the beta's dialect",
    "conversation.item.input_audio_transcription.segment": "no engine here tells speakers apart",
    "conversation.item.input_audio_transcription.delta.logprobs": "they come with `completed`",
    "input_audio_buffer.dtmf_event_received": "SIP only",
}
"""What is not there, and why."""

REMARKS: Final[Mapping[str, str]] = {
    "response.output_audio.delta": "not on calls, whose audio goes over the track",
    "output_audio_buffer.started": "calls only",
    "output_audio_buffer.stopped": "calls only",
    "output_audio_buffer.cleared": "calls only",
    "output_audio_buffer.clear": "calls only; over WebSocket it is the error `invalid_value`",
    "session.tools[].connector_id": "refused: connectors are the hosted API's own",
    "session.tools[].tunnel_id": "refused: tunnels are the hosted API's own",
    "response.tools[].connector_id": "refused: connectors are the hosted API's own",
    "response.tools[].tunnel_id": "refused: tunnels are the hosted API's own",
    "session.prompt": "has an effect with the setting `prompts_file`",
    "response.prompt": "has an effect with the setting `prompts_file`",
    "session.reasoning.effort": "passed on by the engine `openai`, with its option `reasoning`",
    "response.reasoning.effort": "passed on by the engine `openai`, with its option `reasoning`",
}

_ADDRESSES: Final[Mapping[str, str]] = {
    "WS /v1/realtime": "`?call_id=` too, beside a call",
    "GET /v1/models": "",
    "GET /v1/models/{model}": "",
    "POST /v1/realtime/client_secrets": "",
    "POST /v1/realtime/sessions": "of the beta",
    "POST /v1/realtime/transcription_sessions": "of the beta",
    "POST /v1/realtime/calls": "WebRTC",
    "POST /v1/realtime/calls/{call_id}/hangup": "WebRTC",
    "POST /v1/realtime/calls/{call_id}/accept": "SIP",
    "POST /v1/realtime/calls/{call_id}/reject": "SIP",
    "POST /v1/realtime/calls/{call_id}/refer": "SIP",
    "WS /v1/realtime/translations": "translation",
    "POST /v1/realtime/translations/client_secrets": "translation",
    "POST /v1/realtime/translations/calls": "translation",
}
"""Those of the hosted API, and what they belong to."""

_ELSEWHERE: Final = (
    "Telephony by SIP (`accept`, `reject`, `refer`, the webhook `realtime.call.incoming`, DTMF), translation sessions "
    "(`/v1/realtime/translations`) and GPT-Live (`/v1/live/sessions`) are not there."
)


# --- rows ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    """An event's type, or the dotted path of a field."""
    answer: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class _Group:
    """A type whose fields have a table of their own."""

    heading: str
    place: str
    """What its paths begin with."""
    shapes: tuple[str, ...]
    types: tuple[Any, ...]


def _shape_names(kind: Any) -> tuple[str, ...]:
    return tuple(one["shape"] for one in _SHAPES.alternatives(kind) if isinstance(one, dict) and "shape" in one)


def _field(shape: str, name: str) -> Any:
    return _SHAPES.official_fields(shape)[name]


_ITEM_SHAPES: Final = _shape_names(_field("ConversationItemCreateEvent", "item"))
_SESSION_SHAPES: Final = _shape_names(_field("SessionUpdateEvent", "session"))
_OVERRIDES: Final = tuple(
    name for event in _SHAPES.client_events["response.create"] for name in _shape_names(_field(event, "response"))
)
_RESPONSE: Final = _shape_names(_field("ResponseDoneEvent", "response"))

_CLIENT_GROUPS: Final = (
    _Group(
        "The session of `session.update`, type `realtime`", "session", _SESSION_SHAPES[:1], (RealtimeSessionUpdate,)
    ),
    _Group(
        "The session of `session.update`, type `transcription`",
        "session",
        _SESSION_SHAPES[1:],
        (TranscriptionSessionUpdate,),
    ),
    _Group("The response of `response.create`", "response", _OVERRIDES, (ResponseOverrides,)),
    _Group("Items", "item", _ITEM_SHAPES, get_args(Item)),
)
_SERVER_GROUPS: Final = (
    _Group(
        "The session of `session.created` and `session.updated`", "session", _SESSION_SHAPES[:1], (RealtimeSession,)
    ),
    _Group("The session of a transcription session", "session", _SESSION_SHAPES[1:], (TranscriptionSession,)),
    _Group("The response of `response.created` and `response.done`", "response", _RESPONSE, (Response,)),
)


def sections() -> Iterator[tuple[str, list[Row]]]:
    """Heading and rows of each table."""
    yield "Addresses", list(_addresses())
    yield "Client events", list(_events(_SHAPES.client_events, get_args(ClientEvent), None))
    for group in _CLIENT_GROUPS:
        yield group.heading, list(_group_rows(group))
    yield "Server events", list(_events(_SHAPES.server_events, get_args(ServerEvent), emitted_types()))
    for group in _SERVER_GROUPS:
        yield group.heading, list(_group_rows(group, shown=True))


def _addresses() -> Iterator[Row]:
    there = set()
    for route in ROUTES:
        if isinstance(route, WebSocketRoute):
            there.add(f"WS {route.path}")
        elif isinstance(route, Route):
            path = route.path.replace(":path}", "}")
            there.update(f"{method} {path}" for method in route.methods or ())
    for address, belongs_to in _ADDRESSES.items():
        yield Row(address, _YES if address in there else _NO, belongs_to)


def emitted_types() -> frozenset[str]:
    """The server events that the code makes: those whose types a module of the core names."""
    named: set[object] = set()
    for module in pkgutil.walk_packages(antiphon.core.__path__, f"{antiphon.core.__name__}."):
        named.update(one for one in vars(importlib.import_module(module.name)).values() if isinstance(one, type))
    return frozenset(_tag(one) for one in (*get_args(ServerEvent),) if one in named) | {"error"}


def wrong_remarks() -> list[str]:
    """What the tables above say that the code does not, and what they should say."""
    rows = [row for _, some in sections() for row in some]
    answers: dict[str, set[str]] = {}
    for row in rows:
        answers.setdefault(row.name, set()).add(row.answer)
    unread = {_leaf(row.name) for row in rows if row.answer == _KEPT and _kept(row.name) is None}
    return [
        *(f"{name}: there is no such row" for name in {**KEPT, **MISSING, **REMARKS} if name not in answers),
        *(f"{name}: it is there" for name in MISSING if _NO not in answers.get(name, {_NO})),
        *(f"{name}: it is read: out of UNREAD, or into KEPT with its path" for name in UNREAD if name not in unread),
        *(f"{name}: no code reads it, and no reason is given" for name in sorted(unread - set(UNREAD))),
    ]


# --- what the code reads -------------------------------------------------------------------------------------------

_COPIES: Final = ("protocol", "conform", "testing", "core/session_update.py")
"""Code that names fields only to carry them on."""


@functools.cache
def _read_names() -> frozenset[str]:
    """The names of all attributes that code of ours reads."""
    source = Path(antiphon.core.__path__[0]).parent
    names: set[str] = set()
    for file in source.rglob("*.py"):
        if not file.relative_to(source).as_posix().startswith(_COPIES):
            names.update(_attributes(ast.parse(file.read_text("utf-8"))))
    return frozenset(names)


def _attributes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.MatchClass):
            yield from node.kwd_attrs


def _leaf(name: str) -> str:
    return name.rsplit(".", 1)[-1].removesuffix("[]")


def _is_unread(name: str) -> bool:
    return _leaf(name) not in _read_names()


def _events(shapes: Mapping[str, list[str]], types: Iterable[Any], emitted: frozenset[str] | None) -> Iterator[Row]:
    by_type = {_tag(one): one for one in types}
    for name, shape_names in shapes.items():
        there = name in by_type and (name not in MISSING if emitted is None else name in emitted)
        yield Row(name, _YES if there else _NO, (REMARKS if there else MISSING).get(name, ""))
        if name in by_type and there:
            infos = [inspect.type_info(by_type[name])]
            yield from _fields(shape_names, infos, name, deep=False, shown=emitted is not None)


def _group_rows(group: _Group, *, shown: bool = False) -> Iterator[Row]:
    infos = [inspect.type_info(one) for one in group.types]
    yield from _fields(group.shapes, infos, group.place, deep=True, shown=shown)


# --- fields --------------------------------------------------------------------------------------------------------


def _fields(shapes: Iterable[str], infos: list[inspect.Type], path: str, *, deep: bool, shown: bool) -> Iterator[Row]:
    rows: dict[str, Row] = {}
    for name, known in _walk_shapes(shapes, infos, path, deep=deep):
        if name not in rows or (known and rows[name].answer == _NO):
            rows[name] = _row(name, known=known, shown=shown)
    yield from rows.values()


def _row(name: str, *, known: bool, shown: bool) -> Row:
    if not known or (name in MISSING and shown):
        return Row(name, _NO, MISSING.get(name, ""))
    if not shown and (reason := _kept(name)):
        return Row(name, _KEPT, reason)
    if not shown and _is_unread(name):
        return Row(name, _KEPT, UNREAD.get(_leaf(name), ""))
    return Row(name, _YES, "" if shown else REMARKS.get(name, ""))


def _kept(name: str) -> str | None:
    return next((why for place, why in KEPT.items() if name == place or name.startswith(f"{place}.")), None)


def _walk_shapes(
    shapes: Iterable[str], infos: list[inspect.Type], path: str, *, deep: bool
) -> Iterator[tuple[str, bool]]:
    """Paths of the API's fields, and whether one of our types has it."""
    parts = [part for info in infos for part in (info.types if isinstance(info, inspect.UnionType) else [info])]
    structs = [part for part in parts if isinstance(part, inspect.StructType)]
    free = any(isinstance(part, inspect.AnyType | inspect.DictType) for part in parts)
    for shape in shapes:
        for name, kind in _SHAPES.official_fields(shape).items():
            if name == "type":
                continue
            place = f"{path}.{name}"
            ours = [
                field.type for struct in _meant(shape, structs) for field in struct.fields if field.encode_name == name
            ]
            yield place, bool(ours) or free
            if deep and ours:
                yield from _walk_kind(kind, ours, place)


def _walk_kind(kind: Any, infos: list[inspect.Type], path: str) -> Iterator[tuple[str, bool]]:
    for one in _SHAPES.alternatives(kind):
        if not isinstance(one, dict):
            continue
        if "list" in one:
            parts = [part for info in infos for part in (info.types if isinstance(info, inspect.UnionType) else [info])]
            elements = [part.item_type for part in parts if isinstance(part, inspect.ListType)]
            yield from _walk_kind(one["list"], elements, f"{path}[]")
        elif "shape" in one and one["shape"] not in _ITEM_SHAPES:
            yield from _walk_shapes([one["shape"]], infos, path, deep=True)


def _meant(shape: str, structs: list[inspect.StructType]) -> list[inspect.StructType]:
    """Those of our types that stand for a shape: by its ``type``."""
    kinds = _SHAPES.alternatives(_SHAPES.official_fields(shape).get("type", "string"))
    tags = {tag for one in kinds if isinstance(one, dict) and "one_of" in one for tag in one["one_of"]}
    return [struct for struct in structs if struct.tag is None or struct.tag in tags or "string" in kinds]


def _tag(wire_type: Any) -> str:
    return str(wire_type.__struct_config__.tag)


# --- the page ------------------------------------------------------------------------------------------------------

_HEAD: Final = """# What of the API is there

Made by `scripts/api_coverage.py` from the code; a test compares.

*yes*: it is known, and code reads or sends it. *kept*: taken, checked and shown, without effect. *no*: not there; such
a field of a client is ignored (with the setting `strict` refused), an event or a field of the server is never sent.
"""


def page() -> str:
    parts = [_HEAD, _ELSEWHERE + "\n"]
    for heading, rows in sections():
        parts.append(f"## {heading}\n")
        parts.append("| name | there | remark |\n| --- | --- | --- |")
        parts.append("".join(f"| `{row.name}` | {row.answer} | {row.remark} |\n" for row in rows))
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
