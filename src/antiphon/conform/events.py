"""A list of received events, and questions about it."""

from collections.abc import Iterable

from antiphon.conform.check import Event, RuleError

__all__ = ["Events", "item_id_of", "joined"]


class Events(list[Event]):
    """In the order in which they came."""

    @property
    def types(self) -> list[str]:
        return [str(event.get("type")) for event in self]

    @property
    def sequence(self) -> list[str]:
        """The types, repeats in a row taken together."""
        types = self.types
        return [one for index, one in enumerate(types) if index == 0 or types[index - 1] != one]

    def of(self, type: str) -> "Events":
        return Events(event for event in self if event.get("type") == type)

    def one(self, type: str) -> Event:
        """The only event of this type; fails if there is none or are several."""
        found = self.of(type)
        if len(found) != 1:
            raise RuleError(f"one {type}", f"{len(found)} of them in {self.sequence}", found[0] if found else None)
        return found[0]

    def some(self, type: str) -> "Events":
        """All events of this type; fails if there is none."""
        found = self.of(type)
        if not found:
            raise RuleError(f"at least one {type}", self.sequence)
        return found

    def about(self, item_id: str) -> "Events":
        """Those that concern one item."""
        return Events(event for event in self if item_id_of(event) == item_id)

    def without(self, types: Iterable[str]) -> "Events":
        left_out = set(types)
        return Events(event for event in self if event.get("type") not in left_out)

    def starting(self, prefix: str) -> "Events":
        return Events(event for event in self if str(event.get("type")).startswith(prefix))


def item_id_of(event: Event) -> object:
    item = event.get("item")
    return item.get("id") if isinstance(item, dict) else event.get("item_id")


def joined(events: Iterable[Event]) -> str:
    """The text of deltas."""
    return "".join(str(event.get("delta", "")) for event in events)
