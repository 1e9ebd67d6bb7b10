"""Where long speech may be cut, and whether it is speech at all, by energy alone."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["cut_at_pauses", "cut_position", "ends_quietly", "goes_on_quietly", "is_silent"]

_RATE_HZ = 16_000
_FRAME_SAMPLES = 160
_PAUSE_FRAMES = 30
"""300 ms: a pause between phrases rather than the closure of a consonant."""
_LIKE_THE_QUIETEST = 1.6
"""Within 2 dB of the quietest place counts as the same pause."""

_SILENT_RMS = 5e-4
"""-66 dBFS in the loudest 100 ms: no voice that a microphone recorded is as soft."""
_LOUDNESS_SAMPLES = 1_600
_QUIET_RATIO = 0.1
_TAIL_PIECES = 2
_BURST_SAMPLES = 400
"""25 ms: a plosive at the end of a word is as short."""
_BURST_RATIO = 0.05
"""26 dB below the loudest vowel: softer than any consonant that a transcript depends on."""

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


def is_silent(samples: _Samples) -> bool:
    """Whether there is nothing to decode: no audio, digital silence, or the faintest noise."""
    return len(samples) == 0 or float(_loudness(samples).max()) < _SILENT_RMS


def ends_quietly(samples: _Samples) -> bool:
    """Whether the last 200 ms are 20 dB below the loudest 100 ms: the speaker pauses, or has ended."""
    loudness = _loudness(samples)
    return float(loudness[-_TAIL_PIECES:].max()) < _QUIET_RATIO * float(loudness.max())


def goes_on_quietly(samples: _Samples, start: int) -> bool:
    """Whether what follows from sample ``start`` on can add no word to what came before: silence, or nearly."""
    tail = samples[start:]
    if is_silent(tail):
        return True
    if not start:
        return False
    return float(_loudness(tail, _BURST_SAMPLES).max()) < _BURST_RATIO * float(_loudness(samples[:start]).max())


def _loudness(samples: _Samples, piece_samples: int = _LOUDNESS_SAMPLES) -> NDArray[np.float64]:
    """RMS of each 100 ms, counted from the end; what is left over at the beginning is a shorter piece of its own."""
    rest = len(samples) % piece_samples
    power = np.square(samples[rest:], dtype=np.float64).reshape(-1, piece_samples).mean(axis=1)
    first = [float(np.square(samples[:rest], dtype=np.float64).mean())] if rest else []
    loudness: NDArray[np.float64] = np.sqrt(np.concatenate([first, power]))
    return loudness


def _longest_run(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """First and last index of the longest run of true flags; the last of equally long ones. Needs one true flag."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    lengths = ends - starts
    longest = len(lengths) - 1 - int(np.argmax(lengths[::-1]))
    return int(starts[longest]), int(ends[longest]) - 1
