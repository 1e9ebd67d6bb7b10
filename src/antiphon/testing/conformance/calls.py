"""The rules that hold for the calls of every kind of engine: closing, cancelling, sharing, ending."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from antiphon.engines.base import CallContext, EngineInfo
from antiphon.engines.errors import EngineError
from antiphon.testing.conformance.check import (
    Check,
    ContractError,
    Material,
    Rule,
    Source,
    Stopwatch,
    collect,
    context,
    require,
    require_natural,
    together,
)
from antiphon.testing.conformance.cpu import Meter, computes, pass_real_time
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["Calls", "check_of", "common_checks", "lifecycle_checks", "promptly_cancelled", "quiet", "settled"]

_CLOSE_S = 0.1

Stream = AsyncGenerator[Any, None]
Open = Callable[[Any, Material, CallContext], Stream]


@dataclass(frozen=True, slots=True)
class Calls:
    """How the calls of one kind are made and judged."""

    plain: Open
    """A short call that must succeed."""
    long: Open
    """A call that yields early and has much left to do."""
    heavy: Open
    """A call that computes long before it yields."""
    judge: Callable[[Any, list[Any], Material], None]
    """Holds the results of a plain call against the contract."""
    streams: bool = True
    """False where the engine's own call is no generator: then there is nothing to close."""
    starved: Callable[[Any, Material, Source[Any]], Stream] | None = None
    """A call on this input, which never ends."""
    input: Callable[[Any, Material], list[Any]] = lambda engine, material: []


CallRule = Callable[[Calls, Any, Material], Awaitable[None]]


def check_of(rule: Rule) -> Check:
    """A rule function as a check: its name and the first line of its docstring."""
    return Check(rule.__name__, (rule.__doc__ or "").strip().splitlines()[0], rule)


def common_checks(calls: Calls) -> tuple[Check, ...]:
    rules = (*_RULES, *(_STREAM_RULES if calls.streams else ()), *(_STARVED_RULES if calls.starved else ()))
    return tuple(_check(rule, calls) for rule in rules)


def _check(rule: CallRule, calls: Calls) -> Check:
    async def run(engine: Any, material: Material) -> None:
        await rule(calls, engine, material)

    return Check(rule.__name__, (rule.__doc__ or "").strip().splitlines()[0], run)


async def warm_up_may_be_called_again(calls: Calls, engine: Any, material: Material) -> None:
    """Warming up twice does no harm."""
    await engine.warm_up()
    await engine.warm_up()
    calls.judge(engine, await collect(calls.plain(engine, material, context())), material)


async def concurrent_calls_are_served(calls: Calls, engine: Any, material: Material) -> None:
    """Sessions share the engine: each of several calls at once gets its own result, or is refused as overloaded."""

    async def one(call: int) -> bool:
        try:
            results = await collect(calls.plain(engine, material, context(call)))
        except EngineError as error:
            if error.kind is EngineErrorKind.OVERLOADED:
                return False
            raise
        calls.judge(engine, results, material)
        return True

    served = await together(*(one(call) for call in range(3)))
    require(any(served), "none of three calls at once was served")


async def closing_a_stream_takes_100_ms_at_most(calls: Calls, engine: Any, material: Material) -> None:
    """aclose() of a stream returns within 100 ms, and nothing comes out of it afterwards."""

    async def attempt() -> float:
        stream = calls.long(engine, material, context())
        async with aclosing(stream):
            await anext(stream, None)
            watch = Stopwatch()
            await stream.aclose()
            elapsed_s = watch.elapsed_s
            late = await anext(stream, None)
            require(late is None, f"after aclose() the stream yielded {late!r}")
            return elapsed_s

    await _promptly(attempt, "aclose() took")


async def a_cancelled_call_ends_within_100_ms(calls: Calls, engine: Any, material: Material) -> None:
    """Cancelling a call ends it within 100 ms, and CancelledError is what comes out."""
    for delay_s in (0.0, 0.03, 0.2):

        async def attempt(delay_s: float = delay_s) -> float:
            async with asyncio.TaskGroup() as tasks:
                call = _Consumer(calls.heavy(engine, material, context()), tasks)
                await asyncio.sleep(delay_s)
                return await call.cancelled_in_s()

        await _promptly(attempt, f"the end of a call cancelled after {delay_s * 1000:.0f} ms took")


async def a_call_that_waits_for_input_can_be_cancelled(calls: Calls, engine: Any, material: Material) -> None:
    """A call whose input stalls ends within 100 ms when it is cancelled, and reads no more input."""
    starved = calls.starved
    assert starved is not None

    async def attempt() -> float:
        source = Source(calls.input(engine, material), endless=True)
        async with asyncio.TaskGroup() as tasks:
            call = _Consumer(starved(engine, material, source), tasks)
            await source.drained.wait()
            reads = source.reads
            elapsed_s = await call.cancelled_in_s()
        await pass_real_time(0.05)
        require(source.reads == reads, "input was read after the call had ended")
        return elapsed_s

    await _promptly(attempt, "the end of a call whose input stalls took")


async def a_closed_call_leaves_the_others_alone(calls: Calls, engine: Any, material: Material) -> None:
    """Closing one call does not disturb another."""

    async def survivor() -> None:
        calls.judge(engine, await collect(calls.plain(engine, material, context(0))), material)

    async def closed() -> None:
        stream = calls.long(engine, material, context(1))
        async with aclosing(stream):
            await _unless_overloaded(anext(stream, None))

    async def cancelled() -> None:
        async with asyncio.TaskGroup() as tasks:
            call = _Consumer(calls.heavy(engine, material, context(2)), tasks)
            await asyncio.sleep(0.01)
            await call.cancelled_in_s()

    await together(survivor(), closed(), cancelled())


