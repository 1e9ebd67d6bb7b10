"""What an image reader says of an image."""

from dataclasses import dataclass

__all__ = ["ImageReading", "TextLine"]


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text in an image, and where it is: 0 is the left or upper edge, 1 the right or lower one."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class ImageReading:
    lines: tuple[TextLine, ...] = ()
    """In any order."""
    colours: tuple[str, ...] = ()
    """Names of the main colours, the largest first."""
    caption: str = ""
    """What the image shows, in words; empty from a reader that knows only text."""
    is_complete: bool = True
    """Whether all text is there, as far as the reader can find it."""
