"""How one piece of speech is decoded: with which window, when again, and when there was no speech.

Whisper was trained on windows of 30 s. A shorter window costs a third of the time but may loop or guess, so the result
is doubted by its length and its probability, and what is doubtful is decoded again in the full window.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from antiphon.vocabulary.speech import WordLogprob

__all__ = [
    "NOTHING",
    "Attempt",
    "Decoded",
    "WindowChoice",
    "decode_partial",
    "decode_speech",
    "first_attempt",
    "is_certain",
]

WindowChoice = Literal["fast", "full"]

_FULL_WINDOW_S = 30.0
_TAIL_S = 8.0
"""Silence behind the speech; with 5 s or less Whisper loops."""
_SHORTEST_WINDOW_S = 10.0

_TOKENS_AT_LEAST = 12
_TOKENS_PER_S = 6.0
"""Quick speech has 4 to 5."""
_TOKENS_AT_MOST = 144
"""A decode cannot be stopped; this many steps of tiny.en take 0.7 s on two cores."""

_DOUBTFUL_LOGPROB = -0.7
_NO_SPEECH = 0.6
_LIKELY_NO_SPEECH = 0.4
_POOR_LOGPROB = -1.5
_HINTS_MISLED = 0.3
"""Hints raise the odds of words, in noise too: from here on their result is checked against one without them."""

_SPOKEN_INTO_SILENCE = frozenset(
    {"", "you", "thank you", "thanks for watching", "thank you for watching", "the end", "bye", "oh", "so", "i m sorry"}
)
"""What Whisper says when it hears nothing."""
_SUSPICIOUS = 0.3

_NOT_LETTERS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of the model."""

    window_s: float
    token_limit: int
    hinted: bool
    """Whether the caller's words are given as previous text."""
    unrepeated: bool = False
    """Whether a sequence of words may not occur twice."""


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    logprob: float = 0.0
    """Mean over the tokens."""
    no_speech: float = 0.0
    """Probability that there is none."""
    capped: bool = False
    """Whether the token limit ended it."""
    language: str | None = None
    logprobs: tuple[WordLogprob, ...] = ()


NOTHING = Decoded("", no_speech=1.0)

_Decode = Callable[[Attempt], Decoded]


def decode_speech(duration_s: float, decode: _Decode, *, window: WindowChoice, hinted: bool) -> Decoded:
    """The transcript of one piece of at most 30 s; empty text if there is no speech in it."""
    attempt = first_attempt(duration_s, window=window, hinted=hinted)
    result = decode(attempt)
    if hinted and result.no_speech > _HINTS_MISLED:
        attempt = first_attempt(duration_s, window=window, hinted=False)
        result = decode(attempt)
    if _is_no_speech(result):
        return Decoded("", no_speech=result.no_speech, language=result.language)
    if not _is_doubtful(result):
        return result
    if attempt.window_s >= _FULL_WINDOW_S and not result.capped:
        return result
    again = decode(Attempt(_FULL_WINDOW_S, attempt.token_limit, attempt.hinted, unrepeated=result.capped))
    if _is_no_speech(again):
        return Decoded("", no_speech=again.no_speech, language=again.language)
    return again


def decode_partial(duration_s: float, decode: _Decode, *, window: WindowChoice, hinted: bool) -> Decoded:
    """The transcript so far, from one attempt; empty text if there is no speech in it yet or it cannot be trusted."""
    result = decode(first_attempt(duration_s, window=window, hinted=hinted))
    misled = hinted and result.no_speech > _HINTS_MISLED
    return NOTHING if misled or result.capped or _is_no_speech(result) else result


def is_certain(partial: Decoded) -> bool:
    """Whether a partial transcript is what ``decode_speech`` would have found: it would not have looked again."""
    return bool(partial.text) and not _is_doubtful(partial)


def first_attempt(duration_s: float, *, window: WindowChoice, hinted: bool) -> Attempt:
    fast_s = max(_SHORTEST_WINDOW_S, duration_s + _TAIL_S)
    window_s = _FULL_WINDOW_S if window == "full" else min(fast_s, _FULL_WINDOW_S)
    limit = min(_TOKENS_AT_MOST, int(_TOKENS_AT_LEAST + _TOKENS_PER_S * duration_s))
    return Attempt(window_s, limit, hinted)


def _is_doubtful(result: Decoded) -> bool:
    return result.capped or result.logprob < _DOUBTFUL_LOGPROB


def _is_no_speech(result: Decoded) -> bool:
    if result.no_speech >= _NO_SPEECH:
        return True
    if result.no_speech >= _LIKELY_NO_SPEECH and result.logprob < _POOR_LOGPROB:
        return True
    words = _NOT_LETTERS.sub(" ", result.text.casefold()).strip()
    return not words or (words in _SPOKEN_INTO_SILENCE and result.no_speech >= _SUSPICIOUS)
