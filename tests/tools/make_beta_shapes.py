"""Writes ``tests/data/beta_shapes.json``: the fields of every event of the beta that the server sends.

Derived from the types of the last official ``openai`` package that had the beta (Apache-2.0): names, kinds,
enumerations; no texts. Run ``python -m tests.tools.make_beta_shapes`` where ``openai[realtime]==1.109.1`` is installed.
"""

import importlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tests.tools.shapes import as_text, members, shape_of

TARGET = Path(__file__).parents[1] / "data" / "beta_shapes.json"


def shapes() -> dict[str, Any]:
    api = importlib.import_module("openai.types.beta.realtime")
    events = members(api.RealtimeServerEvent)
    rest = {
        "POST /realtime/sessions 200": api.SessionCreateResponse,
        "POST /realtime/transcription_sessions 200": api.TranscriptionSession,
    }
    named = {f"event {index}": one for index, one in enumerate(events)} | rest
    keys, combined = TypeAdapter.json_schemas([(name, "validation", TypeAdapter(one)) for name, one in named.items()])
    definitions = combined["$defs"]
    names = {name: ref["$ref"].rsplit("/", 1)[1] for (name, _), ref in keys.items()}
    by_type = {definitions[names[key]]["properties"]["type"]["const"]: [names[key]] for key in named if key not in rest}
    return {
        "origin": f"derived from the types of the openai package {version('openai')} (Apache-2.0): no texts, no code",
        "client_events": {},
        "server_events": dict(sorted(by_type.items())),
        "rest": {name: names[name] for name in rest},
        "shapes": {name: shape_of(definition) for name, definition in sorted(definitions.items())},
    }


if __name__ == "__main__":
    TARGET.write_text(as_text(shapes()))
