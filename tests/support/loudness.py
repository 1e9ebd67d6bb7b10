"""Loud and quiet stretches of sound, as arrays at 16 kHz."""

import numpy as np

from antiphon.engines.base import Samples

__all__ = ["RATE_HZ", "noise", "quiet", "speech"]

RATE_HZ = 16_000


def noise(duration_s: float, level: float = 0.1) -> Samples:
    return np.random.default_rng(1).normal(0.0, level, int(duration_s * RATE_HZ)).astype(np.float32)


def quiet(duration_s: float, level: float = 0.001) -> Samples:
    return noise(duration_s, level)


def speech(*parts: Samples) -> Samples:
    return np.concatenate(parts)
