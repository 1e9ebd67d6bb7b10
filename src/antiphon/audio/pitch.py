"""Another pitch, pace or size for speech whose pitch curve is known.

Pitch and pace are changed by pitch-synchronous overlap and add (TD-PSOLA): the signal is cut into grains around its
pitch marks, each reaching to the marks beside it, and put together again at other distances. The shape of a grain, and
with it the formants, stays. After Moulines and Charpentier, "Pitch-synchronous waveform processing techniques for
text-to-speech synthesis using diphones" (1990). Size is changed by resampling: pitch and formants move together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray

__all__ = ["PitchMarks", "change_pitch", "change_size", "pitch_marks"]

_Signal = NDArray[np.float32]

_VOICED_HZ = 40.0
_UNVOICED_MARKS_HZ = 200
_LONGEST_PERIODS = 1.6
"""Two marks further apart than this many periods have unvoiced marks between them."""


@dataclass(frozen=True, slots=True)
class PitchMarks:
    """One mark a pitch period in voiced speech, one every 5 ms elsewhere."""

    positions: NDArray[np.int64]
    """Sample numbers, ascending."""
    voiced: NDArray[np.bool_]


def pitch_marks(f0_hz: _Signal, *, hop_samples: int, sample_rate_hz: int) -> PitchMarks:
    """Marks of a signal of ``len(f0_hz) * hop_samples`` samples.

    ``f0_hz``: shape (frames,); the pitch at the middle of each hop, below 40 where there is none. The marks lie where
    the phase of that pitch, counted from the beginning of the signal, passes whole turns.
    """
    if not len(f0_hz):
        return PitchMarks(np.zeros(0, np.int64), np.zeros(0, np.bool_))
    length = len(f0_hz) * hop_samples
    middles = (np.arange(len(f0_hz)) + 0.5) * hop_samples
    hz = np.interp(np.arange(length) + 0.5, middles, f0_hz)
    turns = np.cumsum(np.maximum(hz, _VOICED_HZ)) / sample_rate_hz
    pulses = np.flatnonzero(np.diff(np.floor(turns))) + 1
    pulses = pulses[hz[pulses] > _VOICED_HZ]
    step = sample_rate_hz // _UNVOICED_MARKS_HZ
    marks: list[tuple[int, bool]] = []
    end = 0
    for pulse in pulses.tolist():
        if pulse - end > _LONGEST_PERIODS * max(sample_rate_hz / hz[pulse], step):
            marks += ((position, False) for position in range(end + step, pulse - step // 2, step))
        marks.append((pulse, True))
        end = pulse
    marks += ((position, False) for position in range(end + step, length, step))
    positions, voiced = zip(*marks, strict=True) if marks else ((), ())
    return PitchMarks(np.array(positions, np.int64), np.array(voiced, np.bool_))


def change_pitch(samples: _Signal, marks: PitchMarks, *, pitch: float = 1.0, stretch: float = 1.0) -> _Signal:
    """``samples`` (shape (n,)) with the pitch of voiced speech times ``pitch`` and the duration times ``stretch``.

    Level and formants stay. Returns shape (round(n * stretch),). Good for factors from 0.6 to 1.6; with 1 and 1 the
    signal between its first and its last mark comes out as it was.
    """
    length = round(len(samples) * stretch)
    positions = marks.positions
    if len(positions) < 2:
        return np.zeros(length, np.float32)
    gaps = np.diff(positions)
    margin = int(gaps.max())
    padded = np.pad(samples, margin)
    out = np.zeros(length + 2 * margin + 1, np.float32)
    voiced_gain = np.float32(1.0 / math.sqrt(pitch))
    seen = -1
    for time, grain in _plan(marks, length, pitch, stretch):
        before = int(gaps[max(grain - 1, 0)])
        after = int(gaps[min(grain, len(gaps) - 1)])
        middle = int(positions[grain]) + margin
        piece = padded[middle - before : middle + after] * _window(before, after)
        if marks.voiced[grain]:
            piece *= voiced_gain
        elif grain == seen:  # noise repeated as it is would sound like a tone
            piece, before = piece[::-1], after
        start = time + margin - before
        out[start : start + len(piece)] += piece
        seen = grain
    return out[margin : margin + length]


def _plan(marks: PitchMarks, length: int, pitch: float, stretch: float) -> Iterator[tuple[int, int]]:
    """Where each grain of the result lies, and which grain of the source it is: the one nearest in time."""
    positions: list[int] = marks.positions.tolist()
    voiced: list[bool] = marks.voiced.tolist()
    last = len(positions) - 1
    grain = 0
    time = positions[0] * stretch
    while time < length:
        source = time / stretch
        while grain < last and positions[grain + 1] - source <= source - positions[grain]:
            grain += 1
        yield round(time), grain
        gap = positions[grain + 1] - positions[grain] if grain < last else positions[last] - positions[last - 1]
        both_voiced = voiced[grain] and (grain == last or voiced[grain + 1])
        time += gap / pitch if both_voiced else gap


@lru_cache(maxsize=4096)
def _window(left: int, right: int) -> _Signal:
    """Rises over ``left`` samples and falls over ``right``: with the windows beside it, it adds up to 1."""
    rise = np.sin(np.pi / 2 * np.arange(left) / max(left, 1)) ** 2
    fall = np.cos(np.pi / 2 * np.arange(right) / max(right, 1)) ** 2
    return np.concatenate((rise, fall)).astype(np.float32)


def change_size(samples: _Signal, size: float) -> _Signal:
    """``samples`` with all frequencies times ``size`` and the duration divided by it: a smaller head, if above 1."""
    if size == 1.0:
        return samples
    resized: _Signal = soxr.resample(samples, size, 1.0).astype(np.float32)
    return resized
