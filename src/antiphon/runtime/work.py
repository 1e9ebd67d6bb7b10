"""What engines and MCP servers did for a turn, and when: for whoever draws it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from antiphon.vocabulary.llm import FinishReason, LlmRequest, TokenUsage

__all__ = ["Work", "WorkKind"]

WorkKind: TypeAlias = Literal["transcription", "judging", "chat", "speech", "tool"]


@dataclass(frozen=True, slots=True)
class Work:
    """One call, in seconds on the session's clock."""

    kind: WorkKind
    began_s: float
    ended_s: float
    error: str | None = None
    """The kind of its fault."""
    first_s: float | None = None
    """When the first of it came, where it comes in pieces."""
    probability: float | None = None
    """A judge's word."""
    usage: TokenUsage | None = None
    reason: FinishReason | None = None
    tool: str = ""
    item_id: str = ""
    request: LlmRequest | None = None
    """What a model was asked. This and the following are there only where words are wanted."""
    words: str = ""
    """What came of it."""
    arguments: Mapping[str, Any] | None = None
