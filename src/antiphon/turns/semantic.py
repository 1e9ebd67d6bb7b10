"""Whether a pause ends the user turn, judged by how complete the thought sounds. Pure functions."""

import re
from collections.abc import Mapping

from antiphon.turns.types import Eagerness

__all__ = ["maximum_silence_ms", "pace_of", "text_is_incomplete", "turn_is_over"]

_FALLING_THRESHOLD = ((200, 0.98), (600, 0.5), (700, 0.3), (1200, 0.1), (2000, 0.02))
"""From a silence (ms, at medium eagerness) on, the completion probability that ends the turn.

At once only what the judge is certain of: that is half of all finished turns and one pause inside a turn in twelve; at
0.5 it would be four in five of either (``python -m bench.turns --judge``). Then it falls, because a judge that is wrong
stays wrong however often it is asked. Only a near-certain "not finished" waits for the maximum.
"""
_SILENCE_ALONE_MS = 700
_INCOMPLETE_TEXT_MS = 400
_MAXIMUM_SILENCE_MS = 4000
_SHORTEST_SILENCE_MS = 200

_PACE: Mapping[Eagerness, float] = {"low": 2.0, "medium": 1.0, "auto": 1.0, "high": 0.5}


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


_SELDOM_LAST: Mapping[str, frozenset[str]] = {
    "en": _words(
        "a an the and or but nor because although though if unless while whereas than of to from with without into",
        "onto at by for about between during towards upon via per my your its our their um uh erm er hmm mm",
    ),
    "de": _words(
        "der die das den dem des ein eine einen einem einer eines und oder aber denn weil dass ob wenn obwohl",
        "sondern von zu zum zur mit ohne in im ins bei beim für über unter zwischen während gegen mein meine meinen",
        "dein deine sein seine unser unsere äh ähm hm",
    ),
    "es": _words(
        "el la los las un una unos unas y e o u pero porque aunque si que de del a al con sin en por para sobre",
        "entre hacia desde mi mis tu tus su sus eh em este",
    ),
    "fr": _words(
        "le la les l un une des du et ou mais car parce que si quand de d à au aux avec sans dans en par pour sur",
        "sous entre vers chez mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs euh heu ben",
    ),
    "it": _words(
        "il lo la i gli le un uno una e ed o ma perché se che anche di del della dei delle a al alla da dal dalla",
        "con in nel nella su sul sulla per tra fra mio mia tuo tua suo sua ehm eh",
    ),
    "pt": _words(
        "o a os as um uma uns umas e ou mas porque se que de do da dos das em no na nos nas com sem por para pelo",
        "pela sobre entre meu minha seu sua hum ahn eh",
    ),
    "nl": _words(
        "de het een en of maar want omdat als dat van naar met zonder in op aan bij voor over onder tussen tijdens",
        "mijn jouw je zijn haar ons onze hun eh ehm uh uhm",
    ),
}
"""Words that seldom end a thought, by language: articles, conjunctions, prepositions, possessives, fillers."""


def pace_of(eagerness: Eagerness) -> float:
    """How long everything takes, compared with medium eagerness."""
    return _PACE[eagerness]


def maximum_silence_ms(eagerness: Eagerness) -> int:
    """The silence that ends a turn whatever else is known: 8, 4 or 2 s, as the API documents it."""
    return round(_MAXIMUM_SILENCE_MS * _PACE[eagerness])


def turn_is_over(
    silence_ms: int, *, probability: float | None, eagerness: Eagerness = "auto", text_incomplete: bool = False
) -> bool:
    """Whether a pause of ``silence_ms`` ends the turn.

    ``probability``: the judge's word that the thought is complete; None if it gave none, then silence alone decides.
    ``text_incomplete``: the transcript breaks off; that only adds time, since transcripts err, and never blocks.
    """
    if silence_ms >= maximum_silence_ms(eagerness):
        return True
    if silence_ms < _SHORTEST_SILENCE_MS:
        return False
    at_medium_ms = silence_ms / _PACE[eagerness] - (_INCOMPLETE_TEXT_MS if text_incomplete else 0)
    if probability is None:
        return at_medium_ms >= _SILENCE_ALONE_MS
    return any(at_medium_ms >= from_ms and probability >= threshold for from_ms, threshold in _FALLING_THRESHOLD)


def text_is_incomplete(text: str, language: str | None = None) -> bool:
    """Whether a transcript breaks off: it ends with a comma, a dash, dots, or a word that needs another.

    ``language``: its ISO 639-1 code, English where it is not known. A full stop or a question mark proves nothing:
    speech to text puts one behind everything.
    """
    stripped = text.strip()
    if stripped.endswith((",", "...", "…", "-", "–", "—")):
        return True
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", stripped.lower())
    seldom_last = _SELDOM_LAST.get((language or "en").lower().partition("-")[0], frozenset())
    return bool(words) and words[-1] in seldom_last and not stripped[-1].isdigit()
