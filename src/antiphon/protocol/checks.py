"""Plain values to wire types, with errors that name the field, what came and what is allowed.

The checks are made once from the msgspec types, so types and checks cannot differ. They exist beside msgspec's own
decoder because a peer's mistake must become one precise ``ProtocolError``: msgspec reports no code, merges several
kinds of mistake, accepts no ``200.0`` for an integer and names unknown fields only one at a time.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

import msgspec
from msgspec import inspect

from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.json_text import shown

__all__ = ["BASE64_CHARS_MAX", "Check", "Unknowns", "compile_check"]

BASE64_CHARS_MAX: Final = 15 * 1024 * 1024
"""Most base64 text of one field: what the API allows in one ``input_audio_buffer.append``."""

_UNKNOWN_NAMES_MAX: Final = 64
_EXACT_FLOAT_MAX: Final = 2**53
_INDEX: Final = re.compile(r"\[\d+\]")


class Unknowns:
    """Names of the fields that the API does not know; with ``strict`` the first one is refused.

    List indices are left out (``session.tools[].colour``) and at most 64 names are kept, so that they can be counted.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._names: dict[str, None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._names)

    def add(self, path: str) -> None:
        if self._strict:
            raise ProtocolError("unknown_parameter", f"Unknown parameter: '{shown(path)}'.", shown(path))
        if len(self._names) < _UNKNOWN_NAMES_MAX:
            self._names[shown(_INDEX.sub("[]", path))] = None


class Check:
    """Reads a plain value into what the wire type holds there; raises only ``ProtocolError``."""

    kinds: tuple[str, ...] = ()
    """The JSON kinds that this check reads: string, integer, number, boolean, null, object, array."""

    def read(self, value: Any, path: str, unknowns: Unknowns) -> Any:
        raise NotImplementedError


# --- complaints ----------------------------------------------------------------------------------------------------

