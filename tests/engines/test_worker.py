"""Threads are real here; every wait is for an event, and the timeouts only end a test that would hang."""

import asyncio
import functools
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, ParamSpec

import pytest

from antiphon.engines.errors import EngineError
from antiphon.engines.worker import Cancelled, Worker
from antiphon.vocabulary.errors import EngineErrorKind

PATIENCE_S = 10.0

_P = ParamSpec("_P")


def in_a_loop(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Gate:
    """A blocking call that tells when it was entered and waits to be let through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def pass_(self) -> str:
        self.entered.set()
        assert self.opened.wait(PATIENCE_S)
        return "through"

    async def until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, PATIENCE_S)


@contextmanager
def worker_of(threads: int = 1, *, queue_limit: int = 64, nice: int = 0) -> Iterator[Worker]:
    """A worker that is closed afterwards and must leave no thread."""
    name = f"test-worker-{time.monotonic_ns()}"
    worker = Worker(name, threads=threads, queue_limit=queue_limit, nice=nice)
    try:
        yield worker
    finally:
        worker.close()
        for thread in threading.enumerate():
            if thread.name.startswith(name):
                thread.join(PATIENCE_S)
                assert not thread.is_alive(), f"{thread.name} was left behind"


async def settle(worker: Worker, load: int = 0) -> None:
    """Wait until so many calls are in the worker."""
    async with asyncio.timeout(PATIENCE_S):
        while worker.load != load:  # noqa: ASYNC110 - the worker announces no change of its load
            await asyncio.sleep(0)


async def drain(stream: AsyncGenerator[int, None]) -> None:
    async with aclosing(stream) as values:
        async for _ in values:
            pass


def count_up(cancelled: Cancelled) -> Iterator[int]:
    number = 0
    while not cancelled():
        yield number
        number += 1


@in_a_loop
async def test_a_call_runs_on_a_thread_of_the_worker_and_returns_its_value() -> None:
    with worker_of() as worker:
        name = await worker.run(lambda: threading.current_thread().name)
        assert name.startswith("test-worker")
        assert await worker.run(divmod, 17, 5) == (3, 2)
        await settle(worker)


@in_a_loop
async def test_a_started_call_can_be_looked_at_and_awaited_later() -> None:
    gate = Gate()
    with worker_of() as worker:
        call = worker.start(gate.pass_)
        await gate.until_entered()
        assert not call.done()
        gate.opened.set()
        assert await call == "through"
        await settle(worker)


@in_a_loop
async def test_the_loop_stays_free_while_a_call_blocks() -> None:
    gate = Gate()
    with worker_of() as worker:
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(worker.run(gate.pass_))
            await gate.until_entered()
            assert not call.done()
            gate.opened.set()
        assert call.result() == "through"


@in_a_loop
async def test_a_call_beyond_the_limit_is_refused_as_overloaded_and_the_others_go_on() -> None:
    gate = Gate()
    with worker_of(queue_limit=2) as worker:
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(worker.run(gate.pass_)) for _ in range(3)]
            await gate.until_entered()
            assert worker.load == 3
            with pytest.raises(EngineError) as refused:
                await worker.run(gate.pass_)
            with pytest.raises(EngineError):
                await anext(worker.stream(count_up))
            gate.opened.set()
        assert refused.value.kind is EngineErrorKind.OVERLOADED
        assert refused.value.retryable
        assert [call.result() for call in calls] == ["through"] * 3
        await settle(worker)
        assert await worker.run(gate.pass_) == "through"


@in_a_loop
async def test_a_cancelled_call_that_waits_never_runs_and_one_that_runs_keeps_its_place() -> None:
    running, waiting = Gate(), Gate()
    with worker_of(queue_limit=1) as worker:
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(worker.run(gate.pass_)) for gate in (running, waiting)]
            await running.until_entered()
            for call in calls:
                call.cancel()
        assert all(call.cancelled() for call in calls)
        assert worker.load == 1
        running.opened.set()
        await settle(worker)
        assert not waiting.entered.is_set()


@in_a_loop
async def test_an_engine_error_comes_out_as_it_is() -> None:
    error = EngineError(EngineErrorKind.BAD_INPUT, "no audio")

    def fail() -> None:
        raise error

    with worker_of() as worker:
        with pytest.raises(EngineError) as raised:
            await worker.run(fail)
        assert raised.value is error


@pytest.mark.parametrize("foreign", [ValueError("/a/path"), StopIteration(), MemoryError()])
@in_a_loop
async def test_any_other_exception_is_logged_and_becomes_a_failure_without_details(
    foreign: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise foreign

    def fail_late(_: Cancelled) -> Iterator[int]:
        yield 1
        fail_now()

    def fail_now() -> None:
        raise ValueError("/a/path")

    with worker_of() as worker, caplog.at_level(logging.ERROR):
        with pytest.raises(EngineError) as raised:
            await worker.run(fail)
        assert raised.value.kind is EngineErrorKind.FAILED
        assert raised.value.__cause__ is foreign
        assert "path" not in raised.value.message
        async with aclosing(worker.stream(fail_late)) as values:
            assert await anext(values) == 1
            with pytest.raises(EngineError) as raised:
                await anext(values)
        assert raised.value.kind is EngineErrorKind.FAILED
    assert len(caplog.records) == 2


@in_a_loop
async def test_a_stream_yields_all_values_in_order_none_included() -> None:
    with worker_of() as worker:
        async with aclosing(worker.stream(lambda _: iter([1, None, 2, *range(100)]))) as values:
            assert [value async for value in values] == [1, None, 2, *range(100)]
        await settle(worker)


@pytest.mark.parametrize("ahead", [1, 2, 4])
@in_a_loop
async def test_a_stream_runs_only_so_far_before_its_consumer(ahead: int) -> None:
    made: list[int] = []

    def produce(_: Cancelled) -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with worker_of() as worker:
        async with aclosing(worker.stream(produce, ahead=ahead)) as values:
            for taken in range(20):
                assert await anext(values) == taken
                # The value just taken is in use until the next is asked for.
                assert len(made) <= taken + ahead


@in_a_loop
async def test_closing_a_stream_returns_at_once_while_its_thread_computes_and_nothing_comes_after() -> None:
    gate = Gate()
    after: list[bool] = []

    def produce(cancelled: Cancelled) -> Iterator[int]:
        yield 1
        gate.pass_()
        after.append(cancelled())
        yield 2

    with worker_of() as worker:
        stream = worker.stream(produce)
        assert await anext(stream) == 1
        await gate.until_entered()
        started = time.perf_counter()
        await stream.aclose()
        assert time.perf_counter() - started < 0.1
        assert worker.load == 1
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        gate.opened.set()
        await settle(worker)
        assert after == [True]


@in_a_loop
async def test_closing_a_stream_wakes_and_closes_a_producer_that_waits_for_its_consumer() -> None:
    closed = threading.Event()

    def produce(_: Cancelled) -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    with worker_of() as worker:
        stream = worker.stream(produce, ahead=1)
        await anext(stream)
        await stream.aclose()
        await settle(worker)
        assert closed.is_set()


@in_a_loop
async def test_cancelling_the_consumer_of_a_stream_ends_its_producer() -> None:
    gate = Gate()

    def produce(cancelled: Cancelled) -> Iterator[int]:
        gate.pass_()
        yield from count_up(cancelled)

    with worker_of() as worker:
        async with asyncio.TaskGroup() as tasks:
            consumer = tasks.create_task(drain(worker.stream(produce)))
            await gate.until_entered()
            consumer.cancel()
        gate.opened.set()
        await settle(worker)


@in_a_loop
async def test_a_stream_closed_before_its_turn_never_runs() -> None:
    gate, started = Gate(), threading.Event()

    def produce(_: Cancelled) -> Iterator[int]:
        started.set()
        yield 1

    async def first(stream: AsyncGenerator[int, None]) -> int:
        async with aclosing(stream) as values:
            return await anext(values)

    with worker_of() as worker:
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(worker.run(gate.pass_))
            await gate.until_entered()
            waiting = tasks.create_task(first(worker.stream(produce)))
            await settle(worker, 2)
            waiting.cancel()
            await asyncio.wait([waiting])
            gate.opened.set()
        assert call.result() == "through"
        await settle(worker)
        assert not started.is_set()


@in_a_loop
async def test_closing_the_worker_ends_everything_as_unavailable() -> None:
    gate = Gate()
    with worker_of(threads=2) as worker:
        stream = worker.stream(lambda _: iter(range(100)), ahead=1)
        assert await anext(stream) == 0
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(worker.run(gate.pass_))
            await gate.until_entered()
            waiting = tasks.create_task(_kind_of_failure(worker))
            await settle(worker, 3)
            worker.close()
            gate.opened.set()
        assert running.result() == "through"
        assert waiting.result() is EngineErrorKind.UNAVAILABLE
        with pytest.raises(EngineError) as raised:
            await drain(stream)
        assert raised.value.kind is EngineErrorKind.UNAVAILABLE
        assert await _kind_of_failure(worker) is EngineErrorKind.UNAVAILABLE


async def _kind_of_failure(worker: Worker) -> EngineErrorKind:
    with pytest.raises(EngineError) as raised:
        await worker.run(lambda: None)
    return raised.value.kind


def test_no_thread_is_left_after_the_worker_and_its_loop_are_gone() -> None:
    async def use(worker: Worker) -> None:
        stream = worker.stream(count_up)
        await anext(stream)  # neither read to its end nor closed: the end of the loop must do that

    before = threading.active_count()
    with worker_of(threads=3) as worker:
        asyncio.run(use(worker))
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
@in_a_loop
async def test_nice_lowers_the_priority_of_the_threads_only() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with worker_of(nice=3) as worker:
        assert await worker.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())) == before + 3
        assert os.getpriority(os.PRIO_PROCESS, 0) == before
