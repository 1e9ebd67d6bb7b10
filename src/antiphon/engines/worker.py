"""A capped pool of threads for an engine's blocking calls, so that the event loop stays free."""

import asyncio
import contextlib
import enum
import logging
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from antiphon.engines.errors import EngineError
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["Cancelled", "Worker"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)

Cancelled = Callable[[], bool]
"""Asked by a blocking generator between its steps: whether its consumer is gone."""


class _End(enum.Enum):
    END = enum.auto()


class Worker:
    """Threads of one engine. At most ``queue_limit`` calls wait; one more is refused as overloaded.

    What a call raises comes out as ``EngineError``: its own as it is, anything else is logged and becomes ``FAILED``.
    """

    def __init__(self, name: str, *, threads: int = 1, nice: int = 0, queue_limit: int = 64) -> None:
        """``nice`` lowers the threads' priority, where the system knows priorities of threads (Linux)."""
        self._name = name
        self._limit = threads + queue_limit
        self._waiting = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._held_back: set[threading.Semaphore] = set()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=_lower_priority, initargs=(nice,))

    @property
    def load(self) -> int:
        """Calls running or waiting, abandoned ones that still run included."""
        return self._waiting

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run ``function`` on a thread. If the caller is cancelled a started call runs on and its result is dropped."""
        return await self.start(function, *args, **kwargs)

    def start(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> "asyncio.Future[_T]":
        """Like ``run``, for a caller that looks in later. It must await the future, or cancel it."""
        return asyncio.wrap_future(self._submit(lambda: function(*args, **kwargs)))

    async def stream(self, produce: Callable[[Cancelled], Iterator[_T]], *, ahead: int = 4) -> AsyncGenerator[_T, None]:
        """Yield what a blocking generator yields; it runs at most ``ahead`` values before its consumer.

        Closing the stream returns at once; the generator is closed at its next ``yield``, or before it if it asks
        ``cancelled()`` between its steps. A generator that waits for its consumer keeps its thread.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[_T | _End] = asyncio.Queue()
        places = threading.Semaphore(ahead)
        gone = threading.Event()

        def cancelled() -> bool:
            return gone.is_set() or self._closed.is_set()

        def deliver(value: _T | _End) -> None:
            if not gone.is_set():
                loop.call_soon_threadsafe(queue.put_nowait, value)

        def pump() -> None:
            values = produce(cancelled)
            try:
                while self._place_is_free(places, gone):
                    deliver(next(values))
            except StopIteration:
                return
            finally:
                _close(values)

        future = self._submit(pump)
        self._held_back.add(places)
        future.add_done_callback(lambda _: deliver(_End.END))
        try:
            while not isinstance(value := await queue.get(), _End):
                yield value
                places.release()
            await asyncio.wrap_future(future)
        finally:
            gone.set()
            self._held_back.discard(places)
            places.release()
            future.cancel()

    def close(self) -> None:
        """Refuse new calls, fail the waiting ones as unavailable and stop streams at their next value; do not wait."""
        self._closed.set()
        for places in self._held_back:
            places.release()
        self._pool.shutdown(wait=False)

    def _submit(self, function: Callable[[], _T]) -> Future[_T]:
        self._ensure_open()
        with self._lock:
            if self._waiting >= self._limit:
                raise EngineError(EngineErrorKind.OVERLOADED, f"{self._name}: too many calls are waiting")
            self._waiting += 1
        future = self._pool.submit(self._translated, function)
        future.add_done_callback(self._finished)
        return future

    def _finished(self, _: Future[_T]) -> None:
        with self._lock:
            self._waiting -= 1

    def _translated(self, function: Callable[[], _T]) -> _T:
        self._ensure_open()
        try:
            return function()
        except EngineError:
            raise
        except Exception as error:
            _log.exception("%s failed", self._name)
            raise EngineError(EngineErrorKind.FAILED, f"{self._name}: the call failed") from error

    def _place_is_free(self, places: threading.Semaphore, gone: threading.Event) -> bool:
        """Wait until the consumer has taken enough; False if it is gone."""
        places.acquire()
        if gone.is_set():
            return False
        self._ensure_open()
        return True

    def _ensure_open(self) -> None:
        if self._closed.is_set():
            raise EngineError(EngineErrorKind.UNAVAILABLE, f"{self._name}: the engine is closed")


def _close(values: Iterator[_T]) -> None:
    close = getattr(values, "close", None)
    if close is not None:
        close()


def _lower_priority(nice: int) -> None:
    # Elsewhere than on Linux the number of a thread would be taken for that of a process.
    if nice and sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
