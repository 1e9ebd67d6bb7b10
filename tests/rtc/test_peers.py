"""Other implementations of WebRTC call: aiortc, and libwebrtc by its binding ``wrtc``."""

import asyncio
import fractions
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiortc
import av
import numpy as np
import pytest
import webrtc

from antiphon.audio.pcm import samples_to_pcm
from antiphon.rtc.call import CallEnd
from tests.support.rtc_endpoint import Owner, answered_by, open_endpoint
from tests.support.rtc_loop import in_real_time

_HZ = 24_000
_FRAME_SAMPLES = 480
_THEIR_TONE_HZ = 700
_OUR_TONE_HZ = 1_000
_PATIENCE_S = 20


def tone(hz: float, duration_s: float) -> bytes:
    at = np.arange(int(_HZ * duration_s)) / _HZ
    return samples_to_pcm(0.3 * np.sin(2 * np.pi * hz * at))


def loudest_hz(samples: np.ndarray[Any, Any], rate_hz: int) -> float:
    """Of the last half second."""
    last = np.asarray(samples, float)[-rate_hz // 2 :]
    spectrum = np.abs(np.fft.rfft(last * np.hanning(len(last))))
    return float(np.argmax(spectrum)) * rate_hz / len(last)


class Peer(Protocol):
    """Another implementation: offers a microphone with our tone, hears, and has a data channel."""

    opened: asyncio.Event
    messages: asyncio.Queue[str]

    async def offer(self) -> str: ...
    async def accept(self, answer: str) -> None: ...
    def send(self, message: str) -> None: ...
    async def hear(self, duration_s: float) -> float:
        """The loudest frequency in what comes."""

    async def close(self) -> None: ...


class _Tone(aiortc.MediaStreamTrack):
    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pcm = tone(_THEIR_TONE_HZ, 1.0)
        self._frames = 0
        self._begun_s = asyncio.get_running_loop().time()

    async def recv(self) -> av.AudioFrame:
        due_s = self._begun_s + self._frames * 0.02
        await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
        frame = av.AudioFrame(format="s16", layout="mono", samples=_FRAME_SAMPLES)
        at = self._frames * 2 * _FRAME_SAMPLES % len(self._pcm)
        frame.planes[0].update(self._pcm[at : at + 2 * _FRAME_SAMPLES])
        frame.sample_rate = _HZ
        frame.pts = self._frames * _FRAME_SAMPLES
        frame.time_base = fractions.Fraction(1, _HZ)
        self._frames += 1
        return frame


class Aiortc:
    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self._connection = aiortc.RTCPeerConnection()
        self._connection.addTrack(_Tone())
        self._channel = self._connection.createDataChannel("oai-events")
        self._channel.on("open", self.opened.set)
        self._channel.on("message", self.messages.put_nowait)

    async def offer(self) -> str:
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return str(self._connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        await self._connection.setRemoteDescription(aiortc.RTCSessionDescription(answer, "answer"))

    def send(self, message: str) -> None:
        self._channel.send(message)

    async def hear(self, duration_s: float) -> float:
        track = self._connection.getReceivers()[0].track
        heard, rate_hz = [], 48_000
        for _ in range(int(duration_s * 50)):
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            rate_hz = frame.sample_rate
            heard.append(frame.to_ndarray().reshape(-1)[:: len(frame.layout.channels)])
        return loudest_hz(np.concatenate(heard), rate_hz)

    async def close(self) -> None:
        await self._connection.close()


class Libwebrtc:
    def __init__(self) -> None:
        webrtc.allow_loopback()
        self.opened = asyncio.Event()
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self._connection = webrtc.RTCPeerConnection()
        self._microphone = webrtc.MediaStreamTrackGenerator("audio")
        self._connection.add_track(self._microphone)
        self._channel = self._connection.create_data_channel("oai-events")
        self._channel.on("open", lambda event: self.opened.set())
        self._channel.on("message", self._message)
        self._tracks: asyncio.Queue[Any] = asyncio.Queue()
        self._connection.on("track", lambda event: self._tracks.put_nowait(event.track))

    async def offer(self) -> str:
        await self._connection.set_local_description(await self._connection.create_offer())
        assert self._connection.local_description is not None
        return self._connection.local_description.sdp

    async def accept(self, answer: str) -> None:
        await self._connection.set_remote_description(webrtc.RTCSessionDescriptionInit("answer", answer))

    def send(self, message: str) -> None:
        self._channel.send(message)

    async def hear(self, duration_s: float) -> float:
        async with asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(self._speak())
            heard = await self._listen(duration_s)
            speaking.cancel()
        return heard

    def _message(self, event: webrtc.MessageEvent) -> None:
        self.messages.put_nowait(str(event.data))

    async def _speak(self) -> None:
        pcm = tone(_THEIR_TONE_HZ, 1.0)
        now = asyncio.get_running_loop().time
        begun_s, frame = now(), 0
        while True:
            at = frame * 2 * _FRAME_SAMPLES % len(pcm)
            self._microphone._generator.writeAudio(pcm[at : at + 2 * _FRAME_SAMPLES], _HZ, 1, _FRAME_SAMPLES)
            frame += 1
            await asyncio.sleep(max(0.0, begun_s + frame * 0.02 - now()))

    async def _listen(self, duration_s: float) -> float:
        track = await self._tracks.get()
        init = webrtc.MediaStreamTrackProcessorInit(track)
        heard, rate_hz = [], 48_000
        async for data in webrtc.MediaStreamTrackProcessor(init).readable:
            assert isinstance(data, webrtc.AudioData)
            assert isinstance(data._data, bytes)
            rate_hz = int(data.sample_rate)
            heard.append(np.frombuffer(data._data, np.int16)[:: data.number_of_channels])
            data.close()
            if sum(map(len, heard)) > duration_s * rate_hz:
                break
        return loudest_hz(np.concatenate(heard), rate_hz)

    async def close(self) -> None:
        self._connection.close()


@asynccontextmanager
async def called_by(peer: Peer) -> AsyncIterator[Owner]:
    """The peer's call is open."""
    owner = Owner()
    async with open_endpoint() as endpoint, asyncio.timeout(_PATIENCE_S):
        signal = answered_by(endpoint, owner)
        try:
            await peer.accept(await signal(await peer.offer()))
            await owner.until("channel", "oai-events")
            await peer.opened.wait()
            yield owner
        finally:
            await peer.close()


@pytest.mark.parametrize("peer", [Aiortc, Libwebrtc])
@in_real_time
async def test_both_sides_hear_each_other_exchange_messages_and_see_the_end(
    peer: type[Aiortc] | type[Libwebrtc],
) -> None:
    caller = peer()
    async with called_by(caller) as owner:
        assert owner.call is not None
        caller.send("hello there")
        await owner.until("message", "hello there")
        owner.call.send("and hello back")
        assert await caller.messages.get() == "and hello back"
        owner.call.play("answer", tone(_OUR_TONE_HZ, 3.0))
        assert await caller.hear(1.2) == pytest.approx(_OUR_TONE_HZ, abs=5)
        await owner.heard(_HZ)
        assert loudest_hz(np.frombuffer(bytes(owner.pcm), "<i2"), _HZ) == pytest.approx(_THEIR_TONE_HZ, abs=5)
        await caller.close()
        await owner.until("closed")
        assert owner.told[-1] == ("closed", CallEnd.HUNG_UP)
