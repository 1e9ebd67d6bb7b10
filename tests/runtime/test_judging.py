"""Whether a thought is complete: what the judge hears, what becomes of its word, and that nothing waits for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from antiphon.audio.pcm import pcm_to_samples
from antiphon.audio.resample import resample
from antiphon.core.inputs import TurnJudged
from antiphon.core.outputs import JudgeTurn
from antiphon.engines.base import CallContext, Samples, TurnJudge
from antiphon.engines.errors import EngineError
from antiphon.runtime.judging import Judging
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, ScriptedTurnJudge
from antiphon.vocabulary.errors import EngineErrorKind
from tests.support.audio import tone_ms


def _order(at_sample: int, text: str = "Hello.", item_id: str = "item_1") -> JudgeTurn:
    return JudgeTurn(item_id, at_sample, tone_ms(300), text)


def _judged(
    judge: TurnJudge | None, use: Callable[[Judging, list[TurnJudged]], Coroutine[Any, Any, None]]
) -> list[TurnJudged]:
    facts: list[TurnJudged] = []

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:

            def spawn(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
                return tasks.create_task(work(), name=name)

            await use(Judging(judge, spawn, facts.append, "sess_1"), facts)

    run_virtual(main())
    return facts


def test_the_judge_hears_the_turn_at_its_own_rate_and_knows_its_words_and_session() -> None:
    heard: list[tuple[Samples, str, CallContext]] = []

    class Noting(ScriptedTurnJudge):
        async def judge(self, samples: Samples, *, text: str, context: CallContext) -> float:
            heard.append((samples, text, context))
            return 0.25

    pcm = np.random.default_rng(1).integers(-9000, 9000, 24_000 * 8, np.int16).tobytes()

    async def use(judging: Judging, _: list[TurnJudged]) -> None:
        judging.put(JudgeTurn("item_1", 4800, pcm, "So I went to"))

    assert _judged(Noting(), use) == [TurnJudged("item_1", 4800, 0.25)]
    samples, text, context = heard[0]
    assert np.array_equal(samples, pcm_to_samples(resample(pcm, 24_000, 16_000)))
    assert (text, context.session_id, context.item_id) == ("So I went to", "sess_1", "item_1")


def test_without_a_judge_the_order_is_answered_by_no_judgement() -> None:
    async def use(judging: Judging, _: list[TurnJudged]) -> None:
        judging.put(_order(1))

    assert _judged(None, use) == [TurnJudged("item_1", 1, None)]


@pytest.mark.parametrize(
    "trouble", [EngineError(EngineErrorKind.OVERLOADED, "no"), RuntimeError("a bug"), HANG, 1.5, float("nan")]
)
def test_a_judge_that_fails_hangs_or_says_nonsense_gives_no_judgement_and_the_next_is_asked(trouble: Any) -> None:
    async def use(judging: Judging, facts: list[TurnJudged]) -> None:
        judging.put(_order(1))
        await asyncio.sleep(5)
        assert facts == [TurnJudged("item_1", 1, None)]
        judging.put(_order(2))

    assert _judged(ScriptedTurnJudge([trouble]), use)[1:] == [TurnJudged("item_1", 2, 0.9)]


def test_the_newest_order_of_an_item_replaces_the_one_that_waits() -> None:
    judge = ScriptedTurnJudge(delay_s=0.1)

    async def use(judging: Judging, _: list[TurnJudged]) -> None:
        judging.put(_order(1, "one"))
        await asyncio.sleep(0.05)
        for at_sample in (2, 3, 4):
            judging.put(_order(at_sample, f"text {at_sample}"))

    assert [fact.at_sample for fact in _judged(judge, use)] == [1, 4]
    assert list(judge.judged) == ["one", "text 4"]


def test_items_are_judged_beside_each_other() -> None:
    judge = ScriptedTurnJudge(delay_s=0.1)

    async def use(judging: Judging, _: list[TurnJudged]) -> None:
        judging.put(_order(1))
        judging.put(_order(2, item_id="item_2"))

    assert len(_judged(judge, use)) == 2
    assert judge.most_running == 2


def test_a_session_that_ends_leaves_no_judgement_under_way() -> None:
    judge = ScriptedTurnJudge([HANG])

    async def use(judging: Judging, _: list[TurnJudged]) -> None:
        judging.put(_order(1))
        await asyncio.sleep(0.01)
        judging.put(_order(2))
        judging.stop_all()

    assert _judged(judge, use) == []
    assert judge.running == 0
