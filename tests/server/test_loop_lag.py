"""Whether the event loop is late all the time, as timers tell."""

import asyncio
from collections.abc import Sequence

import pytest

from antiphon.server.loop_lag import LAG_BUCKETS_S, Strain, watch_loop_lag
from antiphon.server.metrics import Registry
from antiphon.testing.clock import run_virtual

MS = 0.001


@pytest.mark.parametrize(
    ("what", "lags_s", "strained"),
    [
        ("nothing is late", [0.0] * 100, False),
        ("one hiccup", [0.0] * 20 + [0.4], False),
        ("the process stood still for a minute, once, and goes on", [60.0] + [0.0] * 20, False),
        ("beside much other work", [4 * MS] * 200, False),
        ("always later than two chunks of audio", [80 * MS] * 40, True),
        ("it was for a while, and is still half as late", [100 * MS] * 40 + [30 * MS] * 40, True),
        ("it was for a while, and is no more", [100 * MS] * 40 + [5 * MS] * 40, False),
    ],
)
def test_falling_behind_is_being_late_all_the_time(what: str, lags_s: Sequence[float], strained: bool) -> None:
    strain = Strain()
    assert [strain.step(lag_s) for lag_s in lags_s][-1] is strained, what


def test_a_loop_in_time_is_told_to_be_so_at_every_look() -> None:
    async def main() -> None:
        told: list[bool] = []
        lag = Registry().histogram("lag_seconds", "How late.", buckets=LAG_BUCKETS_S)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch_loop_lag(lag, told.append))
            await asyncio.sleep(1.01)
            watching.cancel()
        assert told == [False] * 20

    run_virtual(main())
