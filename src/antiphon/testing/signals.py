"""Audio for tests: tones stand for speech (``ScriptedVad`` hears them), silence for silence."""

from functools import lru_cache

import numpy as np

__all__ = ["silence", "tone"]


def tone(
    duration_ms: int, *, sample_rate_hz: int = 24_000, frequency_hz: int = 440, level_dbfs: float = -12.0
) -> bytes:
    """s16le mono. Starts at phase 0 and repeats every second, so that pieces of whole seconds join without a click."""
    second = _one_second(sample_rate_hz, frequency_hz, level_dbfs)
    size_bytes = 2 * (duration_ms * sample_rate_hz // 1000)
    return (second * (size_bytes // len(second) + 1))[:size_bytes]


def silence(duration_ms: int, *, sample_rate_hz: int = 24_000) -> bytes:
    """s16le mono, all zero."""
    return bytes(2 * (duration_ms * sample_rate_hz // 1000))


@lru_cache(maxsize=32)
def _one_second(sample_rate_hz: int, frequency_hz: int, level_dbfs: float) -> bytes:
    peak = min(1.0, 10 ** (level_dbfs / 20) * 2**0.5) * 32767
    wave = np.sin(2 * np.pi * frequency_hz * np.arange(sample_rate_hz) / sample_rate_hz)
    return (peak * wave).astype("<i2").tobytes()
