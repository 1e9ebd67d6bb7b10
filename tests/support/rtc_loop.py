"""Loops for tests of calls: whatever a test leaves behind, or tells nobody but the loop, is its failure."""

import asyncio
import functools
import gc
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from antiphon.testing.clock import VirtualTimeLoop, assert_no_tasks_left

__all__ = ["in_real_time", "in_virtual_time"]

_P = ParamSpec("_P")
_Test = Callable[_P, Coroutine[Any, Any, None]]


def in_virtual_time(test: _Test[_P]) -> Callable[_P, None]:
    """For what needs no socket: waiting costs nothing."""
    return _in_a_loop(test, VirtualTimeLoop)


def in_real_time(test: _Test[_P]) -> Callable[_P, None]:
    return _in_a_loop(test, asyncio.SelectorEventLoop)


def _in_a_loop(test: _Test[_P], make_loop: Callable[[], asyncio.AbstractEventLoop]) -> Callable[_P, None]:
    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        told: list[dict[str, Any]] = []

        async def watched() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
            await test(*args, **kwargs)
            await asyncio.sleep(0)
            assert_no_tasks_left()
            _assert_no_timers_left()
            gc.collect()  # tasks tell what nobody asked them for when they go
            await asyncio.sleep(0)

        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(watched())
        assert not told

    return run


def _assert_no_timers_left() -> None:
    timers: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled")  # noqa: B009 - private
    left = [timer for timer in timers if not timer.cancelled()]
    assert not left, f"timers left behind: {left}"
