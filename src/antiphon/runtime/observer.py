"""What the runtime reports: synchronous, cheap, never audio or words."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.mcp import McpFaultKind

__all__ = [
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


@dataclass(frozen=True, slots=True)
class TurnLatencies:
    """One answered turn, in milliseconds from the last voiced sample; None where that stage did not happen."""

    session_id: str
    response_id: str
    status: str
    committed_ms: int | None = None
    transcript_ms: int | None = None
    first_text_ms: int | None = None
    first_audio_ms: int | None = None
    """Of a call: when its first packet left."""
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
    def session_started(self, session_id: str, connection_id: str) -> None: ...
    def session_ended(self, summary: SessionSummary) -> None: ...
    def turn_finished(self, latencies: TurnLatencies) -> None: ...
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

    def session_started(self, session_id: str, connection_id: str) -> None: ...
    def session_ended(self, summary: SessionSummary) -> None: ...
    def turn_finished(self, latencies: TurnLatencies) -> None: ...
    def client_error(self, session_id: str, code: str) -> None: ...
    def unknown_field(self, connection_id: str, path: str) -> None: ...
    def vad_batch(self, seconds: float, windows: int) -> None: ...
    def engine_failed(self, stage: FailedStage, kind: EngineErrorKind) -> None: ...
    def mcp_ended(self, task: McpTask, outcome: McpOutcome) -> None: ...
    def vad_failed(self, error: BaseException) -> None: ...
    def windows_skipped(self, windows: int) -> None: ...
    def noise_kept(self, error: BaseException | None) -> None: ...
    def fault(self, session_id: str, error: BaseException) -> None: ...
