"""Speech to text on this machine: Whisper tiny.en and base by CTranslate2."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from antiphon import weights
from antiphon.engines.base import CallContext, EngineInfo, Samples, parse_options
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.intake import End, Intake
from antiphon.engines.loudness import is_silent
from antiphon.engines.registry import requires
from antiphon.engines.whisper.decoding import NOTHING, Attempt, Decoded, WindowChoice, decode_partial, decode_speech
from antiphon.engines.whisper.languages import ModelChoice, ModelName, Route, route
from antiphon.engines.whisper.live import Job, Partials
from antiphon.engines.whisper.model import Abandoned, WhisperModel
from antiphon.engines.whisper.utterance import Utterance
from antiphon.engines.worker import Worker
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import SttOptions, Transcript

__all__ = ["WhisperOptions", "WhisperStt", "create"]

_RATE_HZ = 16_000
_WEIGHTS: Mapping[ModelName, str] = {"tiny.en": "whisper-tiny.en", "base": "whisper-base"}
_OWN_FILES = ("model.bin", "config.json", "tokenizer.json")

_LONGEST_S: Mapping[ModelName, int] = {"tiny.en": 28, "base": 20, "own": 28}
"""Longer speech is cut at a pause. A decode cannot be stopped, and base takes twice as long for each word."""

_MOST_DEFAULT_THREADS = 4
_RESIDUAL_MS = 700


class WhisperOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: Literal["auto", "tiny.en", "base"] = "auto"
    """``auto``: tiny.en for English, base for every other language; ``tiny.en``: English only; ``base``: all."""
    path: str = ""
    """Directory of another Whisper model in CTranslate2's format, to be used for everything instead."""
    window: WindowChoice = "fast"
    """``full``: always 30 s; three times the computation for 1 to 2 % fewer wrong words."""
    language: str = ""
    """Of calls that do not say one."""
    detect_language: bool = False
    """With ``auto``: base finds out the language of calls that do not say one. Otherwise that is English."""
    threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """Of each decode; 0: one a core, at most 4 (so 2 on 2 cores)."""
    parallel: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """Decodes at a time."""
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 0
    """Lowers the priority of decoding (Linux)."""
    partial_interval_ms: Annotated[int, msgspec.Meta(ge=100)] = 450
    """New speech between two partial transcripts, at least."""


def _weights_of(options: Mapping[str, Any]) -> tuple[str, ...]:
    """With ``auto`` a client may ask for any language, so the model of the others is needed, too."""
    parsed = parse_options("stt whisper", options, WhisperOptions)
    if parsed.path:
        return ()
    usual = _WEIGHTS[_route(parsed, None).model]
    return (usual,) if parsed.model != "auto" else tuple(dict.fromkeys([usual, *_WEIGHTS.values()]))


@requires("ctranslate2", "tokenizers", weights=_weights_of)
def create(options: Mapping[str, Any]) -> "WhisperStt":
    """Raises ``EngineSettingsError`` for a bad option or missing weights; the model is loaded by the first call."""
    parsed = parse_options("stt whisper", options, WhisperOptions)
    try:
        _directory(_route(parsed, None).model, parsed.path)
    except weights.WeightsError as error:
        raise EngineSettingsError(f"stt whisper: {error}") from error
    return WhisperStt(parsed)


