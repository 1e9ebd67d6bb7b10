"""Whether the thoughts of one session are complete: asks the judge of turns, the newest pause first."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from antiphon.audio.pcm import pcm_to_samples
from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ, TurnJudged
from antiphon.core.outputs import JudgeTurn
from antiphon.engines.base import CallContext, Samples, TurnJudge
from antiphon.engines.errors import EngineError
from antiphon.runtime.transcribing import Spawn

__all__ = ["Judging"]

_log = logging.getLogger(__name__)
_DEADLINE_S = 1.0
"""A judgement that comes later is of no use: silence has decided by then."""
_STEP_BYTES = INPUT_HZ * 2
"""Audio is converted in steps of one second, between which others have their turn."""


class Judging:
    """Answers each order with a ``TurnJudged``, but for those that a newer one replaces."""

    def __init__(
        self, judge: TurnJudge | None, spawn: Spawn, report: Callable[[TurnJudged], None], session_id: str
    ) -> None:
        self._judge = judge
        self._spawn = spawn
        self._report = report
        self._session_id = session_id
        self._waiting: dict[str, JudgeTurn] = {}
        """The newest order of each item; there are no more items than are spoken at a time."""
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def put(self, order: JudgeTurn) -> None:
        if self._judge is None:
            self._tell(order, None)
            return
        self._waiting[order.item_id] = order
        if order.item_id not in self._tasks:
            work = partial(self._run, self._judge, order.item_id)
            self._tasks[order.item_id] = self._spawn(work, f"judge:{order.item_id}")

    def stop_all(self) -> None:
        self._waiting.clear()
        for task in self._tasks.values():
            task.cancel()

    async def _run(self, judge: TurnJudge, item_id: str) -> None:
        try:
            while order := self._waiting.pop(item_id, None):
                self._tell(order, await self._probability(judge, order))
        finally:
            del self._tasks[item_id]

    async def _probability(self, judge: TurnJudge, order: JudgeTurn) -> float | None:
        context = CallContext(self._session_id, item_id=order.item_id, deadline_s=_DEADLINE_S)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                samples = await _samples(order.pcm, judge.sample_rate_hz)
                probability = float(await judge.judge(samples, text=order.text, context=context))
                return probability if 0 <= probability <= 1 else None
        except (EngineError, TimeoutError) as error:
            _log.debug("a turn was not judged: %s", error)
        except Exception:
            # Silence decides then: the session goes on.
            _log.exception("judging a turn failed")
        return None

    def _tell(self, order: JudgeTurn, probability: float | None) -> None:
        self._report(TurnJudged(order.item_id, order.at_sample, probability))


async def _samples(pcm: bytes, hz: int) -> Samples:
    resampler = Resampler(INPUT_HZ, hz)
    pieces: list[bytes] = []
    for start in range(0, len(pcm), _STEP_BYTES):
        pieces.append(resampler.push(pcm[start : start + _STEP_BYTES]))
        await asyncio.sleep(0)
    return pcm_to_samples(b"".join([*pieces, resampler.flush()]))
