"""What 20 ms of audio cost on their way in, step by step, and 200 ms of speech on their way out: CPU of this thread."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import uvicorn
from uvicorn.server import ServerState

from antiphon.audio.pcm import pcm_to_samples
from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ, AudioProduced, AudioReceived, SpeechProbability, TextProduced
from antiphon.core.outputs import Emit
from antiphon.engines import registry
from antiphon.engines.base import VoiceActivityDetector
from antiphon.engines.registry import EngineKind
from antiphon.protocol.codec import decode_client_event, encode_server_event
from antiphon.protocol.server_events import ResponseOutputAudioDelta, ServerEvent
from antiphon.runtime.listener import Listener
from antiphon.server.uvicorn_protocols import TEXTS, WebSocketProtocol
from bench.client import frames
from bench.core import Core
from bench.crowd import handshake, wire_frames
from bench.density import noise

__all__ = ["path"]

_CHUNK_MS = 20
_WINDOW = 768
_ROUNDS = 40
_CHUNKS = 200
"""A round: four seconds."""
_BATCH = 16


def path() -> Sequence[Sequence[str]]:
    """Rows: the step, microseconds each time, and what of a core it is for one session in real time."""
    quiet = noise("pink", -50, _CHUNKS * _CHUNK_MS / 1000)
    steps = [
        ("frame to text (20 ms)", _frames(quiet), 50.0),
        ("text to audio: JSON and base64 (20 ms)", _decoding(quiet), 50.0),
        ("windows, and the gate, closed (20 ms)", _listening(quiet, says=0.0), 50.0),
        ("windows, and 24 to 16 kHz where the gate is open (20 ms)", _listening(quiet, says=0.9), 50.0),
        ("detector, sixteen at once (a window of 32 ms)", _detecting(_BATCH), 31.25),
        ("detector, alone (a window of 32 ms)", _detecting(1), 31.25),
        ("core: audio, and what the detector says (a window of 32 ms)", _core_hears(), 31.25),
        ("24 to 16 kHz for the recogniser (20 ms)", _converting(quiet), 50.0),
        ("core: speech of the answer (200 ms)", _core_speaks(), 5.0),
        ("event to text: base64 and JSON (200 ms)", _encoding(), 5.0),
        ("text to frame (200 ms)", _sending(), 5.0),
    ]
    return [(name, f"{us:.1f}", f"{us * a_second / 1e4:.3f}") for name, us, a_second in steps]


def _us(round_: Callable[[], int]) -> float:
    """Of CPU for one of those that a round does: the median round."""
    took = []
    for _ in range(_ROUNDS):
        began = time.thread_time_ns()
        times = round_()
        took.append((time.thread_time_ns() - began) / 1000 / times)
    return statistics.median(took)


class _Wire(asyncio.Transport):
    def write(self, data: Any) -> None:
        self.last = data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...


class _Application:
    def __init__(self) -> None:
        self.accepted, self.over = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        await receive()
        await send({"type": "websocket.accept"})
        self.accepted.set()
        await self.over.wait()

    async def leave(self, protocol: WebSocketProtocol) -> None:
        self.over.set()
        for task in list(protocol.tasks):
            await task


async def _connected() -> tuple[WebSocketProtocol, _Application]:
    application = _Application()
    config = uvicorn.Config(application, ws=WebSocketProtocol, log_config=None)
    config.load()
    protocol = WebSocketProtocol(config, ServerState(), {})
    protocol.connection_made(_Wire())
    protocol.data_received(handshake("/v1/realtime", "localhost"))
    await application.accepted.wait()
    return protocol, application


def _frames(pcm: bytes) -> float:
    data = wire_frames(pcm, _CHUNK_MS)

    async def main() -> float:
        protocol, application = await _connected()
        took = []
        for _ in range(_ROUNDS):
            began = time.thread_time_ns()
            for frame in data:
                protocol.data_received(frame)
                await application.receive()
            took.append((time.thread_time_ns() - began) / 1000 / len(data))
        await application.leave(protocol)
        return statistics.median(took)

    return asyncio.run(main())


def _sending() -> float:
    text = encode_server_event(_delta())

    async def main() -> float:
        protocol, application = await _connected()
        assert TEXTS in application.scope["extensions"]
        took = []
        for _ in range(_ROUNDS):
            began = time.thread_time_ns()
            for _ in range(_CHUNKS):
                await application.send({"type": "websocket.send", "texts": [text]})
            took.append((time.thread_time_ns() - began) / 1000 / _CHUNKS)
        await application.leave(protocol)
        return statistics.median(took)

    return asyncio.run(main())


def _decoding(pcm: bytes) -> float:
    texts = frames(pcm, _CHUNK_MS)

    def round_() -> int:
        for text in texts:
            decode_client_event(text)
        return len(texts)

    return _us(round_)


def _detector() -> VoiceActivityDetector:
    detector: VoiceActivityDetector = registry.create(EngineKind.VAD, "silero", {})  # type: ignore[assignment]
    return detector


def _listening(pcm: bytes, *, says: float) -> float:
    """``says``: the detector, of every window that it is asked about."""
    size = 48 * _CHUNK_MS
    chunks = [pcm[start : start + size] for start in range(0, len(pcm), size)]
    listener = Listener(_detector(), lambda _: None, lambda _: None, lambda _: None)

    def round_() -> int:
        for chunk in chunks:
            listener.push(chunk)
            while listener.next_window() is not None:
                listener.deliver(says)
        return len(chunks)

    round_()
    return _us(round_)


def _detecting(batch: int) -> float:
    detector = _detector()
    states = [detector.new_state() for _ in range(batch)]
    samples = pcm_to_samples(noise("pink", -50, 1.0))[: 512 * batch].reshape(batch, 512)

    def round_() -> int:
        for _ in range(20):
            detector.detect(samples, states)
        return 20 * batch

    return _us(round_)


def _core_hears() -> float:
    core = Core()
    audio = bytes(2 * _WINDOW)
    at = 0

    def round_() -> int:
        nonlocal at
        for _ in range(_CHUNKS):
            core.session.handle(AudioReceived(audio), 1.0)
            core.session.handle(SpeechProbability(at, _WINDOW, 0.01, -50.0), 1.0)
            at += _WINDOW
        return _CHUNKS

    return _us(round_)


def _converting(pcm: bytes) -> float:
    resampler = Resampler(INPUT_HZ, 16_000)
    size = 48 * _CHUNK_MS
    chunks = [pcm[start : start + size] for start in range(0, len(pcm), size)]

    def round_() -> int:
        for chunk in chunks:
            resampler.push(chunk)
        return len(chunks)

    return _us(round_)


def _core_speaks() -> float:
    core = Core()
    response_id = core.respond()
    core.tell(TextProduced(response_id, "Some words that are spoken."))

    def round_() -> int:
        for _ in range(20):
            core.session.handle(AudioProduced(response_id, bytes(9_600), 4_800, 0, 27), 1.0)
        return 20

    return _us(round_)


def _delta() -> ServerEvent:
    core = Core()
    response_id = core.respond()
    core.tell(TextProduced(response_id, "Some words that are spoken."))
    pcm = np.random.default_rng(1).integers(-9000, 9000, 4_800, "<i2").tobytes()
    outputs = core.tell(AudioProduced(response_id, pcm, 4_800, 0, 27))
    events = [one.event for one in outputs if isinstance(one, Emit)]
    return next(event for event in events if isinstance(event, ResponseOutputAudioDelta))


def _encoding() -> float:
    event = _delta()

    def round_() -> int:
        for _ in range(_CHUNKS):
            encode_server_event(event)
        return _CHUNKS

    return _us(round_)
