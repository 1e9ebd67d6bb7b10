"""What the observer is told of one session: its life, its turns and when their stages happened, what failed."""

from collections.abc import Callable
from typing import Any

from antiphon.core.inputs import (
    INPUT_HZ,
    AudioProduced,
    DraftGranted,
    GenerationEnded,
    ImageUnread,
    Input,
    McpCallFailed,
    McpCallFinished,
    McpListFailed,
    McpToolsListed,
    PlayoutCleared,
    PlayoutStarted,
    TextProduced,
    TranscriptFailed,
    TranscriptProduced,
    TurnJudged,
    WritingEnded,
)
from antiphon.core.outputs import (
    AdoptDraft,
    AskHypothesis,
    BargeInJudged,
    CallMcpTool,
    DiscardDraft,
    Emit,
    JudgeTurn,
    Output,
    PlayAudio,
    SeekDraft,
    StartResponse,
    StartTranscription,
    StopTranscription,
    TurnClosed,
)
from antiphon.protocol.items import McpCall
from antiphon.protocol.server_events import (
    Error,
    ResponseCreated,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputItemAdded,
)
from antiphon.runtime.latency import FinishedTurn, TurnClock
from antiphon.runtime.observer import DraftEnd, Observer, Outcome, SessionSummary

__all__ = ["SessionReport"]

_Told = Callable[[Any, float], None]
_MCP_CALLS = 64
"""That wait to be made; some never are."""


