"""What the runtime is told by the server's settings."""

from dataclasses import dataclass, field

from antiphon.core.config import DEFAULT_INSTRUCTIONS, BargeIn
from antiphon.core.limits import Limits
from antiphon.core.stored_prompts import StoredPrompts
from antiphon.engines.resilient import Resilience
from antiphon.runtime.text_split import FIRST_WORDS

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
    drafts: bool = True
    """Whether answers are begun before the user's turn is over."""
    draft_sessions: int = 0
    """Sessions that may draft at a time, those that answer included; 0: one for every two cores."""
    barge_in: BargeIn = "auto"
    barge_in_ms: int = 400
    """With considerate barge-in: how long speech interrupts by its length alone."""
    echo_grace_ms: int = 500
    """On a call: how long after the first sound ever played speech is not taken to be the user's without its words."""
    first_piece_words: int = FIRST_WORDS
    """Of the first piece of an answer's speech, which then ends, punctuation or not."""
    resilience: Resilience = field(default_factory=Resilience)
    """How long an engine may be silent, and what is tried again."""
    record_dir: str | None = None
    """A directory for the logs of all sessions, everything said in them included; None: nothing is recorded."""
    record_audio: bool = False
    """Whether the logs hold the audio too, not only its length."""
