"""Writes ``src/antiphon/conform/api_shapes.json``: the fields of every event and REST body of the Realtime API.

Derived from the types of the official ``openai`` package (Apache-2.0): names, kinds, enumerations; no texts.
Run ``python tests/tools/make_api_shapes.py`` after a change of its pinned version and read the difference.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import openai.types.realtime as api
from openai.types.realtime.response_create_event_with_references_param import ResponseCreateEventWithReferencesParam
from pydantic import TypeAdapter

TARGET = Path(__file__).parents[2] / "src" / "antiphon" / "conform" / "api_shapes.json"

_REST = {
    "POST /realtime/client_secrets": api.ClientSecretCreateParams,
    "POST /realtime/client_secrets 200": api.ClientSecretCreateResponse,
    "POST /realtime/calls": api.CallCreateParams,
    "POST /realtime/calls/{call_id}/accept": api.CallAcceptParams,
    "POST /realtime/calls/{call_id}/refer": api.CallReferParams,
    "POST /realtime/calls/{call_id}/reject": api.CallRejectParams,
}

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


def shapes() -> dict[str, Any]:
    client = [*members(api.RealtimeClientEvent), ResponseCreateEventWithReferencesParam]
    server = members(api.RealtimeServerEvent)
    named = {f"client {index}": one for index, one in enumerate(client)}
    named |= {f"server {index}": one for index, one in enumerate(server)} | _REST
    keys, combined = TypeAdapter.json_schemas([(name, "validation", TypeAdapter(one)) for name, one in named.items()])
    definitions = combined["$defs"]
    shape_names = {name: ref["$ref"].rsplit("/", 1)[1] for (name, _), ref in keys.items()}

    def by_type(side: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, shape in shape_names.items():
            if name.startswith(side):
                found.setdefault(definitions[shape]["properties"]["type"]["const"], []).append(shape)
        return dict(sorted(found.items()))

    return {
        "origin": f"derived from the types of the openai package {version('openai')} (Apache-2.0): no texts, no code",
        "client_events": by_type("client"),
        "server_events": by_type("server"),
        "rest": {name: shape_names[name] for name in _REST},
        "shapes": {name: shape_of(definition) for name, definition in sorted(definitions.items())},
    }


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


if __name__ == "__main__":
    TARGET.write_text(as_text(shapes()))
