"""The transcriptions of one session: feeds each utterance to the recogniser and reports what it says."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ, TranscriptFailed, TranscriptProduced
from antiphon.core.outputs import (
    AskHypothesis,
    EndTranscription,
    FeedTranscription,
    StartTranscription,
    StopTranscription,
)
from antiphon.engines.base import CallContext, SpeechToText
from antiphon.engines.errors import EngineError
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.speech import SttOptions

__all__ = ["Spawn", "Transcribing"]

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]], str], asyncio.Task[None]]
"""Starts a task of the session, by name."""

_Place = tuple[str, int]
_Fact = TranscriptProduced | TranscriptFailed

_AT_ONCE = 4
"""Transcriptions of one session that the recogniser works on; the others wait with their audio."""
_WAITING = 256
"""Transcriptions of one session at all; what goes beyond it fails."""
_STEP_BYTES = INPUT_HZ * 2
"""Audio is converted in steps of one second, between which others have their turn."""
_MARK = b""
_TOO_MUCH = EngineFault(
    EngineErrorKind.OVERLOADED, retryable=True, message="Too much audio of this session waits to be transcribed."
)
_NOTHING = EngineFault(EngineErrorKind.FAILED, message="The recogniser ended without a transcript.")


class Transcribing:
    """Holds at most ``max_bytes`` of audio that the recogniser has not taken; what goes beyond it fails."""

    def __init__(
        self, stt: SpeechToText, spawn: Spawn, report: Callable[[_Fact], None], session_id: str, max_bytes: int
    ) -> None:
        self._stt = stt
        self._spawn = spawn
        self._report = report
        self._session_id = session_id
        self._max_bytes = max_bytes
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._running: dict[_Place, tuple[_Utterance, asyncio.Task[None]]] = {}

    def start(self, order: StartTranscription) -> None:
        place = (order.item_id, order.content_index)
        if len(self._running) >= _WAITING:
            self._give_up(place)
            return
        utterance = _Utterance(self._stt.sample_rate_hz)
        work = partial(self._run, place, utterance, order.options)
        task = self._spawn(work, f"transcription:{order.item_id}")
        self._running[place] = (utterance, task)

    def feed(self, order: FeedTranscription) -> None:
        place = (order.item_id, order.content_index)
        if place not in self._running:
            return
        self._running[place][0].feed(order.pcm)
        if sum(utterance.waiting_bytes for utterance, _ in self._running.values()) > self._max_bytes:
            self._give_up(place)

    def ask(self, order: AskHypothesis) -> None:
        if running := self._running.get((order.item_id, order.content_index)):
            running[0].mark()

    def end(self, order: EndTranscription) -> None:
        if running := self._running.get((order.item_id, order.content_index)):
            running[0].end()

    def stop(self, order: StopTranscription) -> None:
        self._stop((order.item_id, order.content_index))

    def stop_all(self) -> None:
        for place in list(self._running):
            self._stop(place)

    def _give_up(self, place: _Place) -> None:
        self._stop(place)
        # Not from within the core's own order.
        asyncio.get_running_loop().call_soon(self._report, TranscriptFailed(*place, _TOO_MUCH))

    def _stop(self, place: _Place) -> None:
        if running := self._running.pop(place, None):
            running[1].cancel()

    async def _run(self, place: _Place, utterance: "_Utterance", options: SttOptions) -> None:
        try:
            async with self._places:
                await self._transcribe(place, utterance, options)
        except EngineError as error:
            self._report(TranscriptFailed(*place, error.fault))
        finally:
            if (running := self._running.get(place)) and running[0] is utterance:
                del self._running[place]

    async def _transcribe(self, place: _Place, utterance: "_Utterance", options: SttOptions) -> None:
        context = CallContext(self._session_id, item_id=place[0])
        async with aclosing(self._stt.transcribe(utterance, context=context, options=options)) as transcripts:
            async for transcript in transcripts:
                self._report(TranscriptProduced(*place, transcript))
                if transcript.is_final:
                    return
        self._report(TranscriptFailed(*place, _NOTHING))


class _Utterance:
    """The audio of one transcription at the recogniser's rate, and the mark where somebody wants to know its words: an
    empty chunk. A cancelled ``__anext__`` loses nothing."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._resampler = Resampler(INPUT_HZ, sample_rate_hz)
        self._pieces: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._ended = False
        self.waiting_bytes = 0

    def feed(self, pcm: bytes) -> None:
        self._pieces.extend(pcm[start : start + _STEP_BYTES] for start in range(0, len(pcm), _STEP_BYTES))
        self.waiting_bytes += len(pcm)
        self._ready.set()

    def mark(self) -> None:
        """Behind all audio so far. Of marks that the recogniser has not come to, the last says all."""
        if not self._ended:
            with suppress(ValueError):
                self._pieces.remove(_MARK)
            self._pieces.append(_MARK)
            self._ready.set()

    def end(self) -> None:
        self._ended = True
        self._ready.set()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._pieces:
                piece = self._pieces[0]
                if len(piece) == _STEP_BYTES:
                    await asyncio.sleep(0)
                self._pieces.popleft()
                if piece == _MARK:
                    return _MARK
                self.waiting_bytes -= len(piece)
                converted = self._resampler.push(piece)
            elif self._ended:
                converted = self._resampler.flush()
                if not converted:
                    raise StopAsyncIteration
            else:
                self._ready.clear()
                await self._ready.wait()
                continue
            if converted:
                return converted
