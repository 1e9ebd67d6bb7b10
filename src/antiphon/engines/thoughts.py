"""What a reasoning model thinks before it speaks is not for the user's ears. Pure."""

from enum import Enum, auto

__all__ = ["ThoughtFilter"]

_OPEN = "<think>"
_CLOSE = "</think>"


class _Place(Enum):
    START = auto()
    THOUGHTS = auto()
    BEHIND = auto()
    """Only white space has come since the thoughts."""
    TEXT = auto()


class ThoughtFilter:
    """Leaves out a ``<think>...</think>`` at the beginning of a text that comes in pieces."""

    def __init__(self) -> None:
        self._place = _Place.START
        self._held = ""

    def feed(self, text: str) -> str:
        """The part of the text that is to be heard."""
        self._held += text
        if self._place is _Place.START:
            self._look_for_thoughts()
        if self._place is _Place.THOUGHTS:
            self._look_for_their_end()
        if self._place is _Place.BEHIND:
            self._held = self._held.lstrip()
            if self._held:
                self._place = _Place.TEXT
        return self._released() if self._place is _Place.TEXT else ""

    def finish(self) -> str:
        """What was still held back at the end."""
        return self._released() if self._place is _Place.START else ""

    def _look_for_thoughts(self) -> None:
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            self._place = _Place.THOUGHTS
            self._held = start[len(_OPEN) :]
        elif not _OPEN.startswith(start):
            self._place = _Place.TEXT

    def _look_for_their_end(self) -> None:
        _, mark, rest = self._held.partition(_CLOSE)
        if mark:
            self._place = _Place.BEHIND
        self._held = rest if mark else self._held[-len(_CLOSE) :]

    def _released(self) -> str:
        text, self._held = self._held, ""
        return text
