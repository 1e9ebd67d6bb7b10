"""A capped pool of threads for an engine's blocking calls, so that the event loop stays free."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from antiphon.engines.errors import EngineError
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["Cancelled", "Worker"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

Cancelled = Callable[[], bool]
"""Asked by a blocking generator between its steps: whether its consumer is gone."""


class Worker:
    """Threads of one engine. At most ``queue_limit`` calls wait; one more is refused as overloaded."""

    def __init__(self, name: str, *, threads: int = 1, nice: int = 0, queue_limit: int = 64) -> None:
        self._name = name
        self._limit = threads + queue_limit
        self._waiting = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=_lower_priority, initargs=(nice,))

    @property
    def load(self) -> int:
        """Calls running or waiting, abandoned ones included."""
        return self._waiting

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run ``function`` on a thread. If the caller is cancelled the thread runs on and its result is dropped."""
        return await asyncio.wrap_future(self._submit(lambda: function(*args, **kwargs)))

    async def stream(self, produce: Callable[[Cancelled], Iterator[_T]], *, ahead: int = 4) -> AsyncGenerator[_T, None]:
        """Yield what a blocking generator yields; it runs at most ``ahead`` values before its consumer."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[_T | None] = asyncio.Queue()
        places = threading.Semaphore(ahead)
        closed = threading.Event()

        def deliver(value: _T | None) -> None:
            if not closed.is_set():
                loop.call_soon_threadsafe(queue.put_nowait, value)

        def pump() -> None:
            try:
                for value in produce(closed.is_set):
                    deliver(value)
                    places.acquire()
                    if closed.is_set():
                        return
            finally:
                deliver(None)

        future = self._submit(pump)
        try:
            while (value := await queue.get()) is not None:
                yield value
                places.release()
            await asyncio.wrap_future(future)
        finally:
            closed.set()
            places.release()
            future.cancel()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, function: Callable[[], _T]) -> Future[_T]:
        if self._waiting >= self._limit:
            raise EngineError(EngineErrorKind.OVERLOADED, f"{self._name}: too many calls are waiting")
        future = self._pool.submit(function)
        with self._lock:
            self._waiting += 1
        future.add_done_callback(self._finished)
        return future

    def _finished(self, _: Future[_T]) -> None:
        with self._lock:
            self._waiting -= 1


def _lower_priority(nice: int) -> None:
    if nice:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
