"""How well a transcript agrees with what was said."""

import re

__all__ = ["word_error_rate", "word_errors"]

_NUMBERS = {"4": "four", "5": "five", "7": "seven", "8": "eight", "10": "ten", "mr": "mister"}


def word_error_rate(said: str, heard: str) -> float:
    """Share of the words of ``said`` that are wrong, missing or too much in ``heard``."""
    return word_errors(said, heard) / len(_words(said))


def word_errors(said: str, heard: str) -> int:
    """Words to be changed, removed or added; case, punctuation, hyphens and the spelling of numbers do not count."""
    wanted, found = _words(said), _words(heard)
    row = list(range(len(found) + 1))
    for count, word in enumerate(wanted, 1):
        before, row[0] = row[0], count
        for place, other in enumerate(found, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def _words(text: str) -> list[str]:
    return [_NUMBERS.get(word, word) for word in re.findall(r"[\w']+", text.casefold())]
