"""From what a model writes to what is read aloud. Pure.

Markdown's lines are understood here (headings, lists, quotes, tables, code blocks), what stands inside a line in
``speakable_inline``, signs and amounts in ``speakable_symbols``, numbers in ``speakable_quantities``. A response
arrives in clauses, so what one clause leaves open (a code block, a line) is carried to the next in a
``SpeakableState``.

Code blocks are not read; a short remark takes their place, so that "here is the code:" is not followed by nothing.
"""

import re
from dataclasses import dataclass, replace
from enum import Enum, auto

from antiphon.runtime.speakable_inline import say_inline
from antiphon.runtime.speakable_symbols import ENGLISH, PLAIN, Wording

__all__ = ["ENGLISH", "PLAIN", "LineKind", "SpeakableState", "Wording", "line_kind", "speakable"]


class LineKind(Enum):
    TEXT = auto()
    HEADING = auto()
    ITEM = auto()
    """Of a bulleted or numbered list."""
    TABLE = auto()
    RULE = auto()
    """A line across the page, an underline or a link definition: nothing to say."""
    FENCE = auto()
    """The first line of a code block."""


@dataclass(frozen=True, slots=True)
class SpeakableState:
    """What the text so far leaves open."""

    wording: Wording = ENGLISH
    fence: str = ""
    """The fence of the code block that the text so far ends in, "" outside of one."""
    line: LineKind = LineKind.TEXT
    """Kind of the line that the text so far ends in."""
    at_line_start: bool = True


_QUOTE = r"\s*(?:>\s?)*"
_FENCE = re.compile(rf"{_QUOTE}(?P<fence>`{{3,}}|~{{3,}})(?P<info>.*)", re.DOTALL)
_HEADING = re.compile(rf"{_QUOTE}#{{1,6}}(?:\s+|$)")
_BULLET = re.compile(rf"{_QUOTE}(?:[-*+•‣◦–]\s+)(?:\[[ xX]\]\s+)?")
_NUMBERED = re.compile(rf"{_QUOTE}(\d{{1,3}})[.)]\s+")
_RULE = re.compile(r"\s*(?:(?:[-*_=]\s*){3,}|\[[^\[\]]+\]:\s*<?(?:https?://|www\.|[./#]).*)\s*", re.DOTALL)
_TABLE_ROW = re.compile(rf"{_QUOTE}\|")
_TABLE_RULE = re.compile(r"[\s|:-]*-[\s|:-]*")
_QUOTE_MARKS = re.compile(_QUOTE)
_CELL_END = re.compile(r"(?<!\\)\|")
_ENDS_WITH_STOP = re.compile(r"[.!?…:;,。！？：；，、—][\"'”’)\]]*$")
_HEADING_END = re.compile(r"\s#+\s*$")


def speakable(text: str, state: SpeakableState) -> tuple[str, SpeakableState]:
    """The spoken form of the next piece of a text ("" if nothing is to be heard), and what the piece leaves open."""
    lines = text.split("\n")
    spoken: list[str] = []
    for index, line in enumerate(lines):
        ended = index + 1 < len(lines)
        words, state = _say_line(line, state, ended=ended)
        if words:
            spoken.append(words + _pause(words, state.line, lines[index + 1 :]) if ended else words)
        state = replace(state, at_line_start=True) if ended else state
    return " ".join(spoken), state


def line_kind(line: str) -> LineKind:
    """What a line is by its beginning; a rule can be told only when the line is complete."""
    fence = _FENCE.match(line)
    if fence and not (fence["fence"][0] == "`" and "`" in fence["info"]):
        return LineKind.FENCE
    if _RULE.fullmatch(line):
        return LineKind.RULE
    for kind, pattern in (
        (LineKind.TABLE, _TABLE_ROW),
        (LineKind.HEADING, _HEADING),
        (LineKind.ITEM, _BULLET),
        (LineKind.ITEM, _NUMBERED),
    ):
        if pattern.match(line):
            return kind
    return LineKind.TEXT


def _say_line(line: str, state: SpeakableState, *, ended: bool) -> tuple[str, SpeakableState]:
    """``line`` may be a part of a line: its beginning if ``state.at_line_start``, its end if ``ended``."""
    if state.fence:
        closes = state.at_line_start and _closes(line, state.fence)
        still_open = replace(state, at_line_start=state.at_line_start and not line.strip())
        return "", replace(still_open, fence="", line=LineKind.RULE) if closes else still_open
    kind = line_kind(line) if state.at_line_start else state.line
    state = replace(state, line=kind, at_line_start=state.at_line_start and not line.strip())
    if kind is LineKind.FENCE and (fence := _FENCE.match(line)):
        return state.wording.code_omitted, replace(state, fence=fence["fence"])
    if kind is LineKind.RULE:
        return "", state
    if kind is LineKind.TABLE:
        return _say_row(line, state.wording), state
    if kind is LineKind.HEADING and ended:
        line = _HEADING_END.sub("", line)
    return say_inline(_without_marker(line, kind), state.wording), state


def _without_marker(line: str, kind: LineKind) -> str:
    """A number before a list item is read, followed by a short pause."""
    if kind is LineKind.HEADING:
        return _HEADING.sub("", line, count=1)
    if kind is LineKind.ITEM:
        return _NUMBERED.sub(r"\1, ", _BULLET.sub("", line, count=1), count=1)
    return _QUOTE_MARKS.sub("", line, count=1) if line.lstrip().startswith(">") else line


def _say_row(line: str, wording: Wording) -> str:
    if _TABLE_RULE.fullmatch(line):
        return ""
    cells = (say_inline(cell, wording) for cell in _CELL_END.split(_QUOTE_MARKS.sub("", line, count=1)))
    return ", ".join(cell for cell in cells if cell)


def _pause(words: str, kind: LineKind, following: list[str]) -> str:
    """The punctuation that a line's end stands for, where the line has none of its own."""
    if _ENDS_WITH_STOP.search(words):
        return ""
    if kind is not LineKind.TEXT or not following[0].strip():
        return "." if kind is not LineKind.TEXT or len(following) > 1 else ","
    return "" if following[0].lstrip()[:1].islower() else ","


def _closes(line: str, fence: str) -> bool:
    mark = line.strip().lstrip("> ")
    return len(mark) >= len(fence) and not mark.strip(fence[0])
