"""What the runtime is told by the server's settings."""

from dataclasses import dataclass, field

from antiphon.core.config import DEFAULT_INSTRUCTIONS
from antiphon.core.limits import Limits
from antiphon.core.stored_prompts import StoredPrompts
from antiphon.engines.resilient import Resilience

__all__ = ["RuntimeSettings"]


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    limits: Limits = field(default_factory=Limits)
    """Bounds of each session; ``context_tokens`` is taken from the language model."""
    max_sessions: int = 64
    process_audio_bytes: int = 512 * 1024 * 1024
    """Audio kept by all sessions together; the sessions that keep most give way first."""
    decode_budget_bytes: int = 64 * 1024 * 1024
    """Large frames that are being decoded at one time, all sessions together."""
    outbox_bytes: int = 8 * 1024 * 1024
    """Events that wait for a slow client before its connection is closed. Speech is held back from half of it on."""
    events_per_s: float = 1_000.0
    """Client events taken a second, on average; more are read later, never lost."""
    strict: bool = False
    """Whether unknown fields are refused, as the hosted API does."""
    instructions: str = DEFAULT_INSTRUCTIONS
    prompts: StoredPrompts | None = None
    """Prompts that clients may refer to; None: references have no effect."""
    partials: bool = True
    """Whether partial transcripts are made while somebody speaks."""
    resilience: Resilience = field(default_factory=Resilience)
    """How long an engine may be silent, and what is tried again."""
    record_dir: str | None = None
    """A directory for the logs of all sessions, everything said in them included; None: nothing is recorded."""
    record_audio: bool = False
    """Whether the logs hold the audio too, not only its length."""
