"""Cutting a response into the clauses that are spoken one after another. Pure.

The first clause is short, so that something is heard soon; later ones grow to whole sentences, which sound better, but
only as fast as the speech of the clauses before them covers the time in which they are written: no silence comes
between two of them that is not a reader's pause.

A cut is decided by the characters before it and at most one after it (two around a line break), never by how the text
was chunked: the same text gives the same clauses however it arrives.
"""

import re
from typing import Final

from antiphon.runtime.speakable import ENGLISH, LineKind, SpeakableState, Wording, line_kind, speakable
from antiphon.vocabulary.speech import Clause

__all__ = ["FIRST_WORDS", "ClauseSplitter"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FIRST_WORDS: Final = 5
"""Here the first clause ends where nobody says otherwise, punctuation or not ..."""
_CARE_WORDS = 3
"""... or so many words later, where it would part an article from its noun or a number from its unit."""
_COMMA_WORDS = 3
"""From here on the first clause may end at a comma."""
_PACE = 3
"""A later clause ends, punctuation or not, at three times the words that were cut before it and one more (the pause).

Speech has about 3.3 words a second, and a pause as long as one word at each end. A model that writes 1.25 tokens a word
has so much written in time from about 13 tokens a second on, which is half of what the embedded one does on two cores;
the other half is for the voice's own time and for whoever else uses the machine.
"""
_COMMA_CHARACTERS = (0, 45, 80, 100)
"""From here on the n-th clause (the last number holds for all later ones) may end at a comma ..."""
_COMMA_SHARE = 2 / 3
"""... or at this share of the words at which it would end anyway."""
_FORCED_CHARACTERS = 220
"""Here a later clause ends at the next space, whatever was said before."""
_SPAN_CHARACTERS = 160
"""So long a link or a piece of code is kept whole."""
_LINE_BEGINNING_CHARACTERS = 80
_LIMIT_CHARACTERS = 1000
"""Nothing is held back longer, spaces or not."""

_SENTENCE_STOPS = ".!?。！？"
_CLAUSE_STOPS = ",;:，；：、…—"
_WIDE_STOPS = "。！？，；：、"
"""Stops that no space follows."""
_CLOSERS = "\"'”’»)]}*_~`」』）"
_OPENERS = "\"'“‘«([{*_~`「『（"
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_WORD = re.compile(r"\S*\w\S*")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]\.|[A-HJ-ZÀ-Þ]\.")
_MARKER = re.compile(r"\s*(?:>\s?)*[*_]{0,3}(?:\d{1,3}|[a-zA-Z])[.)]")
_DASH = re.compile(r"\S\s+[-–]{1,3}$")
_LAST_SENTENCE_BREAK = re.compile(r"[.!?:]\W*$")
_ABBREVIATIONS = _words(
    """
    mr mrs ms dr prof st sr jr mt ft gen gov sen rep capt lt col sgt rev hon pres etc vs cf al ca approx est dept inc
    ltd co corp bros jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri fig figs vol vols
    ch pp p ed eds eq ave blvd rd tel ext min max incl resp bzw usw
    """
)
_ANSWERS_TOO = _words("no nos")
"""An abbreviation only inside a sentence ("room No. 5"), a sentence at its beginning."""
_LEADS_ON = _words(
    """
    a an the of to in on at for and or but nor with by from as is are was were be been my your his her its our their
    this that these those i you we they he she it who which not very so than into about over under between
    sq cu fl
    """
)
"""A clause that ends here sounds broken off, or parts a unit of two words ("20 sq ft")."""


