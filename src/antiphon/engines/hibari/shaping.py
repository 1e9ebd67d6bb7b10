"""What is done to the model's audio: the silence at its ends is cut, its level is set."""

import numpy as np

from antiphon.engines.base import Samples

__all__ = ["limit", "trim"]

_STEP_S = 0.005
_SILENT_BELOW_PEAK_DB = -50.0
_SILENT_DBFS = -70.0
_LEAD_S = 0.02
_TAIL_S = 0.06
_FADE_S = 0.004
_KNEE = 0.7
"""Amplitude up to which nothing is changed."""


def trim(samples: Samples, sample_rate_hz: int) -> Samples:
    """The speech in ``samples``, with 20 ms before and 60 ms after it; its ends fade to zero. Empty if there is none.

    The model puts 300 ms of silence before each piece and 450 ms after it: late for an answer, long for a comma.
    """
    step = int(_STEP_S * sample_rate_hz)
    count = len(samples) // step
    if not count:
        return samples[:0]
    levels = np.sqrt(np.mean(np.square(samples[: count * step].reshape(count, step)), axis=1))
    threshold = max(float(levels.max()) * 10 ** (_SILENT_BELOW_PEAK_DB / 20), 10 ** (_SILENT_DBFS / 20))
    heard = np.flatnonzero(levels > threshold)
    if not len(heard):
        return samples[:0]
    start = max(int(heard[0]) * step - int(_LEAD_S * sample_rate_hz), 0)
    end = (int(heard[-1]) + 1) * step + int(_TAIL_S * sample_rate_hz)
    return _faded(samples[start:end], int(_FADE_S * sample_rate_hz))


def limit(samples: Samples) -> Samples:
    """``samples`` with peaks bent below full scale; what is below 0.7 stays as it is."""
    excess = np.abs(samples) - np.float32(_KNEE)
    loud = excess > 0
    if not loud.any():
        return samples
    room = np.float32(1.0 - _KNEE)
    bent = np.sign(samples) * (np.float32(_KNEE) + room * np.tanh(excess / room))
    return np.where(loud, bent, samples).astype(np.float32)


def _faded(samples: Samples, fade_samples: int) -> Samples:
    faded = samples.astype(np.float32)
    ramp = np.linspace(0.0, 1.0, min(fade_samples, len(faded)), endpoint=False, dtype=np.float32)
    faded[: len(ramp)] *= ramp
    faded[len(faded) - len(ramp) :] *= ramp[::-1]
    return faded
