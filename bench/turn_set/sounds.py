"""Sounds that are not speech, pauses made longer, and noise under speech. Random, but the same for the same seed."""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.turn_set.clips import RATE_HZ, Span

__all__ = ["Sound", "babble", "clicks", "cough", "hum", "keyboard", "lengthened", "pauses", "pink", "random", "rms",
           "voiced", "white", "with_noise"]  # fmt: skip

Sound = NDArray[np.float64]

VOICED = 0.02
"""From this amplitude on a sample is voiced, in speech whose peak is ``PEAK``."""
PEAK = 0.6
_FADE = RATE_HZ // 100


def random(name: str) -> np.random.Generator:
    """The same for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def voiced(sound: Sound) -> Span:
    """From the first to behind the last voiced sample."""
    loud = np.flatnonzero(np.abs(sound) > VOICED)
    return int(loud[0]), int(loud[-1]) + 1


def pauses(sound: Sound, shortest_ms: int = 60) -> list[Span]:
    """Where nothing is voiced, inside."""
    loud = np.flatnonzero(np.abs(sound) > VOICED)
    gaps = np.flatnonzero(np.diff(loud) >= shortest_ms * RATE_HZ // 1000)
    return [(int(loud[at]) + 1, int(loud[at + 1])) for at in gaps]


def lengthened(sound: Sound, pause: Span, by_ms: int, name: str) -> tuple[Sound, Span]:
    """With more of the pause's own faint noise in its middle; also, where the pause now lies."""
    middle = (pause[0] + pause[1]) // 2
    level = max(rms(sound[pause[0] : pause[1]]) if pause[1] - pause[0] > 1 else 0.0, 1e-4)
    more = random(name).normal(0.0, min(level, 0.004), by_ms * RATE_HZ // 1000)
    before, after = sound[:middle].copy(), sound[middle:].copy()
    fade = min(_FADE, len(before), len(after))
    before[-fade:] *= np.linspace(1, 0, fade)
    after[:fade] *= np.linspace(0, 1, fade)
    return np.concatenate((before, more, after)), (pause[0], pause[1] + len(more))


def with_noise(sound: Sound, speech: Sound, noise: Sound, below_db: float) -> Sound:
    """``noise`` (repeated) so far below the voiced parts of ``speech``."""
    loud = np.concatenate([part for part in _frames(speech) if np.max(np.abs(part)) > VOICED])
    repeated = np.resize(noise, len(sound))
    return sound + repeated * (rms(loud) / rms(noise) / 10 ** (below_db / 20))


def _frames(sound: Sound) -> list[Sound]:
    size = RATE_HZ // 50
    return [sound[start : start + size] for start in range(0, len(sound), size)]


# --- noises, about 0.1 RMS -----------------------------------------------------------------------------------------


def white(seconds: float, name: str) -> Sound:
    return random(name).normal(0.0, 0.1, round(seconds * RATE_HZ))


def pink(seconds: float, name: str) -> Sound:
    spectrum = np.fft.rfft(random(name).normal(0.0, 1.0, round(seconds * RATE_HZ)))
    sound = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 20)))
    return np.asarray(0.1 * sound / rms(sound))


def babble(voices: Sequence[Sound], seconds: float, name: str) -> Sound:
    """Everybody at once, each from somewhere."""
    chance = random(name)
    sound = np.zeros(round(seconds * RATE_HZ))
    for voice in voices:
        sound += np.resize(np.roll(voice / rms(voice), int(chance.integers(len(voice)))), len(sound))
    return 0.1 * sound / rms(sound)


def hum(seconds: float, name: str) -> Sound:
    """Mains and a fan."""
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = sum(np.sin(2 * np.pi * 50 * factor * at + factor) / factor for factor in (1, 2, 3, 4, 6, 8))
    return 0.08 * np.asarray(tones) + 0.2 * pink(seconds, name)


def clicks(seconds: float, name: str, *, per_s: float = 1.5) -> Sound:
    """A mouse, a door far away: very short and broad, some followed by a thud."""
    chance = random(name)
    sound = np.zeros(round(seconds * RATE_HZ))
    for at in _times(chance, seconds, per_s):
        _add(sound, at, chance.normal(0, 1, RATE_HZ // 20) * _decay(RATE_HZ // 20, 0.002), chance.uniform(0.2, 0.6))
        if chance.random() < 0.3:
            _add(sound, at, _tone(chance.uniform(70, 140), 0.12, 0.03), 0.3)
    return sound


def keyboard(seconds: float, name: str) -> Sound:
    """Six keys a second, each down and up."""
    chance = random(name)
    sound = np.zeros(round(seconds * RATE_HZ))
    for at in _times(chance, seconds, 6):
        for later, loud in ((0.0, 0.25), (0.07, 0.12)):
            body = chance.normal(0, 1, RATE_HZ // 25) * _decay(RATE_HZ // 25, 0.004)
            ring = _tone(chance.uniform(1500, 4000), 0.04, 0.006)
            _add(sound, at + later, body + ring, loud * chance.uniform(0.6, 1.2))
    return sound


def cough(name: str) -> Sound:
    """Two or three bursts: a sharp onset, then breath through the throat's resonances that dies away."""
    chance = random(name)
    sound = np.zeros(round(1.3 * RATE_HZ))
    for burst in range(int(chance.integers(2, 4))):
        long_s = chance.uniform(0.18, 0.3)
        size = round(long_s * RATE_HZ)
        breath = chance.normal(0, 1, size)
        tract = _resonances(breath, (chance.uniform(450, 700), chance.uniform(1100, 1700), chance.uniform(2300, 3000)))
        shape = _decay(size, long_s / 3) * np.minimum(1, np.arange(size) / (0.008 * RATE_HZ))
        _add(sound, 0.02 + burst * chance.uniform(0.32, 0.42), (tract + 0.3 * breath) * shape, 1.0)
    return np.asarray(PEAK * sound / np.max(np.abs(sound)))


def _resonances(sound: Sound, formants_hz: Sequence[float]) -> Sound:
    spectrum = np.fft.rfft(sound)
    at_hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    gain = np.asarray(sum(np.exp(-(((at_hz - formant_hz) / 250) ** 2)) for formant_hz in formants_hz))
    shaped = np.fft.irfft(spectrum * gain, len(sound))
    return np.asarray(shaped / rms(shaped))


def _times(chance: np.random.Generator, seconds: float, per_s: float) -> list[float]:
    return sorted(chance.uniform(0.2, seconds - 0.3, max(1, round(seconds * per_s))).tolist())


def _decay(size: int, constant_s: float) -> Sound:
    return np.exp(-np.arange(size) / (constant_s * RATE_HZ))


def _tone(hz: float, seconds: float, constant_s: float) -> Sound:
    size = round(seconds * RATE_HZ)
    return np.asarray(np.sin(2 * np.pi * hz * np.arange(size) / RATE_HZ) * _decay(size, constant_s))


def _add(sound: Sound, at_s: float, part: Sound, gain: float) -> None:
    start = round(at_s * RATE_HZ)
    room = min(len(part), len(sound) - start)
    if room > 0:
        sound[start : start + room] += gain * part[:room]