class SessionReport:
    """Told of every fact of engines and MCP servers before the core, and of every order before it is performed, but of
    events once they are on their way.

    Most of them do not matter: each kind is looked up, and what is not found costs nothing more.
    """

    def __init__(
        self,
        observer: Observer,
        session_id: str,
        connection_id: str,
        *,
        paced: bool = False,
        when_sent: Callable[[Callable[[float], None]], None],
    ) -> None:
        """``paced``: it is a call, whose audio is heard when it is played and not when it is made. ``when_sent`` calls
        back with the time at which all events so far have been handed to the network, or never.
        """
        self._observer = observer
        self._session_id = session_id
        self._connection_id = connection_id
        self._paced = paced
        self._when_sent = when_sent
        self._clock = TurnClock(session_id, words=observer.wants_words)
        self._mcp_calls: dict[str, str] = {}
        """The responses of MCP calls that are not made yet."""
        self._sought_id: str | None = None
        """The newest item for which a draft is sought and not granted yet."""
        self._errors = 0
        self._facts: dict[type[Any], _Told] = {
            TextProduced: self._text,
            AudioProduced: self._sound,
            WritingEnded: self._written,
            GenerationEnded: self._generated,
            TranscriptProduced: self._transcript,
            TranscriptFailed: self._no_transcript,
            TurnJudged: self._judged,
            DraftGranted: self._draft_granted,
            ImageUnread: self._image_unread,
            PlayoutStarted: self._playout_started,
            PlayoutCleared: self._playout_cleared,
            McpToolsListed: self._tools_listed,
            McpListFailed: self._tools_unlisted,
            McpCallFinished: self._tool_done,
            McpCallFailed: self._tool_failed,
        }
        self._orders: dict[type[Any], _Told] = {
            Emit: self._event,
            PlayAudio: self._play,
            StartTranscription: self._transcription,
            StopTranscription: self._transcription_over,
            AskHypothesis: self._asked,
            JudgeTurn: self._judging,
            TurnClosed: self._turn_closed,
            StartResponse: self._response_started,
            SeekDraft: self._draft_sought,
            AdoptDraft: self._draft_adopted,
            DiscardDraft: self._draft_discarded,
            CallMcpTool: self._tool_called,
            BargeInJudged: self._barge_in,
        }
        self._events: dict[type[Any], _Told] = {
            ResponseCreated: self._response_created,
            ResponseOutputAudioDelta: self._audio,
            ResponseOutputItemAdded: self._output_item,
            ResponseDone: self._response_done,
            Error: self._error,
        }

    # --- its life --------------------------------------------------------------------------------------------------

    def started(self) -> None:
        self._observer.session_started(self._session_id, self._connection_id)

    def ended(self, outcome: Outcome, now: float) -> None:
        if self._clock.draft_id is not None:
            self._discard(self._clock.draft_id, "dropped")
        for finished in self._clock.rest():
            self._finished(finished)
        self._observer.session_ended(
            SessionSummary(
                self._session_id,
                self._connection_id,
                outcome,
                now,
                self._clock.turns,
                self._errors,
                "webrtc" if self._paced else "websocket",
            )
        )

    def fault(self, bug: BaseException) -> None:
        self._observer.fault(self._session_id, bug)

    def unknown_field(self, connection_id: str, path: str) -> None:
        self._observer.unknown_field(connection_id, path)

    def _error(self, event: Error, now: float) -> None:
        self._errors += 1
        self._observer.client_error(self._session_id, event.error.code or "")

    # --- what it is told of ----------------------------------------------------------------------------------------

    def fact(self, fact: Input, now: float) -> None:
        if (told := self._facts.get(type(fact))) is not None:
            told(fact, now)

    def order(self, order: Output, now: float) -> None:
        if (told := self._orders.get(type(order))) is not None:
            told(order, now)

    def first_clause(self, response_id: str, now: float) -> None:
        """The first clause of a response goes to the voice."""
        self._clock.clause(response_id, now)

    # --- what is said ----------------------------------------------------------------------------------------------

    def _transcription(self, order: StartTranscription, now: float) -> None:
        self._clock.user.begun(order.item_id)

    def _transcription_over(self, order: StopTranscription, now: float) -> None:
        self._clock.user.settled(order.item_id)

    def _transcript(self, fact: TranscriptProduced, now: float) -> None:
        self._clock.user.heard(fact.item_id, fact.transcript, now)

    def _no_transcript(self, fact: TranscriptFailed, now: float) -> None:
        self._observer.engine_failed("transcription", fact.fault.kind)
        self._clock.user.failed(fact.item_id, fact.fault.kind, now)

    def _image_unread(self, fact: ImageUnread, now: float) -> None:
        self._observer.engine_failed("image", fact.fault.kind)

    def _asked(self, order: AskHypothesis, now: float) -> None:
        self._clock.user.paused(order.item_id, now)

    def _judging(self, order: JudgeTurn, now: float) -> None:
        self._clock.user.judging(order.item_id, order.at_sample, now)

    def _judged(self, fact: TurnJudged, now: float) -> None:
        took_s = self._clock.user.judged(fact.item_id, fact.at_sample, fact.probability, now)
        if took_s is not None:
            self._observer.turn_judged(took_s, fact.probability)

    def _turn_closed(self, order: TurnClosed, now: float) -> None:
        self._clock.user.closed(order.item_id, now, order.silence_ms, is_answered=order.is_answered)

    def _barge_in(self, order: BargeInJudged, now: float) -> None:
        self._observer.barge_in(order.policy, order.outcome, order.after_ms)
        if order.outcome == "interrupted" and not self._paced:
            # Nothing of what is interrupted is sent any more but what waits already.
            self._when_sent(lambda at: self._observer.cut(order.policy, at - now))

    # --- drafts ----------------------------------------------------------------------------------------------------

    def _draft_sought(self, order: SeekDraft, now: float) -> None:
        self._sought_id = order.item_id
        self._observer.draft("sought")

    def _draft_granted(self, fact: DraftGranted, now: float) -> None:
        """Told again where the place was lost meanwhile."""
        if fact.item_id == self._sought_id:
            self._sought_id = None
            self._observer.draft("granted")

    def _draft_adopted(self, order: AdoptDraft, now: float) -> None:
        self._observer.draft("adopted")
        self._clock.adopted(order.response_id, now)

    def _draft_discarded(self, order: DiscardDraft, now: float) -> None:
        self._discard(order.response_id, order.reason)

    def _discard(self, response_id: str, reason: DraftEnd) -> None:
        waste = self._clock.discarded(response_id)
        self._observer.draft_discarded(reason, waste.tokens, waste.audio_samples / INPUT_HZ)

    # --- responses -------------------------------------------------------------------------------------------------

    def _event(self, order: Emit, now: float) -> None:
        if (told := self._events.get(type(order.event))) is not None:
            told(order.event, now)

    def _response_created(self, event: ResponseCreated, now: float) -> None:
        response = event.response
        self._clock.announced(response.id, now, in_conversation=response.conversation_id is not None)

    def _response_started(self, order: StartResponse, now: float) -> None:
        if order.draft:
            self._observer.draft("begun")
        self._clock.started(order.response_id, order.request, now, is_draft=order.draft)

    def _text(self, fact: TextProduced, now: float) -> None:
        self._clock.text(fact.response_id, fact.text, now)

    def _written(self, fact: WritingEnded, now: float) -> None:
        self._clock.written(fact.response_id, now)

    def _sound(self, fact: AudioProduced, now: float) -> None:
        self._clock.sound(fact.response_id, fact.samples, now)

    def _generated(self, fact: GenerationEnded, now: float) -> None:
        error = None if fact.fault is None else fact.fault.kind
        if error is not None and fact.response_id != self._clock.draft_id:
            self._observer.engine_failed("response", error)
        self._clock.generated(fact.response_id, fact.reason, fact.usage, error, now)

    def _audio(self, event: ResponseOutputAudioDelta, now: float) -> None:
        response_id = event.response_id
        if self._clock.played(response_id):
            self._when_sent(lambda at: self._finished(self._clock.audio(response_id, at)))

    def _play(self, order: PlayAudio, now: float) -> None:
        self._clock.played(order.response_id)

    def _playout_started(self, fact: PlayoutStarted, now: float) -> None:
        self._finished(self._clock.audio(fact.response_id, now))

    def _playout_cleared(self, fact: PlayoutCleared, now: float) -> None:
        self._finished(self._clock.unheard(fact.response_id))

    def _response_done(self, event: ResponseDone, now: float) -> None:
        response, usage = event.response, event.response.usage
        tokens = usage.output_tokens if usage else 0
        self._finished(self._clock.done(response.id, response.status, now, tokens))

    def _finished(self, finished: FinishedTurn | None) -> None:
        if finished is not None:
            self._observer.turn_finished(finished.latencies, finished.work)

    # --- tools -----------------------------------------------------------------------------------------------------

    def _tools_listed(self, fact: McpToolsListed, now: float) -> None:
        self._observer.mcp_ended("list", "done")

    def _tools_unlisted(self, fact: McpListFailed, now: float) -> None:
        self._observer.mcp_ended("list", fact.fault.kind)

    def _output_item(self, event: ResponseOutputItemAdded, now: float) -> None:
        item = event.item
        if isinstance(item, McpCall) and isinstance(item.id, str):
            if len(self._mcp_calls) >= _MCP_CALLS:
                del self._mcp_calls[next(iter(self._mcp_calls))]
            self._mcp_calls[item.id] = event.response_id

    def _tool_called(self, order: CallMcpTool, now: float) -> None:
        response_id = self._mcp_calls.pop(order.item_id, None)
        self._clock.tool_called(response_id, order.item_id, order.name, order.arguments, now)

    def _tool_done(self, fact: McpCallFinished, now: float) -> None:
        self._observer.mcp_ended("call", "done")
        self._tool_ended(fact.item_id, fact.output, None, now)

    def _tool_failed(self, fact: McpCallFailed, now: float) -> None:
        self._observer.mcp_ended("call", fact.fault.kind)
        self._tool_ended(fact.item_id, "", fact.fault.kind, now)

    def _tool_ended(self, item_id: str, output: str, error: str | None, now: float) -> None:
        if work := self._clock.tool_ended(item_id, output, error, now):
            self._observer.tool_called(self._session_id, work)
