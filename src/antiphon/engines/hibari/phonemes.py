"""From text to the phonemes that the model reads, in pieces whose computation is short.

hibari's own conversion raises for some texts (numbers beyond 10^36) and takes seconds for others (hundreds of letters
and signs in turn without a space: its time grows with the third power of their number). It is given neither.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Phonemes", "phonemize", "segments"]

_SEGMENT_CHARACTERS = 300
_WORD_CHARACTERS = 40
_RUNS = re.compile(r"(?:[^\W\d_]+|\d+|_+|\W+){1,16}")
"""A word, or as much of it as changes between letters, digits and signs at most 15 times."""
_LINK = re.compile(r"\]\s*\(")
_END_PUNCTUATION = frozenset(".!?…,;:—")
_CLAUSE_END = re.compile(r"(?<=[,;:—.!?…])\s+")


@dataclass(frozen=True, slots=True)
class Phonemes:
    symbols: str
    end: str
    """The punctuation that the piece ends with, or ""."""


def segments(text: str) -> list[str]:
    """``text`` in parts of at most 300 characters, cut at spaces; over-long words are cut too."""
    found: list[str] = []
    words: list[str] = []
    length = 0
    for word in _short_words(text):
        if words and length + len(word) > _SEGMENT_CHARACTERS:
            found.append(" ".join(words))
            words, length = [], 0
        words.append(word)
        length += len(word) + 1
    return [*found, " ".join(words)] if words else found


def phonemize(
    segment: str,
    *,
    to_sentences: Callable[[str], Sequence[str]],
    to_phonemes: Callable[[str], str],
    longest: int,
) -> list[Phonemes]:
    """Pieces of at most ``longest`` phonemes, none over the end of a sentence. What cannot be said is left out."""
    segment = _LINK.sub("] (", segment)  # "[word](/phonemes/)" is a command in hibari's texts
    return [
        Phonemes(symbols, symbols[-1] if symbols[-1] in _END_PUNCTUATION else "")
        for sentence in to_sentences(segment)
        for symbols in _cut(_convert(sentence, to_phonemes), longest)
        if _has_sound(symbols)
    ]


def _short_words(text: str) -> Iterator[str]:
    for word in text.split():
        for run in _RUNS.findall(word):
            yield from (run[start : start + _WORD_CHARACTERS] for start in range(0, len(run), _WORD_CHARACTERS))


def _convert(sentence: str, to_phonemes: Callable[[str], str]) -> str:
    """The whole sentence if that works; else word by word, spelled where a word alone fails too."""
    whole = _attempt(sentence, to_phonemes)
    if whole is not None:
        return whole
    words: list[str] = []
    for word in sentence.split():
        symbols = _attempt(word, to_phonemes)
        if symbols is None:
            symbols = _attempt(" ".join(filter(str.isalnum, word)), to_phonemes)
        words.append(symbols or "")
    return " ".join(filter(None, words))


def _attempt(text: str, to_phonemes: Callable[[str], str]) -> str | None:
    try:
        return to_phonemes(text)
    except Exception:  # rules for times, dates and numbers meet any text; what they raise is not documented
        return None


def _cut(symbols: str, longest: int) -> Iterator[str]:
    """At the last clause end before ``longest``, else at the last space, else anywhere."""
    symbols = symbols.strip()
    while len(symbols) > longest:
        ends = [match.start() for match in _CLAUSE_END.finditer(symbols, longest // 4, longest)]
        end = ends[-1] if ends else symbols.rfind(" ", longest // 4, longest)
        end = end if end > 0 else longest
        yield symbols[:end].strip()
        symbols = symbols[end:].strip()
    if symbols:
        yield symbols


def _has_sound(symbols: str) -> bool:
    """Of punctuation alone the model makes noises."""
    return any(symbol.isalpha() for symbol in symbols)
