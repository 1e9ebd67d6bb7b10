"""Which session's prompt lies in which slot of the model's memory. Pure: it decides, the child process does.

A slot holds the tokens of one prompt, read already; a prompt that begins with the same tokens is read from there on.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

__all__ = ["Slot", "Slots", "shared_tokens"]


@dataclass(slots=True)
class Slot:
    index: int
    session_id: str | None = None
    """Whose prompt it holds."""
    tokens: Sequence[int] = field(default_factory=list)
    """What was read into it, as far as is known."""
    last_used: int = 0


class Slots:
    """``count`` slots. A session keeps its slot while it can: the one unused for longest is given away first."""

    def __init__(self, count: int) -> None:
        self._slots = [Slot(index) for index in range(count)]
        self._uses = 0

    def __len__(self) -> int:
        return len(self._slots)

    def best(self, session_id: str, tokens: Sequence[int], *, taken: Container[int] = ()) -> Slot | None:
        """The slot for a prompt among those not ``taken``: the session's own, an empty one, the oldest."""
        free = [slot for slot in self._slots if slot.index not in taken]
        return max(free, key=lambda slot: self._fitness(slot, session_id, tokens), default=None)

    def bind(self, slot: Slot, session_id: str) -> None:
        self._uses += 1
        slot.session_id = session_id
        slot.last_used = self._uses

    def forget(self) -> None:
        """The child process was started anew: nothing is in memory."""
        self._slots = [Slot(slot.index) for slot in self._slots]

    def _fitness(self, slot: Slot, session_id: str, tokens: Sequence[int]) -> tuple[bool, int, bool, int]:
        own = slot.session_id == session_id
        shared = shared_tokens(slot.tokens, tokens) if own else 0
        return own, shared, slot.session_id is None, -slot.last_used


def shared_tokens(held: Sequence[int], wanted: Sequence[int]) -> int:
    """How many tokens at the beginning are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(held, wanted, strict=False)))
