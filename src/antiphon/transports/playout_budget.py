"""Speech that waits to be played, in all calls of a process together."""

from typing import Final

__all__ = ["DEFAULT_PLAYOUT_BYTES", "PlayoutBudget"]

DEFAULT_PLAYOUT_BYTES: Final = 256 * 1024 * 1024


class PlayoutBudget:
    """Where more than ``max_bytes`` wait, those calls get no more that hold above the fair share.

    So no call is kept silent by others, and never do more than twice ``max_bytes`` wait.
    """

    def __init__(self, max_bytes: int = DEFAULT_PLAYOUT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._calls = 0
        self.held_bytes = 0

    def join(self) -> None:
        """One more call, which holds nothing."""
        self._calls += 1

    def leave(self, held_bytes: int) -> None:
        """A call is over; it held so much."""
        self._calls -= 1
        self.held_bytes -= held_bytes

    def change(self, by_bytes: int) -> None:
        """A call holds so much more, or less, than it did."""
        self.held_bytes += by_bytes

    def has_room(self, held_bytes: int) -> bool:
        """Whether a call that holds so much may get more."""
        return self.held_bytes <= self._max_bytes or held_bytes <= self._max_bytes // max(1, self._calls)
