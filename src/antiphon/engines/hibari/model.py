"""hibari's model and its voices, blocking. Source: https://github.com/MMWilliams/hibari (Apache-2.0), version 0.2.1."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from antiphon.audio.pitch import change_pitch, change_size, pitch_marks
from antiphon.engines.base import Samples
from antiphon.engines.errors import EngineSettingsError
from antiphon.engines.hibari.phonemes import Phonemes, phonemize
from antiphon.engines.hibari.shaping import limit, trim
from antiphon.engines.hibari.voices import Voice
from antiphon.engines.onnx_session import open_session

__all__ = ["SAMPLE_RATE_HZ", "HibariModel", "Pace", "load_model", "pace"]

SAMPLE_RATE_HZ = 24_000
_HOP_SAMPLES = 300
_INPUT_PACES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.25)
_REAL_PACES = (0.496, 0.609, 0.701, 0.8, 0.948, 1.0, 1.038, 1.095, 1.143)
"""What the model makes of its input ``speed``: it rounds the length of each phoneme to 25 ms. Measured on 8 sentences.
Faster it swallows words (14 of 101 wrong at 1.5, against 3), so what is beyond is done on its output."""
_LONGEST_PHONEMES = 200
"""Twelve seconds of speech: 0.1 s of computation."""
_EVENLY = 1e-3


@dataclass(frozen=True, slots=True)
class Pace:
    model: float
    """The model's input ``speed``."""
    stretch: float
    """The duration of what it speaks is multiplied by it."""


def pace(voice: Voice, speed: float) -> Pace:
    """How to reach a speed; a voice of another size is spoken slower or faster, because resizing changes its pace."""
    wanted = speed * voice.tempo / voice.size
    real = min(max(wanted, _REAL_PACES[0]), _REAL_PACES[-1])
    return Pace(float(np.interp(real, _REAL_PACES, _INPUT_PACES)), real / wanted)


class HibariModel:
    """Phonemes and speech. Both methods may be called on several threads at once."""

    def __init__(
        self,
        session: Any,
        *,
        vocabulary: dict[str, int],
        vocoder: Callable[..., Samples],
        to_sentences: Callable[[str], list[str]],
        to_phonemes: Callable[[str], str],
    ) -> None:
        self._session = session
        self._vocabulary = vocabulary
        self._vocoder = vocoder
        self._phonemize = functools.partial(phonemize, to_sentences=to_sentences, to_phonemes=to_phonemes)

    def phonemes(self, segment: str, speed: float) -> list[Phonemes]:
        """Of a text of ``phonemes.segments``; slower speech comes in smaller pieces, each takes about 0.1 s at most."""
        return self._phonemize(segment, longest=int(_LONGEST_PHONEMES * min(max(speed, 0.25), 1.0)))

    def speak(self, phonemes: Phonemes, voice: Voice, *, speed: float, seed: int) -> Samples:
        """One piece, from its first sound to its last; empty if none of its phonemes has a sound."""
        ids = [0, *(self._vocabulary[symbol] for symbol in phonemes.symbols if symbol in self._vocabulary), 0]
        if len(ids) < 3:
            return np.zeros(0, np.float32)
        chosen = pace(voice, speed)
        inputs = {"ids": np.array([ids], np.int64), "speed": np.array([chosen.model], np.float32)}
        *spectrum, f0_hz = (output[0] for output in self._session.run(None, inputs))
        samples = self._vocoder(*spectrum, f0_hz, np.random.default_rng(seed))
        if voice.pitch != 1.0 or abs(chosen.stretch - 1.0) > _EVENLY:
            marks = pitch_marks(f0_hz, hop_samples=_HOP_SAMPLES, sample_rate_hz=SAMPLE_RATE_HZ)
            samples = change_pitch(samples, marks, pitch=voice.pitch, stretch=chosen.stretch)
        samples = trim(change_size(samples, voice.size), SAMPLE_RATE_HZ)
        return limit(samples * np.float32(math.pow(10.0, voice.gain_db / 20)))


def load_model(directory: Path) -> HibariModel:
    """``directory`` holds hibari's verified files. Takes about 0.7 s. Raises ``EngineSettingsError``."""
    from hibari import dsp
    from hibari.g2p import G2P
    from hibari.g2p.oov import OOV
    from hibari.tts import ASSETS, Hibari

    unknown_words = directory / "oov.onnx"
    try:
        vocabulary = msgspec.json.decode((Path(ASSETS) / "vocab.json").read_bytes(), type=dict[str, int])
        oov = OOV(str(unknown_words), session=open_session("hibari", unknown_words))
        to_phonemes = G2P(oov=oov)
    except (OSError, ValueError) as error:
        raise EngineSettingsError("hibari: its package is damaged; install hibari-tts again") from error
    return HibariModel(
        open_session("hibari", directory / "hibari.onnx"),
        vocabulary=vocabulary,
        vocoder=dsp.synth,
        to_sentences=Hibari.split_sentences,
        to_phonemes=to_phonemes,
    )
