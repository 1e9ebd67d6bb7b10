"""The other end of ``bench.rtc``, in a process of its own: answers calls and talks to each without a pause.

``python -m bench.rtc_answerer ours|aiortc`` obeys orders on its standard input; they and the answers are lines of JSON.
"""

import asyncio
import fractions
import json
import random
import sys
import time
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import AsyncExitStack, aclosing
from typing import Any, Protocol

from antiphon.engines.base import CallContext
from antiphon.rtc.call import Call, CallEnd
from antiphon.rtc.endpoint import Endpoint
from antiphon.rtc.settings import EndpointSettings
from antiphon.vocabulary.llm import LlmRequest, SystemMessage, TextContent, UserMessage
from tests.support.audio import recording

__all__ = ["SPEECH"]

SPEECH = "austen_0870.wav"
_HZ = 24_000
_FRAME_S = 0.02
_FRAME_SAMPLES = 480
_TALK_S = 600.0
_KEPT = 500_000
_STORY = LlmRequest(
    (SystemMessage("You tell stories."), UserMessage((TextContent("Tell a long story about a ship."),))),
    max_output_tokens=400,
)


class _Counts:
    """Since the last reading."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.heard_samples = 0
        self._since_s = time.monotonic()
        self._cpu_s = time.process_time()

    def ticked(self, late_s: float) -> None:
        if len(self.late_ms) < _KEPT:
            self.late_ms.append(late_s * 1000)

    def read(self) -> dict[str, float]:
        late = sorted(self.late_ms) or [0.0]
        now_s, cpu_s = time.monotonic(), time.process_time()
        told = {
            "cpu_s": cpu_s - self._cpu_s,
            "wall_s": now_s - self._since_s,
            "heard_s": self.heard_samples / _HZ,
            "ticks": len(self.late_ms),
            "late_p50_ms": late[len(late) // 2],
            "late_p99_ms": late[int(len(late) * 0.99)],
            "late_max_ms": late[-1],
        }
        self.late_ms.clear()
        self.heard_samples = 0
        self._since_s, self._cpu_s = now_s, cpu_s
        return told


class _Answerer(Protocol):
    async def answer(self, offer: str) -> str: ...
    def clear(self, call: int) -> float:
        """Silence from now on, for a second; the time of the order, by the clock that all processes share."""


class _Endpoint(Endpoint):
    """Tells how late each tick is, and not only in which class of lateness."""

    def __init__(self, settings: EndpointSettings, counts: _Counts) -> None:
        super().__init__(settings)
        self._counts = counts

    def _late(self, late_s: float) -> None:
        self._counts.ticked(late_s)
        super()._late(late_s)


class _Ours:
    def __init__(self, endpoint: Endpoint, counts: _Counts) -> None:
        self._endpoint = endpoint
        self._counts = counts
        self._speech = recording(SPEECH)
        self._calls: list[Call] = []

    async def answer(self, offer: str) -> str:
        owner = _Owner(self._counts, self._talk)
        owner.call = self._endpoint.call(offer, owner)
        self._calls.append(owner.call)
        return owner.call.answer

    def clear(self, call: int) -> float:
        at_s = time.monotonic()
        self._calls[call].clear(lambda tag: True)
        asyncio.get_running_loop().call_later(1.0, self._talk, self._calls[call])
        return at_s

    def _talk(self, call: Call) -> None:
        """All calls play one object: what waits costs nothing."""
        start = random.randrange(len(self._speech) // 4) * 2
        call.play("talk", self._speech[start:])
        for _ in range(int(_TALK_S * _HZ * 2 / len(self._speech))):
            call.play("talk", self._speech)


class _Owner:
    def __init__(self, counts: _Counts, talk: Callable[[Call], None]) -> None:
        self._counts = counts
        self._talk = talk
        self.call: Call | None = None

    def connected(self) -> None:
        assert self.call is not None
        self._talk(self.call)

    def audio_received(self, pcm: bytes) -> None:
        self._counts.heard_samples += len(pcm) // 2

    def closed(self, reason: CallEnd) -> None:
        self.call = None

    def channel_opened(self, label: str) -> None: ...
    def message_received(self, data: str | bytes) -> None: ...
    def message_refused(self, size_bytes: int) -> None: ...
    def playout_started(self, tag: Hashable) -> None: ...
    def playout_ended(self, tag: Hashable, sent_samples: int) -> None: ...
    def playout_taken(self) -> None: ...


class _Aiortc:
    """As it comes: its own peer connection, encoder, jitter buffer and decoder."""

    def __init__(self, tasks: asyncio.TaskGroup, counts: _Counts) -> None:
        self._tasks = tasks
        self._counts = counts
        self._speech = recording(SPEECH)
        self._connections: list[Any] = []

    async def answer(self, offer: str) -> str:
        from aiortc import RTCPeerConnection, RTCSessionDescription

        connection = RTCPeerConnection()
        self._connections.append(connection)
        connection.on("track", lambda track: self._tasks.create_task(self._listen(track)))
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        connection.addTrack(_track(self._speech, self._counts))
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    def clear(self, call: int) -> float:
        raise NotImplementedError

    async def _listen(self, track: Any) -> None:
        from aiortc.mediastreams import MediaStreamError

        try:
            while True:
                frame = await track.recv()
                self._counts.heard_samples += frame.samples * _HZ // frame.sample_rate
        except MediaStreamError:
            return

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()


def _track(speech: bytes, counts: _Counts) -> Any:
    import av
    from aiortc import MediaStreamTrack

    class Talk(MediaStreamTrack):
        kind = "audio"
        frames = 0
        begun_s = 0.0

        async def recv(self) -> Any:
            now = asyncio.get_running_loop().time
            self.begun_s = self.begun_s or now()
            due_s = self.begun_s + self.frames * _FRAME_S
            await asyncio.sleep(max(0.0, due_s - now()))
            counts.ticked(now() - due_s)
            frame = av.AudioFrame(format="s16", layout="mono", samples=_FRAME_SAMPLES)
            at = self.frames % (len(speech) // 2 // _FRAME_SAMPLES) * _FRAME_SAMPLES * 2
            frame.planes[0].update(speech[at : at + _FRAME_SAMPLES * 2])
            frame.sample_rate = _HZ
            frame.pts = self.frames * _FRAME_SAMPLES
            frame.time_base = fractions.Fraction(1, _HZ)
            self.frames += 1
            return frame

    return Talk()


async def _write_stories() -> None:
    """The language model of this package writes, in its child process, until this is cancelled."""
    from antiphon.engines.llm_llamacpp import create

    engine = create({})
    try:
        while True:
            generation: AsyncGenerator[Any, None] = engine.generate(_STORY, context=CallContext("bench"))
            async with aclosing(generation) as chunks:
                async for _ in chunks:
                    pass
    finally:
        await engine.aclose()


async def _obey(answerer: _Answerer, counts: _Counts, tasks: asyncio.TaskGroup, orders: asyncio.StreamReader) -> None:
    stories: asyncio.Task[None] | None = None
    while line := await orders.readline():
        order = json.loads(line)
        told: dict[str, Any] = {}
        if order["do"] == "answer":
            told["sdp"] = await answerer.answer(order["sdp"])
        elif order["do"] == "read":
            told = counts.read()
        elif order["do"] == "clear":
            told["at_s"] = answerer.clear(order["call"])
        elif order["do"] == "write stories":
            stories = tasks.create_task(_write_stories())
        print(json.dumps(told), flush=True)
    if stories is not None:
        stories.cancel()


async def _serve(kind: str) -> None:
    orders = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    counts = _Counts()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        if kind == "ours":
            settings = EndpointSettings(addresses=("127.0.0.1",), port=0)
            await _obey(
                _Ours(await stack.enter_async_context(_Endpoint(settings, counts)), counts), counts, tasks, orders
            )
        else:
            aiortc = _Aiortc(tasks, counts)
            stack.push_async_callback(aiortc.close)
            await _obey(aiortc, counts, tasks, orders)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
