"""An event loop on virtual time: waiting costs nothing, and a forgotten task is an error.

``loop.time()`` starts at 0 and jumps to the next timer as soon as nothing is ready to run. It stands still while a call
made by ``run_in_executor`` or ``asyncio.to_thread`` runs. Other threads and sockets are served, but the loop cannot
know that they are about to speak: a test that relies on them must not have a timer running against them.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple

__all__ = ["VirtualTimeLoop", "assert_no_tasks_left", "run_virtual"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

_Ready = list[tuple[selectors.SelectorKey, int]]


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps.

    A test that cannot go on ends with ``RuntimeError``: after ``stuck_after_s`` real seconds in which nothing could
    happen, or when virtual time reaches ``horizon_s`` (only timers run that start themselves anew).
    """

    def __init__(self, *, stuck_after_s: float = 10.0, horizon_s: float = 4 * 3600.0) -> None:
        self._now = 0.0
        self._threads_busy = 0
        self._stuck_after_s = stuck_after_s
        self._horizon_s = horizon_s
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def run_in_executor(self, executor: Any, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        future = super().run_in_executor(executor, func, *args)
        self._threads_busy += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self._threads_busy += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._threads_busy -= 1

    def _thread_done(self, _: object) -> None:
        self._threads_busy -= 1

    def _wait(self, select: Callable[[float | None], _Ready], timeout_s: float | None) -> _Ready:
        """Wait for real where only a thread or a socket can go on; else jump to the next timer."""
        if ready := select(0):
            return ready
        if timeout_s is None or (timeout_s > 0 and self._threads_busy):
            ready = select(self._stuck_after_s)
            if not ready:
                raise RuntimeError(f"stuck: nothing could happen for {self._stuck_after_s:g} s")
            return ready
        self._now += max(0.0, timeout_s)
        if self._now > self._horizon_s:
            self._horizon_s *= 2  # the clean-up after this error needs time of its own
            raise RuntimeError(f"stuck: timers run on after {self._now:g} s of virtual time")
        return ready


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> _Ready:
        return self._loop._wait(super().select, timeout)


def run_virtual(main: Coroutine[Any, Any, _T]) -> _T:
    """``asyncio.run`` on virtual time. Raises ``AssertionError`` if ``main`` leaves a task behind."""

    async def supervised() -> _T:
        result = await main
        assert_no_tasks_left()
        return result

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(supervised())


def assert_no_tasks_left() -> None:
    """Raise ``AssertionError`` naming every task of the running loop but the current one."""
    current = asyncio.current_task()
    left = sorted(repr(task) for task in asyncio.all_tasks() if task is not current)
    if left:
        raise AssertionError("tasks left behind:\n" + "\n".join(left))
