"""What the runtime reports: synchronous, cheap, never audio, and words to those alone who ask for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from antiphon.runtime.work import Work
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.mcp import McpFaultKind

__all__ = [
    "BargeInOutcome",
    "BargeInPolicy",
    "DraftEnd",
    "DraftStage",
    "FailedStage",
    "McpOutcome",
    "McpTask",
    "NullObserver",
    "Observer",
    "Outcome",
    "SessionSummary",
    "TransportKind",
    "TurnLatencies",
]

Outcome: TypeAlias = Literal["closed", "lost", "expired", "slow_client", "shutdown", "failed"]
"""How a session ended."""

TransportKind: TypeAlias = Literal["websocket", "webrtc"]

FailedStage: TypeAlias = Literal["transcription", "image", "response"]
"""What an engine's failure cost the session."""

McpTask: TypeAlias = Literal["list", "call"]
McpOutcome: TypeAlias = Literal["done"] | McpFaultKind


DraftStage: TypeAlias = Literal["sought", "granted", "begun", "adopted"]
DraftEnd: TypeAlias = Literal["speech", "changed", "failed", "dropped"]
"""Why a draft came to nothing."""

BargeInPolicy: TypeAlias = Literal["exact", "considerate"]
BargeInOutcome: TypeAlias = Literal["interrupted", "backchannel", "echo", "noise"]


@dataclass(frozen=True, slots=True)
class TurnLatencies:
    """One answered turn, in milliseconds from its origin; None where that stage did not happen.

    The origin is the last voiced sample, or (not ``is_spoken``) the moment at which the response was asked for.
    """

    session_id: str
    response_id: str
    status: str
    origin_s: float = 0.0
    """On the session's clock."""
    is_spoken: bool = False
    is_drafted: bool = False
    """Its answer was begun before the turn was over: stages may have happened before ``committed_ms``."""
    pause_ms: int | None = None
    """The pause that ended the turn was first taken up: its words were asked for, or the judge was."""
    judged_ms: int | None = None
    """The judge's last word before the turn was over."""
    committed_ms: int | None = None
    transcript_ms: int | None = None
    first_text_ms: int | None = None
    first_clause_ms: int | None = None
    """The first clause went to the voice."""
    first_audio_ms: int | None = None
    """On its way to the client; of a call: when its first packet left."""
    done_ms: int | None = None
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class SessionSummary:
    session_id: str
    connection_id: str
    outcome: Outcome
    duration_s: float
    turns: int
    errors: int
    transport: TransportKind = "websocket"


class Observer(Protocol):
    @property
    def wants_words(self) -> bool:
        """Whether the ``Work`` of turns is to hold what was said; constant."""

    def session_started(self, session_id: str, connection_id: str) -> None: ...
    def session_ended(self, summary: SessionSummary) -> None: ...
    def turn_finished(self, latencies: TurnLatencies, work: Sequence[Work] = ()) -> None: ...
    def tool_called(self, session_id: str, work: Work) -> None:
        """A tool of an MCP server was called outside of any turn: after its approval."""

    def turn_judged(self, took_s: float, probability: float | None) -> None:
        """The judge gave its word on a pause; None: it gave none."""

    def draft(self, stage: DraftStage) -> None: ...
    def draft_discarded(self, reason: DraftEnd, tokens: int, audio_s: float) -> None:
        """With what was made in vain."""

    def barge_in(self, policy: BargeInPolicy, outcome: BargeInOutcome, after_ms: int) -> None:
        """It was decided what speech is that began while the assistant was audible, so long after its beginning."""

    def cut(self, policy: BargeInPolicy, took_s: float) -> None:
        """From that decision until the last that had waited to be sent was on its way to the client."""

    def client_error(self, session_id: str, code: str) -> None: ...
    def unknown_field(self, connection_id: str, path: str) -> None:
        """Once per connection and name; ``path`` comes from the client."""

    def vad_batch(self, seconds: float, windows: int) -> None: ...
    def engine_failed(self, stage: FailedStage, kind: EngineErrorKind) -> None:
        """A transcription, an image's text or a response could not be had from its engines."""

    def mcp_ended(self, task: McpTask, outcome: McpOutcome) -> None:
        """A list or call of an MCP server came to its end; one that was stopped has none."""

    def vad_failed(self, error: BaseException) -> None:
        """The detector began to fail; told again after it has worked."""

    def windows_skipped(self, windows: int) -> None:
        """The detector is too slow for a call's track: it was not asked about these, the oldest that waited."""

    def noise_kept(self, error: BaseException | None) -> None:
        """A session asked for noise reduction and goes on without: there is no engine, or its filter failed."""

    def fault(self, session_id: str, error: BaseException) -> None:
        """A bug of ours ended this session."""


class NullObserver:
    """Observes nothing."""

    @property
    def wants_words(self) -> bool:
        return False

    def session_started(self, session_id: str, connection_id: str) -> None: ...
    def session_ended(self, summary: SessionSummary) -> None: ...
    def turn_finished(self, latencies: TurnLatencies, work: Sequence[Work] = ()) -> None: ...
    def tool_called(self, session_id: str, work: Work) -> None: ...
    def turn_judged(self, took_s: float, probability: float | None) -> None: ...
    def draft(self, stage: DraftStage) -> None: ...
    def draft_discarded(self, reason: DraftEnd, tokens: int, audio_s: float) -> None: ...
    def barge_in(self, policy: BargeInPolicy, outcome: BargeInOutcome, after_ms: int) -> None: ...
    def cut(self, policy: BargeInPolicy, took_s: float) -> None: ...
    def client_error(self, session_id: str, code: str) -> None: ...
    def unknown_field(self, connection_id: str, path: str) -> None: ...
    def vad_batch(self, seconds: float, windows: int) -> None: ...
    def engine_failed(self, stage: FailedStage, kind: EngineErrorKind) -> None: ...
    def mcp_ended(self, task: McpTask, outcome: McpOutcome) -> None: ...
    def vad_failed(self, error: BaseException) -> None: ...
    def windows_skipped(self, windows: int) -> None: ...
    def noise_kept(self, error: BaseException | None) -> None: ...
    def fault(self, session_id: str, error: BaseException) -> None: ...
