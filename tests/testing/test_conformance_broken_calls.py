"""The checks that several kinds of engines share find the engine that breaks their rule."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

from antiphon.engines.base import EngineInfo
from antiphon.engines.errors import EngineError
from antiphon.engines.registry import EngineKind
from antiphon.testing import conformance
from antiphon.testing.clock import run_virtual
from antiphon.testing.conformance import ContractError
from antiphon.testing.scripted import (
    HANG,
    Delay,
    Finish,
    ScriptedImageReader,
    ScriptedLlm,
    ScriptedNoiseReducer,
    ScriptedStt,
    ScriptedTts,
    ScriptedTurnJudge,
    ScriptedVad,
)
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import Transcript

VAD, JUDGE, STT, LLM, TTS, READER = (
    EngineKind.VAD,
    EngineKind.TURN_JUDGE,
    EngineKind.STT,
    EngineKind.LLM,
    EngineKind.TTS,
    EngineKind.IMAGE_READER,
)
CALLED = (JUDGE, STT, LLM, TTS, READER)
STREAMED = (STT, LLM, TTS)

Stream = AsyncGenerator[Any, None]
Open = Callable[[], Stream]


def sound(kind: EngineKind) -> Any:
    """An engine that keeps the contract and takes a second before its first result."""
    match kind:
        case EngineKind.VAD:
            return ScriptedVad()
        case EngineKind.NOISE_REDUCER:
            return ScriptedNoiseReducer()
        case EngineKind.TURN_JUDGE:
            return ScriptedTurnJudge(delay_s=1)
        case EngineKind.STT:
            return ScriptedStt(["one two three four"], delay_s=1)
        case EngineKind.LLM:
            return ScriptedLlm(delay_s=1)
        case EngineKind.TTS:
            return ScriptedTts(delay_s=1)
        case EngineKind.IMAGE_READER:
            return ScriptedImageReader(delay_s=1)


class Twisted:
    """An engine whose every call goes through ``twist``."""

    def __init__(self, engine: Any, twist: Callable[["Twisted", Open], Stream]) -> None:
        self._engine = engine
        self._twist = twist
        self.calls = 0
        self.spoilt = False
        self.tasks: list[asyncio.Task[Any]] = []
        self.threads: list[threading.Thread] = []
        self.ended = threading.Event()

    def release(self) -> None:
        """End what the engine left running."""
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def transcribe(self, *args: Any, **options: Any) -> Stream:
        return self._twist(self, lambda: self._engine.transcribe(*args, **options))

    def generate(self, *args: Any, **options: Any) -> Stream:
        return self._twist(self, lambda: self._engine.generate(*args, **options))

    def synthesize(self, *args: Any, **options: Any) -> Stream:
        return self._twist(self, lambda: self._engine.synthesize(*args, **options))

    async def judge(self, *args: Any, **options: Any) -> float:
        return float(await self._only(lambda: self._engine.judge(*args, **options)))

    async def read(self, *args: Any, **options: Any) -> Any:
        return await self._only(lambda: self._engine.read(*args, **options))

    async def _only(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async def only() -> Stream:
            yield await call()

        async with aclosing(self._twist(self, only)) as results:
            (result,) = [result async for result in results]
        return result


async def slow_to_close(engine: Twisted, start: Open) -> Stream:
    async with aclosing(start()) as results:
        try:
            async for result in results:
                yield result
        finally:
            await asyncio.sleep(0.11)


async def swallowing_cancellation(engine: Twisted, start: Open) -> Stream:
    async with aclosing(start()) as results:
        try:
            async for result in results:
                yield result
        except asyncio.CancelledError:
            yield 0.5


async def failing_when_cancelled(engine: Twisted, start: Open) -> Stream:
    async with aclosing(start()) as results:
        try:
            async for result in results:
                yield result
        except asyncio.CancelledError as error:
            raise EngineError(EngineErrorKind.FAILED, "cancelled") from error


async def for_one_call_only(engine: Twisted, start: Open) -> Stream:
    engine.calls += 1
    try:
        if engine.calls > 1:
            raise EngineError(EngineErrorKind.BAD_INPUT, "busy")
        async with aclosing(start()) as results:
            async for result in results:
                yield result
    finally:
        engine.calls -= 1


async def always_overloaded(engine: Twisted, start: Open) -> Stream:
    raise EngineError(EngineErrorKind.OVERLOADED, "busy")
    yield


async def losing_a_slot_when_closed(engine: Twisted, start: Open) -> Stream:
    engine.calls += 1
    if engine.calls > 3:
        raise EngineError(EngineErrorKind.OVERLOADED, "no slot is free")
    async with aclosing(start()) as results:
        async for result in results:
            yield result
    engine.calls -= 1


async def spoilt_by_a_closed_call(engine: Twisted, start: Open) -> Stream:
    try:
        async with aclosing(start()) as results:
            async for result in results:
                if engine.spoilt:
                    raise EngineError(EngineErrorKind.FAILED, "the others were stopped too")
                yield result
    except (asyncio.CancelledError, GeneratorExit):
        engine.spoilt = True
        raise


def _burn(ended: threading.Event) -> None:
    limit_s = time.perf_counter() + 5
    while not ended.is_set() and time.perf_counter() < limit_s:
        sum(range(1000))


async def computing_on(engine: Twisted, start: Open) -> Stream:
    try:
        async with aclosing(start()) as results:
            async for result in results:
                yield result
    except (asyncio.CancelledError, GeneratorExit):
        engine.threads.append(threading.Thread(target=_burn, args=(engine.ended,)))
        engine.threads[-1].start()
        raise


async def leaving_a_task(engine: Twisted, start: Open) -> Stream:
    try:
        async with aclosing(start()) as results:
            async for result in results:
                yield result
    except (asyncio.CancelledError, GeneratorExit):
        engine.tasks.append(asyncio.get_running_loop().create_task(asyncio.sleep(60), name="left"))
        raise


async def crashing(engine: Twisted, start: Open) -> Stream:
    raise ZeroDivisionError("division by zero")
    yield


async def timing_out(engine: Twisted, start: Open) -> Stream:
    raise TimeoutError("a time-out of its own")
    yield


async def failing(engine: Twisted, start: Open) -> Stream:
    raise EngineError(EngineErrorKind.UNAVAILABLE, "gone")
    yield


async def hanging(engine: Twisted, start: Open) -> Stream:
    await asyncio.Event().wait()
    yield


class Undead:
    """An iterator whose ``aclose`` stops nothing."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> "Undead":
        return self

    async def __anext__(self) -> Any:
        return await anext(self._stream)

    async def aclose(self) -> None:
        return None


