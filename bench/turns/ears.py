"""The real engines, asked outside the clock: what they say of a clip or a part of it, remembered from run to run."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import msgspec

from antiphon.audio.pcm import pcm_to_samples
from antiphon.audio.resample import resample
from antiphon.core.inputs import INPUT_HZ, AudioReceived, SpeechProbability
from antiphon.engines.base import CallContext
from antiphon.engines.stt_whisper import create as create_whisper
from antiphon.engines.turn_smart import create as create_judge
from antiphon.engines.vad_silero import create as create_vad
from antiphon.runtime.listener import Listener
from antiphon.vocabulary.speech import SttOptions
from bench.turn_set.clips import Clip

__all__ = ["Ears", "Heard"]

Heard: TypeAlias = list[tuple[float, AudioReceived | SpeechProbability]]
"""Facts with the second at which they are known."""

_CHUNK_MS = 20
_CONTEXT = CallContext("bench")


class _Memory(msgspec.Struct):
    engines: str = ""
    judged: dict[str, float] = {}
    words: dict[str, str] = {}


class Ears:
    """Close it: what was said is then kept for the next run."""

    def __init__(self, memory: Path | None) -> None:
        self._vad, self._judge = create_vad({}), create_judge({})
        self._stt = create_whisper({"model": "tiny.en"})
        self._runner = asyncio.Runner()
        self._path = memory
        engines = f"{self._judge.info} {self._stt.info}"
        self._memory = _Memory(engines)
        if memory is not None and memory.is_file():
            kept = msgspec.json.decode(memory.read_bytes(), type=_Memory)
            self._memory = kept if kept.engines == engines else self._memory

    def __enter__(self) -> "Ears":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for engine in (self._vad, self._judge, self._stt):
            self._runner.run(engine.aclose())
        self._runner.close()
        if self._path is not None:
            self._path.write_bytes(msgspec.json.encode(self._memory))

    def hear(self, clip: Clip) -> Heard:
        """Its audio as the core is told of it, in chunks that come in real time."""
        facts: Heard = []
        now = 0.0

        def received(fact: AudioReceived | SpeechProbability) -> None:
            facts.append((now, fact))

        listener = Listener(self._vad, received, received, _raise)
        size = 2 * INPUT_HZ * _CHUNK_MS // 1000
        for start in range(0, len(clip.pcm), size):
            now += _CHUNK_MS / 1000
            listener.push(clip.pcm[start : start + size])
            while (window := listener.next_window()) is not None:
                listener.deliver(float(self._vad.detect(window[None], [listener.state])[0]))
        return facts

    def judge(self, pcm: bytes) -> float:
        """Smart-Turn's word on the end of ``pcm``."""
        key = _key(pcm)
        if key not in self._memory.judged:
            samples = pcm_to_samples(resample(pcm, INPUT_HZ, self._judge.sample_rate_hz))
            judged = self._runner.run(self._judge.judge(samples, text="", context=_CONTEXT))
            self._memory.judged[key] = judged
        return self._memory.judged[key]

    def words(self, pcm: bytes) -> str:
        """Whisper's, as thoroughly as at the end of an utterance."""
        key = _key(pcm)
        if key not in self._memory.words:
            self._memory.words[key] = self._runner.run(self._transcribe(pcm))
        return self._memory.words[key]

    async def _transcribe(self, pcm: bytes) -> str:
        async def audio() -> AsyncGenerator[bytes, None]:
            yield resample(pcm, INPUT_HZ, self._stt.sample_rate_hz)

        text = ""
        async with aclosing(self._stt.transcribe(audio(), context=_CONTEXT, options=SttOptions())) as transcripts:
            async for transcript in transcripts:
                text = transcript.text
        return text


def _raise(error: BaseException) -> None:
    raise error


def _key(pcm: bytes) -> str:
    return hashlib.blake2b(pcm, digest_size=12).hexdigest()
