"""Recordings in steady noise, what noise reduction makes of them, and what a meter and a recogniser say of it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from antiphon.audio.level import rms_dbfs
from antiphon.audio.pcm import pcm_to_samples, samples_to_pcm
from antiphon.audio.resample import resample
from antiphon.engines.base import CallContext, Samples, SpeechToText
from antiphon.engines.noise_webrtc import WebRtcNoiseReducer
from antiphon.runtime.noise_reducing import NoiseReducing
from antiphon.vocabulary.speech import NoiseKind, SttOptions
from tests.support.audio import SPEECH, recording, transcript_of
from tests.support.words import word_errors

__all__ = ["RECORDINGS", "Levels", "levels", "noisy", "reduced", "wrong_words"]

RECORDINGS = tuple(sorted(path.name for path in SPEECH.glob("*.wav")))
_HZ = 24_000
_LEAD_S = 3
_FRAME = 480


@dataclass(frozen=True)
class Levels:
    """In dBFS."""

    noise: float
    speech: float


def noisy(name: str, below_db: float, *, gain_db: float = 0.0, seed: int = 1) -> bytes:
    """Three seconds of steady white noise, then the recording in it; all of it louder by ``gain_db``."""
    speech = pcm_to_samples(recording(name))
    samples = np.concatenate((np.zeros(_LEAD_S * _HZ, np.float32), speech))
    level = 10 ** ((rms_dbfs(speech) - below_db) / 20)
    noise = np.random.default_rng(seed).normal(0, level, len(samples))
    return samples_to_pcm((samples + noise) * 10 ** (gain_db / 20))


def reduced(pcm: bytes, kind: NoiseKind | None, strength: float = 1.0) -> bytes:
    """As a session would hear it."""
    if kind is None or strength == 0:
        return pcm
    reducing = NoiseReducing(WebRtcNoiseReducer(), kind, strength)
    return reducing.push(pcm) + reducing.rest()


def levels(name: str, pcm: bytes) -> Levels:
    """Of the noise before the speech, once the filter knows it, and of the louder half of the speech."""
    samples = pcm_to_samples(pcm)
    lead, spoken = samples[_HZ : _LEAD_S * _HZ], samples[_LEAD_S * _HZ :]
    clean = [rms_dbfs(frame) for frame in _frames(pcm_to_samples(recording(name)))]
    loud = [rms_dbfs(frame) for frame, level in zip(_frames(spoken), clean, strict=True) if level > np.median(clean)]
    return Levels(rms_dbfs(lead), float(np.mean(loud)))


def _frames(samples: Samples) -> Iterator[Samples]:
    for start in range(0, len(samples) - _FRAME, _FRAME):
        yield samples[start : start + _FRAME]


async def wrong_words(stt: SpeechToText, name: str, pcm: bytes) -> int:
    """Errors of the recogniser in what follows the noise alone."""
    spoken = resample(pcm[_LEAD_S * _HZ * 2 :], _HZ, stt.sample_rate_hz)

    async def audio() -> AsyncIterator[bytes]:
        yield spoken

    heard = ""
    async with aclosing(stt.transcribe(audio(), context=CallContext("noise"), options=SttOptions())) as transcripts:
        async for transcript in transcripts:
            heard = transcript.text
    return word_errors(transcript_of(name), heard)
