"""Spoken words, as far as two transcripts of them can be compared."""

import re

__all__ = ["spoken_words"]

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def spoken_words(text: str) -> list[str]:
    """The words of a text without case and punctuation."""
    return _WORD.findall(text.lower().replace("’", "'"))
