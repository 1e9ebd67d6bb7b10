"""Audio for tests: tones that a scripted detector takes for speech, and the recordings of the test data."""

import json
import wave
from pathlib import Path

import numpy as np

from antiphon.audio.pcm import samples_to_pcm, silence
from antiphon.audio.resample import resample

__all__ = ["SPEECH", "chunks", "recording", "silence_ms", "tone_ms", "transcript_of"]

SPEECH = Path(__file__).parent.parent / "data" / "speech"
_HZ = 24_000


def tone_ms(duration_ms: int) -> bytes:
    """A tone at 24 kHz, s16le."""
    at = np.arange(_HZ * duration_ms // 1000) / _HZ
    return samples_to_pcm(0.3 * np.sin(2 * np.pi * 440 * at))


def silence_ms(duration_ms: int) -> bytes:
    return silence(_HZ * duration_ms // 1000)


def chunks(pcm: bytes, chunk_ms: int) -> list[bytes]:
    size = _HZ * chunk_ms // 1000 * 2
    return [pcm[start : start + size] for start in range(0, len(pcm), size)]


def recording(name: str) -> bytes:
    """A recording of the test data at 24 kHz, s16le."""
    with wave.open(str(SPEECH / name)) as file:
        return resample(file.readframes(file.getnframes()), file.getframerate(), _HZ)


def transcript_of(name: str) -> str:
    said: str = json.loads((SPEECH / "transcripts.json").read_text())[name.removesuffix(".wav")]
    return said
