"""Engines that never keep a session waiting for ever: silence becomes ``TIMEOUT``, foreign exceptions become
``FAILED``, and what may succeed at a second attempt is attempted again, without anything said twice.

Each wraps an engine and is one. ``CallContext.attempt`` counts the attempts from 0.
"""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Generic, TypeVar

from antiphon.engines.base import (
    CallContext,
    Engine,
    EngineInfo,
    ImageReader,
    LanguageModel,
    Prefills,
    SpeechToText,
    TextToSpeech,
)
from antiphon.engines.errors import EngineError
from antiphon.engines.patience import Tape, TapeReader, Watch, Watched
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.images import ImageReading
from antiphon.vocabulary.llm import ImageContent, LlmCapabilities, LlmChunk, LlmRequest
from antiphon.vocabulary.speech import Clause, SpokenAudio, SttOptions, Transcript

__all__ = [
    "Patience",
    "Resilience",
    "ResilientImageReader",
    "ResilientLlm",
    "ResilientStt",
    "ResilientTts",
    "resilient_llm",
]

_log = logging.getLogger(__name__)
_COUNT_S = 10.0
_RECORDED_S = 120
"""An utterance longer than this is not kept for a second attempt."""

_E = TypeVar("_E", bound=Engine)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an engine may be silent, and how often it is asked again."""

    first_timeout_s: float
    """Until its first result, counted from when it has all that the result needs."""
    gap_timeout_s: float
    """Between two results."""
    retries: int = 1
    back_off_s: float = 0.2
    """Before the first retry; doubled before each further one."""


@dataclass(frozen=True, slots=True)
class Resilience:
    stt: Patience = field(default_factory=lambda: Patience(20.0, 20.0))
    llm: Patience = field(default_factory=lambda: Patience(30.0, 15.0))
    tts: Patience = field(default_factory=lambda: Patience(15.0, 10.0))
    image: Patience = field(default_factory=lambda: Patience(20.0, 20.0))


class _Resilient(Generic[_E]):
    def __init__(self, engine: _E, patience: Patience) -> None:
        self._engine = engine
        self._patience = patience

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def warm_up(self) -> None:
        await self._engine.warm_up()

    async def aclose(self) -> None:
        await self._engine.aclose()

    @property
    def _name(self) -> str:
        return self._engine.info.name

    def _attempt(
        self, attempt: int, context: CallContext, begin: Callable[[CallContext, Watch], AsyncGenerator[_T, None]]
    ) -> Watched[_T]:
        patience = self._patience
        deadline_s = patience.first_timeout_s if context.deadline_s is None else context.deadline_s
        call = replace(context, attempt=attempt, deadline_s=deadline_s)
        watch = Watch(first_s=patience.first_timeout_s, gap_s=patience.gap_timeout_s)
        return Watched(self._name, watch, lambda: begin(call, watch))

    async def _before_retry(self, error: EngineError, attempt: int, *, possible: bool) -> None:
        """Wait a little; or log and raise ``error``, where it is final."""
        if not possible or not error.retryable or attempt >= self._patience.retries:
            if error.kind is not EngineErrorKind.CONTEXT_OVERFLOW:  # that is answered with a shorter prompt
                _log.warning("%s: the call failed (%s): %s", self._name, error.kind, error.message)
            raise error
        _log.warning("%s: attempt %d failed (%s), trying again", self._name, attempt + 1, error.kind)
        await asyncio.sleep(self._patience.back_off_s * 2**attempt)


class ResilientStt(_Resilient[SpeechToText]):
    """A ``SpeechToText``. A second attempt hears the whole utterance again."""

    @property
    def sample_rate_hz(self) -> int:
        return self._engine.sample_rate_hz

    async def transcribe(
        self, audio: AsyncIterable[bytes], *, context: CallContext, options: SttOptions
    ) -> AsyncGenerator[Transcript, None]:
        """A cancelled ``__anext__`` of ``audio`` must not lose anything."""
        tape = Tape(aiter(audio), size=len, limit=2 * _RECORDED_S * self.sample_rate_hz)
        shown = ""

        def begin(call: CallContext, watch: Watch) -> AsyncGenerator[Transcript, None]:
            left = TapeReader(tape, watch, passing=_is_mark)
            return self._engine.transcribe(left, context=call, options=options)

        for attempt in count():
            try:
                async with self._attempt(attempt, context, begin) as transcripts:
                    async for transcript in transcripts:
                        # Partials extend each other, also those of two attempts.
                        if transcript.is_final or transcript.text.startswith(shown):
                            shown = transcript.text
                            yield transcript
                        elif transcript.hypothesis:
                            yield replace(transcript, text=shown)
                return
            except EngineError as error:
                await self._before_retry(error, attempt, possible=tape.is_whole)


def _is_mark(chunk: bytes) -> bool:
    return not chunk


class ResilientLlm(_Resilient[LanguageModel]):
    """A ``LanguageModel``. A second attempt is made only if the first one said nothing, and never of a mere draft."""

    @property
    def capabilities(self) -> LlmCapabilities:
        return self._engine.capabilities

    async def generate(self, request: LlmRequest, *, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
        silent = True

        def begin(call: CallContext, _: Watch) -> AsyncGenerator[LlmChunk, None]:
            return self._engine.generate(request, context=call)

        for attempt in count():
            try:
                async with self._attempt(attempt, context, begin) as chunks:
                    async for chunk in chunks:
                        silent = False
                        yield chunk
                return
            except EngineError as error:
                if context.draft is not None and not context.draft.adopted:
                    _log.debug("%s: a draft came to nothing (%s): %s", self._name, error.kind, error.message)
                    raise
                await self._before_retry(error, attempt, possible=silent)

    async def count(self, texts: Sequence[str]) -> list[int]:
        try:
            async with asyncio.timeout(_COUNT_S):
                counts = await self._engine.count(texts)
        except EngineError:
            raise
        except Exception as error:
            _log.exception("%s: counting tokens failed", self._name)
            raise EngineError(EngineErrorKind.FAILED, f"{self._name}: counting tokens failed") from error
        if len(counts) != len(texts):
            raise EngineError(EngineErrorKind.FAILED, f"{self._name}: {len(counts)} counts for {len(texts)} texts")
        return counts


class _PrefillingLlm(ResilientLlm):
    async def prefill(self, request: LlmRequest, *, context: CallContext) -> None:
        """As the engine does it: a prefill that fails costs nothing but its time."""
        assert isinstance(self._engine, Prefills)
        try:
            async with asyncio.timeout(self._patience.first_timeout_s) as patience:
                await self._engine.prefill(request, context=context)
        except EngineError:
            raise
        except Exception as error:
            if patience.expired():
                raise EngineError(EngineErrorKind.TIMEOUT, f"{self._name}: the prompt was not read in time") from None
            _log.exception("%s: a prefill failed", self._name)
            raise EngineError(EngineErrorKind.FAILED, f"{self._name}: the prefill failed") from error


def resilient_llm(engine: LanguageModel, patience: Patience) -> ResilientLlm:
    """``engine``, made resilient; it can prefill if the engine can."""
    return (_PrefillingLlm if isinstance(engine, Prefills) else ResilientLlm)(engine, patience)


class ResilientTts(_Resilient[TextToSpeech]):
    """A ``TextToSpeech``. A second attempt begins with the clause whose speech is not known to be complete, and what
    was delivered of that clause already is left out."""

    @property
    def sample_rate_hz(self) -> int:
        return self._engine.sample_rate_hz

    @property
    def voices(self) -> tuple[str, ...]:
        return self._engine.voices

    async def synthesize(
        self, clauses: AsyncIterable[Clause], *, voice: str, speed: float, context: CallContext
    ) -> AsyncGenerator[SpokenAudio, None]:
        """A cancelled ``__anext__`` of ``clauses`` must not lose anything."""
        tape = Tape(aiter(clauses))
        said = _Said(tape)

        def begin(call: CallContext, watch: Watch) -> AsyncGenerator[SpokenAudio, None]:
            left = TapeReader(tape, watch, said.begin())
            return self._engine.synthesize(left, voice=voice, speed=speed, context=call)

        for attempt in count():
            try:
                async with self._attempt(attempt, context, begin) as pieces:
                    async for piece in pieces:
                        if (new := said.take(piece)) is not None:
                            yield new
                return
            except EngineError as error:
                await self._before_retry(error, attempt, possible=True)


class ResilientImageReader(_Resilient[ImageReader]):
    """An ``ImageReader``."""

    async def read(self, image: ImageContent, *, context: CallContext) -> ImageReading:
        async def begin(call: CallContext) -> AsyncGenerator[ImageReading, None]:
            yield await self._engine.read(image, context=call)

        for attempt in count():
            try:
                async with self._attempt(attempt, context, lambda call, _: begin(call)) as readings:
                    return await anext(readings)
            except EngineError as error:
                await self._before_retry(error, attempt, possible=True)
        raise AssertionError("not reached")


class _Said:
    """How far the speech of a call has come, over all its attempts."""

    def __init__(self, tape: Tape[Clause]) -> None:
        self._tape = tape
        self._clause = 0
        """The clause being spoken: those before it are complete."""
        self._clause_bytes = 0
        """What was delivered of it."""
        self._first_offset = 0
        """Where in the whole text the present attempt begins."""
        self._repeated_bytes = 0
        """What the present attempt will say of its first clause that was delivered already."""

    def begin(self) -> int:
        """A new attempt: the clause that it begins with."""
        self._first_offset = sum(len(clause.text) for clause in self._tape.values[: self._clause])
        self._repeated_bytes = self._clause_bytes
        return self._clause

    def take(self, piece: SpokenAudio) -> SpokenAudio | None:
        """What is new of ``piece``, by its place in the whole text."""
        start = piece.text_start + self._first_offset
        self._advance(start)
        known = min(self._repeated_bytes, len(piece.pcm))
        self._repeated_bytes -= known
        pcm = piece.pcm[known:]
        self._clause_bytes += len(pcm)
        if known and not pcm:
            return None
        return SpokenAudio(pcm, start, piece.text_end + self._first_offset)

    def _advance(self, start: int) -> None:
        ends = self._ends()
        clause = min(bisect_right(ends, start), len(ends) - 1)
        if clause > self._clause:
            self._clause, self._clause_bytes, self._repeated_bytes = clause, 0, 0

    def _ends(self) -> list[int]:
        ends: list[int] = []
        for clause in self._tape.values:
            ends.append((ends[-1] if ends else 0) + len(clause.text))
        return ends
