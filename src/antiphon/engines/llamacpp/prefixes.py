"""System prompts that were read once and are kept in files, so that the next session need not read them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.engines.llamacpp.slots import shared_tokens

__all__ = ["Prefix", "Prefixes"]

_SHORTEST_TOKENS = 48
"""Less is read as fast as it is put back."""


@dataclass(frozen=True, slots=True)
class Prefix:
    name: str
    """Its file."""
    tokens: tuple[int, ...]


class Prefixes:
    """The prefixes used last, with at most ``most_tokens`` in all; their files are named in turn and reused."""

    def __init__(self, most_tokens: int) -> None:
        self._most_tokens = most_tokens
        self._kept: list[Prefix] = []
        self._named = 0

    def find(self, tokens: Sequence[int]) -> tuple[Prefix | None, int]:
        """The one with which a prompt shares most, and how many tokens it shares."""
        shares = [(shared_tokens(prefix.tokens, tokens), prefix) for prefix in self._kept]
        shared, best = max(shares, key=lambda share: share[0], default=(0, None))
        if best is None or not shared:
            return None, 0
        self._kept.remove(best)
        self._kept.append(best)  # now the one used last
        return best, shared

    def wants(self, head: Sequence[int]) -> bool:
        """Whether a system prompt is worth keeping and is not kept yet."""
        known = any(prefix.tokens == tuple(head) for prefix in self._kept)
        return not known and _SHORTEST_TOKENS <= len(head) <= self._most_tokens

    def new_name(self) -> str:
        self._named += 1
        return f"prefix-{self._named}.bin"

    def add(self, prefix: Prefix) -> list[Prefix]:
        """Keep one. Returns those that had to go: their files can be removed."""
        self._kept.append(prefix)
        gone = []
        while sum(len(kept.tokens) for kept in self._kept) > self._most_tokens:
            gone.append(self._kept.pop(0))
        return gone

    def drop(self, prefix: Prefix) -> None:
        if prefix in self._kept:
            self._kept.remove(prefix)

    def give_up(self) -> None:
        """They cannot be written: keep no more of them."""
        self._most_tokens = 0
