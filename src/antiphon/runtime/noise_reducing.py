"""The input audio of one session without its noise: as many samples out as in, each in its place."""

from collections import deque

import numpy as np

from antiphon.audio.pcm import BYTES_PER_SAMPLE, pcm_to_samples, samples_to_pcm
from antiphon.audio.rechunk import Rechunker
from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ
from antiphon.engines.base import NoiseReducer, Samples
from antiphon.vocabulary.speech import NoiseKind

__all__ = ["NoiseReducing"]

_LEVEL_FRAMES = 5
_MOST_GAIN = 10.0
_SMALLEST_POWER = 1e-12


class NoiseReducing:
    """Filters one stream at ``INPUT_HZ``; the result does not depend on how the stream was cut.

    What comes out is aligned with what went in, and stays behind it by the filter's delay, a frame and the lag of two
    resamplers: 20 ms at most for the built-in engine. ``strength`` is the share of the filtered signal: with 0.5 noise
    falls by 6 dB at most. It may be changed at any time.
    """

    def __init__(self, reducer: NoiseReducer, kind: NoiseKind, strength: float) -> None:
        self.strength = strength
        self._filter = reducer.new_filter(kind)
        self._down = Resampler(INPUT_HZ, reducer.sample_rate_hz)
        self._up = Resampler(reducer.sample_rate_hz, INPUT_HZ)
        self._frames = Rechunker(reducer.frame_samples * BYTES_PER_SAMPLE)
        self._unfiltered: Samples = np.zeros(reducer.delay_samples, np.float32)
        """Before the mix: as late as the filter's output."""
        self._early_bytes = reducer.delay_samples * BYTES_PER_SAMPLE
        """Output that belongs before the first sample."""
        self._held = bytearray()
        """Input whose output is not there yet."""
        self._powers: deque[tuple[float, float]] = deque(maxlen=_LEVEL_FRAMES)

    def push(self, pcm: bytes) -> bytes:
        """Take whole samples; return what can be computed by now."""
        self._held += pcm
        mixed = b"".join(self._mixed(pcm_to_samples(frame)) for frame in self._frames.push(self._down.push(pcm)))
        early = min(self._early_bytes, len(mixed))
        self._early_bytes -= early
        reduced = self._up.push(mixed[early:])
        del self._held[: len(reduced)]
        return reduced

    def rest(self, following: bytes = b"") -> bytes:
        """What is still held back, and what follows it: unfiltered, at the level that the filter gives at present.

        It stands in for the end of the audio where somebody wants all of it now. The stream goes on as if it had not
        been asked for.
        """
        pcm = bytes(self._held) + following
        before, after = (sum(powers) for powers in zip(*self._powers, strict=True)) if self._powers else (1.0, 1.0)
        gain = min(_MOST_GAIN, ((after + _SMALLEST_POWER) / (before + _SMALLEST_POWER)) ** 0.5)
        return samples_to_pcm(pcm_to_samples(pcm) * np.float32(gain))

    def _mixed(self, frame: Samples) -> bytes:
        filtered = self._filter.filter(frame)
        late = np.concatenate((self._unfiltered, frame))
        unfiltered, self._unfiltered = late[: len(frame)], late[len(frame) :]
        mixed = unfiltered + np.float32(self.strength) * (filtered - unfiltered)
        self._powers.append((float(np.dot(unfiltered, unfiltered)), float(np.dot(mixed, mixed))))
        return samples_to_pcm(mixed)
