"""Stable text out of decodes of a growing piece of audio."""

import re
from itertools import takewhile

__all__ = ["StablePrefix"]

_IDEOGRAPH = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Thai to Khmer, kana and CJK: scripts without spaces, where every character is a unit of its own."""
_WORD = re.compile(rf"[{_IDEOGRAPH}]|[^\W_{_IDEOGRAPH}]+(?:['’.,\-][^\W_{_IDEOGRAPH}]+)*")

_ANCHOR_WORDS = 2
_SHIFTS = (0, 1, -1, 2, -2, 3, -3)


class StablePrefix:
    """Grows by the words on which two consecutive decodes agree; what it has once given out never changes.

    Words agree if they differ at most in case. Punctuation is given out only with the word after it: the end of a
    decode is where it is guessed.
    """

    def __init__(self) -> None:
        self._text = ""
        self._gap = ""
        self._given: list[str] = []  # words of the current piece
        self._before: list[str] = []

    @property
    def text(self) -> str:
        return self._text

    def update(self, hypothesis: str) -> str:
        """Take the newest decode of the current piece; returns the whole stable text."""
        words = list(_WORD.finditer(hypothesis))
        keys = _keys(words)
        agreed = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._before, keys, strict=False)))
        self._before = keys
        known = _continuation(self._given, keys)
        if agreed > known:
            self._extend(hypothesis[words[known - 1].end() if known else 0 : words[agreed - 1].end()])
            self._given += keys[known:agreed]
        return self._text

    def settle(self, final: str, separator: str = " ") -> str:
        """End the current piece with its final text; ``separator`` stands before the next piece. Returns it all."""
        words = list(_WORD.finditer(final))
        known = min(len(words), _continuation(self._given, _keys(words)))
        self._extend(final[words[known - 1].end() if known else 0 :])
        self._given = []
        self._before = []
        self._gap = separator if self._text else ""
        return self._text

    def _extend(self, added: str) -> None:
        if not self._given:
            added = added.lstrip()
            self._text += self._gap if added else ""
        self._text += added


def _keys(words: list["re.Match[str]"]) -> list[str]:
    return [word.group().casefold() for word in words]


def _continuation(given: list[str], keys: list[str]) -> int:
    """Where in ``keys`` the words after the given ones begin, though a decode may have found or lost some before."""
    anchor = given[-_ANCHOR_WORDS:]
    for shift in _SHIFTS:
        end = len(given) + shift
        if anchor and end >= len(anchor) and keys[end - len(anchor) : end] == anchor:
            return end
    return len(given)
