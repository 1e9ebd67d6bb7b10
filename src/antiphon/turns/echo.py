"""The assistant's own voice, come back through the user's microphone: recognised by its words."""

from antiphon.turns.words import spoken_words

__all__ = ["is_echo"]

_MOST_WORDS = 40
_ALL_UNTIL = 3
"""Of so few words all must be there; of more, a recogniser may get one in four wrong."""


def is_echo(text: str, said: str, *, least_words: int = 2) -> bool:
    """Whether a text's words, ``least_words`` at least, were ``said`` by the assistant, in their order and together.

    One word alone proves nothing: people ask back.
    """
    words = spoken_words(text)[-_MOST_WORDS:]
    if not words or len(words) < least_words:
        return False
    spoken = spoken_words(said)
    wanted = len(words) if len(words) <= _ALL_UNTIL else -(-len(words) * 3 // 4)
    width = len(words) if len(words) <= _ALL_UNTIL else len(words) + len(words) // 4 + 1
    starts = range(max(1, len(spoken) - wanted + 1))
    return any(_common(words, spoken[start : start + width]) >= wanted for start in starts)


def _common(one: list[str], other: list[str]) -> int:
    """The length of the longest sequence of words that both hold in that order."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = row
        row = [0]
        for place, candidate in enumerate(other):
            row.append(before[place] + 1 if word == candidate else max(before[place + 1], row[place]))
    return row[-1]
