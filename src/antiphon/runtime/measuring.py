"""Counts the tokens of one session's items, several at a time, whenever the language model gets to it."""

import asyncio
from collections.abc import Callable

from antiphon.core.inputs import ItemMeasured
from antiphon.core.outputs import MeasureItem
from antiphon.engines.base import LanguageModel
from antiphon.engines.errors import EngineError

__all__ = ["Measuring"]

_TEXTS = 64
"""Texts of one call."""
_WAITING_CHARACTERS = 4 * 1024 * 1024


class Measuring:
    """An item that cannot be measured keeps the core's own estimate. So do those that find the queue full."""

    def __init__(self, llm: LanguageModel, report: Callable[[ItemMeasured], None]) -> None:
        self._llm = llm
        self._report = report
        self._texts: dict[str, str] = {}
        self._characters = 0
        self._ready = asyncio.Event()

    def put(self, order: MeasureItem) -> None:
        """An item that waits already is measured as it is now."""
        self._characters -= len(self._texts.pop(order.item_id, ""))
        if self._characters + len(order.text) > _WAITING_CHARACTERS:
            return
        self._texts[order.item_id] = order.text
        self._characters += len(order.text)
        self._ready.set()

    async def run(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._texts:
                await self._count(list(self._texts)[:_TEXTS])

    async def _count(self, item_ids: list[str]) -> None:
        texts = [self._texts.pop(item_id) for item_id in item_ids]
        self._characters -= sum(map(len, texts))
        try:
            counts = await self._llm.count(texts)
        except EngineError:
            return
        for item_id, tokens in zip(item_ids, counts, strict=True):
            self._report(ItemMeasured(item_id, tokens))
