"""The images of one session that are being read, one after the other."""

import asyncio
from collections.abc import Callable
from functools import partial

from antiphon.core.inputs import ImageRead, ImageUnread
from antiphon.core.outputs import ReadImage, StopReading
from antiphon.engines.base import CallContext, ImageReader
from antiphon.engines.errors import EngineError
from antiphon.runtime.transcribing import Spawn
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["Seeing"]

_Place = tuple[str, int]


class Seeing:
    """``reader`` None: nothing is ordered, as the core was told."""

    def __init__(
        self,
        reader: ImageReader | None,
        spawn: Spawn,
        report: Callable[[ImageRead | ImageUnread], None],
        session_id: str,
    ) -> None:
        self._reader = reader
        self._spawn = spawn
        self._report = report
        self._session_id = session_id
        self._turn = asyncio.Lock()
        self._running: dict[_Place, asyncio.Task[None]] = {}

    def start(self, order: ReadImage) -> None:
        place = (order.item_id, order.content_index)
        self._running[place] = self._spawn(partial(self._read, order), f"image:{order.item_id}")

    def stop(self, order: StopReading) -> None:
        self._stop((order.item_id, order.content_index))

    def stop_all(self) -> None:
        for place in list(self._running):
            self._stop(place)

    def _stop(self, place: _Place) -> None:
        if task := self._running.pop(place, None):
            task.cancel()

    async def _read(self, order: ReadImage) -> None:
        place = (order.item_id, order.content_index)
        try:
            async with self._turn:
                fact = await self._result(order)
        finally:
            if self._running.get(place) is asyncio.current_task():
                del self._running[place]
        self._report(fact)

    async def _result(self, order: ReadImage) -> ImageRead | ImageUnread:
        place = (order.item_id, order.content_index)
        context = CallContext(self._session_id, item_id=order.item_id)
        try:
            if self._reader is None:
                raise EngineError(EngineErrorKind.UNAVAILABLE, "there is no image reader")
            return ImageRead(*place, await self._reader.read(order.image, context=context))
        except EngineError as error:
            return ImageUnread(*place, error.fault)
