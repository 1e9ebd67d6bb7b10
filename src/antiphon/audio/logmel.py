"""Whisper's log-mel spectrogram, in numpy alone.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), section 2.2, with the mel
scale of Slaney's Auditory Toolbox (linear below 1 kHz, logarithmic above, triangles of equal area).
"""

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["HOP_SAMPLES", "SAMPLE_RATE_HZ", "log_mel"]

SAMPLE_RATE_HZ = 16_000
_WINDOW_SAMPLES = 400
HOP_SAMPLES = 160

_Spectrum = NDArray[np.float32]

_POWER_FLOOR = np.float32(1e-10)
_RANGE_DECADES = np.float32(8.0)
_FRAMES_PER_STEP = 8

# Slaney's scale: 15 mels per kHz up to 1 kHz, then 27 mels for each factor of 6.4.
_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = float(np.log(6.4)) / 27.0


def log_mel(samples: NDArray[np.float32], *, n_mels: int = 80) -> _Spectrum:
    """Log-mel features of 16 kHz audio.

    ``samples``: shape (n,), range -1..1. Returns float32 of shape (n_mels, n // 160): frame ``i`` is centred on sample
    ``160 * i``, the edges are mirrored, and values lie within 2 below the loudest (8 decades of power over 4).
    """
    frames = len(samples) // HOP_SAMPLES
    if frames == 0:
        return np.zeros((n_mels, 0), np.float32)
    padded = np.pad(samples.astype(np.float32, copy=False), _WINDOW_SAMPLES // 2, mode="reflect")
    windows = sliding_window_view(padded, _WINDOW_SAMPLES)[::HOP_SAMPLES][:frames]
    spectrum = np.fft.rfft(windows * _hann(), axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    decades = np.log10(np.maximum(_mel_power(power, n_mels), _POWER_FLOOR))
    features: _Spectrum = (np.maximum(decades, decades.max() - _RANGE_DECADES) + np.float32(4.0)) / np.float32(4.0)
    return np.ascontiguousarray(features.T)


def _mel_power(power: _Spectrum, n_mels: int) -> _Spectrum:
    """Power per mel band, shape (frames, n_mels).

    In small steps: a large product would wake a BLAS thread on every core, and those wait by spinning, which on a busy
    machine takes five times as long as the whole of the rest.
    """
    filters = _filters(n_mels)
    mel = np.empty((len(power), n_mels), np.float32)
    for start in range(0, len(power), _FRAMES_PER_STEP):
        step = slice(start, start + _FRAMES_PER_STEP)
        np.matmul(power[step], filters, out=mel[step])
    return mel


@cache
def _hann() -> _Spectrum:
    """The periodic Hann window."""
    return np.hanning(_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)


@cache
def _filters(n_mels: int) -> _Spectrum:
    """Triangular filters of equal area, shape (201, n_mels)."""
    bins_hz = np.fft.rfftfreq(_WINDOW_SAMPLES, d=1.0 / SAMPLE_RATE_HZ)
    edges_hz = _mel_to_hz(np.linspace(0.0, _hz_to_mel(SAMPLE_RATE_HZ / 2), n_mels + 2))
    low, centre, high = (edges_hz[start : start + n_mels, np.newaxis] for start in range(3))
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.ascontiguousarray((triangles * (2.0 / (high - low))).T, np.float32)


def _hz_to_mel(hz: float) -> float:
    """Only for frequencies above the break."""
    return _BREAK_MEL + float(np.log(hz / _BREAK_HZ)) / _LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * _LINEAR_HZ_PER_MEL
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, linear, logarithmic)
