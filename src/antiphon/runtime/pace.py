"""How fast a client's events are taken: a burst at once, more as time allows; nothing is lost, only read later."""

__all__ = ["Pace"]


class Pace:
    """A token bucket over ``per_s`` events a second, holding two seconds' worth."""

    def __init__(self, per_s: float, now: float) -> None:
        self._per_s = per_s
        self._tokens = 2 * per_s
        self._at = now

    def step(self, now: float) -> float:
        """Take one event; how many seconds to wait before the next one is read."""
        self._tokens = min(2 * self._per_s, self._tokens + (now - self._at) * self._per_s) - 1
        self._at = now
        return max(0.0, -self._tokens / self._per_s)
