"""Virtual time: the loop never waits where only a timer can go on, and always where a thread can."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from antiphon.testing.clock import VirtualTimeLoop, assert_no_tasks_left, run_virtual


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def test_an_hour_of_sleep_takes_no_real_time() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return _now_s()

    started = time.perf_counter()
    assert run_virtual(main()) == pytest.approx(3600)
    assert time.perf_counter() - started < 1


def test_timers_of_several_tasks_fire_in_the_order_of_their_times() -> None:
    fired: list[tuple[str, float]] = []

    async def wait(name: str, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        fired.append((name, _now_s()))

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait("late", 2.0))
            tasks.create_task(wait("early", 0.5))
            tasks.create_task(wait("middle", 1.0))

    run_virtual(main())
    assert [name for name, _ in fired] == ["early", "middle", "late"]
    assert [at for _, at in fired] == pytest.approx([0.5, 1.0, 2.0])


def test_a_timeout_expires_at_its_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return _now_s()

    assert run_virtual(main()) == pytest.approx(30)


async def _by_to_thread(work: Callable[[], str]) -> str:
    return await asyncio.to_thread(work)


async def _by_own_thread(work: Callable[[], str]) -> str:
    loop = asyncio.get_running_loop()
    result: asyncio.Future[str] = loop.create_future()
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(result.set_result, work()))
    thread.start()
    try:
        return await result
    finally:
        thread.join()


@pytest.mark.parametrize("call", [_by_to_thread, _by_own_thread])
def test_a_thread_that_answers_wakes_the_loop(call: Callable[[Callable[[], str]], Awaitable[str]]) -> None:
    gate = threading.Event()

    async def main() -> str:
        asyncio.get_running_loop().call_soon(gate.set)
        return await call(lambda: "answered" if gate.wait(5) else "never")

    assert run_virtual(main()) == "answered"


def test_time_stands_still_while_a_thread_of_the_executor_works() -> None:
    async def main() -> float:
        async with asyncio.timeout(0.001):
            await asyncio.to_thread(threading.Event().wait, 0.05)
        return _now_s()

    assert run_virtual(main()) == 0


def test_a_loop_on_which_nothing_can_happen_says_so() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    with (
        asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(stuck_after_s=0.05)) as runner,
        pytest.raises(RuntimeError, match="stuck"),
    ):
        runner.run(stuck())


def test_timers_that_start_themselves_for_ever_are_stopped_at_the_horizon() -> None:
    async def tick() -> None:
        for _ in range(1000):
            await asyncio.sleep(1)

    with (
        asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(horizon_s=100)) as runner,
        pytest.raises(RuntimeError, match="timers run on after 101 s"),
    ):
        runner.run(tick())


def test_a_task_left_behind_is_named() -> None:
    async def main() -> None:
        asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="forgotten")

    with pytest.raises(AssertionError, match="forgotten"):
        run_virtual(main())


def test_finished_tasks_are_not_left_behind() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(1))
        assert_no_tasks_left()

    run_virtual(main())


def test_the_failure_of_main_is_what_comes_out() -> None:
    async def main() -> None:
        asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="forgotten")
        raise LookupError("first")

    with pytest.raises(LookupError, match="first"):
        run_virtual(main())
