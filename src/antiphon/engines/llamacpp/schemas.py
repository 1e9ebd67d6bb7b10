"""From the JSON Schemas of users to ones that a grammar can be made of.

A schema that the grammar compiler refuses is dropped by it without an error, and the model would write what it likes.
So only keywords that are known to compile pass; the rest (patterns, formats, limits, conditions) is left out, which
makes the grammar wider, never narrower. What is not understood becomes "any value".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from antiphon.vocabulary.llm import ToolSpec

__all__ = ["forced_call", "grammar_schema"]

_MOST_NODES = 400
_MOST_PROPERTIES = 64
_MOST_CHOICES = 256
_DEEPEST = 10
_PLAIN_TYPES = frozenset({"string", "number", "integer", "boolean", "null"})
_TYPES = _PLAIN_TYPES | {"object", "array"}
_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One way only to lay out a value: else a model may write white space until its limit."""

_Schema = dict[str, Any]


def forced_call(tools: Sequence[ToolSpec], *, any_arguments: bool = False) -> _Schema:
    """The schema of a text that is a call of one of ``tools`` (at least one).

    ``any_arguments``: leave the arguments free, for a second try.
    """
    calls = [_call(tool, {"type": "object"} if any_arguments else grammar_schema(tool.parameters)) for tool in tools]
    return {"x-guidance": _LAYOUT, **(calls[0] if len(calls) == 1 else {"anyOf": calls})}


def _call(tool: ToolSpec, arguments: _Schema) -> _Schema:
    return _object({"name": {"const": tool.name}, "arguments": arguments}, ["name", "arguments"])


def grammar_schema(schema: Mapping[str, Any]) -> _Schema:
    """The part of an arguments schema that can be enforced; always an object's."""
    converted = _Conversion(schema).convert(schema, 0)
    return converted if converted.get("type") == "object" else {"type": "object"}


class _Conversion:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes = 0

    def convert(self, schema: Any, depth: int) -> _Schema:
        self._nodes += 1
        if not isinstance(schema, Mapping) or depth > _DEEPEST or self._nodes > _MOST_NODES:
            return {}
        if "$ref" in schema:
            return self.convert(self._referred(schema["$ref"]), depth + 1)
        if "const" in schema or "enum" in schema:
            return _choice([schema["const"]] if "const" in schema else schema["enum"])
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._any_of(schema[keyword], depth)
        if isinstance(parts := schema.get("allOf"), list):
            return self.convert(parts[0], depth + 1) if len(parts) == 1 else {}
        return self._by_type(schema, depth)

    def _by_type(self, schema: Mapping[str, Any], depth: int) -> _Schema:
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._any_of([{**schema, "type": each} for each in kind], depth)
        if kind == "object" or (kind is None and "properties" in schema):
            return self._properties(schema, depth)
        if kind == "array":
            return {"type": "array", "items": self.convert(schema.get("items", {}), depth + 1)}
        return {"type": kind} if isinstance(kind, str) and kind in _PLAIN_TYPES else {}

    def _properties(self, schema: Mapping[str, Any], depth: int) -> _Schema:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not 0 < len(properties) <= _MOST_PROPERTIES:
            return _object({}, []) if _takes_nothing(schema) else {"type": "object"}
        converted = {str(name): self.convert(value, depth + 1) for name, value in properties.items()}
        required = schema.get("required")
        names = required if isinstance(required, list) else []
        return _object(converted, [name for name in converted if name in names])

    def _any_of(self, choices: Any, depth: int) -> _Schema:
        if not isinstance(choices, list) or not 0 < len(choices) <= _MOST_CHOICES:
            return {}
        converted = [self.convert(choice, depth + 1) for choice in choices]
        if len(converted) == 1:
            return converted[0]
        return {"anyOf": converted} if all(converted) else {}

    def _referred(self, reference: Any) -> Any:
        """What ``#/a/b`` points to in the same schema; None if it points nowhere."""
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        node: Any = self._root
        for name in reference[2:].split("/"):
            name = name.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or name not in node:
                return None
            node = node[name]
        return node


def _object(properties: _Schema, required: list[str]) -> _Schema:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _takes_nothing(schema: Mapping[str, Any]) -> bool:
    return schema.get("additionalProperties") is False and not schema.get("properties")


def _choice(values: Any) -> _Schema:
    if not isinstance(values, list) or not 0 < len(values) <= _MOST_CHOICES:
        return {}
    plain = [value for value in values if value is None or isinstance(value, (str, bool, int, float))]
    return {"enum": plain} if len(plain) == len(values) else {}
