"""The voices of the hibari engine.

hibari's package holds one voice, "heart". The others are ours, derived from it while it speaks: *size* moves pitch and
formants together, as a larger or smaller head does, *pitch* moves the pitch alone. They imitate nobody: the names that
OpenAI gives its voices are only mapped to them, so that any client finds ten voices that differ.

Why not simply other values for the model's pitch curve: above 1 kHz its output is carried by a part with phases of its
own, which keeps the old pitch and is heard beside the new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DEFAULT_VOICE", "VOICES", "Voice", "voice_named"]


@dataclass(frozen=True, slots=True)
class Voice:
    size: float = 1.0
    """All frequencies are multiplied by it."""
    pitch: float = 1.0
    """The pitch is, besides, multiplied by it."""
    tempo: float = 1.0
    gain_db: float = 0.0
    """Makes all voices equally loud."""


DEFAULT_VOICE = "marin"

VOICES: Mapping[str, Voice] = {
    # name       size  pitch tempo  gain       median pitch, character
    "marin": Voice(1.00, 1.00, 1.00, 5.1),  # 198 Hz, hibari's own voice
    "coral": Voice(1.04, 1.06, 1.02, 5.5),  # 220 Hz, bright
    "shimmer": Voice(1.08, 1.10, 1.00, 5.8),  # 238 Hz, light
    "sage": Voice(0.97, 0.93, 0.96, 6.3),  # 179 Hz, calm
    "alloy": Voice(0.94, 0.86, 1.00, 7.0),  # 162 Hz, neither high nor low
    "verse": Voice(0.91, 0.81, 1.04, 7.3),  # 147 Hz, lively
    "ballad": Voice(0.89, 0.75, 0.95, 7.2),  # 133 Hz, slow
    "echo": Voice(0.87, 0.72, 1.00, 7.2),  # 124 Hz
    "ash": Voice(0.855, 0.68, 1.00, 7.2),  # 116 Hz
    "cedar": Voice(0.83, 0.64, 0.97, 7.2),  # 106 Hz, deep
}

_ALIASES: Mapping[str, str] = {
    # hibari's own names; its four other voices are separate downloads, the nearest derived voice stands in for them
    "heart": "marin",
    "kore": "coral",
    "emma": "sage",
    "fable": "verse",
    "fenrir": "ash",
    # OpenAI's names of speech voices that its Realtime API does not have
    "nova": "coral",
    "onyx": "cedar",
}


def voice_named(name: str, default: str = DEFAULT_VOICE) -> Voice:
    """The voice of a name; an unknown name gets the default one."""
    known = name.strip().lower()
    known = _ALIASES.get(known, known)
    return VOICES.get(known) or VOICES[_ALIASES.get(default, default)]
