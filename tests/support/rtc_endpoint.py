"""Endpoints on loopback, and owners of calls that write down what they are told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any

from antiphon.rtc.call import Call, CallEnd
from antiphon.rtc.endpoint import Endpoint
from antiphon.rtc.settings import EndpointSettings
from tests.support.rtc_caller import Signal

__all__ = ["PATIENCE_S", "Owner", "answered_by", "open_endpoint", "until"]

PATIENCE_S = 10


async def until(holds: Callable[[], bool]) -> None:
    """For what nobody announces."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def open_endpoint(*addresses: str, **settings: Any) -> AsyncIterator[Endpoint]:
    async with Endpoint(EndpointSettings(addresses or ("127.0.0.1",), 0, **settings)) as endpoint:
        yield endpoint
    assert endpoint.calls == 0


class Owner:
    """Of one call. ``told`` holds all but audio and room, in order."""

    def __init__(self) -> None:
        self.call: Call | None = None
        self.told: list[tuple[Any, ...]] = []
        self.pcm = bytearray()
        self.taken = 0
        self._news = asyncio.Event()

    def connected(self) -> None:
        self._tell("connected")

    def channel_opened(self, label: str) -> None:
        self._tell("channel", label)

    def message_received(self, data: str | bytes) -> None:
        self._tell("message", data)

    def message_refused(self, size_bytes: int) -> None:
        self._tell("refused", size_bytes)

    def audio_received(self, pcm: bytes) -> None:
        self.pcm += pcm
        self._news.set()

    def playout_started(self, tag: Hashable) -> None:
        self._tell("started", tag)

    def playout_ended(self, tag: Hashable, sent_samples: int) -> None:
        self._tell("ended", tag, sent_samples)

    def playout_taken(self) -> None:
        self.taken += 1

    def closed(self, reason: CallEnd) -> None:
        self._tell("closed", reason)

    async def until(self, *what: Any) -> None:
        """Something that begins so was told."""
        async with asyncio.timeout(PATIENCE_S):
            while not any(told[: len(what)] == what for told in self.told):
                await self._wait()

    async def heard(self, samples: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.pcm) < 2 * samples:
                await self._wait()

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _tell(self, *what: Any) -> None:
        self.told.append(what)
        self._news.set()


def answered_by(endpoint: Endpoint, owner: Owner, **options: Any) -> Signal:
    """Where a caller sends its offers: the first makes the owner's call, further ones renegotiate it."""

    async def signal(offer: str) -> str:
        if owner.call is not None:
            return owner.call.renegotiate(offer)
        owner.call = endpoint.call(offer, owner, **options)
        return owner.call.answer

    return signal
