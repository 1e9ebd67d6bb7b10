"""Generations under way on the child process, one at a time, in the order of the schedule.

A run is pulled by its consumer and filled by callbacks: while its consumer is busy elsewhere it goes on for a while,
then gives way; when the consumer wants more it queues again and goes on from its slot.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from antiphon.engines.base import Draft
from antiphon.engines.errors import EngineError
from antiphon.engines.llamacpp.link import Event, Link, refused
from antiphon.engines.llamacpp.prefixes import Prefix, Prefixes
from antiphon.engines.llamacpp.schedule import Job, Schedule
from antiphon.engines.llamacpp.slots import shared_tokens
from antiphon.engines.llamacpp.unix_http import Exchange, Reply
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["Order", "Run", "Runs"]

_MOST_AHEAD = 64
"""So many events a run may be ahead of its consumer before it gives way."""
_MOST_AHEAD_OF_DRAFTS = 8
"""What a draft writes may never be needed."""
_STEP_TOKENS = 4
"""A prompt that is read ahead is read in steps of so many tokens, as others may need the process at any time. A token
costs 7 % more in steps of 4 than in steps of 8, and nobody waits for more than about 0.1 s."""
_WORTH_RESTORING_TOKENS = 32
_AHEAD_WITHIN_S = 1.0
"""A prompt that cannot be read ahead by then is not read ahead."""
_RESUME_WITHIN_S = 60.0
"""An answer that was begun is not given up for a queue, unless the queue stands still."""
_EVENT_FIELDS = ["content", "stop", "stop_type", "tokens_predicted"]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be read and written."""

    session_id: str
    tokens: Sequence[int]
    """The prompt."""
    head_tokens: int
    """How many of them are the system's turn."""
    most_tokens: int
    """To be written; 0 for a prompt that is only read."""
    sampling: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    """The form that the answer is forced into."""
    grammar: str | None = None
    """Of the whole answer, but it rules its beginning alone: an answer that goes on after a pause is free of it."""


class Runs:
    """All runs of one child process.

    ``stalled`` is called when the process did not say anything for ``stall_s`` while it had to; ``remove_file`` with
    the name of a kept prompt that had to go.
    """

    def __init__(
        self,
        link: Link,
        schedule: Schedule,
        prefixes: Prefixes,
        *,
        stall_s: float,
        stalled: Callable[[], None],
        remove_file: Callable[[str], None],
    ) -> None:
        self.link = link
        self.schedule = schedule
        self.prefixes = prefixes
        self.remove_file = remove_file
        self._stall_s = stall_s
        self._stalled = stalled
        self._runs: dict[Job, Run] = {}
        self._last_sign_s = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def open(self, order: Order, *, ahead: bool = False, draft: Draft | None = None) -> "Run":
        """A run; it begins with the first ``Run.next``. ``Run.close`` must follow."""
        job = Job(order.session_id, order.tokens, ahead=ahead, whole=order.schema is not None, draft=draft)
        job.stored = self.prefixes.find(order.tokens)[1]
        run = Run(self, job, order)
        self._runs[job] = run
        return run

    def lost(self) -> None:
        """The child process ended."""
        self._stop_watch()
        for run in list(self._runs.values()):
            run.fail(EngineError(EngineErrorKind.UNAVAILABLE, "the language model broke off"))

    def pump(self) -> None:
        """Start the run whose turn it is; what is done on suspicion makes room at once."""
        now_s = time.monotonic()
        running = self.schedule.running
        if running is not None and not running.is_real and self.schedule.must_yield(now_s):
            self._runs[running].make_room()
        job = self.schedule.next(now_s)
        if job is not None:
            self._runs[job].granted.set()

    def drop(self, job: Job) -> None:
        self.schedule.remove(job)
        self._runs.pop(job, None)
        self.pump()

    def park(self, job: Job) -> None:
        self.schedule.park(job)
        self.pump()

    # --- the watch ------------------------------------------------------------------------------------------------

    def sign_of_life(self) -> None:
        self._last_sign_s = time.monotonic()
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(self._stall_s, self._look)

    def _look(self) -> None:
        self._watch = None
        if self.schedule.running is None:
            return
        quiet_s = time.monotonic() - self._last_sign_s
        if quiet_s >= self._stall_s:
            self._stalled()
        else:
            self._watch = asyncio.get_running_loop().call_later(self._stall_s - quiet_s, self._look)

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


