"""Where long speech may be cut, by energy alone."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["cut_at_pauses", "cut_position"]

_RATE_HZ = 16_000
_FRAME_SAMPLES = 160
_PAUSE_FRAMES = 30
"""300 ms: a pause between phrases rather than the closure of a consonant."""
_LIKE_THE_QUIETEST = 1.6
"""Within 2 dB of the quietest place counts as the same pause."""

_Samples = NDArray[np.float32]


def cut_at_pauses(samples: _Samples, *, longest_samples: int) -> list[_Samples]:
    """Consecutive pieces of at most ``longest_samples``, cut at pauses; together they are ``samples``."""
    pieces = []
    while len(samples) > longest_samples:
        cut = cut_position(samples, earliest=longest_samples // 2, latest=longest_samples)
        pieces.append(samples[:cut])
        samples = samples[cut:]
    return [*pieces, samples]


def cut_position(samples: _Samples, *, earliest: int, latest: int) -> int:
    """The middle of the quietest 300 ms between two sample positions; of a longer pause, the middle of it all.

    Always from ``earliest`` to ``latest``; among equals the last. Needs ``latest`` at most ``len(samples)``.
    """
    frames = (latest - earliest) // _FRAME_SAMPLES
    if frames <= _PAUSE_FRAMES:
        return latest
    region = samples[earliest : earliest + frames * _FRAME_SAMPLES].reshape(frames, _FRAME_SAMPLES)
    power = np.square(region, dtype=np.float64).mean(axis=1)
    summed = np.concatenate([[0.0], np.cumsum(power)])
    spans = np.maximum(summed[_PAUSE_FRAMES:] - summed[:-_PAUSE_FRAMES], 1e-12)
    quiet = spans <= spans.min() * _LIKE_THE_QUIETEST
    first, last = _longest_run(quiet)
    return earliest + (first + last + _PAUSE_FRAMES) * _FRAME_SAMPLES // 2


def _longest_run(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last index of the longest run of true flags; the last of equally long ones. Needs one true flag."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    longest = len(lengths) - 1 - int(np.argmax(lengths[::-1]))
    return int(starts[longest]), int(ends[longest]) - 1