_KIND_OF: Final[Mapping[type, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
    type(None): "null",
}
_WITH_ARTICLE: Final[Mapping[str, str]] = {
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "an array",
    "object": "an object",
    "null": "null",
}


def _listed(words: Iterable[str], joint: str) -> str:
    *head, last = words
    if len(head) > 1:
        return f"{', '.join(head)}, {joint} {last}"
    return f"{head[0]} {joint} {last}" if head else last


def _quoted(value: object) -> str:
    return f"'{shown(value)}'" if isinstance(value, str) else str(value)


def _wrong_type(value: object, path: str, kinds: tuple[str, ...]) -> NoReturn:
    expected = _listed((words for kind, words in _WITH_ARTICLE.items() if kind in kinds), "or")
    got = "a decimal number" if type(value) is float else _WITH_ARTICLE[_KIND_OF[type(value)]]
    name = shown(path)
    raise ProtocolError("invalid_type", f"Invalid type for '{name}': expected {expected}, but got {got} instead.", name)


def _not_supported(value: object, path: str, supported: Iterable[object]) -> NoReturn:
    allowed = _listed((_quoted(one) for one in supported), "and")
    place = "" if path == "type" else f" for '{shown(path)}'"
    message = f"Invalid value: {_quoted(value)}{place}. Supported values are: {allowed}."
    raise ProtocolError("invalid_value", message, shown(path))


def _invalid(path: str, complaint: str) -> NoReturn:
    raise ProtocolError("invalid_value", f"Invalid '{shown(path)}': {complaint}.", shown(path))


def _missing(path: str) -> NoReturn:
    raise ProtocolError("missing_required_parameter", f"Missing required parameter: '{shown(path)}'.", shown(path))


# --- scalars -------------------------------------------------------------------------------------------------------


class _Anything(Check):
    """Free-form: kept exactly as it came."""

    kinds = ("string", "integer", "number", "boolean", "null", "object", "array")

    def read(self, value: Any, path: str, unknowns: Unknowns) -> Any:
        return value


class _Null(Check):
    kinds = ("null",)

    def read(self, value: Any, path: str, unknowns: Unknowns) -> None:
        if value is not None:
            _wrong_type(value, path, self.kinds)


class _Boolean(Check):
    kinds = ("boolean",)

    def read(self, value: Any, path: str, unknowns: Unknowns) -> bool:
        if value is True or value is False:
            return value
        _wrong_type(value, path, self.kinds)


class _String(Check):
    kinds = ("string",)

    def __init__(self, info: inspect.StrType) -> None:
        self._min_chars = info.min_length or 0
        self._max_chars = info.max_length
        self._pattern = info.pattern and re.compile(info.pattern)

    def read(self, value: Any, path: str, unknowns: Unknowns) -> str:
        if type(value) is not str:
            _wrong_type(value, path, self.kinds)
        if self._max_chars is not None and len(value) > self._max_chars:
            limit = f"expected a string with maximum length {self._max_chars}"
            _invalid(path, f"string too long; {limit}, but got a string with length {len(value)} instead")
        if len(value) < self._min_chars:
            _invalid(path, f"string too short; expected a string with minimum length {self._min_chars}")
        if self._pattern and not self._pattern.fullmatch(value):
            _invalid(path, f"expected a string that matches the pattern {self._pattern.pattern}")
        return value


class _Base64(Check):
    kinds = ("string",)

    def read(self, value: Any, path: str, unknowns: Unknowns) -> bytes:
        if type(value) is not str:
            _wrong_type(value, path, self.kinds)
        if len(value) > BASE64_CHARS_MAX:
            limit = f"expected at most {BASE64_CHARS_MAX} characters of base64 (15 MiB)"
            _invalid(path, f"string too long; {limit}, but got {len(value)} instead")
        try:
            return msgspec.convert(value, bytes)
        except msgspec.ValidationError:
            _invalid(path, "expected base64-encoded bytes (standard alphabet, padded, without line breaks)")


class _Bounds:
    def __init__(self, info: inspect.IntType | inspect.FloatType) -> None:
        self._least = info.ge
        self._most = info.le
        if info.gt is not None or info.lt is not None or info.multiple_of is not None:
            raise NotImplementedError("only inclusive bounds are used on the wire")

    def check(self, value: float, path: str) -> None:
        if self._least is not None and value < self._least:
            _invalid(path, f"expected a value >= {self._least}, but got {value} instead")
        if self._most is not None and value > self._most:
            _invalid(path, f"expected a value <= {self._most}, but got {value} instead")


class _Integer(Check):
    """An integer, or a floating-point number without a fraction that stands for exactly one integer."""

    kinds = ("integer",)

    def __init__(self, info: inspect.IntType) -> None:
        self._bounds = _Bounds(info)

    def read(self, value: Any, path: str, unknowns: Unknowns) -> int:
        whole = _whole(value)
        if whole is None:
            _wrong_type(value, path, self.kinds)
        self._bounds.check(whole, path)
        return whole


class _Number(Check):
    kinds = ("number",)

    def __init__(self, info: inspect.FloatType) -> None:
        self._bounds = _Bounds(info)

    def read(self, value: Any, path: str, unknowns: Unknowns) -> float:
        if type(value) is not float and type(value) is not int:
            _wrong_type(value, path, self.kinds)
        self._bounds.check(value, path)
        return float(value)


def _whole(value: object) -> int | None:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT_FLOAT_MAX:
        return int(value)
    return None


class _OneOf(Check):
    """A value out of a closed set of strings or of integers."""

    def __init__(self, info: inspect.LiteralType) -> None:
        self._supported = info.values
        self.kinds = (_KIND_OF[type(info.values[0])],)

    def read(self, value: Any, path: str, unknowns: Unknowns) -> Any:
        candidate = _whole(value) if self.kinds == ("integer",) else value
        if candidate is None or _KIND_OF[type(candidate)] not in self.kinds:
            _wrong_type(value, path, self.kinds)
        if candidate not in self._supported:
            _not_supported(value, path, self._supported)
        return candidate


# --- containers ----------------------------------------------------------------------------------------------------


class _List(Check):
    kinds = ("array",)

    def __init__(self, element: Check) -> None:
        self._element = element

    def read(self, value: Any, path: str, unknowns: Unknowns) -> list[Any]:
        if type(value) is not list:
            _wrong_type(value, path, self.kinds)
        read = self._element.read
        return [read(one, f"{path}[{index}]", unknowns) for index, one in enumerate(value)]


class _Map(Check):
    kinds = ("object",)

    def __init__(self, element: Check) -> None:
        self._element = element

    def read(self, value: Any, path: str, unknowns: Unknowns) -> dict[str, Any]:
        if type(value) is not dict:
            _wrong_type(value, path, self.kinds)
        read = self._element.read
        return {key: read(one, f"{path}.{key}", unknowns) for key, one in value.items()}


class _Object(Check):
    """An object of known fields.

    With ``null_is_absent`` an optional field that is null counts as left out; with ``missing_is_null`` a required
    field that is left out counts as null, where null is allowed; with ``may_lack`` any other one is ``UNSET``.
    """

    kinds = ("object",)

    def __init__(
        self, info: inspect.StructType, *, null_is_absent: bool, missing_is_null: bool, may_lack: bool
    ) -> None:
        self._struct = info.cls
        self._tag_field = info.tag_field
        self._null_is_absent = null_is_absent
        self._missing_is_null = missing_is_null
        self._may_lack = may_lack
        self._fields: tuple[tuple[str, bool, Check], ...] = ()
        self._known: frozenset[str] = frozenset()

    def fill(self, fields: Iterable[tuple[str, bool, Check]]) -> None:
        """Give name, whether it is required, and check of each field."""
        self._fields = tuple(fields)
        self._known = frozenset(name for name, _, _ in self._fields) | {self._tag_field or ""} - {""}

    def read(self, value: Any, path: str, unknowns: Unknowns) -> msgspec.Struct:
        if type(value) is not dict:
            _wrong_type(value, path, self.kinds)
        prefix = f"{path}." if path else ""
        read: dict[str, Any] = {}
        for name, required, check in self._fields:
            if name not in value:
                if required:
                    read[name] = self._missing(check, prefix + name)
            elif required or not self._null_is_absent or value[name] is not None:
                read[name] = check.read(value[name], prefix + name, unknowns)
        for name in value:
            if name not in self._known:
                unknowns.add(prefix + name)
        return self._struct(**read)

    def _missing(self, check: Check, path: str) -> msgspec.UnsetType | None:
        """What stands for a required field that is not there."""
        if self._missing_is_null and "null" in check.kinds:
            return None
        if self._may_lack:
            return msgspec.UNSET
        _missing(path)


class _Tagged(Check):
    """One of several kinds of object, told apart by one string field."""

    kinds = ("object",)

    def __init__(self, tag_field: str, by_tag: Mapping[str, Check]) -> None:
        self._tag_field = tag_field
        self._by_tag = by_tag

    def read(self, value: Any, path: str, unknowns: Unknowns) -> Any:
        if type(value) is not dict:
            _wrong_type(value, path, self.kinds)
        tag_path = f"{path}.{self._tag_field}" if path else self._tag_field
        if self._tag_field not in value:
            _missing(tag_path)
        tag = value[self._tag_field]
        if type(tag) is not str:
            _wrong_type(tag, tag_path, ("string",))
        if tag not in self._by_tag:
            _not_supported(tag, tag_path, self._by_tag)
        return self._by_tag[tag].read(value, path, unknowns)


class _Either(Check):
    """Alternatives of different JSON kinds."""

    def __init__(self, alternatives: Iterable[Check]) -> None:
        self._by_kind: dict[str, Check] = {}
        for check in alternatives:
            for kind in check.kinds:
                if self._by_kind.setdefault(kind, check) is not check:
                    raise NotImplementedError(f"two alternatives read a JSON {kind}")
        self.kinds = tuple(self._by_kind)

    def read(self, value: Any, path: str, unknowns: Unknowns) -> Any:
        kind = _KIND_OF[type(value)]
        check = self._by_kind.get(kind)
        if check is None and kind in ("integer", "number"):
            check = self._by_kind.get("number") or self._by_kind.get("integer")
        if check is None or (isinstance(check, _Integer) and _whole(value) is None):
            _wrong_type(value, path, self.kinds)
        return check.read(value, path, unknowns)


# --- from types to checks ------------------------------------------------------------------------------------------


def compile_check(
    wire_type: Any, *, null_is_absent: Iterable[type] = (), lenient: bool = False, may_lack: Iterable[type] = ()
) -> Check:
    """The check of a msgspec type (a struct, or a union of structs told apart by ``type``).

    ``null_is_absent`` names the structs in which a peer's null for an optional field means that it was left out.
    ``lenient`` says so of all structs, and takes a missing field for null where null is allowed. In the structs
    ``may_lack`` any other missing field is ``UNSET``, whatever its type says.
    """
    compiler = _Compiler(frozenset(null_is_absent), lenient=lenient, may_lack=frozenset(may_lack))
    return compiler.check(inspect.type_info(wire_type))


class _Compiler:
    def __init__(self, null_is_absent: frozenset[type], *, lenient: bool, may_lack: frozenset[type]) -> None:
        self._null_is_absent = null_is_absent
        self._lenient = lenient
        self._may_lack = may_lack
        self._objects: dict[type, _Object] = {}
        self._makers: Mapping[type, Callable[[Any], Check]] = {
            inspect.AnyType: lambda _: _Anything(),
            inspect.NoneType: lambda _: _Null(),
            inspect.BoolType: lambda _: _Boolean(),
            inspect.StrType: _String,
            inspect.BytesType: lambda _: _Base64(),
            inspect.IntType: _Integer,
            inspect.FloatType: _Number,
            inspect.LiteralType: _OneOf,
            inspect.ListType: lambda info: _List(self.check(info.item_type)),
            inspect.DictType: lambda info: _Map(self.check(info.value_type)),
            inspect.StructType: self._object,
            inspect.UnionType: self._union,
        }

    def check(self, info: inspect.Type) -> Check:
        bare = info.type if isinstance(info, inspect.Metadata) else info
        return self._makers[type(bare)](bare)

    def _object(self, info: inspect.StructType) -> Check:
        if info.cls not in self._objects:
            null_is_absent = self._lenient or info.cls in self._null_is_absent
            check = _Object(
                info,
                null_is_absent=null_is_absent,
                missing_is_null=self._lenient,
                may_lack=info.cls in self._may_lack,
            )
            self._objects[info.cls] = check
            check.fill((field.encode_name, field.required, self.check(field.type)) for field in info.fields)
        made = self._objects[info.cls]
        return made if info.tag_field is None else _Tagged(info.tag_field, {str(info.tag): made})

    def _union(self, info: inspect.UnionType) -> Check:
        structs = [one for one in info.types if isinstance(one, inspect.StructType)]
        tagged = [one for one in structs if one.tag_field is not None]
        if len(tagged) < 2:
            return _Either([self.check(one) for one in info.types])
        by_tag = {str(one.tag): self._untagged(one) for one in tagged}
        union = _Tagged(str(tagged[0].tag_field), by_tag)
        others = [self.check(one) for one in info.types if one not in tagged]
        return _Either([*others, union]) if others else union

    def _untagged(self, info: inspect.StructType) -> Check:
        self._object(info)
        return self._objects[info.cls]
