"""JSON text to plain Python values, refusing what JSON parsers silently disagree about.

``json`` of the standard library parses; this module adds what it lets pass: duplicate keys, NaN and infinities,
numbers that no double or 64-bit integer holds, lone surrogates. All refusals are ``ProtocolError``.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn, TypeAlias

from antiphon.protocol.errors import ProtocolError

__all__ = ["NESTING_MAX", "is_deeper", "parse_json_object", "readable_event_id", "shown"]

NESTING_MAX: Final = 64
"""Levels of objects and arrays in one event, the event itself being the first."""

_SHOWN_CHARS: Final = 128
_EVENT_ID_CHARS: Final = 512
_INTEGER_MIN: Final = -(2**63)
_INTEGER_MAX: Final = 2**64 - 1
_SAFE_INTEGER_CHARS: Final = 18
_VALUES_MAX: Final = 50_000
_COUNTED_FROM_CHARS: Final = 2**16
_CONTAINERS: Final = (dict, list)
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def shown(text: str) -> str:
    """A peer's text as it may stand in an error message: valid Unicode, at most 128 characters."""
    cut = text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
    return cut.encode("utf-8", "replace").decode("utf-8")


def parse_json_object(text: str | bytes, *, noun: str = "event", nesting: int | None = NESTING_MAX) -> dict[str, Any]:
    """The one JSON object that ``text`` (UTF-8 if bytes) holds, as plain values; ``noun`` is what messages call it.

    ``nesting``: at most so many levels; None: as many as the parser can read. Raises only ``ProtocolError``, with
    ``event_id`` filled where the object has a readable one.
    """
    decoded = _checked_unicode(text, noun) if isinstance(text, str) else _decode_utf8(text, noun)
    if len(decoded) > _COUNTED_FROM_CHARS:
        _refuse_too_many_values(decoded, noun)
    value = _parse(_PARSER, decoded, noun)
    if isinstance(value, _RefusedError):
        # Parse again to learn where it was refused, and whose event it is.
        _refuse_marked(_parse(_MARKING_PARSER, decoded, noun))
    if not isinstance(value, dict):
        raise _unreadable(noun, "is not a JSON object")
    if nesting is not None and decoded.count("{") + decoded.count("[") > nesting:
        _refuse_depth(value, nesting, noun)
    if "\\u" in decoded and _SURROGATE_ESCAPE.search(decoded):
        _refuse_lone_surrogates(value)
    return value


def readable_event_id(value: object) -> str | None:
    """``event_id`` of a parsed client event, if it is one that an ``error`` event can carry."""
    event_id = value.get("event_id") if isinstance(value, dict) else None
    if isinstance(event_id, str) and len(event_id) <= _EVENT_ID_CHARS and not _is_broken(event_id):
        return event_id
    return None


# --- parsing -------------------------------------------------------------------------------------------------------


class _RefusedError(Exception):
    """Something that JSON allows, or that Python's parser allows, and that we do not."""


class _Marked:
    """Stands in a parsed value where something was refused."""

    def __init__(self, complaint: str) -> None:
        self.complaint = complaint


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RefusedError
    return found


def _integer(digits: str) -> int:
    if len(digits) > _SAFE_INTEGER_CHARS and not _fits(digits):
        raise _RefusedError
    return int(digits)


def _fits(digits: str) -> bool:
    return len(digits) <= len(str(_INTEGER_MIN)) and _INTEGER_MIN <= int(digits) <= _INTEGER_MAX


def _decimal(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _RefusedError
    return value


def _constant(_name: str) -> NoReturn:
    raise _RefusedError


def _marked_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found[key] = _Marked("the key appears more than once") if key in found else value
    return found


def _or_marked(read: Callable[[str], Any], complaint: str) -> Callable[[str], Any]:
    def read_or_mark(digits: str) -> Any:
        try:
            return read(digits)
        except _RefusedError:
            return _Marked(complaint)

    return read_or_mark


_PARSER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)
_MARKING_PARSER: Final = json.JSONDecoder(
    object_pairs_hook=_marked_object,
    parse_int=_or_marked(_integer, "the number is out of range; expected a 64-bit integer"),
    parse_float=_or_marked(_decimal, "the number is out of range; expected a 64-bit floating-point number"),
    parse_constant=_or_marked(_constant, "not a number; JSON has no NaN and no infinities"),
)


