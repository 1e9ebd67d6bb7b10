"""Whether there is anything to be heard, for recognisers: by energy alone, at 16 kHz."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["ends_quietly", "goes_on_quietly", "is_silent"]

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
