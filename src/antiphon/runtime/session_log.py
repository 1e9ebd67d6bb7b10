"""The file format of a recorded session: JSON lines, a header and then one line for each call of the core.

A line is ``[now, kind, value, ids, names, digest]``: seconds since the session began, the class of the input (``tick``
for a call of ``tick``), its fields, the ids that were made while it was handled, the names of what came out, and a
digest of it. Audio is there by its length, or as base64.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, get_args

import msgspec

from antiphon.core.config import SessionConfig
from antiphon.core.inputs import Input
from antiphon.core.limits import Limits
from antiphon.core.outputs import Emit, Output
from antiphon.protocol.errors import ProtocolError

__all__ = ["Call", "Header", "LogError", "Outcome", "encode_call", "encode_header", "outcome_of", "read_log"]

_VERSION: Final = 4
"""Of the format and of the core's inputs; a log of another version is refused."""
_TICK: Final = "tick"
_KINDS: Final[dict[str, Any]] = {kind.__name__: kind for kind in get_args(Input)}
_BYTES: Final = "$bytes"
"""A byte string is an object with this key alone: its length where audio was left out, else base64. A client's own
object that looks like one has another ``$`` before its key."""


_LINE: Final = tuple[float, str, Any, list[str], list[str], str]


class LogError(Exception):
    """A file is no log that this version can replay; the message says why."""


@dataclass(frozen=True, slots=True)
class Header:
    config: SessionConfig
    limits: Limits
    ids: list[str]
    """Made while the session was set up."""
    with_audio: bool
    """Whether audio is there, or only how long it was."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of a call, as far as a log tells."""

    names: list[str]
    """The types of the events and of the orders, in their order."""
    digest: str
    """Of all their fields; ``raised`` where the call ended with an exception."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the core."""

    now: float
    input: Input | None
    """None: ``tick``."""
    ids: list[str]
    outcome: Outcome


def outcome_of(outputs: Sequence[Output] | None, *, with_audio: bool) -> Outcome:
    """``outputs`` in short; None: the call raised."""
    if outputs is None:
        return Outcome([], "raised")
    if not outputs:
        return Outcome([], "")
    plain = _json([_plain(output, with_audio=with_audio) for output in outputs])
    return Outcome([_name(output) for output in outputs], hashlib.blake2b(plain, digest_size=8).hexdigest())


def _name(output: Output) -> str:
    return str(output.event.__struct_config__.tag) if isinstance(output, Emit) else type(output).__name__


def encode_header(header: Header) -> bytes:
    """``header`` as a line, without its end."""
    plain = {"antiphon_log": _VERSION, "header": _plain(header, with_audio=False)}
    return msgspec.json.encode(plain)


def encode_call(call: Call, *, with_audio: bool) -> bytes:
    """``call`` as a line, without its end."""
    kind = _TICK if call.input is None else type(call.input).__name__
    value = None if call.input is None else _plain(call.input, with_audio=with_audio)
    return _json([call.now, kind, value, call.ids, call.outcome.names, call.outcome.digest])


def read_log(path: Path) -> tuple[Header, Iterator[Call]]:
    """The header, and the calls as they are read. Raises ``LogError``, the calls' iterator too."""
    lines = _lines(path)
    header = _decode_header(next(lines, b""))
    return header, (_decode_call(line, number) for number, line in enumerate(lines, 2))


def _lines(path: Path) -> Iterator[bytes]:
    """The complete lines: a process that was killed leaves half a line behind."""
    try:
        with path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror}.") from error


def _decode_header(line: bytes) -> Header:
    try:
        plain = msgspec.json.decode(line)
        version = plain["antiphon_log"]
    except (msgspec.MsgspecError, TypeError, KeyError) as error:
        raise LogError("This is not the recording of a session: those are made with the setting record_dir.") from error
    if version != _VERSION:
        raise LogError(f"The recording has version {version}, this program reads version {_VERSION}.")
    return cast("Header", _typed(plain.get("header"), Header, 1))


def _decode_call(line: bytes, number: int) -> Call:
    try:
        now, kind, value, ids, names, digest = msgspec.convert(json.loads(line), _LINE)
        input_type = _KINDS[kind] if kind != _TICK else None
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise LogError(f"Line {number} of the recording is not a call of the core.") from error
    input = None if input_type is None else _typed(value, input_type, number)
    return Call(now, input, ids, Outcome(names, digest))


def _json(plain: Any) -> bytes:
    try:
        return msgspec.json.encode(plain)
    except UnicodeEncodeError:
        # Half a surrogate pair, as a model may write it; the core sends it as a question mark.
        return json.dumps(plain, separators=(",", ":")).encode()


# --- values --------------------------------------------------------------------------------------------------------


def _plain(value: Any, *, with_audio: bool) -> Any:
    plain = msgspec.to_builtins(value, builtin_types=(bytes,), enc_hook=_plain_error)
    return _without_bytes(plain, with_audio=with_audio)


def _typed(plain: Any, wanted: Any, number: int) -> Any:
    try:
        return msgspec.convert(_with_bytes(plain), wanted, builtin_types=(bytes,), dec_hook=_error)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise LogError(f"Line {number} of the recording does not fit this version: {error}") from error


def _without_bytes(plain: Any, *, with_audio: bool) -> Any:
    if isinstance(plain, bytes):
        return {_BYTES: base64.b64encode(plain).decode() if with_audio else len(plain)}
    if isinstance(plain, dict):
        mark = "$" if _looks_like_bytes(plain) else ""
        return {mark + key: _without_bytes(value, with_audio=with_audio) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_without_bytes(value, with_audio=with_audio) for value in plain]
    return plain


def _with_bytes(plain: Any) -> Any:
    if isinstance(plain, dict):
        if plain.keys() == {_BYTES}:
            content = plain[_BYTES]
            return bytes(content) if isinstance(content, int) else base64.b64decode(content)
        marked = _looks_like_bytes(plain)
        return {key[1:] if marked else key: _with_bytes(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_with_bytes(value) for value in plain]
    return plain


def _looks_like_bytes(plain: Mapping[str, Any]) -> bool:
    return len(plain) == 1 and next(iter(plain)).lstrip("$") == _BYTES[1:] and next(iter(plain))[0] == "$"


def _plain_error(value: Any) -> Any:
    if isinstance(value, ProtocolError):
        names = ("code", "message", "param", "event_id", "type")
        return {name: getattr(value, name) for name in names}
    raise NotImplementedError(f"a log holds no {type(value).__name__}")


def _error(wanted: type, plain: Any) -> Any:
    if wanted is ProtocolError:
        return ProtocolError(**plain)
    raise NotImplementedError(f"a log holds no {wanted.__name__}")