class ClauseSplitter:
    """Cuts one response. The ``text`` of all clauses joined is the text pushed, character by character."""

    def __init__(self, wording: Wording = ENGLISH, *, first_words: int = FIRST_WORDS) -> None:
        """``first_words``: where the first clause ends, if it has no end of its own before."""
        self._state = SpeakableState(wording)
        self._first_words = self._most_words = first_words
        self._spoken_clauses = 0
        self._spoken_words = 0
        self._pending = ""
        self._line = ""
        """Beginning of the current line, cut or not."""
        self._line_start: int | None = None
        """Where in ``_pending`` a line begins of which it is open whether it continues the sentence before."""
        self._cut_clauses: list[Clause] = []

    def push(self, text: str) -> list[Clause]:
        """The clauses that became complete with ``text``."""
        for character in text:
            self._take(character)
        return self._drain()

    def finish(self) -> list[Clause]:
        """The rest. Nothing may be pushed afterwards."""
        if self._pending:
            # The end of a text ends its paragraph.
            self._cut(len(self._pending), spoken_tail="\n\n")
        return self._drain()

    def _drain(self) -> list[Clause]:
        clauses, self._cut_clauses = self._cut_clauses, []
        return clauses

    def _take(self, character: str) -> None:
        in_code = bool(self._state.fence)
        if not in_code:
            self._cut_before(character)
        self._pending += character
        if character == "\n":
            self._end_line(in_code)
        elif len(self._line) < _LINE_BEGINNING_CHARACTERS:
            self._line += character
        if len(self._pending) >= _LIMIT_CHARACTERS:
            self._cut(len(self._pending))

    def _cut_before(self, character: str) -> None:
        if self._line_start is not None and not character.isspace():
            if not character.islower():
                self._cut(self._line_start)
            self._line_start = None
        last = self._pending[-1:]
        if not last or last.isspace():
            return
        if character.isspace() or self._ends_wide(character):
            self._cut_at_stop()

    def _ends_wide(self, character: str) -> bool:
        body = self._pending.rstrip(_CLOSERS)
        return body[-1:] in _WIDE_STOPS and bool(body) and character not in _CLOSERS + _WIDE_STOPS

    def _cut_at_stop(self) -> None:
        """Cut at the end of what is pending, if a clause ends there."""
        if line_kind(self._line) in (LineKind.TABLE, LineKind.FENCE) or self._inside_span():
            return
        body = self._pending.rstrip(_CLOSERS)
        if body[-1:] in _SENTENCE_STOPS and not body.endswith(".."):
            if not self._is_abbreviation(body):
                self._cut(len(self._pending))
        elif body[-1:] in _CLAUSE_STOPS or body.endswith("..") or _DASH.search(self._pending[-8:]):
            if self._may_end_at_comma():
                self._cut(len(self._pending))
        elif self._must_end():
            self._cut(len(self._pending), forced=True)

    def _end_line(self, in_code: bool) -> None:
        line, self._line = self._line, ""
        blank = not line.strip()
        if in_code or line_kind(line) is not LineKind.TEXT or (blank and self._line_start is not None):
            self._cut(len(self._pending))
        else:
            self._line_start = len(self._pending)

    def _inside_span(self) -> bool:
        """Whether a link or a piece of inline code is open at the end of what is pending."""
        line = self._pending[self._pending.rfind("\n") + 1 :]
        if len(line) > _SPAN_CHARACTERS:
            return False
        if line.count("`") % 2:
            return True
        opened = line.rfind("[")
        if opened < 0:
            return False
        closed = line.find("]", opened)
        return closed < 0 or (line[closed + 1 : closed + 2] == "(" and ")" not in line[closed:])

    def _is_abbreviation(self, body: str) -> bool:
        if not body.endswith("."):
            return False
        if len(self._line) < 8 and _MARKER.fullmatch(self._line):
            return True
        before, _, word = body.rpartition(" ")
        word = word.rpartition("\n")[2].lstrip(_OPENERS)
        if _INITIALS.fullmatch(word):
            return True
        name = word[:-1].lower()
        if name in _ANSWERS_TOO:
            return bool(before.strip()) and not _LAST_SENTENCE_BREAK.search(before)
        return name in _ABBREVIATIONS

    def _may_end_at_comma(self) -> bool:
        words = _count_words(self._pending)
        if not self._spoken_clauses:
            return words >= _COMMA_WORDS
        minimum = _COMMA_CHARACTERS[min(self._spoken_clauses, len(_COMMA_CHARACTERS) - 1)]
        wide = len(_WIDE.findall(self._pending))
        return len(self._pending.strip()) + wide >= minimum or words >= _COMMA_SHARE * self._most_words

    def _must_end(self) -> bool:
        if self._spoken_clauses and len(self._pending) >= _FORCED_CHARACTERS:
            return True
        words = _count_words(self._pending)
        if words < self._most_words:
            return False
        last = self._pending.rsplit(maxsplit=1)[-1].strip(_OPENERS + _CLOSERS)
        return words >= self._most_words + _CARE_WORDS or not (last.lower() in _LEADS_ON or last[-1:].isdigit())

    def _cut(self, end: int, *, forced: bool = False, spoken_tail: str = "") -> None:
        text = self._pending[:end]
        if not text.strip() and not spoken_tail:
            return
        self._pending = self._pending[end:]
        self._line_start = None
        spoken, self._state = speakable(text + spoken_tail, self._state)
        leads_on = forced and spoken[-1:].isalnum()
        if leads_on:
            spoken += ","  # keeps the voice up
        self._spoken_clauses += bool(spoken)
        self._spoken_words += _count_words(spoken)
        if self._spoken_clauses:
            self._most_words = max(self._first_words, _PACE * (self._spoken_words + 1))
        self._cut_clauses.append(Clause(text, spoken, leads_on))


def _count_words(text: str) -> int:
    """Two ideographs or kana are as long as a word."""
    return len(_WORD.findall(text)) + len(_WIDE.findall(text)) // 2
