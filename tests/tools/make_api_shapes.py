"""Writes ``src/antiphon/conform/api_shapes.json``: the fields of every event and REST body of the Realtime API.

Derived from the types of the official ``openai`` package (Apache-2.0): names, kinds, enumerations; no texts.
Run ``python -m tests.tools.make_api_shapes`` after a change of its pinned version and read the difference.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import openai.types.realtime as api
from openai.types.realtime.response_create_event_with_references_param import ResponseCreateEventWithReferencesParam
from pydantic import TypeAdapter

from tests.tools.shapes import as_text, members, shape_of

TARGET = Path(__file__).parents[2] / "src" / "antiphon" / "conform" / "api_shapes.json"

_REST = {
    "POST /realtime/client_secrets": api.ClientSecretCreateParams,
    "POST /realtime/client_secrets 200": api.ClientSecretCreateResponse,
    "POST /realtime/calls": api.CallCreateParams,
    "POST /realtime/calls/{call_id}/accept": api.CallAcceptParams,
    "POST /realtime/calls/{call_id}/refer": api.CallReferParams,
    "POST /realtime/calls/{call_id}/reject": api.CallRejectParams,
}


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


if __name__ == "__main__":
    TARGET.write_text(as_text(shapes()))
