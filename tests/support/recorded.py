"""The field shapes of recorded real events, and whether one of ours has them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["assert_recorded_shape"]

_PATH: Final = Path(__file__).parents[1] / "data" / "recorded_shapes.json"
_BEYOND_THE_RECORD: Final = {"languages", "logprobs", "phase"}
"""Fields that the API documents and not every recorded event has."""


class _Shape:
    def __init__(self, fields: list[str], detail: str = "") -> None:
        self.fields = set(fields)
        words = dict(word.split("=", 1) for word in detail.split(",") if word)
        self.kind = words.get("item.type") or words.get("part.type") or ""
        self.keys = set((words.get("keys") or words.get("response.keys") or "").split("|"))


def _shapes() -> dict[str, list[_Shape]]:
    shapes: dict[str, list[_Shape]] = {}
    for direction, event_type, *rest in json.loads(_PATH.read_text())["shapes"]:
        if direction == "server":
            shapes.setdefault(event_type, []).append(_Shape(*rest))
    return shapes


_SHAPES: Final = _shapes()


def assert_recorded_shape(payload: Mapping[str, Any]) -> None:
    """Fail where recorded events of this type have other fields; types that were never recorded pass."""
    shapes = _SHAPES.get(payload["type"])
    if shapes is None:
        return
    fields = payload.keys() - {"type"} - _BEYOND_THE_RECORD
    assert fields == shapes[0].fields, f"{payload['type']} has {sorted(fields)}, recorded {sorted(shapes[0].fields)}"
    inner = next((payload[name] for name in ("item", "part", "response") if name in payload), None)
    if inner is None:
        return
    alike = [shape.keys for shape in shapes if shape.kind == inner.get("type", "")]
    if alike:
        keys = inner.keys() - _BEYOND_THE_RECORD
        assert any(keys == one - _BEYOND_THE_RECORD for one in alike), f"{payload['type']}: {sorted(keys)}, not {alike}"