def _refuse_too_many_values(text: str, noun: str) -> None:
    """A few megabytes of brackets would keep the parser busy for seconds; counting takes 1 ms a megabyte.

    Marks inside strings are counted, too: only texts of several megabytes come near the limit.
    """
    if sum(map(text.count, ",[{")) > _VALUES_MAX:
        raise ProtocolError("invalid_value", f"The {noun} holds too many values; expected at most {_VALUES_MAX}.")


def _unreadable(noun: str, complaint: str) -> ProtocolError:
    return ProtocolError(f"invalid_{noun}", f"The {noun} {complaint}.")


def _checked_unicode(text: str, noun: str) -> str:
    if not text.isascii() and _is_broken(text):
        raise _unreadable(noun, "is not valid Unicode")
    return text


def _decode_utf8(text: bytes, noun: str) -> str:
    try:
        return str(text, "utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(noun, f"is not valid UTF-8 at byte {error.start}") from None


def _parse(parser: json.JSONDecoder, text: str, noun: str) -> Any:
    try:
        return parser.decode(text)
    except _RefusedError as refused:
        return refused
    except RecursionError:
        raise ProtocolError("invalid_value", f"The {noun} is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise _unreadable(noun, f"is not valid JSON: {error.msg} at character {error.pos}") from None


# --- refusing ------------------------------------------------------------------------------------------------------


def _refuse_marked(value: object) -> NoReturn:
    trail, marked = next((trail, leaf) for trail, leaf in _leaves(value) if isinstance(leaf, _Marked))
    _refuse(value, trail, marked.complaint)


def _refuse_depth(value: dict[str, Any], nesting: int, noun: str) -> None:
    if not is_deeper(value, nesting):
        return
    field = shown(next(key for key, child in value.items() if is_deeper(child, nesting - 1)))
    message = f"The {noun} is nested too deeply in '{field}'; expected at most {nesting} levels."
    raise ProtocolError("invalid_value", message, field, event_id=readable_event_id(value))


def is_deeper(value: object, levels: int) -> bool:
    """Whether ``value`` has more than ``levels`` levels of containers; without recursion."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(levels):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, _CONTAINERS)
        ]
        if not level:
            return False
    return bool(level)


def _refuse_lone_surrogates(value: dict[str, Any]) -> None:
    for trail, leaf in _leaves(value):
        if isinstance(leaf, str) and _is_broken(leaf):
            _refuse(value, trail, "the text is not valid Unicode; it holds a lone surrogate")


def _refuse(value: object, trail: "_Trail", complaint: str) -> NoReturn:
    where = shown(_path(trail)) or None
    message = f"Invalid value for '{where}': {complaint}." if where else f"Invalid value: {complaint}."
    raise ProtocolError("invalid_value", message, where, event_id=readable_event_id(value))


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


_Trail: TypeAlias = tuple["_Trail", str | int] | None
"""The way to a place, innermost step first: paths are spelled out only when they are told to someone."""


def _path(trail: _Trail) -> str:
    steps: list[str | int] = []
    while trail:
        trail, step = trail
        steps.append(step)
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(steps)).removeprefix(".")


def _leaves(root: object) -> Iterator[tuple[_Trail, object]]:
    """Every key and every value that is no container, with the way to it; without recursion."""
    pending: list[tuple[_Trail, object]] = [(None, root)]
    while pending:
        trail, value = pending.pop()
        if isinstance(value, dict):
            yield from ((trail, key) for key in value)
            pending.extend(((trail, key), child) for key, child in value.items())
        elif isinstance(value, list):
            pending.extend(((trail, index), child) for index, child in enumerate(value))
        else:
            yield trail, value
