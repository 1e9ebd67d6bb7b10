import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.rtc.pacer import Pacer
from antiphon.testing.clock import VirtualTimeLoop, run_virtual
from tests.support.properties import bounded


class _StallingLoop(VirtualTimeLoop):
    """Its clock can be put forward, as if a callback had taken that long."""

    def stall(self, seconds: float) -> None:
        self._now += seconds


def _run(main: Callable[[_StallingLoop], Any]) -> Any:
    with asyncio.Runner(loop_factory=_StallingLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, _StallingLoop)
        return runner.run(main(loop))


def test_ticks_do_not_drift() -> None:
    async def main() -> list[float]:
        ticks: list[float] = []
        pacer = Pacer()
        pacer.add(ticks.append)
        await asyncio.sleep(600.01)
        pacer.close()
        return ticks

    ticks = run_virtual(main())
    assert len(ticks) == 30_000
    assert ticks == pytest.approx([ticks[0] + 0.02 * number for number in range(30_000)])


def test_callbacks_are_spread_over_four_phases() -> None:
    async def main() -> list[list[float]]:
        pacer = Pacer()
        ticks: list[list[float]] = [[] for _ in range(8)]
        for each in ticks:
            pacer.add(each.append)
        await asyncio.sleep(0.1)
        pacer.close()
        return ticks

    ticks = run_virtual(main())
    firsts = sorted(round(each[0] % 0.02 * 1000) % 20 for each in ticks)
    assert firsts == [0, 0, 5, 5, 10, 10, 15, 15]


def test_a_place_that_became_free_is_taken_again() -> None:
    async def main() -> set[int]:
        pacer = Pacer()
        handles = [pacer.add(lambda _: None) for _ in range(8)]
        for handle in handles[1::4]:
            pacer.remove(handle)
        ticks: list[float] = []
        pacer.add(ticks.append)
        await asyncio.sleep(0.1)
        pacer.close()
        return {round(tick % 0.02 * 1000) for tick in ticks}

    assert run_virtual(main()) == {5}


def test_without_callbacks_no_timer_runs() -> None:
    async def main(loop: _StallingLoop) -> None:
        pacer = Pacer()
        handle = pacer.add(lambda _: None)
        await asyncio.sleep(0.05)
        pacer.remove(handle)
        pacer.remove(handle)
        assert not [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        ticks: list[float] = []
        await asyncio.sleep(10.003)
        pacer.add(ticks.append)
        await asyncio.sleep(0.05)
        pacer.close()
        assert len(ticks) in (2, 3)
        assert ticks[0] > 10.05

    _run(main)


@pytest.mark.parametrize(
    ("stall_s", "at_once", "dropped"),
    [(0.005, 1, 0), (0.105, 5, 0), (0.195, 9, 0), (0.305, 1, 14), (7.005, 1, 349)],
)
def test_a_short_stall_is_made_up_for_and_a_long_one_is_not(stall_s: float, at_once: int, dropped: int) -> None:
    async def main(loop: _StallingLoop) -> tuple[list[float], Pacer]:
        ticks: list[float] = []

        def tick(now_s: float) -> None:
            ticks.append(now_s)
            if len(ticks) == 3:
                loop.stall(stall_s)

        pacer = Pacer()
        pacer.add(tick)
        await asyncio.sleep(stall_s + 1.0)
        pacer.close()
        return ticks, pacer

    ticks, pacer = _run(main)
    assert ticks.count(ticks[3]) == at_once
    assert pacer.dropped_ticks == dropped
    spacing = [(tick - ticks[0]) / 0.02 for tick in ticks if tick > ticks[2] + stall_s + 0.02]
    assert spacing == pytest.approx([round(place) for place in spacing])


def test_a_callback_that_raises_is_reported_and_called_again() -> None:
    async def main(loop: _StallingLoop) -> None:
        reports: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        ticks: list[float] = []

        def fail(_: float) -> None:
            raise ValueError("out of order")

        pacer = Pacer()
        for callback in (fail, *[ticks.append] * 7):
            pacer.add(callback)
        await asyncio.sleep(0.1)
        pacer.close()
        assert len(reports) >= 4
        assert {str(report["exception"]) for report in reports} == {"out of order"}
        assert len(ticks) >= 7 * 4

    _run(main)


def test_a_removed_callback_is_not_called_even_within_the_same_tick() -> None:
    async def main(loop: _StallingLoop) -> list[str]:
        pacer = Pacer()
        called: list[str] = []

        def first(_: float) -> None:
            called.append("first")
            for handle in handles[1:]:
                pacer.remove(handle)

        handles = [pacer.add(first)] + [pacer.add(lambda _: called.append("other")) for _ in range(4)]
        loop.stall(0.1)
        await asyncio.sleep(0.001)
        pacer.close()
        return called

    called = _run(main)
    assert called[0] == "first"
    assert "other" not in called


def test_a_callback_added_while_ticks_are_made_up_for_waits_for_its_own() -> None:
    async def main(loop: _StallingLoop) -> list[float]:
        pacer = Pacer()
        added: list[float] = []
        first: list[float] = []

        def tick(now_s: float) -> None:
            if not first:
                first.append(now_s)
                for _ in range(4):
                    pacer.add(added.append)

        pacer.add(tick)
        loop.stall(0.152)
        await asyncio.sleep(0.001)
        assert added == []
        await asyncio.sleep(0.02)
        pacer.close()
        return added

    assert len(_run(main)) == 4


def test_lateness_is_reported_tick_by_tick() -> None:
    async def main(loop: _StallingLoop) -> list[float]:
        late: list[float] = []
        pacer = Pacer(late.append)
        pacer.add(lambda _: None)
        await asyncio.sleep(0.05)
        loop.stall(0.06)
        await asyncio.sleep(0.02)
        pacer.close()
        return late

    late = _run(main)
    assert late[:2] == pytest.approx([0, 0])
    assert late[2:5] == pytest.approx([late[2], late[2] - 0.02, late[2] - 0.04])
    assert late[-1] == pytest.approx(0, abs=1e-6)


@bounded(60)
@given(st.lists(st.tuples(st.floats(0.0, 0.3), st.floats(0.001, 0.5)), max_size=30))
def test_whatever_stalls_ticks_keep_to_the_clock(stalls: list[tuple[float, float]]) -> None:
    """Ticks made and ticks dropped are together those of the clock."""

    async def main(loop: _StallingLoop) -> tuple[int, int, float]:
        ticks: list[float] = []
        pacer = Pacer()
        pacer.add(ticks.append)
        for stall_s, rest_s in stalls:
            loop.stall(stall_s)
            await asyncio.sleep(rest_s)
        await asyncio.sleep(0.021)
        end_s = loop.time()
        pacer.close()
        return len(ticks), pacer.dropped_ticks, end_s

    made, dropped, end_s = _run(main)
    assert abs(made + dropped - math.floor(end_s / 0.02)) <= 1
