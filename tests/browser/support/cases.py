"""Tests of browsers are coroutine functions that all run at the same time, a few at once: mostly they wait.

A test that asks for ``world`` is such a test. It may ask for fixtures of the session and for its parameters besides.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Final

import pytest

__all__ = ["Outcome", "arguments", "asynchronous", "run_all"]

_AT_ONCE: Final = 4
_CASE_S: Final = 60.0


@dataclass(frozen=True)
class Outcome:
    seconds: float
    error: BaseException | None


def asynchronous(items: Sequence[pytest.Item]) -> list[pytest.Function]:
    return [item for item in items if isinstance(item, pytest.Function) and iscoroutinefunction(item.obj)]


def arguments(test: pytest.Function, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the test is called with, ``world`` excepted."""
    code = test.obj.__code__
    names = [name for name in code.co_varnames[: code.co_argcount] if name != "world"]
    given: dict[str, Any] = test.callspec.params if hasattr(test, "callspec") else {}
    return {name: given[name] if name in given else request.getfixturevalue(name) for name in names}


async def run_all(calls: Sequence[tuple[pytest.Function, dict[str, Any]]]) -> dict[str, Outcome]:
    """By node id, what came of each test. Those marked ``alone`` run at the end, one by one: they measure time."""
    outcomes: dict[str, Outcome] = {}

    async def run(test: pytest.Function, given: dict[str, Any], room: asyncio.Semaphore) -> None:
        async with room:
            outcomes[test.nodeid] = await _outcome(test, given)

    for alone, at_once in ((False, _AT_ONCE), (True, 1)):
        room = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as tasks:
            for test, given in calls:
                if (test.get_closest_marker("alone") is not None) == alone:
                    tasks.create_task(run(test, given, room), name=test.name)
    return outcomes


async def _outcome(test: pytest.Function, given: dict[str, Any]) -> Outcome:
    began = time.monotonic()
    error = None
    try:
        async with asyncio.timeout(_CASE_S):
            await test.obj(**given)
    except Exception as raised:
        error = raised
    return Outcome(time.monotonic() - began, error)
