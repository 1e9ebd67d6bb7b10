"""Events of several sessions, made comparable."""

from collections.abc import Mapping
from typing import Any

from tests.support.runtime import Event

__all__ = ["anonymous"]


def anonymous(events: list[Event]) -> list[Event]:
    """Without what differs from session to session; ids by the order in which they appear."""
    names: dict[str, str] = {}

    def plain(value: Any, key: str = "") -> Any:
        if isinstance(value, Mapping):
            dropped = ("event_id", "obfuscation", "expires_at")
            return {name: plain(inner, name) for name, inner in value.items() if name not in dropped}
        if isinstance(value, list):
            return [plain(inner, key) for inner in value]
        if isinstance(value, str) and (key == "id" or key.endswith("_id")):
            return names.setdefault(value, f"id {len(names)}")
        return value

    return [plain(event) for event in events]
