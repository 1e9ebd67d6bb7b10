"""Images are decoded before the core hears of them: what it takes up is whole, and nothing fails later."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from antiphon.core.image_checks import checked_head, image_refused, images_of
from antiphon.core.limits import Limits
from antiphon.images.decoding import decode
from antiphon.images.head import BadImageError
from antiphon.protocol.client_events import ClientEvent

__all__ = ["ImageChecks"]


class ImageChecks:
    """Of one process: one image is decoded at a time, so that memory holds the pixels of one.

    The events of a connection wait meanwhile, audio too: their order is kept.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="images")

    async def check(self, event: ClientEvent) -> None:
        """Raises ``ProtocolError`` for the first image that is bad, too large or one too many."""
        images = list(images_of(event))
        if len(images) > self._limits.images:
            param = images[self._limits.images][0]
            raise image_refused(f"{len(images)} images, at most {self._limits.images} are allowed", param)
        for place, part in images:
            checked_head(part, self._limits, place)
        for place, part in images:
            refusal = await self._in_thread(_refusal, part.image_url)
            if refusal:
                raise image_refused(refusal, place)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, function: Callable[[str], str], data_url: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, data_url)


def _refusal(data_url: str) -> str:
    """Why an image cannot be taken; empty if it can."""
    try:
        decode(data_url)
    except BadImageError as error:
        return str(error)
    return ""
