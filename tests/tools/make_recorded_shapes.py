"""Writes ``tests/data/recorded_shapes.json``: which fields recorded real events have.

Run ``python tests/tools/make_recorded_shapes.py TRACES``, where TRACES is a JSON file of recorded event shapes: per
trace an ordered list of [direction, event type, field names(, a word on the item, part or response)].
"""

import json
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "data" / "recorded_shapes.json"


def main(traces_path: str) -> None:
    traces = json.loads(Path(traces_path).read_text())["traces"].values()
    shapes = {json.dumps(entry["e"]) for trace in traces for entry in trace["events"]}
    origin = "recorded sessions of the real API in the test-suite of pydantic-ai (MIT): field names only, no payload"
    rows = ",\n".join(f"    {shape}" for shape in sorted(shapes))
    TARGET.write_text(f'{{\n  "origin": {json.dumps(origin)},\n  "shapes": [\n{rows}\n  ]\n}}\n')


if __name__ == "__main__":
    main(sys.argv[1])
