"""Input that is awaited beside something else, by an engine that works while more comes in."""

import asyncio
from collections.abc import AsyncIterable
from typing import Any, Final, Generic, TypeVar

__all__ = ["END", "End", "Intake"]

_T = TypeVar("_T")


class End:
    """There is no more input."""


END: Final = End()


class Intake(Generic[_T]):
    """Reads a call's input, one value ahead at most. ``aclose`` must follow, whatever happens."""

    def __init__(self, source: AsyncIterable[_T]) -> None:
        self._source = aiter(source)
        self._asked: asyncio.Task[_T] | None = None

    async def next(self, other: "asyncio.Future[Any] | None" = None) -> _T | End | None:
        """The next value, or ``END``; None where ``other`` is done before there is one."""
        try:
            if other is None and self._asked is None:
                return await anext(self._source)
            # Its owner is the call, which ends it below: around a ``yield`` no TaskGroup may be open.
            asked = self._asked = self._asked or asyncio.get_running_loop().create_task(self._ask(), name="intake")
            await asyncio.wait([asked, other] if other else [asked], return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                return None
            self._asked = None
            return asked.result()
        except StopAsyncIteration:
            return END

    async def aclose(self) -> None:
        """Read no more."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.wait([self._asked])
            if not self._asked.cancelled():
                self._asked.exception()  # or asyncio would report that nobody had asked for it

    async def _ask(self) -> _T:
        return await anext(self._source)
