"""What the server says: every event of the scenarios, and of sessions that were recorded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from antiphon.runtime.recorder import Replay
from tests.support.script import play, scenarios
from tests.support.session import events_of, payload_of

__all__ = ["distinct", "of_recordings", "of_scenarios"]

Event = dict[str, Any]


def of_scenarios() -> Iterator[Event]:
    for scenario in scenarios():
        for event in events_of(play(scenario).history):
            yield payload_of(event)


def of_recordings(folder: Path) -> Iterator[Event]:
    for path in sorted(folder.iterdir()):
        for call in Replay(path):
            assert call.outcome == call.recorded, f"line {call.line} does not play back to what came out then"
            for event in events_of(call.outputs):
                yield payload_of(event)


def distinct(events: Iterator[Event]) -> list[Event]:
    """Without those that differ from another one in numbers and words only."""
    found: dict[str, Event] = {}
    for event in events:
        found.setdefault(json.dumps(_shape(event), sort_keys=True), event)
    return list(found.values())


def _shape(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _shape(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner, key) for inner in value]
    return value if key in ("type", "role", "status", "code", "reason", "object") else type(value).__name__
