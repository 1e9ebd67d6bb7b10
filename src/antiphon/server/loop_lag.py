"""How late the event loop runs: a model that computes on the wrong thread shows here first, and so does overload."""

import asyncio
from collections.abc import Callable
from typing import Final

from antiphon.server.metrics import Histogram

__all__ = ["LAG_BUCKETS_S", "Strain", "watch_loop_lag"]

LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_INTERVAL_S = 0.05
_WEIGHT: Final = 0.1
"""Of the newest lag in their mean: about half a second counts, so one hiccup is not taken for overload."""
_STRAINED_S: Final = 0.05
"""More than the audio of two chunks waits, all the time; beside other work that takes three quarters of both cores the
mean is a tenth of it."""
_EASED_S: Final = 0.02


class Strain:
    """Whether the loop is late all the time, not once."""

    def __init__(self) -> None:
        self._mean_s = 0.0
        self._strained = False

    def step(self, lag_s: float) -> bool:
        """Take one lag; whether the process falls behind."""
        self._mean_s += _WEIGHT * (min(lag_s, 1.0) - self._mean_s)
        self._strained = self._mean_s > (_EASED_S if self._strained else _STRAINED_S)
        return self._strained


async def watch_loop_lag(lag: Histogram, strained: Callable[[bool], None], interval_s: float = _INTERVAL_S) -> None:
    """Observe the lag until cancelled: how much later than asked for a timer fires; ``strained`` is told each time
    whether the loop is late all the time."""
    loop = asyncio.get_running_loop()
    strain = Strain()
    while True:
        due_s = loop.time() + interval_s
        await asyncio.sleep(interval_s)
        lag_s = max(0.0, loop.time() - due_s)
        lag.observe(lag_s)
        strained(strain.step(lag_s))
