"""How late the event loop runs: a model that computes on the wrong thread shows here first."""

import asyncio

from antiphon.server.metrics import Histogram

__all__ = ["LAG_BUCKETS_S", "watch_loop_lag"]

LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_INTERVAL_S = 0.05


async def watch_loop_lag(lag: Histogram, interval_s: float = _INTERVAL_S) -> None:
    """Observe the lag until cancelled: how much later than asked for a timer fires."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + interval_s
        await asyncio.sleep(interval_s)
        lag.observe(max(0.0, loop.time() - due_s))
