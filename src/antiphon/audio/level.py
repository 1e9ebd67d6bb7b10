"""How loud a piece of audio is."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["SILENCE_DBFS", "rms_dbfs"]

SILENCE_DBFS = -100.0
"""The level of digital silence, and the lowest level reported: below one 16-bit step nothing is told apart."""


def rms_dbfs(samples: NDArray[np.float32]) -> float:
    """Root mean square of ``samples`` (shape (n,), range -1..1) in dB relative to full scale.

    A full-scale square wave is 0 dBFS, a full-scale sine -3.01 dBFS; digital silence and no samples at all are
    ``SILENCE_DBFS``.
    """
    if not len(samples):
        return SILENCE_DBFS
    power = float(np.dot(samples, samples)) / len(samples)
    return max(SILENCE_DBFS, 10.0 * math.log10(power)) if power > 0.0 else SILENCE_DBFS
