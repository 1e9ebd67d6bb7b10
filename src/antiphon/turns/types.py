"""What endpointing is told and what it finds. Samples are counted from the first audio of the session."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Eagerness", "EndpointerSettings", "SpeechPaused", "SpeechStarted", "SpeechStopped", "TurnEvent"]

Eagerness: TypeAlias = Literal["low", "medium", "high", "auto"]
"""How readily a user turn is taken to be over; ``auto`` means ``medium``."""


@dataclass(frozen=True, slots=True)
class EndpointerSettings:
    """The server VAD's settings, with the defaults of the API."""

    threshold: float = 0.5
    """Speech probability from which a window is voiced, 0 to 1."""
    prefix_padding_ms: int = 300
    """Audio kept from before the detected start."""
    silence_duration_ms: int = 500
    """Silence that ends a user turn."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    at_sample: int
    """The first voiced sample."""
    from_sample: int
    """Where the turn's audio begins: the prefix padding earlier, but never before the last stop or reset."""


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """A short silence inside a turn, reported once for each; the turn may go on or end."""

    at_sample: int
    """The end of the last voiced window."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    at_sample: int
    """Where the turn's audio ends: the end of the last voiced window and the silence that was waited for."""


TurnEvent: TypeAlias = SpeechStarted | SpeechPaused | SpeechStopped
