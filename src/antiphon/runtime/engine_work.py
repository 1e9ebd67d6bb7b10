"""All that the engines do for one session: its transcriptions, images, judgements, drafts and responses, the measuring
of its items."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, assert_never

from antiphon.core.inputs import (
    DraftGranted,
    ImageRead,
    ImageUnread,
    ItemMeasured,
    TranscriptFailed,
    TranscriptProduced,
    TurnJudged,
)
from antiphon.core.outputs import (
    AdoptDraft,
    AskHypothesis,
    DiscardDraft,
    EndDraft,
    EndTranscription,
    FeedTranscription,
    JudgeTurn,
    MeasureItem,
    PrefillPrompt,
    ReadImage,
    SeekDraft,
    StartResponse,
    StartTranscription,
    StopReading,
    StopResponse,
    StopTranscription,
)
from antiphon.runtime.draft_places import DraftPlaces
from antiphon.runtime.engines import Engines
from antiphon.runtime.judging import Judging
from antiphon.runtime.measuring import Measuring
from antiphon.runtime.prefilling import Prefilling
from antiphon.runtime.responding import Responding
from antiphon.runtime.seeing import Seeing
from antiphon.runtime.speaking import Fact
from antiphon.runtime.transcribing import Spawn, Transcribing

__all__ = ["EngineFact", "EngineOrder", "EngineWork"]

EngineOrder: TypeAlias = (
    StartTranscription
    | FeedTranscription
    | EndTranscription
    | StopTranscription
    | AskHypothesis
    | JudgeTurn
    | SeekDraft
    | EndDraft
    | PrefillPrompt
    | ReadImage
    | StopReading
    | StartResponse
    | StopResponse
    | AdoptDraft
    | DiscardDraft
    | MeasureItem
)
EngineFact: TypeAlias = (
    TranscriptProduced | TranscriptFailed | TurnJudged | DraftGranted | ImageRead | ImageUnread | ItemMeasured | Fact
)


class EngineWork:
    """Performs each order by its kind, in tasks of the session, and reports what comes of it."""

    def __init__(
        self,
        engines: Engines,
        spawn: Spawn,
        places: DraftPlaces,
        *,
        report: Callable[[EngineFact], None],
        first_clause: Callable[[str], None] = lambda _: None,
        room: Callable[[], Awaitable[None]],
        session_id: str,
        audio_bytes: int,
        first_words: int,
    ) -> None:
        """``room`` waits while the client has much to take; ``audio_bytes``: the most that may wait to be heard;
        ``first_words``: of the first piece of speech, which then ends, punctuation or not."""
        self._spawn = spawn
        self._measuring = Measuring(engines.llm, report)
        self._transcribing = Transcribing(engines.stt, spawn, report, session_id, audio_bytes)
        self._judging = Judging(engines.turn_judge, spawn, report, session_id)
        self._seeing = Seeing(engines.image_reader, spawn, report, session_id)
        self._prefilling = Prefilling(engines.llm, spawn, places, session_id)
        self._place = places.join(
            granted=lambda item_id: report(DraftGranted(item_id)),
            dropped=lambda: self._responding.drop_drafts(),
            hush=self._prefilling.stop,
        )
        self._responding = Responding(
            engines,
            spawn,
            self._place,
            report=report,
            first_clause=first_clause,
            room=room,
            session_id=session_id,
            first_words=first_words,
        )

    def start(self) -> None:
        """Call it once, before the first order."""
        self._spawn(self._measuring.run, "measuring")

    def stop(self) -> None:
        """Nothing more is wanted of any engine."""
        self._transcribing.stop_all()
        self._judging.stop_all()
        self._seeing.stop_all()
        self._prefilling.stop()
        self._responding.stop_all()

    def close(self) -> None:
        """The session is over, however it came to that."""
        self._place.close()

    def perform(self, order: EngineOrder) -> None:
        match order:
            case FeedTranscription():
                self._transcribing.feed(order)
            case StartTranscription() | EndTranscription() | StopTranscription() | AskHypothesis():
                self._transcribe(order)
            case JudgeTurn():
                self._judging.put(order)
            case ReadImage():
                self._seeing.start(order)
            case StopReading():
                self._seeing.stop(order)
            case StartResponse() | StopResponse() | AdoptDraft() | DiscardDraft():
                self._respond(order)
            case SeekDraft() | EndDraft() | PrefillPrompt():
                self._draft(order)
            case MeasureItem():
                self._measuring.put(order)
            case _:
                assert_never(order)

    def _transcribe(self, order: StartTranscription | EndTranscription | StopTranscription | AskHypothesis) -> None:
        match order:
            case StartTranscription():
                self._transcribing.start(order)
            case EndTranscription():
                self._transcribing.end(order)
            case StopTranscription():
                self._transcribing.stop(order)
            case AskHypothesis():
                self._transcribing.ask(order)

    def _respond(self, order: StartResponse | StopResponse | AdoptDraft | DiscardDraft) -> None:
        match order:
            case StartResponse():
                self._responding.start(order)
            case StopResponse() | DiscardDraft():
                self._responding.stop(order.response_id)
            case AdoptDraft():
                self._responding.adopt(order.response_id)

    def _draft(self, order: SeekDraft | EndDraft | PrefillPrompt) -> None:
        match order:
            case SeekDraft():
                self._place.seek(order.item_id)
            case EndDraft():
                self._place.end(order.item_id)
            case PrefillPrompt():
                self._prefilling.put(order, self._place)
