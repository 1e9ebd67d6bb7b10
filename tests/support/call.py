"""A call in memory: a data channel that opens when the test says so, and a network that plays in real time."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

from antiphon.core.inputs import PlayoutCleared, PlayoutEnded, PlayoutStarted
from tests.support.audio import chunks, silence_ms, tone_ms
from tests.support.runtime import Client

__all__ = ["Call", "Media", "Tag"]

Tag = tuple[str, str]
"""Response and item."""

_FRAME_BYTES: Final = 960
_FRAME_S: Final = 0.02


class Media:
    """The audio of one call, as its session sees it: 20 ms leave every 20 ms, and are heard ``delay_ms`` later."""

    hears = True

    def __init__(self, *, delay_ms: int = 60, room_s: float = 180.0) -> None:
        self.delay_ms = delay_ms
        self.room_s = room_s
        self.most_pending_s = 0.0
        self.sent: dict[Tag, int] = {}
        """Samples that left."""
        self.left_at: list[float] = []
        """When each packet left."""
        self.facts: list[PlayoutStarted | PlayoutEnded | PlayoutCleared] = []
        """All that the session was told."""
        self.ducked: list[bool] = []
        """What was asked of its loudness, one after another."""
        self._waiting: deque[tuple[Tag, bytearray]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._hear: Callable[[bytes], None] = lambda _: None
        self._report: Callable[[PlayoutStarted | PlayoutEnded], None] = lambda _: None
        self._taken = asyncio.Event()

    @property
    def pending_s(self) -> float:
        return sum(len(pcm) for _, pcm in self._waiting) / 2 / 24_000

    # --- the session's side ----------------------------------------------------------------------------------------

    def attach(self, hear: Callable[[bytes], None], report: Callable[[PlayoutStarted | PlayoutEnded], None]) -> None:
        self._hear, self._report = hear, report

    def play(self, response_id: str, item_id: str, pcm: bytes) -> None:
        tag = (response_id, item_id)
        if self._waiting and self._waiting[-1][0] == tag:
            self._waiting[-1][1].extend(pcm)
        else:
            self._waiting.append((tag, bytearray(pcm)))
        self.most_pending_s = max(self.most_pending_s, self.pending_s)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FRAME_S, self._tick)

    def clear(self, response_ids: Collection[str]) -> list[PlayoutCleared]:
        cut = [tag for tag, _ in self._waiting if tag[0] in response_ids]
        self._waiting = deque(one for one in self._waiting if one[0] not in cut)
        self._taken.set()
        facts = [PlayoutCleared(*tag, self.sent.get(tag, 0), self._heard_ms(tag)) for tag in cut]
        self.facts += facts
        return facts

    def duck(self, on: bool) -> None:
        self.ducked.append(on)

    async def room(self) -> None:
        while self.pending_s > self.room_s:
            self._taken.clear()
            await self._taken.wait()

    # --- the network's side ----------------------------------------------------------------------------------------

    def hear(self, pcm: bytes) -> None:
        """What the caller's microphone gave."""
        self._hear(pcm)

    async def speak(self, pcm: bytes, *, chunk_ms: int = 20) -> None:
        """The same, at the pace of speech."""
        for chunk in chunks(pcm, chunk_ms):
            self.hear(chunk)
            await asyncio.sleep(len(chunk) / 2 / 24_000)

    async def speak_turn(self, *, speech_ms: int = 800, silence_after_ms: int = 700) -> None:
        """A turn that server VAD takes for one."""
        await self.speak(tone_ms(speech_ms) + silence_ms(silence_after_ms))

    def stop(self) -> None:
        """The call is over."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    @property
    def cuts(self) -> list[PlayoutCleared]:
        return [fact for fact in self.facts if isinstance(fact, PlayoutCleared)]

    def _heard_ms(self, tag: Tag) -> int:
        return max(0, self.sent.get(tag, 0) // 24 - self.delay_ms)

    def _tick(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        tag, pcm = self._waiting[0]
        frame = pcm[:_FRAME_BYTES]
        del pcm[:_FRAME_BYTES]
        is_first = tag not in self.sent
        self.sent[tag] = self.sent.get(tag, 0) + len(frame) // 2
        self.left_at.append(asyncio.get_running_loop().time())
        self._timer = asyncio.get_running_loop().call_later(_FRAME_S, self._tick)
        self._taken.set()
        if is_first:
            self.tell(PlayoutStarted(*tag))
        if not pcm:
            self._waiting.popleft()
            self.tell(PlayoutEnded(*tag, self.sent[tag]))

    def tell(self, fact: PlayoutStarted | PlayoutEnded) -> None:
        """What the network knows of the playout."""
        self.facts.append(fact)
        self._report(fact)


class Call(Client):
    """A caller: its events wait until ``opened`` is set."""

    media: Media

    def __init__(self, *, opened: bool = True, media: Media | None = None) -> None:
        super().__init__()
        self.media = media or Media()
        self.opened = asyncio.Event()
        if opened:
            self.opened.set()

    async def send(self, frames: Sequence[bytes]) -> None:
        await self.opened.wait()
        await super().send(frames)

    async def close(self, code: int, reason: str) -> None:
        await super().close(code, reason)
        self.media.stop()

    def hang_up(self, *, clean: bool = True) -> None:
        super().hang_up(clean=clean)
        self.opened.set()
