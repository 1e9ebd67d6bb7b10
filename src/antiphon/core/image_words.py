"""What a prompt says of an image to a model that does not see: size, colours, and the text that was read in it.

Rows go from top to bottom, under a heading for each third; what stands side by side is one row.
"""

from collections.abc import Iterable, Iterator, Sequence
from statistics import mean

from antiphon.images.head import ImageHead
from antiphon.vocabulary.images import ImageReading, TextLine

__all__ = ["dropped_words", "failed_words", "image_words", "unseen_words"]

_THIRDS = ("At the top", "In the middle", "At the bottom")
_RIGHT = 0.55
"""A row that begins further right is said to stand on the right."""


def unseen_words(head: ImageHead) -> str:
    """Nobody here can look at it."""
    return f"[{_sized(head)}. You cannot see pictures. {_asked('I cannot see pictures.')}]"


def failed_words(head: ImageHead) -> str:
    """It could not be read."""
    return f"[{_sized(head)}. {_asked('The picture could not be read.')}]"


def dropped_words(head: ImageHead) -> str:
    """It was taken away before it was read."""
    return f"[{_sized(head)}, which was taken away again.]"


def image_words(head: ImageHead, reading: ImageReading, room_characters: int) -> str:
    """``room_characters`` bound the text; what is beyond is left out and said to be."""
    shown = f"{_sized(head)}{_coloured(reading.colours)}."
    if reading.caption:
        shown += f" It shows: {reading.caption[:room_characters].strip()}"
    lines = [line for line in reading.lines if line.text.strip()]
    if lines:
        text, whole = _within(_laid_out(lines), room_characters)
        more = "" if whole and reading.is_complete else "\n(There is more text, which is left out here.)"
        end = "End of the picture." if reading.caption else "End of the picture; nothing else in it is known."
        return f"[{shown} Text in it:\n{text}{more}\n{end}]"
    if reading.caption:
        return f"[{shown} There is no text in it.]"
    return f"[{shown} No text was found in it. {_asked('I can only read text in pictures, and there is none in it.')}]"


def _asked(answer: str) -> str:
    return f'Asked what it shows, answer: "{answer}" Never guess.'


def _sized(head: ImageHead) -> str:
    return f"The user shows a picture of {head.width} x {head.height} pixels"


def _coloured(colours: Sequence[str]) -> str:
    if not colours:
        return ""
    *first, last = colours
    return f", mainly {', '.join(first)} and {last}" if first else f", mainly {last}"


# --- layout --------------------------------------------------------------------------------------------------------


def _laid_out(lines: Sequence[TextLine]) -> Iterator[str]:
    third = -1
    for row in _rows(lines):
        middle = mean(_middle(line) for line in row)
        place = min(2, max(0, int(middle * 3)))
        if place != third:
            third = place
            yield f"{_THIRDS[place]}:"
        side = "(right) " if row[0].left >= _RIGHT else ""
        yield side + " | ".join(" ".join(line.text.split()) for line in row)


def _rows(lines: Iterable[TextLine]) -> Iterator[list[TextLine]]:
    """Lines whose middles lie within the height of the row's first one are one row."""
    row: list[TextLine] = []
    for line in sorted(lines, key=lambda line: (_middle(line), line.left)):
        if row and _middle(line) > row[0].bottom:
            yield sorted(row, key=lambda line: line.left)
            row = []
        row.append(line)
    if row:
        yield sorted(row, key=lambda line: line.left)


def _middle(line: TextLine) -> float:
    return (line.top + line.bottom) / 2


def _within(rows: Iterable[str], room_characters: int) -> tuple[str, bool]:
    kept: list[str] = []
    for row in rows:
        room_characters -= len(row) + 1
        if room_characters < 0:
            return "\n".join(kept), False
        kept.append(row)
    return "\n".join(kept), True