async def computation_ends_within_residual_ms(calls: Calls, engine: Any, material: Material) -> None:
    """What cannot be stopped at once (threads, tasks, child processes) runs out within info.residual_ms of the end."""
    await collect(calls.plain(engine, material, context()))
    await quiet()
    before = asyncio.all_tasks()
    residual_s = engine.info.residual_ms / 1000

    stream = calls.long(engine, material, context())
    async with aclosing(stream):
        await anext(stream, None)
    await settled(residual_s, before, "closed after its first result")

    for delay_s in (0.05, 0.3):
        async with asyncio.TaskGroup() as tasks:
            call = _Consumer(calls.heavy(engine, material, context()), tasks)
            await asyncio.sleep(delay_s)
            await call.cancelled_in_s()
        await settled(residual_s, before, f"cancelled after {delay_s * 1000:.0f} ms")


async def closed_calls_use_up_nothing(calls: Calls, engine: Any, material: Material) -> None:
    """After calls that were closed or cancelled the next one succeeds."""
    for _ in range(4):
        async with asyncio.TaskGroup() as tasks:
            call = _Consumer(calls.heavy(engine, material, context()), tasks)
            await asyncio.sleep(0.01)
            await call.cancelled_in_s()
    await pass_real_time(engine.info.residual_ms / 1000)
    calls.judge(engine, await collect(calls.plain(engine, material, context())), material)


_RULES: tuple[CallRule, ...] = (
    warm_up_may_be_called_again,
    concurrent_calls_are_served,
    a_cancelled_call_ends_within_100_ms,
    a_closed_call_leaves_the_others_alone,
    computation_ends_within_residual_ms,
    closed_calls_use_up_nothing,
)
_STREAM_RULES: tuple[CallRule, ...] = (closing_a_stream_takes_100_ms_at_most,)
_STARVED_RULES: tuple[CallRule, ...] = (a_call_that_waits_for_input_can_be_cancelled,)


async def the_engine_describes_itself(engine: Any, material: Material) -> None:
    """info names the engine and its version, and declares residual_ms."""
    info = engine.info
    require(isinstance(info, EngineInfo), f"info is {info!r}, no EngineInfo")
    require(info.name and isinstance(info.name, str), "info.name is empty")
    require(isinstance(info.version, str), f"info.version is {info.version!r}, no text")
    require_natural(info.residual_ms, "info.residual_ms")


async def aclose_may_be_called_again(engine: Any, material: Material) -> None:
    """Closing the engine twice does no harm. This check ends the engine."""
    await engine.aclose()
    await engine.aclose()


def lifecycle_checks() -> tuple[Check, Check]:
    """The first and the last check of every kind."""
    return check_of(the_engine_describes_itself), check_of(aclose_may_be_called_again)


class _Consumer:
    """Reads a stream to its end in a task of its own."""

    def __init__(self, stream: Stream, tasks: asyncio.TaskGroup) -> None:
        self._error: Exception | None = None
        self._task = tasks.create_task(self._consume(stream))

    async def _consume(self, stream: Stream) -> None:
        try:
            await collect(stream)
        except Exception as error:
            self._error = error

    async def cancelled_in_s(self) -> float:
        """Cancel, and say how long the end took; 0 where the call had ended already."""
        if self._task.done():
            if self._error is not None:
                await _unless_overloaded(_raised(self._error))
            return 0.0
        watch = Stopwatch()
        self._task.cancel()
        await asyncio.wait([self._task])
        elapsed_s = watch.elapsed_s
        if self._error is not None:
            raise ContractError(f"cancelled, the call raised {type(self._error).__name__}") from self._error
        require(self._task.cancelled(), "the call swallowed its cancellation")
        return elapsed_s


async def promptly_cancelled(begin: Callable[[], Stream], delay_s: float, what: str) -> None:
    """Cancel a call after a while: that must end it within 100 ms."""

    async def attempt() -> float:
        async with asyncio.TaskGroup() as tasks:
            call = _Consumer(begin(), tasks)
            await asyncio.sleep(delay_s)
            return await call.cancelled_in_s()

    await _promptly(attempt, what)


async def _raised(error: Exception) -> None:
    raise error


async def _unless_overloaded(call: Awaitable[Any]) -> None:
    try:
        await call
    except EngineError as error:
        if error.kind is not EngineErrorKind.OVERLOADED:
            raise


async def _promptly(attempt: Callable[[], Awaitable[float]], what: str) -> None:
    """One slow attempt may be the machine's fault; of two more neither may be slow."""
    if await attempt() <= _CLOSE_S:
        return
    slowest_s = max(await attempt(), await attempt())
    require(slowest_s <= _CLOSE_S, f"{what} {slowest_s * 1000:.0f} ms")


async def quiet() -> None:
    """Wait for what ran before, for a few seconds: it is not to be blamed on the calls that follow."""
    for _ in range(10):
        if not await computes():
            return
    raise ContractError("the process computes without any call under way")


async def settled(residual_s: float, before: set["asyncio.Task[Any]"], how: str) -> None:
    meter = Meter()
    await pass_real_time(residual_s)
    while await computes():
        # Where others take the cores, what counts is the CPU time that the residual is worth.
        if not meter.crowded or meter.used_s > residual_s * (os.cpu_count() or 1):
            raise ContractError(f"computation still ran {residual_s * 1000:.0f} ms after a call was {how}")
    left = [repr(task) for task in asyncio.all_tasks() - before if not task.done()]
    require(not left, f"a call {how} left tasks behind: {', '.join(left)}")
