"""Audio for the tests of calls."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from antiphon.audio.pcm import S16LE
from antiphon.rtc import opus

__all__ = ["frames_of", "voice", "without_libopus"]

_HZ = 24_000
_FRAME_BYTES = 960


def voice(duration_s: float, pitch_hz: float = 130.0) -> bytes:
    """s16le mono at 24 kHz that codecs take for a voice: harmonics under formants, with syllables."""
    time_s = np.arange(round(duration_s * _HZ)) / _HZ
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time_s))) / _HZ
    sound = np.zeros_like(time_s)
    for harmonic in range(1, 25):
        hz = harmonic * pitch_hz
        level = sum(1 / (1 + ((hz - formant_hz) / 120) ** 2) for formant_hz in (600, 1200, 2500))
        sound += level * np.sin(harmonic * phase)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3.5 * time_s)
    sound *= syllables * 9000 / np.abs(sound).max()
    return sound.astype(S16LE).tobytes()


def frames_of(pcm: bytes) -> list[bytes]:
    """``pcm`` in whole frames of 20 ms."""
    return [pcm[start : start + _FRAME_BYTES] for start in range(0, len(pcm) - _FRAME_BYTES + 1, _FRAME_BYTES)]


@contextmanager
def without_libopus() -> Iterator[None]:
    """A machine on which nothing carries libopus."""
    opus._library.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(opus, "_candidates", lambda: iter(()))
            yield
    finally:
        opus._library.cache_clear()
