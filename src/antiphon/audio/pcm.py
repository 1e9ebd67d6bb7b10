"""Conversions between ``pcm`` (bytes, s16le mono) and ``samples`` (float32, shape (n,), range -1..1)."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BYTES_PER_SAMPLE",
    "S16LE",
    "ms_to_samples",
    "pcm_samples",
    "pcm_to_samples",
    "samples_to_ms",
    "samples_to_pcm",
    "silence",
]

BYTES_PER_SAMPLE = 2

S16LE: np.dtype[np.int16] = np.dtype("<i2")
"""The array type of pcm, whatever the machine's own byte order."""

_FULL_SCALE = np.float32(32768.0)


def pcm_samples(pcm: bytes) -> int:
    """How many samples ``pcm`` holds. Raises ``ValueError`` on half a sample."""
    if len(pcm) % BYTES_PER_SAMPLE:
        raise ValueError(f"s16le audio has an even number of bytes, not {len(pcm)}")
    return len(pcm) // BYTES_PER_SAMPLE


def pcm_to_samples(pcm: bytes) -> NDArray[np.float32]:
    """Samples of ``pcm``, exactly: -32768 is -1.0. Raises ``ValueError`` on half a sample."""
    pcm_samples(pcm)
    return np.frombuffer(pcm, S16LE).astype(np.float32) / _FULL_SCALE


def samples_to_pcm(samples: NDArray[np.floating]) -> bytes:
    """``samples`` as s16le: rounded to the nearest value, clipped to full scale; not-a-number becomes silence."""
    scaled: NDArray[np.floating] = np.rint(samples * _FULL_SCALE)
    np.clip(scaled, -32768, 32767, out=scaled)
    np.nan_to_num(scaled, copy=False)
    return scaled.astype(S16LE).tobytes()


def ms_to_samples(duration_ms: int, sample_rate_hz: int) -> int:
    """Whole samples in ``duration_ms``."""
    return duration_ms * sample_rate_hz // 1000


def samples_to_ms(samples: int, sample_rate_hz: int) -> int:
    """Whole milliseconds in ``samples``."""
    return samples * 1000 // sample_rate_hz


def silence(samples: int) -> bytes:
    """``samples`` samples of digital silence as pcm."""
    return bytes(samples * BYTES_PER_SAMPLE)
