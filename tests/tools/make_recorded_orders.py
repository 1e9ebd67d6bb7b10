"""Writes ``tests/data/recorded_orders.json``: the order of events in recorded real sessions over WebSocket.

Run ``python tests/tools/make_recorded_orders.py TRACES`` with the file that ``make_recorded_shapes.py`` takes.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "data" / "recorded_orders.json"


def main(traces_path: str) -> None:
    traces = json.loads(Path(traces_path).read_text())["traces"]
    orders = {_name(name): _order(trace["events"]) for name, trace in traces.items() if "sideband" not in name}
    origin = "recorded sessions of the real API in the test-suite of pydantic-ai (MIT): event types only, no payload"
    rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(order)}" for name, order in orders.items())
    TARGET.write_text(f'{{\n  "origin": {json.dumps(origin)},\n  "orders": {{\n{rows}\n  }}\n}}\n')


def _name(name: str) -> str:
    words = re.sub(r"^test_\w+?__test_", "", name)
    return words.replace("_", " ").replace("[openai-", " (").replace("]", ")")


def _order(events: list[dict[str, Any]]) -> list[str]:
    """``> type`` from the client, ``< type kind`` from the server; runs of one type as one."""
    lines: list[str] = []
    for event in events:
        direction, event_type, _, *detail = event["e"]
        kind = re.search(r"(?:item|part)\.type=(\w+)", "".join(detail))
        line = " ".join(["<" if direction == "server" else ">", event_type, *([kind.group(1)] if kind else [])])
        if not lines or lines[-1] != line or event_type.startswith(("conversation.item.create", "response.create")):
            lines += [line] * (1 if event_type.endswith(("delta", "append")) else event["n"])
    return lines


if __name__ == "__main__":
    main(sys.argv[1])
