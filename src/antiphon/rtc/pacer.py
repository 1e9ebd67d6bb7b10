"""The clock of an endpoint: calls back every 20 ms against an absolute schedule."""

import asyncio
from collections.abc import Callable

__all__ = ["Pacer", "PacerHandle"]

_PERIOD_S = 0.02
_PHASES = 4
_CAUGHT_UP_S = 0.2
"""Ticks missed for longer than this are dropped: a burst of them would help nobody."""

Callback = Callable[[float], None]
"""Is given the loop's time."""


class PacerHandle:
    """A callback's place in the schedule."""

    __slots__ = ("callback", "phase")

    def __init__(self, callback: Callback, phase: "_Phase") -> None:
        self.callback = callback
        self.phase = phase


class Pacer:
    """Ticks at t0 + n * 20 ms for every callback, spread over four phases of 5 ms so that not all stand in one row.

    Ticks do not drift. Of a stall, those of the last 200 ms are made up for at once; of a longer one, none but the
    latest. A callback that raises is reported to the loop's exception handler, and called again at the next tick.
    Without callbacks no timer runs. ``report_late_s`` hears how late each tick comes; ``dropped_ticks`` counts those
    that never came.
    """

    def __init__(self, report_late_s: Callable[[float], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        t0_s = self._loop.time()
        self._phases = [
            _Phase(self._loop, t0_s + number * _PERIOD_S / _PHASES, report_late_s) for number in range(_PHASES)
        ]

    @property
    def dropped_ticks(self) -> int:
        return sum(phase.dropped_ticks for phase in self._phases)

    def add(self, callback: Callback) -> PacerHandle:
        """Call ``callback`` from its next tick on, with the loop's time. The phase with fewest callbacks takes it."""
        phase = min(self._phases, key=lambda phase: len(phase.handles))
        handle = PacerHandle(callback, phase)
        phase.add(handle)
        return handle

    def remove(self, handle: PacerHandle) -> None:
        """From now on it is not called any more, not even for a tick that is being made up for."""
        handle.phase.remove(handle)

    def close(self) -> None:
        """Remove all callbacks."""
        for phase in self._phases:
            for handle in list(phase.handles):
                phase.remove(handle)


class _Phase:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, t0_s: float, report_late_s: Callable[[float], None] | None
    ) -> None:
        self.handles: dict[PacerHandle, None] = {}
        self.dropped_ticks = 0
        self._loop = loop
        self._t0_s = t0_s
        self._report_late_s = report_late_s
        self._tick = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, handle: PacerHandle) -> None:
        self.handles[handle] = None
        if self._timer is None:
            self._tick = max(0, int((self._loop.time() - self._t0_s) / _PERIOD_S) + 1)
            self._wait()

    def remove(self, handle: PacerHandle) -> None:
        self.handles.pop(handle, None)
        if not self.handles and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = self._loop.call_at(self._t0_s + self._tick * _PERIOD_S, self._wake)

    def _wake(self) -> None:
        now_s = self._loop.time()
        late_s = max(0.0, now_s - self._t0_s - self._tick * _PERIOD_S)
        missed = int(late_s / _PERIOD_S)
        if late_s > _CAUGHT_UP_S:
            self.dropped_ticks += missed
        self._tick += missed + 1
        self._wait()
        handles = tuple(self.handles)
        for tick in range(missed + 1) if late_s <= _CAUGHT_UP_S else (0,):
            self._run(handles, now_s)
            if self._report_late_s is not None:
                self._report_late_s(late_s - tick * _PERIOD_S)

    def _run(self, handles: tuple[PacerHandle, ...], now_s: float) -> None:
        for handle in handles:
            if handle not in self.handles:
                continue
            try:
                handle.callback(now_s)
            except Exception as error:
                self._loop.call_exception_handler({"message": "a callback of the pacer failed", "exception": error})
