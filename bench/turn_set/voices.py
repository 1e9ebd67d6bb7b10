"""Who speaks in the set: recordings of people, the server's own voices, Kokoro and espeak-ng where they are there."""

import asyncio
import functools
import shutil
import subprocess
import wave
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from antiphon import weights
from antiphon.audio.pcm import pcm_to_samples
from antiphon.audio.resample import resample
from antiphon.engines.base import CallContext
from antiphon.engines.hibari.model import load_model
from antiphon.engines.tts_hibari import create as create_hibari
from antiphon.vocabulary.speech import Clause
from bench.turn_set.clips import RATE_HZ
from bench.turn_set.sounds import PEAK, Sound, pauses, voiced
from tests.support.audio import SPEECH, transcript_of

__all__ = ["HIBARI", "PEOPLE", "Voices"]

_DEBIAN = Path("/usr/share/pocketsphinx/test/data")
"""Debian's ``pocketsphinx-testdata``, of which ``tests/data/speech`` holds a part."""
_DEBIAN_HZ = 16_000

PEOPLE: Final[Mapping[str, tuple[str, str, str]]] = {
    # name: (speaker, file, words; where empty, from the transcripts)
    "austen_0870": ("reader", "austen_0870.wav", ""),
    "austen_0880": ("reader", "austen_0880.wav", ""),
    "austen_0890": ("reader", "austen_0890.wav", ""),
    "austen_0920": ("reader", "austen_0920.wav", ""),
    "austen_0930": ("reader", "austen_0930.wav", ""),
    "cards_005": ("player", "cards_005.wav", ""),
    "go_forward": ("driver", "go_forward.wav", ""),
    "cards_001": ("player", "cards/001.wav", "ten of clubs"),
    "cards_002": ("player", "cards/002.wav", "four queen of clubs"),
    "cards_003": ("player", "cards/003.wav", "seven of clubs"),
    "cards_004": ("player", "cards/004.wav", "five five"),
    "numbers": ("driver", "numbers.raw", "thirty three four six nine two"),
    "something": ("driver", "something.raw", "go somewhere and do something"),
    "digits": ("caller", "tidigits/dhd.2934z.raw", "two nine three four zero"),
}  # fmt: skip

HIBARI = ("marin", "echo", "shimmer", "cedar")
_KOKORO_STYLES = 510
_BLIP = RATE_HZ // 25
_ESPEAK: Final[Mapping[str, tuple[str, ...]]] = {
    "us": ("-v", "en-us", "-s", "150"),
    "gb": ("-v", "en-gb+f3", "-s", "160"),
}


class Voices:
    """Everybody who can be had on this machine. The same words in the same voice sound the same."""

    def __init__(self, kokoro: Path | None) -> None:
        """``kokoro``: a directory with ``kokoro.onnx`` and voices (``am_michael.bin``)."""
        self._hibari = create_hibari({})
        self._kokoro = _Kokoro(kokoro) if kokoro is not None else None
        self.names = [f"hibari {name}" for name in HIBARI]
        if self._kokoro is not None:
            self.names += [f"kokoro {name}" for name in self._kokoro.names]
        if shutil.which("espeak-ng"):
            self.names += [f"espeak {name}" for name in _ESPEAK]
        self.people = [name for name, (_, file, _) in PEOPLE.items() if _person_file(file) is not None]

    def missing(self) -> Iterator[str]:
        """A line for each sort of voice that is not here."""
        absent = sum(_person_file(file) is None for _, file, _ in PEOPLE.values())
        if absent:
            yield f"Without {absent} recordings of people: Debian's pocketsphinx-testdata is not installed."
        if not shutil.which("espeak-ng"):
            yield "Without the voices of espeak-ng: it is not installed."
        if self._kokoro is None:
            yield "Without the voices of Kokoro: neither --kokoro nor $KOKORO names a folder."

    @functools.lru_cache(maxsize=512)  # noqa: B019 - one for the life of the command
    def say(self, voice: str, words: str) -> Sound:
        """From the first voiced sample to the last, at ``RATE_HZ``."""
        engine, name = voice.split()
        if engine == "hibari":
            return _trimmed(asyncio.run(_speech(self._hibari, name, words)))
        if engine == "kokoro":
            assert self._kokoro is not None
            return _trimmed(self._kokoro.say(name, words))
        return _trimmed(_espeak(name, words))

    @functools.lru_cache(maxsize=32)  # noqa: B019
    def person(self, name: str) -> Sound:
        """A recording, from the first voiced sample to the last."""
        path = _person_file(PEOPLE[name][1])
        assert path is not None
        if path.suffix == ".raw":
            return _trimmed(_sound(resample(path.read_bytes(), _DEBIAN_HZ, RATE_HZ)))
        with wave.open(str(path)) as file:
            return _trimmed(_sound(resample(file.readframes(file.getnframes()), file.getframerate(), RATE_HZ)))

    @staticmethod
    def words_of(name: str) -> str:
        return PEOPLE[name][2] or transcript_of(name)


