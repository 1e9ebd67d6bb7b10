"""What the observer is told of one session: its life, its turns and when their stages happened, what failed."""

from antiphon.core.inputs import (
    AudioProduced,
    GenerationEnded,
    ImageUnread,
    McpCallFailed,
    McpCallFinished,
    McpListFailed,
    McpToolsListed,
    PlayoutCleared,
    PlayoutEnded,
    PlayoutStarted,
    TextProduced,
    TranscriptFailed,
    TranscriptProduced,
)
from antiphon.core.outputs import Emit, Output, PlayAudio, StartResponse, TurnClosed
from antiphon.protocol.server_events import Error, ResponseDone
from antiphon.runtime.engine_work import EngineFact
from antiphon.runtime.latency import TurnClock
from antiphon.runtime.mcp_work import McpFact
from antiphon.runtime.observer import Observer, Outcome, SessionSummary, TurnLatencies

__all__ = ["SessionReport"]


class SessionReport:
    """Told of every fact of engines and MCP servers before the core, and of every order before it is performed."""

    def __init__(self, observer: Observer, session_id: str, connection_id: str, *, paced: bool = False) -> None:
        """``paced``: it is a call, whose audio is heard when it is played and not when it is made."""
        self._observer = observer
        self._session_id = session_id
        self._connection_id = connection_id
        self._paced = paced
        self._clock = TurnClock(session_id)
        self._errors = 0

    def started(self) -> None:
        self._observer.session_started(self._session_id, self._connection_id)

    def ended(self, outcome: Outcome, now: float) -> None:
        for latencies in self._clock.rest():
            self._observer.turn_finished(latencies)
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

    def fact(self, fact: EngineFact, now: float) -> None:
        match fact:
            case TextProduced():
                self._clock.text(fact.response_id, now)
            case AudioProduced() if not self._paced:
                self._clock.audio(fact.response_id, now)
            case TranscriptProduced() if fact.transcript.is_final:
                self._clock.transcript(now)
            case TranscriptFailed():
                self._observer.engine_failed("transcription", fact.fault.kind)
            case ImageUnread():
                self._observer.engine_failed("image", fact.fault.kind)
            case GenerationEnded() if fact.fault is not None:
                self._observer.engine_failed("response", fact.fault.kind)

    def playout(self, fact: PlayoutStarted | PlayoutEnded | PlayoutCleared, now: float) -> None:
        match fact:
            case PlayoutStarted():
                self._turn_finished(self._clock.audio(fact.response_id, now))
            case PlayoutCleared():
                self._turn_finished(self._clock.unheard(fact.response_id))

    def mcp_fact(self, fact: McpFact) -> None:
        match fact:
            case McpToolsListed():
                self._observer.mcp_ended("list", "done")
            case McpListFailed():
                self._observer.mcp_ended("list", fact.fault.kind)
            case McpCallFinished():
                self._observer.mcp_ended("call", "done")
            case McpCallFailed():
                self._observer.mcp_ended("call", fact.fault.kind)

    def order(self, order: Output, now: float) -> None:
        match order:
            case Emit(event=ResponseDone() as done):
                self._response_done(done, now)
            case Emit(event=Error() as error):
                self._errors += 1
                self._observer.client_error(self._session_id, error.error.code or "")
            case PlayAudio():
                self._clock.played(order.response_id)
            case StartResponse():
                self._clock.response_started(order.response_id, now)
            case TurnClosed():
                self._clock.turn_closed(now, order.silence_ms)

    def _response_done(self, done: ResponseDone, now: float) -> None:
        usage = done.response.usage
        tokens = usage.output_tokens if usage else 0
        self._turn_finished(self._clock.done(done.response.id, done.response.status, now, tokens))

    def _turn_finished(self, latencies: TurnLatencies | None) -> None:
        if latencies is not None:
            self._observer.turn_finished(latencies)
