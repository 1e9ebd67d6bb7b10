"""Backchannels: what listeners say to show that they listen, without wanting to speak. A table, by language."""

from collections.abc import Mapping
from functools import cache

from antiphon.turns.words import spoken_words

__all__ = ["BACKCHANNELS", "is_backchannel", "may_become_backchannel"]

_MOST_WORDS = 5
"""Nobody strings more of them together."""

BACKCHANNELS: Mapping[str, tuple[str, ...]] = {
    "en": (
        "yeah", "yea", "yep", "yup", "yes", "ya", "ok", "okay", "right", "sure", "alright", "all right", "mm", "mmm",
        "mhm", "mhmm", "mm-hmm", "mm-hm", "mmhmm", "mm hmm", "hm", "hmm", "uh-huh", "uh huh", "uhuh", "huh", "ah",
        "aha", "ah-ha", "oh", "ooh", "wow", "i see", "got it", "gotcha", "of course", "exactly", "indeed", "true",
        "good", "great", "nice", "cool", "fine", "really", "oh really", "oh wow", "makes sense", "sounds good",
        "fair enough", "i know", "that's right", "that's true", "uh", "um", "yes sir", "yes ma'am",
    ),
    "de": (
        "ja", "jo", "jep", "jaja", "ja ja", "okay", "mhm", "hm", "hmm", "aha", "ach", "ach so", "achso", "ah", "oh",
        "genau", "stimmt", "klar", "gut", "alles klar", "richtig", "verstehe", "ich verstehe", "natürlich", "sicher",
        "eben", "echt", "wirklich", "interessant", "na klar", "schön", "prima", "super", "äh", "ähm",
    ),
    "es": (
        "sí", "si", "ya", "vale", "claro", "ok", "bueno", "ajá", "aja", "mhm", "hm", "ah", "oh", "exacto",
        "entiendo", "ya veo", "de acuerdo", "cierto", "muy bien", "bien", "perfecto", "por supuesto", "eso es",
        "ah sí", "eh",
    ),
    "fr": (
        "oui", "ouais", "ok", "d'accord", "mhm", "hm", "hum", "ah", "oh", "ah bon", "ah oui", "je vois",
        "exactement", "voilà", "bien sûr", "c'est ça", "très bien", "bien", "bon", "tout à fait", "en effet",
        "vraiment", "super", "euh", "hein",
    ),
    "it": (
        "sì", "si", "ok", "va bene", "certo", "esatto", "mhm", "mh", "hm", "ah", "oh", "capisco", "ho capito",
        "capito", "giusto", "bene", "ecco", "già", "d'accordo", "davvero", "perfetto", "chiaro", "ah sì", "eh",
        "ehm",
    ),
    "pt": (
        "sim", "ok", "tá", "tá bom", "está bem", "certo", "claro", "exato", "exatamente", "mhm", "hm", "hum", "ah",
        "oh", "ahã", "aham", "entendi", "entendo", "percebo", "pois", "pois é", "isso", "bom", "bem", "muito bem",
        "perfeito", "beleza", "é",
    ),
    "nl": (
        "ja", "jaja", "ja ja", "oké", "oke", "okay", "mhm", "hm", "hmm", "aha", "ah", "oh", "precies", "klopt",
        "inderdaad", "goed", "juist", "natuurlijk", "ik snap het", "ik begrijp het", "snap ik", "prima", "mooi",
        "zeker", "echt", "zo", "nou", "eh",
    ),
}  # fmt: skip
"""A session's language is seldom known, so what is one in any of these languages is one."""


def is_backchannel(text: str) -> bool:
    """Whether a text holds words, and all of them are backchannels."""
    words = spoken_words(text)
    return 0 < len(words) <= _MOST_WORDS and _fits(tuple(words), open_end=False)


def may_become_backchannel(text: str) -> bool:
    """Whether a text that may break off within a word can be the beginning of backchannels."""
    words = spoken_words(text)
    return 0 < len(words) <= _MOST_WORDS and _fits(tuple(words), open_end=True)


@cache
def _phrases() -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(spoken_words(phrase)) for phrases in BACKCHANNELS.values() for phrase in phrases)


def _fits(words: tuple[str, ...], *, open_end: bool) -> bool:
    """Whether the words are phrases of the table, one behind the other; ``open_end``: the last may be cut short."""
    if not words:
        return True
    if open_end and any(_begins(phrase, words) for phrase in _phrases()):
        return True
    return any(
        words[: len(phrase)] == phrase and _fits(words[len(phrase) :], open_end=open_end) for phrase in _phrases()
    )


def _begins(phrase: tuple[str, ...], words: tuple[str, ...]) -> bool:
    *whole, last = words
    return len(words) <= len(phrase) and phrase[: len(whole)] == tuple(whole) and phrase[len(whole)].startswith(last)