def deaf_to_close(engine: Twisted, start: Open) -> Any:
    return Undead(start())


class ReadsOn(ScriptedStt):
    """Reads the rest of its input when nobody listens any more."""

    async def transcribe(self, audio: Any, **options: Any) -> Any:
        try:
            async for _ in audio:
                pass
            yield Transcript("", is_final=True)
        finally:
            self.reader = asyncio.get_running_loop().create_task(anext(audio))


@dataclass
class Broken:
    kind: EngineKind
    check: str
    engine: Callable[[], Any]
    finding: str
    """Part of what the check says."""


def twisted(kind: EngineKind, twist: Any) -> Twisted:
    return Twisted(sound(kind), twist)


def for_all(kinds: tuple[EngineKind, ...], check: str, twist: Any, finding: str) -> Iterator[Broken]:
    for kind in kinds:
        yield Broken(kind, check, partial(twisted, kind, twist), finding)


def with_attribute(kind: EngineKind, name: str, value: object) -> Callable[[], Any]:
    def build() -> Any:
        engine = sound(kind)
        setattr(engine, name, value)
        return engine

    return build


def once_only(kind: EngineKind, method: str) -> Callable[[], Any]:
    def build() -> Any:
        engine = sound(kind)
        done: list[None] = []

        async def call() -> None:
            if done:
                raise RuntimeError("it was done before")
            done.append(None)

        setattr(engine, method, call)
        return engine

    return build


def with_info(kind: EngineKind, info: object) -> Callable[[], Any]:
    return with_attribute(kind, "info", info)


