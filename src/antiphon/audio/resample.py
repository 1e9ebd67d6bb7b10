"""Sample-rate conversion of a stream, with a short and constant lag.

The rates that audio equipment uses stand in small ratios; for those a polyphase filter is applied directly. Its lag is
32 samples of the lower rate (2 ms at 16 kHz), whereas a soxr stream works in large blocks: from 24 to 16 kHz it holds
back up to 38 ms of audio, from 8 to 16 kHz up to 118 ms, and every barge-in would come later by that. Other ratios go
through soxr.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from antiphon.audio.pcm import S16LE, pcm_samples, pcm_to_samples, samples_to_pcm

__all__ = ["Resampler", "resample", "resample_recording"]

_LAG_SAMPLES = 32
"""Half the filter's length, in samples of the lower rate."""
_STOPBAND_DB = 80.0
_COEFFICIENT_STEPS = float(2**24)
"""Coefficients are multiples of the inverse of this: products with 16-bit samples and their sums are then exact in
float64, so the result does not depend on how the stream was cut."""
_MATRIX_ENTRIES = 2**18
_PRODUCTS_AT_ONCE = 2**17
"""A larger matrix product OpenBLAS gives to threads of its own, which go on spinning after it: with 32 sessions that
talk they took more of the machine than the whole server does."""


