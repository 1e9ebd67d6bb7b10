"""How a fetch of weights looks in a terminal, and in a log."""

import shutil
import sys
from collections.abc import Callable

import click

from antiphon.weights import Progress

__all__ = ["Bar", "Lines", "for_stderr"]

_WIDTH = 24
_STEP_PERCENT = 25


def for_stderr() -> Progress:
    """A bar on a terminal, else plain lines; both on standard error."""
    if not sys.stderr.isatty():
        return Lines(_to_stderr)
    # A line as wide as the terminal would wrap, and could not be redrawn.
    return Bar(_to_stderr, columns=shutil.get_terminal_size().columns - 1)


def _to_stderr(text: str) -> None:
    click.echo(text, err=True, nl=False)


class Bar:
    """One line a model, redrawn in place."""

    def __init__(self, write: Callable[[str], object], *, columns: int) -> None:
        self._write = write
        self._columns = columns
        self._open: str | None = None
        self._drawn = ""

    def note(self, text: str) -> None:
        self._close()
        self._write(f"{text}\n")

    def advance(self, model: str, done_bytes: int, total_bytes: int, source: str) -> None:
        if model != self._open:
            self._close()
            self._open = model
        filled = _WIDTH * done_bytes // total_bytes
        bar = "#" * filled + "." * (_WIDTH - filled)
        drawn = f"{model:<20} [{bar}] {done_bytes / 1e6:7.1f} of {total_bytes / 1e6:.1f} MB from {source}"
        drawn = drawn[: self._columns]
        if drawn != self._drawn:
            self._write(f"\r\x1b[K{drawn}")
            self._drawn = drawn
        if done_bytes == total_bytes:
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._write("\n")
            self._open = None


class Lines:
    """A line for each quarter of a model, for logs."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._said_percent: dict[str, int] = {}

    def note(self, text: str) -> None:
        self._write(f"{text}\n")

    def advance(self, model: str, done_bytes: int, total_bytes: int, source: str) -> None:
        percent = 100 * done_bytes // total_bytes // _STEP_PERCENT * _STEP_PERCENT
        if percent > self._said_percent.get(model, -1):
            self._said_percent[model] = percent
            self._write(f"{model}: {percent} % of {total_bytes / 1e6:.1f} MB, from {source}\n")