BROKEN = [
    *(
        Broken(kind, "the_engine_describes_itself", with_info(kind, info), finding)
        for kind in EngineKind
        for info, finding in (
            (None, "no EngineInfo"),
            (EngineInfo(""), "info.name is empty"),
            (EngineInfo("x", residual_ms=-1), "info.residual_ms is -1"),
        )
    ),
    *(
        Broken(kind, "warm_up_may_be_called_again", once_only(kind, "warm_up"), "RuntimeError came out")
        for kind in EngineKind
    ),
    *(
        Broken(kind, "aclose_may_be_called_again", once_only(kind, "aclose"), "RuntimeError came out")
        for kind in EngineKind
    ),
    *for_all(CALLED, "concurrent_calls_are_served", for_one_call_only, "bad_input: busy"),
    *for_all(CALLED, "concurrent_calls_are_served", always_overloaded, "none of three calls"),
    *for_all(CALLED, "a_cancelled_call_ends_within_100_ms", slow_to_close, "took 110 ms"),
    *for_all(CALLED, "a_cancelled_call_ends_within_100_ms", swallowing_cancellation, "swallowed its cancellation"),
    *for_all(CALLED, "a_cancelled_call_ends_within_100_ms", failing_when_cancelled, "raised EngineError"),
    *for_all(CALLED, "a_closed_call_leaves_the_others_alone", spoilt_by_a_closed_call, "stopped too"),
    *for_all(CALLED, "computation_ends_within_residual_ms", computing_on, "computation still ran 0 ms after"),
    *for_all(
        CALLED, "computation_ends_within_residual_ms", leaving_a_task, "left tasks behind: <Task pending name='left'"
    ),
    *for_all(CALLED, "closed_calls_use_up_nothing", losing_a_slot_when_closed, "no slot is free"),
    *for_all(CALLED, "warm_up_may_be_called_again", crashing, "ZeroDivisionError came out"),
    *for_all(CALLED, "warm_up_may_be_called_again", timing_out, "TimeoutError came out"),
    *for_all(CALLED, "warm_up_may_be_called_again", failing, "a call that must succeed failed: unavailable: gone"),
    *for_all(CALLED, "warm_up_may_be_called_again", hanging, "no end after 30 s"),
    *for_all(STREAMED, "closing_a_stream_takes_100_ms_at_most", slow_to_close, "took 110 ms"),
    *for_all(STREAMED, "closing_a_stream_takes_100_ms_at_most", deaf_to_close, "after aclose() the stream yielded"),
    *for_all((STT, TTS), "a_call_that_waits_for_input_can_be_cancelled", slow_to_close, "took 110 ms"),
    Broken(STT, "a_call_that_waits_for_input_can_be_cancelled", ReadsOn, "input was read after"),
]


@pytest.mark.parametrize(
    "broken", [pytest.param(row, id=f"{place}-{row.kind}-{row.check}") for place, row in enumerate(BROKEN)]
)
def test_a_check_finds_the_engine_that_breaks_its_rule(broken: Broken) -> None:
    (check,) = (check for check in conformance.checks_for(broken.kind) if check.name == broken.check)
    engine = broken.engine()
    with pytest.raises(ContractError) as found:
        run_virtual(check(engine))
    if isinstance(engine, Twisted):
        engine.release()
    assert broken.finding in str(found.value)
    assert check.rule in str(found.value)


def test_every_check_that_several_kinds_share_is_shown_to_find_something() -> None:
    checks = [(kind, check.name) for kind in EngineKind for check in conformance.checks_for(kind)]
    kinds = Counter(name for _, name in checks)
    assert {(row.kind, row.check) for row in BROKEN} == {(kind, name) for kind, name in checks if kinds[name] > 1}


@pytest.mark.parametrize("step", [Delay(31.0), HANG, Finish("stop")])
def test_only_what_takes_too_long_counts_as_hanging(step: Any) -> None:
    (check,) = (check for check in conformance.checks_for(LLM) if check.name == "a_generation_ends_with_one_finish")
    engine = ScriptedLlm([[step]])
    if isinstance(step, Finish):
        run_virtual(check(engine))
        return
    with pytest.raises(ContractError, match="no end after 30 s"):
        run_virtual(check(engine))


def test_all_failures_of_an_engine_are_listed_by_the_name_of_their_check() -> None:
    engine = with_info(VAD, None)()
    engine.new_state = lambda: None
    engine.detect = lambda windows, states: np.full(len(windows), 2, np.float32)
    found = run_virtual(conformance.failures(VAD, engine))
    assert set(found) == {"the_engine_describes_itself", "probabilities_have_shape_type_and_range"}
