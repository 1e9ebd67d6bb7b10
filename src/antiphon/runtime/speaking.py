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
from antiphon.engines.base import CallContext, Draft, LanguageModel, TextToSpeech
from antiphon.engines.errors import EngineError
from antiphon.protocol.session_config import FormatName
from antiphon.runtime.text_split import FIRST_WORDS, ClauseSplitter
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
_TOKENS_AHEAD = 8
"""A draft is written so far beyond its first clause ..."""
_MOST_TOKENS = 48
"""... and no further than this where it has none: it may be a tool's call, or no speech."""
_BYTES_PER_TOKEN = 4
_NO_ANSWER = EngineFault(EngineErrorKind.FAILED, message="The model ended without an answer.")


class Speaking:
    """Performs one ``StartResponse``: ``run`` it in a task; ``stop`` it, or cancel the task.

    A draft is held behind its first clause: until it is adopted, only that is spoken, and little more is written.
    """

    def __init__(
        self,
        order: StartResponse,
        llm: LanguageModel,
        tts: TextToSpeech,
        *,
        report: Callable[[Fact], None],
        first_clause: Callable[[str], None] = lambda _: None,
        room: Callable[[], Awaitable[None]],
        session_id: str,
        first_words: int = FIRST_WORDS,
    ) -> None:
        """``first_clause`` is told the response's id when its first clause goes to the voice; ``room`` waits while more
        than the client can take is on its way to it; ``first_words``: of the first clause, which then ends, punctuation
        or not."""
        self._order = order
        self._llm = llm
        self._tts = tts
        self._report = report
        self._first_clause = first_clause
        self._room = room
        self._session_id = session_id
        self._first_words = first_words
        self._draft = Draft() if order.draft else None
        self._adopted = asyncio.Event()
        if self._draft is None:
            self._adopted.set()
        self._ahead = _Ahead()
        self._wire: _Wire | None = None
        self._clauses = _Clauses(self._adopted, self._voice_waits)
        self._finished: GenerationFinished | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_draft(self) -> bool:
        return not self._adopted.is_set()

    @property
    def is_held(self) -> bool:
        """Whether nothing more is computed until it is adopted."""
        is_written = self._ahead.is_enough or self._finished is not None
        return self.is_draft and is_written and (self._order.speech is None or self._clauses.held)

    def adopt(self) -> None:
        """A draft is a response like any other from now on."""
        if self._draft is not None:
            self._draft.adopted = True
        self._adopted.set()

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
        splitter = ClauseSplitter(first_words=self._first_words)
        context = CallContext(self._session_id, draft=self._draft)
        async with aclosing(self._llm.generate(self._order.request, context=context)) as chunks:
            async for chunk in chunks:
                match chunk:
                    case TextChunk():
                        self._report(TextProduced(self._order.response_id, chunk.text))
                        self._ahead.wrote(chunk.text)
                        await self._say(splitter, chunk.text)
                    case ToolCallChunk():
                        self._ahead.wrote(chunk.arguments_delta)
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
                if self._ahead.is_enough:
                    await self._adopted.wait()
        await self._say(splitter, None)

    async def _say(self, splitter: ClauseSplitter, text: str | None) -> None:
        """More text; None ends it."""
        if self._order.speech is None and self._draft is None:
            return
        for clause in splitter.finish() if text is None else splitter.push(text):
            self._ahead.has_clause = self._ahead.has_clause or bool(clause.spoken)
            if self._order.speech is not None:
                await self._clauses.put(clause)
        if text is None and self._order.speech is not None:
            await self._clauses.put(None)

    # --- speech ----------------------------------------------------------------------------------------------------

    async def _speak(self, speech: SpeechOrder) -> None:
        # A response without words (a tool call) never reaches the speech engine.
        if not await self._clauses.any():
            return
        self._first_clause(self._order.response_id)
        self._wire = wire = _Wire(self._order.response_id, speech.format, self._tts.sample_rate_hz)
        context = CallContext(self._session_id, item_id=speech.item_id, draft=self._draft)
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

    def _voice_waits(self) -> None:
        """For the model, or for the draft to be adopted: what was spoken does not wait with it."""
        if self._wire is not None:
            for fact in self._wire.hurry():
                self._report(fact)


class _Ahead:
    """How far a draft was written."""

    def __init__(self) -> None:
        self.has_clause = False
        """Whether there is a clause to be spoken."""
        self._tokens = 0
        self._beyond = 0

    def wrote(self, text: str) -> None:
        tokens = max(1, len(text.encode(errors="replace")) // _BYTES_PER_TOKEN)
        self._tokens += tokens
        if self.has_clause:
            self._beyond += tokens

    @property
    def is_enough(self) -> bool:
        return self._beyond >= _TOKENS_AHEAD or self._tokens >= _MOST_TOKENS


class _Clauses:
    """From the model to the voice: the first one at once, the others once ``released`` is set. A cancelled
    ``__anext__`` loses nothing."""

    def __init__(self, released: asyncio.Event, starving: Callable[[], None]) -> None:
        """``starving`` is called when the voice has to wait for a clause."""
        self._released = released
        self._starving = starving
        self._queue: asyncio.Queue[Clause | None] = asyncio.Queue(_CLAUSES_AHEAD)
        self._next: Clause | None = None
        self._ended = False
        self._has_first = False
        """Whether the voice was given anything to speak."""
        self.held = False
        """Whether the voice has spoken all that it may for now."""

    async def put(self, clause: Clause | None) -> None:
        """None ends them."""
        await self._queue.put(clause)

    async def any(self) -> bool:
        """Wait for the first clause; False if there is none."""
        await self._fetch()
        return not self._ended

    def __aiter__(self) -> AsyncIterator[Clause]:
        return self

    async def __anext__(self) -> Clause:
        self.held = self._has_first
        try:
            await self._fetch()
            if self._next is not None and self._has_first and not self._released.is_set():
                self._starving()
                await self._released.wait()
        finally:
            self.held = False
        if self._next is None:
            raise StopAsyncIteration
        clause, self._next = self._next, None
        self._has_first = self._has_first or bool(clause.spoken)
        return clause

    async def _fetch(self) -> None:
        """The next clause, unless it is there already or there is none."""
        if self._next is not None or self._ended:
            return
        if self._queue.empty():
            self._starving()
        self._next = await self._queue.get()
        self._ended = self._next is None


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
            facts = self.hurry()
            self._span = span
        return facts + self._facts(self._pieces.push(self._resampler.push(spoken.pcm)))

    def hurry(self) -> list[AudioProduced]:
        """What there is, if it is enough for a frame."""
        return self._facts([self._pieces.flush()]) if self._pieces.pending_bytes >= self._least_bytes else []

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
