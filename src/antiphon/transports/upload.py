"""One client event that came by HTTP, as a connection of its own to a session that runs already."""

import asyncio
from collections.abc import Sequence

import msgspec

from antiphon.runtime.transport import TransportClosedError

__all__ = ["ItemUpload", "UploadError"]


class UploadError(msgspec.Struct, frozen=True):
    """What the session had against it."""

    message: str = ""
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None


class _Item(msgspec.Struct, frozen=True):
    id: str = ""


class _Told(msgspec.Struct, frozen=True):
    type: str = ""
    item: _Item | None = None
    error: UploadError | None = None


_DECODER = msgspec.json.Decoder(_Told)


class ItemUpload:
    """Gives the session one ``conversation.item.create``, and is over when it has been answered."""

    media = None

    def __init__(self, event: str, item_id: str) -> None:
        self._event: str | None = event
        self._item_id = item_id
        self._over = asyncio.Event()
        self.added = False
        self.error: UploadError | None = None

    async def receive(self) -> str | bytes:
        if self._event is not None:
            event, self._event = self._event, None
            return event
        await self._over.wait()
        raise TransportClosedError(clean=True, code=1000)

    async def send(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self._learn(_DECODER.decode(frame))

    async def close(self, code: int, reason: str) -> None:
        self._over.set()

    def _learn(self, told: _Told) -> None:
        if self._over.is_set():
            return
        if told.type == "error":
            # Errors are told to nobody but who caused them.
            self.error = told.error or UploadError()
            self._over.set()
        elif told.type == "conversation.item.added" and told.item is not None and told.item.id == self._item_id:
            self.added = True
            self._over.set()
