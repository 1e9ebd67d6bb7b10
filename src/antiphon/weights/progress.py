"""What a fetch tells whoever watches it."""

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """A watcher of a fetch; called from the fetching thread, often."""

    def note(self, text: str) -> None:
        """A line worth reading."""

    def advance(self, model: str, done_bytes: int, total_bytes: int, source: str) -> None:
        """``done_bytes`` of a model's ``total_bytes`` have arrived from ``source``; never less than said before."""


class Silent:
    """Nobody watches."""

    def note(self, text: str) -> None:
        pass

    def advance(self, model: str, done_bytes: int, total_bytes: int, source: str) -> None:
        pass
