"""From JSON schemas to the tables of fields that ``antiphon.testing.wire.ApiShapes`` reads."""

import json
from typing import Any, get_args

__all__ = ["as_text", "members", "shape_of"]

Kind = Any
"""A JSON kind's name, ``{"one_of": [values]}``, ``{"list": Kind}``, ``{"map": Kind}``, ``{"shape": name}``, or
``{"any": [Kind, ...]}``; ``"anything"`` where the API allows any JSON value."""


def kind_of(schema: dict[str, Any]) -> Kind:
    if "$ref" in schema:
        return {"shape": schema["$ref"].rsplit("/", 1)[1]}
    if "const" in schema:
        return {"one_of": [schema["const"]]}
    if "enum" in schema:
        return {"one_of": schema["enum"]}
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return {"any": [kind_of(one) for one in alternatives]}
    if schema.get("type") == "array":
        return {"list": kind_of(schema["items"])}
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return {"map": kind_of(values) if isinstance(values, dict) else "anything"}
    return schema.get("type", "anything")


def shape_of(definition: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in definition:
        return {"alias": kind_of(definition)}
    fields = {name: kind_of(schema) for name, schema in definition["properties"].items()}
    return {"required": definition.get("required", []), "fields": fields}


def members(annotated_union: Any) -> tuple[Any, ...]:
    return get_args(get_args(annotated_union)[0])


def as_text(found: dict[str, Any]) -> str:
    """JSON with one shape a line, so that differences read well."""
    lines = []
    for key, value in found.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(one)}" for name, one in value.items())
            lines.append(f"  {json.dumps(key)}: {{\n{rows}\n  }}")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
