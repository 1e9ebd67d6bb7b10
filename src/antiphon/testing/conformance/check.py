"""A check, what it is fed with, and what the checks of all kinds share."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from antiphon.audio.pcm import samples_to_pcm
from antiphon.audio.resample import resample
from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = [
    "SYNTHETIC",
    "Check",
    "ContractError",
    "Material",
    "Rule",
    "Source",
    "Stopwatch",
    "collect",
    "context",
    "require",
    "require_names",
    "require_natural",
    "require_positive",
    "together",
    "tolerated",
]

_T = TypeVar("_T")

_UNSAFE = re.compile(r"Traceback|[\r\n]|(^|[\s'\"(])(/[\w.-]+){2,}|[A-Za-z]:\\")


class ContractError(AssertionError):
    """The engine breaks a rule of its contract; the message says which and how."""


def _bursts() -> bytes:
    """Two seconds that sound a little like syllables: bursts of a buzzing tone at changing pitch."""
    rate_hz = 16_000
    time_s = np.arange(2 * rate_hz) / rate_hz
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 1.3 * time_s)) / rate_hz
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time_s), 0, None)
    return samples_to_pcm((0.2 * voice * syllables).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Material:
    """What the checks feed to an engine.

    The default is synthetic. With a few seconds of real speech the checks of an engine that hears reach further.
    """

    speech: bytes = field(default_factory=_bursts, repr=False)
    """s16le mono."""
    speech_hz: int = 16_000
    patience_s: float = 30.0
    """How long one check may take before the engine counts as hanging."""

    def pcm(self, sample_rate_hz: int, *, at_least_s: float = 0.0) -> bytes:
        """The speech at the engine's rate, repeated until it is long enough."""
        pcm = resample(self.speech, self.speech_hz, sample_rate_hz)
        return pcm * max(1, -(-int(at_least_s * sample_rate_hz * 2) // len(pcm)))


SYNTHETIC = Material()

Rule = Callable[[Any, Material], Coroutine[Any, Any, None]]
"""Holds an engine against one rule of its contract. Raises ``ContractError``; its docstring states the rule."""


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of the contract, to be called with an engine: ``await check(engine)``.

    Raises ``ContractError`` (an ``AssertionError``) if the engine breaks it, hangs, or lets out anything but
    ``EngineError``. All checks of one engine run on one event loop.
    """

    name: str
    rule: str
    run: Rule = field(repr=False)

    @property
    def __name__(self) -> str:
        """What pytest shows for a parameter."""
        return self.name

    async def __call__(self, engine: Any, material: Material = SYNTHETIC) -> None:
        scope = asyncio.timeout(material.patience_s)
        try:
            async with scope:
                await self.run(engine, material)
        except Exception as error:
            how = self._explained(_first(error), expired=scope.expired(), patience_s=material.patience_s)
            raise ContractError(f"{self.name}: {how} (the rule: {self.rule})") from error

    def _explained(self, error: Exception, *, expired: bool, patience_s: float) -> str:
        if isinstance(error, ContractError):
            return str(error)
        if isinstance(error, EngineError):
            return f"a call that must succeed failed: {error.kind}: {error.message}"
        if expired:
            return f"no end after {patience_s:g} s"
        return f"{type(error).__name__} came out; only EngineError may: {error}"


def require(condition: object, otherwise: str) -> None:
    if not condition:
        raise ContractError(otherwise)


def context(call: int = 0) -> CallContext:
    """The context of one of several calls; each is of another session."""
    return CallContext(session_id=f"sess_check_{call}", item_id=f"item_check_{call}")


def require_positive(value: object, what: str) -> None:
    require(isinstance(value, int) and value > 0, f"{what} is {value!r}, no positive integer")


def require_natural(value: object, what: str) -> None:
    require(isinstance(value, int) and value >= 0, f"{what} is {value!r}, no non-negative integer")


def require_names(values: object, what: str) -> None:
    """A tuple of texts that are not empty, each there once, at least one."""
    require(isinstance(values, tuple) and values, f"{what} are {values!r}, no tuple of names")
    names = values if isinstance(values, tuple) else ()
    require(all(isinstance(name, str) and name for name in names), f"{what} are {values!r}, not all of them names")
    require(len(set(names)) == len(names), f"{what} are {values!r}, one of them twice")


async def collect(stream: AsyncGenerator[_T, None]) -> list[_T]:
    async with aclosing(stream):
        return [value async for value in stream]


async def tolerated(call: Awaitable[_T]) -> _T | None:
    """The result, or None where the engine refuses with an ``EngineError`` that is fit to be shown."""
    try:
        return await call
    except EngineError as error:
        require(isinstance(error.kind, EngineErrorKind), f"the error's kind is {error.kind!r}, no EngineErrorKind")
        require(not _UNSAFE.search(error.message), f"the error's message is not safe to show: {error.message!r}")
        return None


async def together(*calls: Coroutine[Any, Any, _T]) -> list[_T]:
    """The results of concurrent calls; the first failure comes out alone."""
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(call) for call in calls]
    except ExceptionGroup as group:
        raise _first(group) from group
    return [task.result() for task in running]


def _first(error: Exception) -> Exception:
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


class Source(Generic[_T]):
    """Input of an engine: the values, then the end or, with ``endless``, nothing any more."""

    def __init__(self, values: Iterable[_T], *, endless: bool = False) -> None:
        self._values = iter(values)
        self._endless = endless
        self.reads = 0
        self.drained = asyncio.Event()
        """Set when the engine has taken all values and asks for more."""

    def __aiter__(self) -> "Source[_T]":
        return self

    async def __anext__(self) -> _T:
        self.reads += 1
        for value in self._values:
            return value
        self.drained.set()
        if self._endless:
            await asyncio.get_running_loop().create_future()
        raise StopAsyncIteration


class Stopwatch:
    """Seconds since its making, by the loop's clock or the machine's, whichever went further.

    On a virtual-time loop the first sees a sleep and the second a blocked thread; elsewhere they agree.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_s = self._loop.time()
        self._real_s = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        return max(self._loop.time() - self._loop_s, time.perf_counter() - self._real_s)
