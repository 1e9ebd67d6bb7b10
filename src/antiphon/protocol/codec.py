"""The codec: texts to client events, server events to texts, and back again for our own client.

Decoding is strict in the type of every known field and lenient in what is unknown. Whatever the input is, the outcome
is an event or one ``ProtocolError``.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast, get_args

import msgspec

from antiphon.protocol.base import UNSET
from antiphon.protocol.checks import BASE64_CHARS_MAX, Check, Unknowns, compile_check
from antiphon.protocol.client_events import ClientEvent, InputAudioBufferAppend, InputAudioBufferCommit
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import ContentPart, McpToolDescription, ResponseInputItem
from antiphon.protocol.json_text import NESTING_MAX, parse_json_object, readable_event_id
from antiphon.protocol.response import Response, ResponseAudio, ResponseAudioOutput
from antiphon.protocol.server_events import ServerEvent
from antiphon.protocol.session_config import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    InputTranscription,
    RealtimeSession,
    RealtimeSessionAudio,
    TranscriptionSession,
    TranscriptionSessionAudio,
)

__all__ = [
    "BASE64_CHARS_MAX",
    "Decoded",
    "UnknownServerEvent",
    "decode_body",
    "decode_client_event",
    "decode_server_event",
    "encode_client_event",
    "encode_server_event",
    "plain_append",
    "plain_event",
    "read_event",
]

_T = TypeVar("_T")

_ITEM_STRUCTS: Final = (*get_args(ResponseInputItem), *get_args(ContentPart), McpToolDescription)
"""In items null is absent: clients send back what they received with nulls added, and some cannot read such nulls."""

_PARTIAL_STRUCTS: Final = (
    RealtimeSession,
    RealtimeSessionAudio,
    TranscriptionSession,
    TranscriptionSessionAudio,
    AudioInput,
    AudioOutput,
    AudioFormat,
    InputTranscription,
    Response,
    ResponseAudio,
    ResponseAudioOutput,
)
"""What other servers show of a session or a response differs from one to the next."""

_CLIENT_EVENT: Final = compile_check(ClientEvent, null_is_absent=_ITEM_STRUCTS)
_HOT: Final = msgspec.json.Decoder(InputAudioBufferAppend | InputAudioBufferCommit)
_ENCODER: Final = msgspec.json.Encoder()
_APPEND_BYTES_MAX: Final = BASE64_CHARS_MAX // 4 * 3
_NO_TYPE: Final = "The 'type' field is missing."


class Decoded(msgspec.Struct, Generic[_T], frozen=True):
    """An event (or body), and what was ignored of it."""

    event: _T
    unknown_fields: tuple[str, ...] = ()
    """Dotted paths of ignored fields, list indices left out (``session.tools[].colour``); at most 64."""


def decode_client_event(text: str | bytes, *, strict: bool = False, nesting: int = NESTING_MAX) -> Decoded[ClientEvent]:
    """One client event. Raises only ``ProtocolError``, with the client's ``event_id`` wherever that is readable.

    Unknown fields are left out and named in the result; with ``strict`` they are refused (``unknown_parameter``).
    More than ``nesting`` levels are refused wherever they stand, unknown fields included.
    """
    append = plain_append(text)
    if append is not None:
        return Decoded(append)
    event, unknown_fields = read_event(_CLIENT_EVENT, plain_event(text, nesting=nesting), strict=strict)
    return Decoded(cast("ClientEvent", event), unknown_fields)


def encode_client_event(event: ClientEvent) -> bytes:
    """JSON of a client event; absent fields are left out, bytes become base64."""
    return _ENCODER.encode(event)


def encode_server_event(event: ServerEvent) -> bytes:
    """JSON of a server event; absent fields are left out, bytes become base64."""
    return _ENCODER.encode(event)


# --- the hot path --------------------------------------------------------------------------------------------------


def plain_append(text: str | bytes) -> InputAudioBufferAppend | None:
    """The event, if this is an append of an ordinary shape; None sends the text down the exact path."""
    try:
        event = _HOT.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if type(event) is not InputAudioBufferAppend or len(event.audio) > _APPEND_BYTES_MAX:
        return None
    event_id = event.event_id
    expected = 8 if event_id is UNSET else 10 if event_id is None else 12
    return event if _count_quotes(text) == expected else None


def _count_quotes(text: str | bytes) -> int:
    """Each key and each string has two quotes: more than expected means unknown or repeated keys.

    Looks from the middle outwards, since searching is many times faster than counting and the audio has no quotes.
    """
    middle = len(text) // 2
    if isinstance(text, str):
        left, right = text.rfind('"', 0, middle), text.find('"', middle)
        return text.count('"', 0, left + 1) + (text.count('"', right) if right >= 0 else 0)
    left, right = text.rfind(b'"', 0, middle), text.find(b'"', middle)
    return text.count(b'"', 0, left + 1) + (text.count(b'"', right) if right >= 0 else 0)


# --- the exact path ------------------------------------------------------------------------------------------------


def plain_event(text: str | bytes, *, nesting: int) -> dict[str, Any]:
    """An event as plain values, its ``type`` among them. Raises only ``ProtocolError``."""
    plain = parse_json_object(text, nesting=nesting)
    if "type" not in plain:
        raise ProtocolError("invalid_event", _NO_TYPE, "type", event_id=readable_event_id(plain))
    return plain


def read_event(check: Check, plain: dict[str, Any], *, strict: bool) -> tuple[object, tuple[str, ...]]:
    """What ``check`` makes of an event or body, and the unknown fields of it. Raises only ``ProtocolError``."""
    unknowns = Unknowns(strict=strict)
    try:
        return check.read(plain, "", unknowns), unknowns.names
    except ProtocolError as error:
        error.event_id = readable_event_id(plain)
        raise
    except RecursionError:
        raise ProtocolError("invalid_value", "The event is nested too deeply.") from None


@functools.cache
def _compiled(wire_type: Any, *, lenient: bool = False) -> Check:
    return compile_check(
        wire_type, null_is_absent=_ITEM_STRUCTS, lenient=lenient, may_lack=_PARTIAL_STRUCTS if lenient else ()
    )


def decode_body(text: str | bytes, wire_type: type[_T], *, strict: bool = False) -> Decoded[_T]:
    """The JSON body of an HTTP request, read by the rules of client events. Raises only ``ProtocolError``."""
    check = _compiled(cast("Any", wire_type))
    body, unknown_fields = read_event(check, parse_json_object(text, noun="body"), strict=strict)
    return Decoded(cast("_T", body), unknown_fields)


# --- our own client ------------------------------------------------------------------------------------------------

_SERVER_EVENT: Final = msgspec.json.Decoder(ServerEvent)


@dataclass(frozen=True, slots=True)
class UnknownServerEvent:
    """A server event of a type or shape that this version does not know."""

    type: str
    fields: Mapping[str, Any]
    """The whole event as plain values."""


def decode_server_event(text: str | bytes) -> ServerEvent | UnknownServerEvent:
    """One server event, ours or upstream's: unknown fields are ignored, missing ones are null where that is allowed.

    Any other field that a session or a response lacks is ``UNSET`` there, whatever its type says.
    Raises ``ProtocolError`` only for what is no JSON object with a ``type``.
    """
    try:
        return cast("ServerEvent", _SERVER_EVENT.decode(text))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        plain = parse_json_object(text, nesting=None)
    name = plain.get("type")
    if not isinstance(name, str):
        raise ProtocolError("invalid_event", _NO_TYPE, "type")
    try:
        event, _ = read_event(_compiled(cast("Any", ServerEvent), lenient=True), plain, strict=False)
    except ProtocolError:
        return UnknownServerEvent(name, plain)
    return cast("ServerEvent", event)
