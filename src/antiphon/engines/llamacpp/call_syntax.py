"""The forms in which a model writes a tool call, read character by character."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

__all__ = ["NO_CALL_GRAMMAR", "OPENERS", "ObjectScanner", "ToolCallText", "Wrapping", "call_in"]

OPENERS = "{[<`"
"""With one of these begins every form of a call."""

NO_CALL_GRAMMAR = r"root ::= [^{\[<` \t\r\n] .*"
"""Of a text that does not begin as a call does. In llama.cpp's own notation, of which it refuses what it cannot read:
one in the notation of LLGuidance would be dropped without an error."""

_TAG_NAMES = ("tool_call", "tool_calls", "tools", "tool", "function_call", "function_calls", "function", "functions")
_OPENING_TAGS = tuple(f"<{name}>" for name in _TAG_NAMES)
_CLOSING_TAGS = tuple(f"</{name}>" for name in _TAG_NAMES)
_FENCES = ("```", "```json", "```jsonc", "```tool_call", "```tool_calls", "```tool_code", "```xml", "```text")

_ARGUMENT_KEYS = frozenset({"arguments", "parameters"})
_FIRST_KEYS = frozenset({"name", "type", "function", "id"}) | _ARGUMENT_KEYS
_MISSING_BRACES = ("}", "}}", "}}}")
_IN_STRING = re.compile(r'("(?:[^"\\]|\\.)*")', re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolCallText:
    name: str
    arguments: str
    """A JSON text of an object."""


@dataclass(slots=True)
class Wrapping:
    """What may stand before the object of a call: white space, fences, tags, the bracket of a list.

    ``after_call``: what closes the call before and separates the next one is taken as well.
    """

    after_call: bool = False
    at_object: bool = False
    """The character fed last opens the object."""
    _mark: str = ""
    """A fence or tag that is not complete."""

    def feed(self, char: str) -> bool:
        """Whether this may still be the beginning of a call."""
        if self._mark:
            grown = self._mark + char
            if _begins_one_of(grown, self._marks()):
                self._mark = "" if grown.endswith(">") else grown
                return True
            if self._mark not in _FENCES:
                return False
            self._mark = ""
        if char == "{":
            self.at_object = True
        elif char in "<`":
            self._mark = char
        else:
            return char.isspace() or char == "[" or (self.after_call and char in ",;]")
        return True

    def _marks(self) -> tuple[str, ...]:
        return _OPENING_TAGS + _FENCES + (_CLOSING_TAGS if self.after_call else ())


def _begins_one_of(text: str, marks: tuple[str, ...]) -> bool:
    return any(mark.startswith(text) for mark in marks)


@dataclass(slots=True)
class ObjectScanner:
    """Follows one JSON object and says as early as possible that it is a call, or that it is none."""

    names: Collection[str]
    name: str | None = None
    """The tool's name, once read."""
    in_arguments: bool = False
    """The object is a call for certain, and the character fed last lies in its arguments."""
    closed: bool = False
    _chars: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    """The closing brackets still to come, the innermost last."""
    _base: int = 1
    """The depth of the object's own keys: 2 if its braces are doubled."""
    _string: list[str] | None = None
    _escaped: bool = False
    _keys: list[str] = field(default_factory=list)
    _wants_key: bool = True

    @property
    def text(self) -> str:
        return "".join(self._chars)

    @property
    def missing_in_arguments(self) -> str:
        """What closes the arguments; empty outside."""
        quote = '"' if self._string is not None else ""
        return quote + "".join(reversed(self._open[self._base :]))

    def completed(self, names: Collection[str]) -> ToolCallText | None:
        """The call, if nothing but closing braces is missing."""
        for braces in _MISSING_BRACES:
            if call := call_in(self.text + braces, names):
                return call
        return None

    def feed(self, char: str) -> bool:
        """Whether this may still be a call."""
        self._chars.append(char)
        if self._string is not None:
            return self._feed_string(self._string, char)
        if char == '"':
            self._string = []
            return True
        if not self._keys and not self._may_precede_key(char):
            return False
        return self._feed_structure(char)

    def _may_precede_key(self, char: str) -> bool:
        if char == "{" and self._open == ["}"] and len(self._chars) == 2:
            self._base = 2
            return True
        return char.isspace() or not self._open

    def _feed_string(self, string: list[str], char: str) -> bool:
        if self._escaped:
            self._escaped = False
        elif char == "\\":
            self._escaped = True
        elif char == '"':
            self._string = None
            return self._string_ended("".join(string))
        string.append(char)
        return True

    def _string_ended(self, text: str) -> bool:
        if len(self._open) != self._base:
            return True
        if self._wants_key:
            self._keys.append(text)
            return len(self._keys) > 1 or text in _FIRST_KEYS
        if self._keys[-1] == "name":
            self.name = text
            return text in self.names
        return True

    def _feed_structure(self, char: str) -> bool:
        if char in "{[":
            self._open.append("}" if char == "{" else "]")
            if len(self._open) == self._base + 1 and char == "{":
                self.in_arguments = self._base == 1 and self._is_canonical()
        elif char in "}]":
            if not self._open or self._open.pop() != char:
                return False
            self.in_arguments = self.in_arguments and len(self._open) > self._base
            self.closed = not self._open
        elif len(self._open) == self._base and char in ":,":
            self._wants_key = char == ","
        return True

    def _is_canonical(self) -> bool:
        return self.name is not None and len(self._keys) == 2 and self._keys[1] in _ARGUMENT_KEYS


def call_in(text: str, names: Collection[str]) -> ToolCallText | None:
    """The call that a complete object stands for, or None. The arguments keep the model's own values."""
    for candidate in (text, _with_single_braces(text)):
        try:
            value = json.loads(candidate, strict=False)
        except (ValueError, RecursionError):
            continue
        if call := _call_of(value, names):
            return call
    return None


def _with_single_braces(text: str) -> str:
    parts = _IN_STRING.split(text)
    parts[::2] = [part.replace("{{", "{").replace("}}", "}") for part in parts[::2]]
    return "".join(parts)


def _call_of(value: Any, names: Collection[str]) -> ToolCallText | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        return _call_of(inner, names)
    name = value.get("name")
    if not isinstance(name, str) or name not in names:
        return None
    arguments = next((value[key] for key in ("arguments", "parameters") if key in value), None)
    if isinstance(arguments, str):
        arguments = _object_in(arguments)
    if not isinstance(arguments, dict):
        return None
    return ToolCallText(name, json.dumps(arguments, ensure_ascii=False))


def _object_in(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