def _person_file(file: str) -> Path | None:
    return next((path for path in (SPEECH / file, _DEBIAN / file) if path.is_file()), None)


def _sound(pcm: bytes) -> Sound:
    return pcm_to_samples(pcm).astype(np.float64)


def _trimmed(sound: Sound) -> Sound:
    loud: Sound = sound * (PEAK / np.max(np.abs(sound)))
    first, end = voiced(loud)
    for pause in pauses(loud):
        # What is heard for a moment before or behind a recording is not the speaker's voice.
        if pause[0] - first < _BLIP:
            first = pause[1]
        elif end - pause[1] < _BLIP:
            end = pause[0]
    return loud[first:end]


async def _speech(engine: Any, voice: str, words: str) -> Sound:
    async def clauses() -> AsyncGenerator[Clause, None]:
        yield Clause(words, words)

    pcm = b""
    async with aclosing(engine.synthesize(clauses(), voice=voice, speed=1.0, context=CallContext("", words))) as pieces:
        async for piece in pieces:
            pcm += piece.pcm
    return _sound(resample(pcm, engine.sample_rate_hz, RATE_HZ))


def _espeak(name: str, words: str) -> Sound:
    done = subprocess.run(["espeak-ng", *_ESPEAK[name], "--stdout", words], capture_output=True, check=True)
    with wave.open(BytesIO(done.stdout)) as file:
        # The length in the header of a stream is not its own.
        return _sound(resample(file.readframes(10**8), file.getframerate(), RATE_HZ))


class _Kokoro:
    """Kokoro-82M reads the phonemes that hibari's own conversion writes."""

    def __init__(self, where: Path) -> None:
        import onnxruntime
        from hibari.tts import ASSETS

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self._session = onnxruntime.InferenceSession(str(where / "kokoro.onnx"), options)
        self._symbols = msgspec.json.decode((Path(ASSETS) / "vocab.json").read_bytes(), type=dict[str, int])
        self._hibari = load_model(weights.directory("hibari"))
        self._styles = {
            path.stem: np.fromfile(path, np.float32).reshape(-1, 1, 256) for path in sorted(where.glob("*_*.bin"))
        }
        self.names = list(self._styles)

    def say(self, name: str, words: str) -> Sound:
        said = " ".join(piece.symbols for piece in self._hibari.phonemes(words, 1.0))
        symbols = [self._symbols[symbol] for symbol in said if symbol in self._symbols]
        style = self._styles[name][min(len(symbols), _KOKORO_STYLES - 1)]
        inputs = {"tokens": [[0, *symbols, 0]], "style": style, "speed": np.ones(1, np.float32)}
        sound: Sound = np.asarray(self._session.run(None, inputs)[0], np.float64).reshape(-1)
        return sound
