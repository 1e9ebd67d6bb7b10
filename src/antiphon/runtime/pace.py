"""How fast a client's events are taken: a burst at once, more as time allows; nothing is lost, only read later."""

import asyncio

__all__ = ["Pace"]


class Pace:
    """A token bucket over ``per_s`` events a second, holding two seconds' worth."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._tokens = 2 * per_s
        self._at = asyncio.get_running_loop().time()

    async def step(self) -> None:
        """Wait until one more event may be taken."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(2 * self._per_s, self._tokens + (now - self._at) * self._per_s) - 1
        self._at = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._per_s)
