"""Settings of turn-taking, where the API leaves it to the server."""

from pydantic import BaseModel, ConfigDict, Field

from antiphon.core.config import BargeIn
from antiphon.runtime.settings import RuntimeSettings

__all__ = ["TurnsSection"]

_RUNTIME = RuntimeSettings()


class TurnsSection(BaseModel):
    """How turns are taken, where the API leaves it to the server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drafts: bool = Field(
        default=_RUNTIME.drafts,
        description="Begin answers in the user's pauses, before the turn is over; `false`: one thing after the other.",
    )
    draft_sessions: int = Field(
        default=_RUNTIME.draft_sessions,
        ge=0,
        description="Sessions that may draft at a time, those that are being answered counted too; "
        "0: one for every two cores.",
    )
    barge_in: BargeIn = Field(
        default=_RUNTIME.barge_in,
        description="Whether speech interrupts an answer at once (`exact`) or once it has lasted or says more than "
        "“mm-hmm” (`considerate`); `auto`: exact with `server_vad`, considerate with `semantic_vad`.",
    )
    barge_in_ms: int = Field(
        default=_RUNTIME.barge_in_ms,
        ge=300,
        le=500,
        description="With considerate barge-in: how much speech interrupts whatever it says; 100 ms more, 500 at most, "
        "while its first words are on their way.",
    )
    echo_grace_ms: int = Field(
        default=_RUNTIME.echo_grace_ms,
        ge=0,
        le=500,
        description="On calls: for how long after the first sound of all speech is judged by its words, "
        "as it may be the echo of an answer.",
    )
    first_piece_words: int = Field(
        default=_RUNTIME.first_piece_words,
        ge=3,
        le=20,
        description="Words after which the first piece of an answer is spoken, punctuation or not.",
    )
