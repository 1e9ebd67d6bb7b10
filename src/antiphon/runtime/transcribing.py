"""The transcriptions of one session: feeds each utterance to the recogniser and reports what it says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ, TranscriptFailed, TranscriptProduced
from antiphon.core.outputs import EndTranscription, FeedTranscription, StartTranscription, StopTranscription
from antiphon.engines.base import CallContext, SpeechToText
from antiphon.engines.errors import EngineError
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.speech import SttOptions

__all__ = ["Transcribing"]

_Place = tuple[str, int]
_Fact = TranscriptProduced | TranscriptFailed


class Transcribing:
    def __init__(
        self, stt: SpeechToText, tasks: asyncio.TaskGroup, report: Callable[[_Fact], None], session_id: str
    ) -> None:
        self._stt = stt
        self._tasks = tasks
        self._report = report
        self._session_id = session_id
        self._running: dict[_Place, tuple[asyncio.Queue[bytes | None], asyncio.Task[None]]] = {}

    def start(self, order: StartTranscription) -> None:
        place = (order.item_id, order.content_index)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        task = self._tasks.create_task(self._run(place, queue, order.options), name=f"transcription:{order.item_id}")
        self._running[place] = (queue, task)

    def feed(self, order: FeedTranscription) -> None:
        if running := self._running.get((order.item_id, order.content_index)):
            running[0].put_nowait(order.pcm)

    def end(self, order: EndTranscription) -> None:
        if running := self._running.get((order.item_id, order.content_index)):
            running[0].put_nowait(None)

    def stop(self, order: StopTranscription) -> None:
        if running := self._running.pop((order.item_id, order.content_index), None):
            running[1].cancel()

    async def _run(self, place: _Place, queue: "asyncio.Queue[bytes | None]", options: SttOptions) -> None:
        context = CallContext(self._session_id, item_id=place[0])
        final = False
        try:
            async with aclosing(
                self._stt.transcribe(self._audio(queue), context=context, options=options)
            ) as transcripts:
                async for transcript in transcripts:
                    final = final or transcript.is_final
                    self._report(TranscriptProduced(*place, transcript))
            if not final:
                self._report(TranscriptFailed(*place, EngineFault(EngineErrorKind.FAILED, message="No transcript.")))
        except EngineError as error:
            self._report(TranscriptFailed(*place, error.fault))
        finally:
            if (running := self._running.get(place)) and running[1] is asyncio.current_task():
                del self._running[place]

    async def _audio(self, queue: "asyncio.Queue[bytes | None]") -> AsyncIterator[bytes]:
        resampler = Resampler(INPUT_HZ, self._stt.sample_rate_hz)
        while (pcm := await queue.get()) is not None:
            if converted := resampler.push(pcm):
                yield converted
        if rest := resampler.flush():
            yield rest
