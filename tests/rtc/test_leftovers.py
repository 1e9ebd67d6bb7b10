"""What is left of calls that are over: nothing."""

import asyncio
import gc
import weakref
from typing import Any

import psutil

from antiphon.rtc.endpoint import Endpoint
from tests.support.rtc_caller import calling
from tests.support.rtc_endpoint import Owner, answered_by, open_endpoint
from tests.support.rtc_loop import in_real_time


def tasks_named_rtc() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("rtc")]


async def one_call(endpoint: Endpoint, number: int) -> "weakref.ref[Any]":
    owner = Owner()
    async with calling(answered_by(endpoint, owner), protocol=("udp", "tcp")[number % 2]) as caller:
        await caller.connect()
        assert owner.call is not None
        owner.call.play("tag", bytes(960))
        caller.say(b"\xf8\xff\xfe")
        caller.send("hello")
        await owner.until("message", "hello")
        await owner.until("ended", "tag")
        if number % 3 == 0:
            owner.call.close()
        else:
            await caller.close()
        await owner.until("closed")
    call, owner.call = owner.call, None
    return weakref.ref(call)


@in_real_time
async def test_nothing_of_a_call_is_left_when_it_is_over_not_even_a_cycle() -> None:
    async with open_endpoint() as endpoint:
        await one_call(endpoint, 0)
        gc.collect()
        gc.disable()
        try:
            left = [await one_call(endpoint, number) for number in range(6)]
            await asyncio.sleep(0.1)
            assert [call() for call in left] == [None] * 6
        finally:
            gc.enable()
        assert tasks_named_rtc() == ["rtc reaper"]
        assert sum(local.paths for local in endpoint._udp) == endpoint._listener.connections == endpoint._mux.names == 0


@in_real_time
async def test_150_calls_leave_no_memory_socket_or_task() -> None:
    process = psutil.Process()
    async with open_endpoint() as endpoint:

        async def some_calls(count: int) -> None:
            for at in range(0, count, 10):
                async with asyncio.TaskGroup() as tasks:
                    for number in range(at, min(at + 10, count)):
                        tasks.create_task(one_call(endpoint, number))

        await some_calls(50)
        gc.collect()
        before_bytes, sockets = process.memory_info().rss, process.num_fds()
        await some_calls(150)
        gc.collect()
        assert process.memory_info().rss - before_bytes < 8 * 1024 * 1024
        assert process.num_fds() <= sockets
        assert endpoint.calls == 0
        assert tasks_named_rtc() == ["rtc reaper"]
        assert sum(endpoint.statistics.ended.values()) == 200
