"""One response: the language model's words go to the core at once, and clause by clause to speech."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import assert_never

from antiphon.audio.g711 import G711_HZ, encode_alaw, encode_ulaw
from antiphon.audio.rechunk import GrowingRechunker, delta_sizes_bytes
from antiphon.audio.resample import Resampler
from antiphon.core.inputs import (
    INPUT_HZ,
    AudioProduced,
    GenerationEnded,
    TextProduced,
    ToolCallProduced,
    WritingEnded,
)
from antiphon.core.outputs import SpeechOrder, StartResponse
from antiphon.engines.base import CallContext, LanguageModel, TextToSpeech
from antiphon.engines.errors import EngineError
from antiphon.protocol.session_config import FormatName
from antiphon.runtime.text_split import ClauseSplitter
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.llm import FinishReason, GenerationFinished, TextChunk, TokenUsage, ToolCallChunk
from antiphon.vocabulary.speech import Clause, SpokenAudio

__all__ = ["Fact", "Speaking"]

Fact = TextProduced | ToolCallProduced | WritingEnded | AudioProduced | GenerationEnded

_ENCODERS: dict[FormatName, Callable[[bytes], bytes]] = {
    "audio/pcm": bytes,
    "audio/pcmu": encode_ulaw,
    "audio/pcma": encode_alaw,
}
_CLAUSES_AHEAD = 64
"""Clauses (minutes of speech) that may wait to be spoken; then the language model has to wait too."""
_NO_ANSWER = EngineFault(EngineErrorKind.FAILED, message="The model ended without an answer.")


class Speaking:
    """Performs one ``StartResponse``: ``run`` it in a task; ``stop`` it, or cancel the task."""

    def __init__(
        self,
        order: StartResponse,
        llm: LanguageModel,
        tts: TextToSpeech,
        *,
        report: Callable[[Fact], None],
        room: Callable[[], Awaitable[None]],
        session_id: str,
    ) -> None:
        """``room`` waits while more than the client can take is on its way to it."""
        self._order = order
        self._llm = llm
        self._tts = tts
        self._report = report
        self._room = room
        self._session_id = session_id
        self._clauses = _Clauses()
        self._finished: GenerationFinished | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        fault: EngineFault | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks.append(tasks.create_task(self._think()))
                if self._order.speech is not None:
                    self._tasks.append(tasks.create_task(self._speak(self._order.speech)))
        except* EngineError as errors:
            fault = _first(errors).fault
        if self._finished is None:
            self._ended("stop", TokenUsage(), fault or _NO_ANSWER)
        else:
            self._ended(self._finished.reason, self._finished.usage, fault)

    def stop(self) -> None:
        """Both engines at once, in the next step of the loop. To be followed by cancelling the task."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, reason: FinishReason, usage: TokenUsage, fault: EngineFault | None) -> None:
        self._report(GenerationEnded(self._order.response_id, reason, usage, fault))

    # --- words -----------------------------------------------------------------------------------------------------

    async def _think(self) -> None:
        splitter = ClauseSplitter()
        context = CallContext(self._session_id)
        async with aclosing(self._llm.generate(self._order.request, context=context)) as chunks:
            async for chunk in chunks:
                match chunk:
                    case TextChunk():
                        self._report(TextProduced(self._order.response_id, chunk.text))
                        await self._say(splitter, chunk.text)
                    case ToolCallChunk():
                        self._report(_call(self._order.response_id, chunk))
                    case GenerationFinished():
                        self._finished = chunk
                        if self._order.speech is not None and chunk.reason in ("stop", "tool_calls"):
                            self._report(WritingEnded(self._order.response_id))
                    case _:
                        assert_never(chunk)
                # A model that has everything ready at once must not keep other sessions waiting.
                await asyncio.sleep(0)
                await self._room()
        await self._say(splitter, None)

    async def _say(self, splitter: ClauseSplitter, text: str | None) -> None:
        """More text; None ends it."""
        if self._order.speech is None:
            return
        for clause in splitter.finish() if text is None else splitter.push(text):
            await self._clauses.put(clause)
        if text is None:
            await self._clauses.put(None)

    # --- speech ----------------------------------------------------------------------------------------------------

    async def _speak(self, speech: SpeechOrder) -> None:
        # A response without words (a tool call) never reaches the speech engine.
        if not await self._clauses.any():
            return
        wire = _Wire(self._order.response_id, speech.format, self._tts.sample_rate_hz)
        context = CallContext(self._session_id, item_id=speech.item_id)
        stream = self._tts.synthesize(self._clauses, voice=speech.voice, speed=speech.speed, context=context)
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                for fact in wire.push(piece):
                    self._report(fact)
                await asyncio.sleep(0)
                await self._room()
        for fact in wire.flush():
            self._report(fact)
        # Whatever the engine left unsaid must not keep the model waiting.
        async for _ in self._clauses:
            pass


class _Clauses:
    """From the model to the voice. A cancelled ``__anext__`` loses nothing."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Clause | None] = asyncio.Queue(_CLAUSES_AHEAD)
        self._first: Clause | None = None
        self._ended = False

    async def put(self, clause: Clause | None) -> None:
        """None ends them."""
        await self._queue.put(clause)

    async def any(self) -> bool:
        """Wait for the first clause; False if there is none."""
        self._first = await self._queue.get()
        self._ended = self._first is None
        return not self._ended

    def __aiter__(self) -> AsyncIterator[Clause]:
        return self

    async def __anext__(self) -> Clause:
        if self._first is not None:
            clause, self._first = self._first, None
            return clause
        if not self._ended and (following := await self._queue.get()) is not None:
            return following
        self._ended = True
        raise StopAsyncIteration


class _Wire:
    """From an engine's speech to pieces of 40 to 200 ms in the response's output format."""

    def __init__(self, response_id: str, format: FormatName, engine_hz: int) -> None:
        self._response_id = response_id
        self._encode = _ENCODERS[format]
        self._hz = INPUT_HZ if format == "audio/pcm" else G711_HZ
        self._resampler = Resampler(engine_hz, self._hz)
        sizes_bytes = delta_sizes_bytes(self._hz)
        self._pieces = GrowingRechunker(sizes_bytes)
        self._least_bytes = sizes_bytes[0]
        self._span = (0, 0)

    def push(self, spoken: SpokenAudio) -> list[AudioProduced]:
        facts: list[AudioProduced] = []
        span = (spoken.text_start, spoken.text_end)
        if span != self._span:
            # A piece holds the speech of one span, so that what was heard can be told; but a rest that is too short
            # for a frame of its own goes with the next.
            if self._pieces.pending_bytes >= self._least_bytes:
                facts = self._facts([self._pieces.flush()])
            self._span = span
        return facts + self._facts(self._pieces.push(self._resampler.push(spoken.pcm)))

    def flush(self) -> list[AudioProduced]:
        pieces = self._pieces.push(self._resampler.flush())
        return self._facts([*pieces, self._pieces.flush()])

    def _facts(self, pieces: list[bytes]) -> list[AudioProduced]:
        return [
            AudioProduced(self._response_id, self._encode(pcm), len(pcm) // 2 * INPUT_HZ // self._hz, *self._span)
            for pcm in pieces
            if pcm
        ]


def _call(response_id: str, chunk: ToolCallChunk) -> ToolCallProduced:
    return ToolCallProduced(response_id, chunk.index, chunk.name, chunk.arguments_delta)


def _first(errors: BaseExceptionGroup[EngineError]) -> EngineError:
    for error in errors.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