class WhisperStt:
    """One copy of each model for all sessions; decodes wait for each other on ``parallel`` threads."""

    sample_rate_hz = _RATE_HZ

    def __init__(
        self,
        options: WhisperOptions,
        *,
        worker: Worker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._worker = worker or Worker("whisper", threads=options.parallel, nice=options.nice)
        self._clock = clock
        self._models = _Models(options)
        self._open: set[Utterance] = set()
        model = _route(options, None).model
        self.info = EngineInfo(f"whisper {model}", f"ctranslate2 {metadata.version('ctranslate2')}", _RESIDUAL_MS)

    @property
    def load(self) -> int:
        """Decodes running or waiting."""
        return self._worker.load

    async def warm_up(self) -> None:
        """Load the usual model and decode one second of faint noise."""
        noise = np.random.default_rng(0).normal(0.0, 0.01, _RATE_HZ).astype(np.float32)
        job = Job(_route(self._options, None), hints="", window=self._options.window)
        await self._worker.run(self._decode, noise, job)

    async def aclose(self) -> None:
        self._worker.close()
        self._models.clear()

    async def transcribe(
        self, audio: AsyncIterable[bytes], *, context: CallContext, options: SttOptions
    ) -> AsyncGenerator[Transcript, None]:
        """Speech beyond the longest piece is decoded as it comes. ``context.deadline_s`` counts from the end.

        A mark is answered within the time of one decode, and that is the final one if only silence follows.
        """
        chosen = _route(self._options, options.language, options.languages)
        job = Job(chosen, hints=options.prompt.strip(), window=self._options.window)
        utterance = Utterance(
            job,
            longest_samples=_LONGEST_S[chosen.model] * _RATE_HZ,
            decode=lambda samples, job: self._worker.start(self._decode, samples, job),
            partials=self._partials(job) if options.partials else None,
            before=self._stop_partials,
        )
        self._open.add(utterance)
        intake = Intake(audio)
        try:
            while not isinstance(chunk := await intake.next(utterance.decoding), End):
                if chunk:
                    utterance.add(chunk)
                    while utterance.is_long:
                        await utterance.settle()
                elif chunk is not None:
                    utterance.mark()
                for transcript in utterance.news():
                    yield transcript
            final = await self._final(utterance, context.deadline_s)
        finally:
            self._open.discard(utterance)
            utterance.abandon()
            await intake.aclose()
        yield final

    def _partials(self, job: Job) -> Partials:
        return Partials(
            job,
            start=lambda samples, partial: self._worker.start(self._decode, samples, partial),
            idle=lambda: self._worker.load < self._options.parallel,
            clock=self._clock,
            interval_s=self._options.partial_interval_ms / 1000,
        )

    def _stop_partials(self) -> None:
        """Somebody waits for a decode: what nobody waits for makes room, whoever's it is."""
        for utterance in self._open:
            utterance.stop_partial()

    async def _final(self, utterance: Utterance, deadline_s: float | None) -> Transcript:
        try:
            async with asyncio.timeout(deadline_s):
                return await utterance.final()
        except TimeoutError as error:
            raise EngineError(EngineErrorKind.TIMEOUT, "whisper: no transcript in time") from error

    def _decode(self, samples: Samples, job: Job) -> Decoded:
        """Runs on a worker thread. Nothing, if the job was abandoned meanwhile."""
        if job.abandoned.is_set() or is_silent(samples):
            return NOTHING
        model = self._models.get(job.route.model)

        def decode(attempt: Attempt) -> Decoded:
            return model.decode(
                samples,
                attempt,
                language=job.route.language,
                among=job.route.among,
                hints=job.hints,
                abandoned=job.abandoned.is_set,
            )

        policy = decode_partial if job.partial else decode_speech
        try:
            return policy(len(samples) / _RATE_HZ, decode, window=job.window, hinted=bool(job.hints))
        except Abandoned:
            return NOTHING


class _Models:
    """The models by name, each loaded when it is first needed."""

    def __init__(self, options: WhisperOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._loaded: dict[ModelName, WhisperModel] = {}

    def get(self, name: ModelName) -> WhisperModel:
        """Called on worker threads. Raises ``EngineError`` (unavailable) if the weights are missing."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def clear(self) -> None:
        self._loaded = {}

    def _load(self, name: ModelName) -> WhisperModel:
        try:
            directory = _directory(name, self._options.path)
        except weights.WeightsError as error:
            raise EngineError(EngineErrorKind.UNAVAILABLE, f"whisper: {error}", retryable=False) from error
        threads = self._options.threads or min(_MOST_DEFAULT_THREADS, os.cpu_count() or 1)
        return WhisperModel(directory, threads=threads, parallel=self._options.parallel)


def _route(options: WhisperOptions, language: str | None, expected: Sequence[str] = ()) -> Route:
    choice: ModelChoice = "own" if options.path else options.model
    said = language or ("" if expected else options.language)
    return route(said, choice=choice, detect=options.detect_language, expected=expected)


def _directory(name: ModelName, path: str) -> Path:
    if name != "own":
        return weights.directory(_WEIGHTS[name])
    own = Path(path).expanduser()
    absent = [file for file in _OWN_FILES if not (own / file).is_file()]
    if absent:
        raise weights.WeightsMissing(f"path is set to {own}, which holds no {', no '.join(absent)}")
    return own