class Resampler:
    """Converts one stream of s16le mono from ``from_hz`` to ``to_hz``.

    The output is the same for every way of cutting the input into chunks, is aligned with the input (no added delay at
    its start) and lasts as long as the input, to within one sample.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if from_hz < 1 or to_hz < 1:
            raise ValueError(f"sample rates are positive, not {from_hz} and {to_hz}")
        self._new_stream = _stream_of(from_hz, to_hz)
        self._stream = self._new_stream()

    @property
    def lag_samples(self) -> int:
        """How far the output stays behind: of n samples pushed, all but so many (and a part of 1 ms) are converted.

        0 where that is not known, because the stream works in blocks of its own.
        """
        return self._stream.lag_samples

    @property
    def block_samples(self) -> int:
        """Input is converted in blocks of so many samples, counted from what ``lag_samples`` leave over; 0: unknown."""
        return self._stream.block_samples

    def resume(self, before: bytes) -> None:
        """Begin where a stream stands that was pushed ``lag_samples`` and any number of blocks, the last of them
        ``before``, which is longer than the lag: what follows is converted exactly as there."""
        self._stream = self._new_stream()
        self._stream.resume(before)

    def push(self, pcm: bytes) -> bytes:
        """Take whole samples; return what can be computed by now. Raises ``ValueError`` on half a sample."""
        pcm_samples(pcm)
        return self._stream.push(pcm)

    def rest(self) -> bytes:
        """What ``flush`` would return now; the stream goes on. Nothing where its lag is not known."""
        return self._stream.rest()

    def flush(self) -> bytes:
        """End the stream: the rest of its output. The next push begins a new stream."""
        rest = self._stream.flush()
        self._stream = self._new_stream()
        return rest


def resample(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """A whole recording at another rate; equal to pushing it through a ``Resampler`` and flushing."""
    resampler = Resampler(from_hz, to_hz)
    return resampler.push(pcm) + resampler.flush()


def resample_recording(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """A whole recording at another rate, more than ten times as fast as a stream: for audio as long as a peer likes."""
    return samples_to_pcm(soxr.resample(pcm_to_samples(pcm), from_hz, to_hz, quality="HQ"))


def _stream_of(from_hz: int, to_hz: int) -> "Callable[[], _Unchanged | _Polyphase | _Soxr]":
    if from_hz == to_hz:
        return _Unchanged
    filter_ = _design(from_hz, to_hz)
    if filter_ is None:
        return lambda: _Soxr(from_hz, to_hz)
    return lambda: _Polyphase(filter_)


class _Unchanged:
    lag_samples = 0
    block_samples = 1

    def resume(self, before: bytes) -> None:
        pass

    def push(self, pcm: bytes) -> bytes:
        return pcm

    def rest(self) -> bytes:
        return b""

    def flush(self) -> bytes:
        return b""


class _Soxr:
    lag_samples = 0
    block_samples = 0

    def resume(self, before: bytes) -> None:
        raise NotImplementedError("a soxr stream works in blocks of its own")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        # Float in and out: for 16-bit output soxr would add dither.
        self._stream: Any = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def push(self, pcm: bytes) -> bytes:
        return samples_to_pcm(self._stream.resample_chunk(pcm_to_samples(pcm)))

    def rest(self) -> bytes:
        return b""

    def flush(self) -> bytes:
        return samples_to_pcm(self._stream.resample_chunk(np.empty(0, np.float32), last=True))


class _Filter:
    """A block of ``step_in`` input samples gives ``step_out`` output samples: ``matrix`` applied to the window that
    begins with the block."""

    def __init__(self, up: int, down: int, taps: int, blocks: int) -> None:
        self.up, self.down = up, down
        self.step_in, self.step_out = down * blocks, up * blocks
        self.lag = taps // 2
        self.window = taps + (self.step_out - 1) * down // up
        prototype = _prototype(up, down, taps)
        self.matrix = np.zeros((self.window, self.step_out))
        self.rows_at_once = max(1, _PRODUCTS_AT_ONCE // self.matrix.size)
        for output in range(self.step_out):
            start, phase = divmod(output * down, up)
            self.matrix[start : start + taps, output] = prototype[phase::up][::-1]


class _Polyphase:
    def __init__(self, filter_: _Filter) -> None:
        self._filter = filter_
        # With these zeros before it the first input sample stands in the middle of the filter's first window.
        self._pending: NDArray[np.int16] = np.zeros(filter_.lag - 1, S16LE)
        self._taken = 0
        self._given = 0

    @property
    def block_samples(self) -> int:
        return self._filter.step_in

    def resume(self, before: bytes) -> None:
        self._pending = np.frombuffer(before, S16LE)[self._filter.step_in - self._filter.window :].copy()
        self._taken, self._given = self.lag_samples, 0

    @property
    def lag_samples(self) -> int:
        return self._filter.window - self._filter.step_in - (self._filter.lag - 1)

    def push(self, pcm: bytes) -> bytes:
        self._taken += len(pcm) // 2
        output = self._convert(np.frombuffer(pcm, S16LE))
        self._given += len(output)
        return output.tobytes()

    def rest(self) -> bytes:
        pending = self._pending
        rest = self.flush()
        self._pending = pending
        return rest

    def flush(self) -> bytes:
        filter_ = self._filter
        wanted = -(-self._taken * filter_.up // filter_.down) - self._given
        zeros = np.zeros(filter_.lag + filter_.window + filter_.step_in, S16LE)
        return self._convert(zeros)[:wanted].tobytes()

    def _convert(self, chunk: NDArray[np.int16]) -> NDArray[np.int16]:
        filter_ = self._filter
        pending = np.concatenate((self._pending, chunk))
        rows = max(0, (len(pending) - filter_.window) // filter_.step_in + 1)
        self._pending = pending[rows * filter_.step_in :].copy()
        most = filter_.rows_at_once
        parts = [
            self._rows(pending[start * filter_.step_in :], min(most, rows - start)) for start in range(0, rows, most)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, S16LE), *parts])

    def _rows(self, pending: NDArray[np.int16], rows: int) -> NDArray[np.int16]:
        filter_ = self._filter
        used = pending[: (rows - 1) * filter_.step_in + filter_.window].astype(np.float64)
        windows: NDArray[np.float64] = np.ndarray((rows, filter_.window), np.float64, used, 0, (filter_.step_in * 8, 8))
        output = np.ascontiguousarray(windows) @ filter_.matrix
        np.rint(output, out=output)
        np.minimum(output, 32767.0, out=output)
        np.maximum(output, -32768.0, out=output)
        return output.astype(S16LE).ravel()


@lru_cache(maxsize=16)
def _design(from_hz: int, to_hz: int) -> _Filter | None:
    """The filter for a pair of rates, shared by all streams; None where the ratio is too fine for a matrix."""
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    taps = 2 * math.ceil(_LAG_SAMPLES * from_hz / min(from_hz, to_hz))
    # Blocks of about 1 ms: with fewer the product is slow, with more the lag grows.
    blocks = max(1, from_hz // 1000 // down)
    if (taps + down * blocks) * up * blocks > _MATRIX_ENTRIES:
        return None
    return _Filter(up, down, taps, blocks)


def _prototype(up: int, down: int, taps: int) -> NDArray[np.float64]:
    """A Kaiser-windowed low-pass at the rate ``from * up``: its stopband begins at half the lower rate."""
    length = taps * up
    transition = (_STOPBAND_DB - 7.95) / (14.36 * length)
    cutoff = 0.5 / max(up, down) - transition / 2
    window = np.kaiser(length + 1, 0.1102 * (_STOPBAND_DB - 8.7))
    time = np.arange(length + 1) - length / 2
    response = 2 * cutoff * up * np.sinc(2 * cutoff * time) * window
    # An even number of taps a phase: the first and the last coefficient share the same sample of the period.
    return np.asarray(np.rint(response[:-1] * _COEFFICIENT_STEPS) / _COEFFICIENT_STEPS)
