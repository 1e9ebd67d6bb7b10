"""All that the engines do for one session: its transcriptions, images and responses, the measuring of its items."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias, assert_never

from antiphon.core.inputs import ImageRead, ImageUnread, ItemMeasured, TranscriptFailed, TranscriptProduced
from antiphon.core.outputs import (
    EndTranscription,
    FeedTranscription,
    MeasureItem,
    ReadImage,
    StartResponse,
    StartTranscription,
    StopReading,
    StopResponse,
    StopTranscription,
)
from antiphon.runtime.engines import Engines
from antiphon.runtime.measuring import Measuring
from antiphon.runtime.seeing import Seeing
from antiphon.runtime.speaking import Fact, Speaking
from antiphon.runtime.transcribing import Spawn, Transcribing

__all__ = ["EngineFact", "EngineOrder", "EngineWork"]

EngineOrder: TypeAlias = (
    StartTranscription
    | FeedTranscription
    | EndTranscription
    | StopTranscription
    | ReadImage
    | StopReading
    | StartResponse
    | StopResponse
    | MeasureItem
)
EngineFact: TypeAlias = TranscriptProduced | TranscriptFailed | ImageRead | ImageUnread | ItemMeasured | Fact


class EngineWork:
    """Performs each order by its kind, in tasks of the session, and reports what comes of it."""

    def __init__(
        self,
        engines: Engines,
        spawn: Spawn,
        *,
        report: Callable[[EngineFact], None],
        room: Callable[[], Awaitable[None]],
        session_id: str,
        audio_bytes: int,
    ) -> None:
        """``room`` waits while the client has much to take; ``audio_bytes``: the most that may wait to be heard."""
        self._engines = engines
        self._spawn = spawn
        self._report = report
        self._room = room
        self._session_id = session_id
        self._measuring = Measuring(engines.llm, report)
        self._transcribing = Transcribing(engines.stt, spawn, report, session_id, audio_bytes)
        self._seeing = Seeing(engines.image_reader, spawn, report, session_id)
        self._responses: dict[str, tuple[Speaking, asyncio.Task[None]]] = {}

    def start(self) -> None:
        """Call it once, before the first order."""
        self._spawn(self._measuring.run, "measuring")

    def stop(self) -> None:
        """Nothing more is wanted of any engine."""
        self._transcribing.stop_all()
        self._seeing.stop_all()
        for response_id in list(self._responses):
            self._stop_response(response_id)

    def perform(self, order: EngineOrder) -> None:
        match order:
            case FeedTranscription():
                self._transcribing.feed(order)
            case StartTranscription():
                self._transcribing.start(order)
            case EndTranscription():
                self._transcribing.end(order)
            case StopTranscription():
                self._transcribing.stop(order)
            case ReadImage():
                self._seeing.start(order)
            case StopReading():
                self._seeing.stop(order)
            case StartResponse():
                self._start_response(order)
            case StopResponse():
                self._stop_response(order.response_id)
            case MeasureItem():
                self._measuring.put(order)
            case _:
                assert_never(order)

    def _start_response(self, order: StartResponse) -> None:
        speaking = Speaking(
            order,
            self._engines.llm,
            self._engines.tts,
            report=self._report,
            room=self._room,
            session_id=self._session_id,
        )
        task = self._spawn(partial(self._respond, order.response_id, speaking), f"response:{order.response_id}")
        self._responses[order.response_id] = (speaking, task)

    async def _respond(self, response_id: str, speaking: Speaking) -> None:
        try:
            await speaking.run()
        finally:
            # A response that was begun again, with a shorter prompt, has another one by now.
            if (running := self._responses.get(response_id)) and running[0] is speaking:
                del self._responses[response_id]

    def _stop_response(self, response_id: str) -> None:
        if running := self._responses.pop(response_id, None):
            speaking, task = running
            speaking.stop()
            task.cancel()