class Run:
    """One generation. ``text`` is what was written so far; ``reason`` is llama.cpp's word for why it stopped."""

    def __init__(self, runs: Runs, job: Job, order: Order) -> None:
        self._runs = runs
        self._job = job
        self._order = order
        self.granted = asyncio.Event()
        self.reason = ""
        self.cached_tokens: int | None = None
        self._written: list[str] = []
        self._before = 0
        """Tokens written before this turn."""
        self._now = 0
        """Tokens written in it."""
        self._events: deque[Event] = deque()
        self._exchange: Exchange | None = None
        self._head_only = False
        """Only the system's turn is being read, to be kept."""
        self._head_read = False
        self._read_to = 0
        """So many tokens of a prompt that is read ahead were asked for."""
        self._fault: EngineError | None = None
        self._over = False
        self._wake = asyncio.Event()

    @property
    def output_tokens(self) -> int:
        return self._before + self._now

    async def next(self, *, wait_s: float) -> Event | None:
        """The next event, or None at the end.

        Raises ``EngineError``: overloaded if its first turn did not come within ``wait_s``.
        """
        while not self._events:
            if self._fault is not None:
                raise self._fault
            if self._over:
                return None
            if not self.granted.is_set():
                await self._wait_for_turn(wait_s)
            elif self._exchange is None:
                await self._begin()
            else:
                self._wake.clear()
                await self._wake.wait()
        return self._events.popleft()

    def close(self) -> None:
        """Stop at once. The process goes on for the batch that it is computing, no longer."""
        self._abort()
        self._over = True
        self._runs.drop(self._job)

    def make_room(self) -> None:
        """Others want an answer now. A request that is only being made is dropped with its first event."""
        if self._exchange is not None:
            self._give_way()

    def fail(self, fault: EngineError) -> None:
        self._abort()
        if not self._over:
            self._fault = fault
        self._runs.drop(self._job)
        self.granted.set()
        self._wake.set()

    # --- its turn -------------------------------------------------------------------------------------------------

    async def _wait_for_turn(self, wait_s: float) -> None:
        runs = self._runs
        if self._written:
            wait_s = _RESUME_WITHIN_S
            (tokens,) = await runs.link.tokens_of(["".join(self._written)])
            self._job.tokens = [*self._order.tokens, *tokens]
        elif runs.schedule.full:
            raise EngineError(EngineErrorKind.OVERLOADED, "too many generations are waiting")
        runs.schedule.want(self._job, time.monotonic())
        runs.pump()
        with suppress(TimeoutError):
            async with asyncio.timeout(_AHEAD_WITHIN_S if self._job.ahead else wait_s):
                await self.granted.wait()
        if self.granted.is_set():
            return
        if self._job.ahead:
            self._finish("none")
        else:
            raise EngineError(EngineErrorKind.OVERLOADED, f"no turn came within {wait_s:g} s")

    async def _begin(self) -> None:
        await self._prepare_slot()
        slot, order = self._job.slot, self._order
        assert slot is not None
        tokens: Sequence[int] = self._job.tokens
        if self._head_only:
            tokens = tokens[: order.head_tokens]
        elif self._job.ahead:
            read = max(self._read_to, shared_tokens(slot.tokens, tokens))
            self._read_to = min(len(tokens), read + _STEP_TOKENS)
            tokens = tokens[: self._read_to]
        payload: dict[str, Any] = {
            "prompt": tokens,
            "id_slot": slot.index,
            "n_predict": 0 if self._head_only else max(0, order.most_tokens - self._before),
            "stream": True,
            "return_progress": True,
            "return_tokens": True,
            "cache_prompt": True,
            "response_fields": _EVENT_FIELDS,
            **order.sampling,
        }
        if order.schema is not None and not self._head_only:
            payload["json_schema"] = order.schema
        elif order.grammar is not None and not self._written and not self._head_only:
            payload["grammar"] = order.grammar
        self._runs.sign_of_life()
        self._exchange = await self._runs.link.complete(payload, self)

    async def _prepare_slot(self) -> None:
        """Put a kept system prompt into the slot, or see to it that this one will be kept."""
        slot, prefixes, link = self._job.slot, self._runs.prefixes, self._runs.link
        assert slot is not None
        head = tuple(self._order.tokens[: self._order.head_tokens])
        if self._head_read:
            self._head_read = False
            await self._keep(head, slot.index)
            return
        shared = shared_tokens(slot.tokens, self._job.tokens)
        kept, kept_shared = prefixes.find(self._job.tokens)
        # What else the slot holds would be lost: that is read again only if it is less.
        if kept and shared + _WORTH_RESTORING_TOKENS <= kept_shared and len(slot.tokens) <= len(kept.tokens):
            if await link.restore_slot(slot.index, kept.name):
                slot.tokens = kept.tokens
            else:
                prefixes.drop(kept)
        self._head_only = prefixes.wants(head) and shared <= len(head)

    async def _keep(self, head: tuple[int, ...], slot_index: int) -> None:
        prefixes = self._runs.prefixes
        if not prefixes.wants(head):
            return
        prefix = Prefix(prefixes.new_name(), head)
        if await self._runs.link.save_slot(slot_index, prefix.name):
            for gone in prefixes.add(prefix):
                self._runs.remove_file(gone.name)
        else:
            prefixes.give_up()

    def _give_way(self) -> None:
        """Stop for now; a prompt that is only read ahead stops for good, and so does what cannot go on later."""
        self._abort()
        if self._job.whole and self._job.answering:
            self.fail(EngineError(EngineErrorKind.OVERLOADED, "the draft had to give way"))
            return
        self._before, self._now = self.output_tokens, 0
        self.granted.clear()
        if 0 < self._order.most_tokens <= self._before:
            self._finish("limit")
        elif self._job.ahead:
            self._finish("none")
        else:
            self._runs.park(self._job)
            self._wake.set()

    def _finish(self, reason: str) -> None:
        self.reason = reason
        self._over = True
        self._runs.drop(self._job)
        self._wake.set()

    def _abort(self) -> None:
        if self._exchange is not None:
            self._exchange.abort()
            self._exchange = None

    # --- what the process says ------------------------------------------------------------------------------------

    def on_event(self, data: bytes) -> None:
        self._runs.sign_of_life()
        try:
            event = msgspec.json.decode(data, type=Event)
        except msgspec.DecodeError:
            self.fail(EngineError(EngineErrorKind.FAILED, "the language model reported an error"))
            return
        if event.prompt_progress is not None:
            self._has_read(event.prompt_progress.processed, event.prompt_progress.cache)
        elif not self._head_only and self._order.most_tokens:
            self._has_written(event)
        if event.stop:
            self._stopped(event)
        elif self._runs.schedule.must_yield(time.monotonic()) or self._is_far_ahead():
            self._give_way()

    def _is_far_ahead(self) -> bool:
        most = _MOST_AHEAD_OF_DRAFTS if self._job.is_draft else _MOST_AHEAD
        return not self._job.whole and len(self._events) >= most

    def on_end(self, refusal: Reply | None) -> None:
        self.fail(refused(refusal) if refusal else EngineError(EngineErrorKind.FAILED, "the answer broke off"))

    def on_lost(self) -> None:
        self.fail(EngineError(EngineErrorKind.UNAVAILABLE, "the language model broke off"))

    def _has_read(self, processed: int, cached: int) -> None:
        assert self._job.slot is not None
        self._job.slot.tokens = self._job.tokens[:processed]
        if self.cached_tokens is None:
            self.cached_tokens = min(cached, len(self._order.tokens))

    def _has_written(self, event: Event) -> None:
        assert self._job.slot is not None
        self._runs.schedule.wrote(self._job, time.monotonic())
        self._now = event.tokens_predicted
        self._job.slot.tokens = [*self._job.slot.tokens, *event.tokens]
        if event.content:
            self._written.append(event.content)
            self._events.append(event)
        self._wake.set()

    def _stopped(self, event: Event) -> None:
        self._abort()
        if self._head_only:
            self._head_only, self._head_read = False, True
            self._wake.set()
        elif self._job.ahead and self._read_to < len(self._order.tokens):
            self._wake.set()  # on to the next step
        else:
            self._finish(event.stop_type)
