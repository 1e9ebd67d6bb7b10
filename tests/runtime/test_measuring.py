"""Items are measured several at a time; a model that cannot count costs nothing but the figures."""

import asyncio
from collections.abc import Sequence

from antiphon.core.inputs import ItemMeasured
from antiphon.core.outputs import MeasureItem
from antiphon.engines.errors import EngineError
from antiphon.runtime.measuring import Measuring
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedLlm
from antiphon.vocabulary.errors import EngineErrorKind


class Counter(ScriptedLlm):
    """Takes a second for each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        self.error: EngineError | None = None

    async def count(self, texts: Sequence[str]) -> list[int]:
        self.calls.append(list(texts))
        await asyncio.sleep(1)
        if self.error is not None:
            raise self.error
        return await super().count(texts)


def _measured(llm: Counter, *orders: MeasureItem, late: Sequence[MeasureItem] = ()) -> dict[str, int]:
    facts: list[ItemMeasured] = []

    async def main() -> None:
        measuring = Measuring(llm, facts.append)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(measuring.run())
            for order in orders:
                measuring.put(order)
            await asyncio.sleep(0.5)
            for order in late:
                measuring.put(order)
            await asyncio.sleep(600)
            running.cancel()

    run_virtual(main())
    return {fact.item_id: fact.tokens for fact in facts}


def test_what_waits_is_counted_in_one_call() -> None:
    llm = Counter()
    orders = [MeasureItem(f"item_{number}", "word " * number) for number in range(10)]
    assert _measured(llm, *orders) == {f"item_{number}": number for number in range(10)}
    assert len(llm.calls) == 1


def test_a_call_holds_64_texts_at_most() -> None:
    llm = Counter()
    _measured(llm, *(MeasureItem(f"item_{number}", "word") for number in range(150)))
    assert [len(call) for call in llm.calls] == [64, 64, 22]


def test_an_item_that_changes_while_it_waits_is_counted_once_as_it_is_now() -> None:
    llm = Counter()
    late = [MeasureItem("item_1", "one"), MeasureItem("item_1", "one two")]
    assert _measured(llm, MeasureItem("item_0", "first"), late=late) == {"item_0": 1, "item_1": 2}
    assert llm.calls == [["first"], ["one two"]]


def test_what_cannot_be_counted_is_left_and_what_comes_later_is_counted() -> None:
    llm = Counter()
    llm.error = EngineError(EngineErrorKind.UNAVAILABLE, "gone")
    assert _measured(llm, MeasureItem("item_0", "first")) == {}
    llm.error = None
    assert _measured(llm, MeasureItem("item_1", "second")) == {"item_1": 1}


def test_what_waits_for_a_model_that_does_not_count_is_bounded() -> None:
    llm = Counter()
    text = "word " * 200_000
    late = [MeasureItem(f"item_{number}", text) for number in range(50)]
    counted = _measured(llm, MeasureItem("item_first", "one"), late=late)
    assert len(counted) == 1 + 4
