"""What the resilient engines share: limits on silence, translation of foreign exceptions, and input that can be
given again."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Generic, TypeVar

from antiphon.engines.errors import EngineError
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["Tape", "TapeReader", "Watch", "Watched"]

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Watch:
    """How long one call may be silent. The time in which the engine waits for its own input does not count."""

    def __init__(self, *, first_s: float, gap_s: float) -> None:
        self.limit_s = first_s
        self._gap_s = gap_s
        self._patience: asyncio.Timeout | None = None
        self._starving = False

    def begin(self) -> asyncio.Timeout:
        """To be entered while a result is awaited."""
        self._patience = asyncio.timeout(None if self._starving else self.limit_s)
        return self._patience

    def end(self) -> None:
        """A result is there: from now on the gap counts."""
        self._patience = None
        self.limit_s = self._gap_s

    def starve(self) -> None:
        """The engine asks for input."""
        self._starving = True
        self._reschedule(None)

    def feed(self) -> None:
        """It has what it asked for, or there is no more."""
        self._starving = False
        self._reschedule(asyncio.get_running_loop().time() + self.limit_s)

    def _reschedule(self, when: float | None) -> None:
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(when)


class Watched(Generic[_T]):
    """One call of an engine: enter it, and iterate. Raises only ``EngineError``; closes the stream whatever happens."""

    def __init__(self, name: str, watch: Watch, begin: Callable[[], AsyncGenerator[_T, None]]) -> None:
        self._name = name
        self._watch = watch
        self._begin = begin

    async def __aenter__(self) -> AsyncIterator[_T]:
        try:
            self._stream = self._begin()
        except EngineError:
            raise
        except Exception as error:
            raise self._failure(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._stream.aclose()
        except Exception:
            # The call is over; what its end leaves behind is no longer anybody's result.
            _log.exception("%s: closing a call failed", self._name)

    def __aiter__(self) -> AsyncIterator[_T]:
        return self

    async def __anext__(self) -> _T:
        patience = self._watch.begin()
        try:
            async with patience:
                return await anext(self._stream)
        except (StopAsyncIteration, EngineError):
            raise
        except TimeoutError as error:
            if patience.expired():
                message = f"{self._name}: no result for {self._watch.limit_s:g} s"
                raise EngineError(EngineErrorKind.TIMEOUT, message) from None
            raise self._failure(error) from error
        except Exception as error:
            raise self._failure(error) from error
        finally:
            self._watch.end()

    def _failure(self, error: Exception) -> EngineError:
        _log.error("%s: the call failed", self._name, exc_info=error)
        return EngineError(EngineErrorKind.FAILED, f"{self._name}: the call failed")


class Tape(Generic[_T]):
    """A call's input, recorded so that it can be given to another attempt.

    A cancelled ``__anext__`` of ``source`` must not lose anything (a generator would end).
    """

    def __init__(self, source: AsyncIterator[_T], *, size: Callable[[_T], int] = lambda _: 0, limit: int = 0) -> None:
        """Once the sum of ``size`` is above ``limit`` nothing is kept any more."""
        self._source = source
        self._size = size
        self._left = limit
        self._ended = False
        self.values: list[_T] = []
        self.is_whole = True
        """Whether everything that was given is still there."""

    def is_last(self, place: int) -> bool:
        """Whether nothing is kept behind that place."""
        return place >= len(self.values) - 1

    async def at(self, place: int) -> _T:
        """Raises ``StopAsyncIteration`` behind the last value."""
        if self.is_whole and place < len(self.values):
            return self.values[place]
        if self._ended:
            raise StopAsyncIteration
        try:
            value = await anext(self._source)
        except StopAsyncIteration:
            self._ended = True
            raise
        self._keep(value)
        return value

    def _keep(self, value: _T) -> None:
        self._left -= self._size(value)
        if self._left < 0:
            self.is_whole = False
            self.values.clear()
        if self.is_whole:
            self.values.append(value)


class TapeReader(Generic[_T]):
    """A tape as one attempt reads it, from ``place`` on.

    What holds only for its own moment (``passing``) is left out where more is on the tape already.
    """

    def __init__(
        self, tape: Tape[_T], watch: Watch, place: int = 0, *, passing: Callable[[_T], bool] = lambda _: False
    ) -> None:
        self._passing = passing
        self._tape = tape
        self._watch = watch
        self._place = place

    def __aiter__(self) -> AsyncIterator[_T]:
        return self

    async def __anext__(self) -> _T:
        self._watch.starve()
        try:
            while self._passing(value := await self._tape.at(self._place)) and not self._tape.is_last(self._place):
                self._place += 1
        finally:
            self._watch.feed()
        self._place += 1
        return value
