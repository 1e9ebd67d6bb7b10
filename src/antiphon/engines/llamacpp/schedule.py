"""Whose turn it is: one job at a time reads its prompt or writes its answer. Pure: time is an argument.

- Short prompts go first, then answers that were interrupted, then long prompts, then drafts, then prompts read ahead.
- A long prompt gives way to a short one at once, an answer gives way when its turn is over; both go on later from
  where they stopped, since their slot keeps what was read.
- Whoever has waited for ``patience_s`` goes before everybody else and keeps its turn, so nobody starves.
- One slot is reserved: a long prompt does not take the last free one.
- A draft gives way to whoever wants an answer, at once; when it is adopted it is as any other, wherever it stands.
- A prompt is read ahead only while nobody wants an answer, not even a draft, and is dropped when somebody does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto

from antiphon.engines.base import Draft
from antiphon.engines.llamacpp.slots import Slot, Slots, shared_tokens

__all__ = ["Job", "Rank", "Schedule", "ScheduleLimits"]


class Rank(IntEnum):
    """The smaller, the sooner."""

    SHORT_PROMPT = 0
    ANSWER = 1
    LONG_PROMPT = 2
    DRAFT = 3
    AHEAD = 4


class _State(Enum):
    PARKED = auto()
    """Its consumer has enough for now."""
    WAITING = auto()
    RUNNING = auto()


@dataclass(slots=True, eq=False)
class Job:
    """One generation, or one prompt read ahead."""

    session_id: str
    tokens: Sequence[int]
    """The prompt, and what was written so far."""
    ahead: bool = False
    whole: bool = False
    """Once it answers it cannot be interrupted and go on later."""
    draft: Draft | None = None
    stored: int = 0
    """So many tokens at its beginning can be put into any slot without reading them."""
    slot: Slot | None = None
    rank: Rank = Rank.LONG_PROMPT
    answering: bool = False
    """Its first token was written."""
    _state: _State = field(default=_State.PARKED, repr=False)
    _since_s: float = field(default=0.0, repr=False)
    """Since when it waits or runs."""
    _writes_since_s: float | None = field(default=None, repr=False)
    """The first token of this turn."""
    _urgent: bool = field(default=False, repr=False)

    @property
    def is_draft(self) -> bool:
        """Whether its answer may never be needed."""
        return self.draft is not None and not self.draft.adopted

    @property
    def is_real(self) -> bool:
        """Whether somebody waits for it."""
        return not self.ahead and not self.is_draft


@dataclass(frozen=True, slots=True)
class ScheduleLimits:
    short_tokens: int = 256
    """A prompt with at most this many tokens to read is short."""
    turn_s: float = 0.5
    """How long an answer may be written while others wait."""
    patience_s: float = 3.0
    queue_limit: int = 16


class Schedule:
    """The jobs of one child process. At most one of them runs."""

    def __init__(self, slots: Slots, limits: ScheduleLimits) -> None:
        self._slots = slots
        self._limits = limits
        self._jobs: list[Job] = []

    @property
    def running(self) -> Job | None:
        return next((job for job in self._jobs if job._state is _State.RUNNING), None)

    @property
    def idle(self) -> bool:
        """Whether nobody wants an answer, not even a draft."""
        return all(job.ahead for job in self._jobs)

    @property
    def full(self) -> bool:
        return sum(job.is_real for job in self._waiting()) >= self._limits.queue_limit

    def want(self, job: Job, now_s: float) -> None:
        """The job wants to run: it is new, or its consumer wants more."""
        if job not in self._jobs:
            self._jobs.append(job)
        job.rank = self._rank(job)
        job._state = _State.WAITING
        job._since_s = now_s

    def next(self, now_s: float) -> Job | None:
        """Start the job whose turn it is, on its slot; None while one runs or none can."""
        if self.running is not None:
            return None
        for job in sorted(self._waiting(), key=lambda job: self._order(job, now_s)):
            slot = self._slot_for(job)
            if slot is not None:
                job._urgent = self._has_waited(job, now_s)
                self._start(job, slot, now_s)
                return job
        return None

    def must_yield(self, now_s: float) -> bool:
        """Whether the running job has to make room for another."""
        job = self.running
        if job is None:
            return False
        others = [other for other in self._waiting() if self._slot_for(other) is not None]
        if job.ahead:
            return bool(others)
        if job.is_draft:
            return any(other.is_real for other in others)
        others = [other for other in others if other.is_real]
        if not others or (job.whole and job._writes_since_s is not None):
            return False
        if job._writes_since_s is not None:
            return now_s - job._writes_since_s >= self._limits.turn_s
        if job._urgent:
            return now_s - job._since_s >= self._limits.turn_s
        if job.rank is Rank.LONG_PROMPT:
            return any(other.rank < Rank.LONG_PROMPT or self._has_waited(other, now_s) for other in others)
        return False

    def wrote(self, job: Job, now_s: float) -> None:
        """The running job has written a token."""
        job.answering = True
        if job._writes_since_s is None:
            job._writes_since_s = now_s

    def park(self, job: Job) -> None:
        """The job does not run any more; it may want to go on later."""
        if job in self._jobs:
            job._state = _State.PARKED

    def remove(self, job: Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)

    # --- order ----------------------------------------------------------------------------------------------------

    def _waiting(self) -> list[Job]:
        return [job for job in self._jobs if job._state is _State.WAITING]

    def _has_waited(self, job: Job, now_s: float) -> bool:
        return job.is_real and now_s - job._since_s >= self._limits.patience_s

    def _order(self, job: Job, now_s: float) -> tuple[bool, int, float]:
        waited = self._has_waited(job, now_s)
        rank = Rank.DRAFT if job.is_draft else job.rank
        return not waited, 0 if waited else rank, job._since_s

    def _rank(self, job: Job) -> Rank:
        if job.ahead:
            return Rank.AHEAD
        held = job.slot or self._slots.best(job.session_id, job.tokens)
        shared = shared_tokens(held.tokens, job.tokens) if held else 0
        unread = len(job.tokens) - max(shared, job.stored)
        if unread > self._limits.short_tokens:
            return Rank.LONG_PROMPT
        return Rank.ANSWER if job.answering else Rank.SHORT_PROMPT

    # --- slots ----------------------------------------------------------------------------------------------------

    def _start(self, job: Job, slot: Slot, now_s: float) -> None:
        for other in self._jobs:
            if other is not job and other.slot is slot:
                other.slot = None  # it was parked; what it had read may be lost
        self._slots.bind(slot, job.session_id)
        job.slot = slot
        job._state = _State.RUNNING
        job._since_s = now_s
        job._writes_since_s = None

    def _slot_for(self, job: Job) -> Slot | None:
        """Its own, else a free one, else that of a parked job; None if it has to wait for one."""
        if job.slot is not None:
            return job.slot
        others = [other for other in self._jobs if other.slot is not None and not self._makes_room(other, job)]
        bound = {other.slot.index for other in others if other.slot is not None}
        if job.rank >= Rank.LONG_PROMPT and 1 < len(self._slots) <= len(bound) + 1:
            return None
        free = self._slots.best(job.session_id, job.tokens, taken=bound)
        if free is not None or not job.is_real:
            return free
        active = {o.slot.index for o in others if o.slot is not None and o._state is not _State.PARKED}
        return self._slots.best(job.session_id, job.tokens, taken=active)

    @staticmethod
    def _makes_room(running: Job, job: Job) -> bool:
        return running._state is _State.RUNNING and not running.is_real and job.is_real
