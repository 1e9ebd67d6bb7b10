"""A scripted image reader."""

import asyncio
from collections import deque
from collections.abc import Iterable

from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError
from antiphon.images.decoding import decode
from antiphon.images.head import BadImageError
from antiphon.testing.scripted.steps import ScriptedEngine, Trouble, undergo
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.images import ImageReading, TextLine
from antiphon.vocabulary.llm import ImageContent

__all__ = ["ScriptedImageReader"]

_KEPT = 32


class ScriptedImageReader(ScriptedEngine):
    """Gives one script entry for each image, a text being its one line; then, or without any, no text and grey."""

    def __init__(self, scripts: Iterable[str | ImageReading | Trouble] = (), *, delay_s: float = 0.0) -> None:
        super().__init__("image reader")
        self.delay_s = delay_s
        self.images: deque[ImageContent] = deque(maxlen=_KEPT)
        """What was read, the newest 32."""
        self._left = iter(scripts)

    async def read(self, image: ImageContent, *, context: CallContext) -> ImageReading:
        with self.counted():
            self.images.append(image)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            entry = next(self._left, None)
            if isinstance(entry, ImageReading):
                return entry
            if isinstance(entry, str):
                return ImageReading((TextLine(entry, 0.1, 0.1, 0.9, 0.2),), ("grey",))
            if entry is not None:
                await undergo(entry)
            return _reading_of(image)


def _reading_of(image: ImageContent) -> ImageReading:
    try:
        decode(image.data_url)
    except BadImageError as error:
        raise EngineError(EngineErrorKind.BAD_INPUT, f"scripted image reader: {error}") from error
    return ImageReading(colours=("grey",))
