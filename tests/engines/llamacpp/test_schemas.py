"""Schemas that a grammar can be made of."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.llamacpp.schemas import forced_call, grammar_schema
from antiphon.vocabulary.llm import ToolSpec

ANY_OBJECT = {"type": "object"}
NOTHING = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def one(value: Any) -> dict[str, Any]:
    """An object with the one property a."""
    return {"type": "object", "properties": {"a": value}, "required": ["a"], "additionalProperties": False}


PROPERTIES = {
    "plain types stay": ({"type": "string"}, {"type": "string"}),
    "limits and formats go": (
        {"type": "string", "pattern": "(", "format": "email", "minLength": 3, "description": "x"},
        {"type": "string"},
    ),
    "numbers lose their limits": ({"type": "integer", "minimum": 3, "maximum": 1}, {"type": "integer"}),
    "choices stay": ({"type": "string", "enum": ["a", "b"]}, {"enum": ["a", "b"]}),
    "a constant is a choice": ({"const": 5}, {"enum": [5]}),
    "choices of objects are any value": ({"enum": [{"x": 1}]}, {}),
    "too many choices are any value": ({"enum": list(range(300))}, {}),
    "no choice is any value": ({"enum": []}, {}),
    "arrays": ({"type": "array", "items": {"type": "number"}}, {"type": "array", "items": {"type": "number"}}),
    "arrays of anything": ({"type": "array", "minItems": 9}, {"type": "array", "items": {}}),
    "several types": ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    "one of several": (
        {"oneOf": [{"type": "string"}, {"type": "boolean"}]},
        {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
    ),
    "any of with an unknown part is any value": ({"anyOf": [{"type": "string"}, {"type": "foo"}]}, {}),
    "all of one": ({"allOf": [{"type": "string"}]}, {"type": "string"}),
    "all of several is any value": ({"allOf": [{"type": "string"}, {"minLength": 1}]}, {}),
    "unknown types": ({"type": "foo"}, {}),
    "no schema": (True, {}),
    "a reference": ({"$ref": "#/$defs/City"}, {"type": "string"}),
    "a reference to nowhere": ({"$ref": "#/$defs/Nothing"}, {}),
    "a foreign reference": ({"$ref": "other.json"}, {}),
    "nested objects": (
        {"properties": {"b": {"type": "null"}}},
        {"type": "object", "properties": {"b": {"type": "null"}}, "required": [], "additionalProperties": False},
    ),
}


@pytest.mark.parametrize(("given_schema", "kept"), PROPERTIES.values(), ids=PROPERTIES.keys())
def test_of_a_property_s_schema_the_known_part_is_kept(given_schema: Any, kept: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"a": given_schema},
        "required": ["a", "missing"],
        "$defs": {"City": {"type": "string"}},
    }
    assert grammar_schema(schema) == one(kept)


@pytest.mark.parametrize(
    ("schema", "kept"),
    [
        ({}, ANY_OBJECT),
        ({"type": "string"}, ANY_OBJECT),
        ({"type": "object"}, ANY_OBJECT),
        ({"type": "object", "properties": {}}, ANY_OBJECT),
        ({"type": "object", "additionalProperties": False}, NOTHING),
        ({"type": "object", "properties": [1]}, ANY_OBJECT),
        ({"type": "object", "properties": {str(n): {} for n in range(100)}}, ANY_OBJECT),
        ({"anyOf": [{"type": "object"}]}, ANY_OBJECT),
    ],
)
def test_arguments_are_always_an_object(schema: dict[str, Any], kept: dict[str, Any]) -> None:
    assert grammar_schema(schema) == kept


def test_a_schema_that_contains_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    kept = grammar_schema({"type": "object", "properties": {"a": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}})
    assert len(json.dumps(kept)) < 2000
    wide = {"type": "object", "properties": {str(n): {"$ref": "#"} for n in range(50)}}
    assert len(json.dumps(grammar_schema(wide))) < 100_000


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "enum", "anyOf", "oneOf", "allOf", "$ref", "required", "const"]
            )
            | st.text(max_size=3),
            inner | st.sampled_from(["object", "array", "string", "#/properties"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["type", "properties", "anyOf", "$ref", "required", "items"]), VALUES))
def test_anything_becomes_a_sound_schema_of_an_object(schema: dict[str, Any]) -> None:
    kept = grammar_schema(schema)
    assert kept["type"] == "object"
    jsonschema.Draft202012Validator.check_schema(kept)
    json.dumps(kept)


WEATHER = ToolSpec("get_weather", "", one({"type": "string"}))
TIMER = ToolSpec("set_timer", "", {})


def test_a_forced_call_names_a_tool_and_holds_its_arguments() -> None:
    schema = forced_call([WEATHER, TIMER])
    jsonschema.validate({"name": "get_weather", "arguments": {"a": "Bern"}}, schema)
    jsonschema.validate({"name": "set_timer", "arguments": {"anything": 1}}, schema)
    for wrong in ({"name": "other", "arguments": {}}, {"name": "get_weather", "arguments": {}}, {"name": "set_timer"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_second_try_of_a_forced_call_leaves_the_arguments_free() -> None:
    schema = forced_call([WEATHER], any_arguments=True)
    jsonschema.validate({"name": "get_weather", "arguments": {"b": 1}}, schema)


def test_forced_calls_are_laid_out_in_one_way() -> None:
    for tools in ([WEATHER], [WEATHER, TIMER]):
        assert forced_call(tools)["x-guidance"]["whitespace_flexible"] is False
