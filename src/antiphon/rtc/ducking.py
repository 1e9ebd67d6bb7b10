"""Playing more quietly for a while, without a click."""

import math
from typing import Final

import numpy as np

from antiphon.audio.pcm import S16LE

__all__ = ["DUCKED_GAIN", "Ducking"]

DUCKED_GAIN: Final = 10 ** (-18 / 20)
"""Quiet enough that the user hears that they are heard, loud enough that no word is lost if nothing comes of it."""


class Ducking:
    """The loudness of a playout. Where it changes in the middle of speech, it does so smoothly within one frame."""

    def __init__(self) -> None:
        self.on = False
        self._gain = 1.0

    def apply(self, pcm: bytes, *, follows: bool) -> bytes:
        """One frame. ``follows``: its first sample comes right behind the last one of the frame before."""
        before = self._gain if follows else self._wanted
        after = self._gain = self._wanted
        if before == after == 1.0:
            return pcm
        samples = np.frombuffer(pcm, S16LE)
        gain: np.ndarray | float = after
        if before != after:
            falling = 0.5 + 0.5 * np.cos(np.linspace(0, math.pi, len(samples)))
            gain = after + (before - after) * falling
        return np.rint(samples * gain).astype(S16LE).tobytes()

    @property
    def _wanted(self) -> float:
        return DUCKED_GAIN if self.on else 1.0
