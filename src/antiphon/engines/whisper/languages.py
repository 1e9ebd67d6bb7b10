"""Which model hears which language."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["LANGUAGES", "UNSPACED", "ModelChoice", "ModelName", "Route", "join_texts", "route"]

ModelName = Literal["tiny.en", "base", "own"]
ModelChoice = Literal["auto", "tiny.en", "base", "own"]

_CODES = """
af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy
id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa
sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh
"""

LANGUAGES = frozenset(_CODES.split())
"""The codes that multilingual Whisper knows."""

UNSPACED = frozenset({"bo", "ja", "km", "lo", "my", "th", "zh"})
"""Languages written without spaces between words."""

_ALIASES = {"eng": "en", "english": "en", "jv": "jw", "nb": "no", "fil": "tl", "iw": "he", "cmn": "zh", "yue": "zh"}


@dataclass(frozen=True, slots=True)
class Route:
    model: ModelName
    language: str | None
    """A code of ``LANGUAGES``; None: to be detected from the audio."""
    among: tuple[str, ...] = ()
    """Where it is to be detected: the codes that come into question; empty: all."""


def route(requested: str | None, *, choice: ModelChoice, detect: bool, expected: Iterable[str] = ()) -> Route:
    """The model for a language as the caller wrote it (``de``, ``en-US``; None or empty: not said).

    ``auto`` hears English, and what is not said, with tiny.en, and every other language with base; with ``detect`` base
    also finds out what is not said. A code that Whisper does not know is detected. ``expected``: the languages among
    which to detect where none is said.
    """
    said = bool(requested and requested.strip())
    language = _known(requested) if said else None
    if choice == "tiny.en":
        return Route("tiny.en", "en")
    among = () if said else tuple(dict.fromkeys(code for code in map(_known, expected) if code))
    if len(among) > 1:
        return Route("base" if choice == "auto" else choice, None, among)
    if among:
        said, language = True, among[0]
    if choice != "auto":
        return Route(choice, language)
    if language == "en" or not (said or detect):
        return Route("tiny.en", "en")
    return Route("base", language)


def join_texts(texts: Iterable[str], language: str | None) -> str:
    """The texts of consecutive pieces as one text."""
    return ("" if language in UNSPACED else " ").join(text for text in texts if text)


def _known(requested: str | None) -> str | None:
    code = (requested or "").strip().lower().replace("_", "-")
    for candidate in (code, code.partition("-")[0]):
        candidate = _ALIASES.get(candidate, candidate)
        if candidate in LANGUAGES:
            return candidate
    return None
