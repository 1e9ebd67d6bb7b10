"""What the tests of resilient engines share: inputs, troubles, and what comes of a call."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import TypeVar

from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError
from antiphon.engines.resilient import Patience
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmRequest

__all__ = ["BAD_INPUT", "CONTEXT", "OVERFLOW", "OVERLOADED", "PATIENCE", "REQUEST", "Given", "outcome"]

T = TypeVar("T")

CONTEXT = CallContext("sess_1", item_id="item_1")
REQUEST = LlmRequest(messages=())
OVERLOADED = EngineError(EngineErrorKind.OVERLOADED, "too much to do")
BAD_INPUT = EngineError(EngineErrorKind.BAD_INPUT, "not for me")
OVERFLOW = EngineError(EngineErrorKind.CONTEXT_OVERFLOW, "too long")
PATIENCE = Patience(first_timeout_s=20, gap_timeout_s=10, retries=1, back_off_s=0.25)


class Given(AsyncIterator[T]):
    """Input of a call: values, and pauses before them. A cancelled ``__anext__`` loses nothing."""

    def __init__(self, values: Iterable[T], *, pause_s: float = 0.0) -> None:
        self._left = list(values)
        self._pause_s = pause_s

    async def __anext__(self) -> T:
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)


async def outcome(stream: AsyncGenerator[T, None]) -> tuple[list[T], EngineError | None, float]:
    """What came, how it ended, and when."""
    values: list[T] = []
    error: EngineError | None = None
    try:
        async with aclosing(stream):
            async for value in stream:
                values.append(value)  # noqa: PERF401 - what came before an error counts
    except EngineError as failed:
        error = failed
    return values, error, asyncio.get_running_loop().time()
