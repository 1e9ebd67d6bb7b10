"""Pipecat behind a WebSocket, for ``python -m bench.peers``: run by the Python of an environment that holds
``pipecat-ai[silero,websocket,openai]`` 1.14.0 and ``uvicorn``, and nothing of ours.

Pipecat has no server for the Realtime protocol. What is measured needs four kinds of event, so a serializer reads
``input_audio_buffer.append``, and an observer of the pipeline tells the client when speech starts and stops, when an
answer begins, and its audio. Everything else is Pipecat as it comes: Silero, and its own end of turn.
"""

# mypy: ignore-errors
import argparse
import base64
import json
import os
import sys
from contextlib import suppress

os.environ.setdefault("OPENAI_API_KEY", "none")

import uvicorn
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    AudioRawFrame,
    BotStoppedSpeakingFrame,
    InputAudioRawFrame,
    LLMFullResponseStartFrame,
    OutputAudioRawFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
)
from pipecat.observers.base_observer import BaseObserver
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

_TOLD = {
    VADUserStartedSpeakingFrame: "input_audio_buffer.speech_started",
    UserStoppedSpeakingFrame: "input_audio_buffer.speech_stopped",
    LLMFullResponseStartFrame: "response.created",
    BotStoppedSpeakingFrame: "response.done",
}
_SMART_WINDOW_S = 0.2
"""Silence after which Pipecat asks Smart-Turn."""


class Wire(FrameSerializer):
    async def deserialize(self, data):
        event = json.loads(data)
        if event["type"] != "input_audio_buffer.append":
            return None
        return InputAudioRawFrame(audio=base64.b64decode(event["audio"]), sample_rate=24_000, num_channels=1)

    async def serialize(self, frame):
        if not isinstance(frame, OutputAudioRawFrame):
            return None
        return json.dumps({"type": "response.output_audio.delta", "delta": base64.b64encode(frame.audio).decode()})


class Teller(BaseObserver):
    """Tells the client of each frame once, however many processors it passes."""

    def __init__(self, socket):
        super().__init__()
        self._socket = socket
        self._told = set()

    async def on_push_frame(self, data):
        frame = data.frame
        name = None if isinstance(frame, AudioRawFrame) else _TOLD.get(type(frame))
        if name is None or frame.id in self._told:
            return
        self._told.add(frame.id)
        with suppress(RuntimeError):  # the client has left
            await self._socket.send_text(json.dumps({"type": name}))


def session(base_url, turn, silence_ms):
    """One client's pipeline."""

    async def run(socket):
        await socket.accept()
        await socket.send_text(json.dumps({"type": "session.created"}))
        wire = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=Wire())
        transport = FastAPIWebsocketTransport(websocket=socket, params=wire)
        fixed = turn == "fixed"
        vad = SileroVADAnalyzer(params=VADParams(stop_secs=silence_ms / 1000 if fixed else _SMART_WINDOW_S))
        more = {}
        if fixed:
            at_once = SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.0)
            more["user_turn_strategies"] = UserTurnStrategies(stop=[at_once])
        user, assistant = LLMContextAggregatorPair(
            LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=vad, **more)
        )
        backend = {"api_key": "none", "base_url": base_url}
        stages = [OpenAISTTService(**backend), user, OpenAILLMService(**backend), OpenAITTSService(**backend)]
        worker = PipelineWorker(
            Pipeline([transport.input(), *stages, transport.output(), assistant]),
            params=PipelineParams(audio_in_sample_rate=16_000, audio_out_sample_rate=24_000),
            observers=[Teller(socket)],
            idle_timeout_secs=None,
        )
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)

        @transport.event_handler("on_client_disconnected")
        async def left(_transport, _client):
            await runner.cancel()

        await runner.run()

    return run


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("base_url")
    parser.add_argument("--turn", choices=["fixed", "smart"], default="fixed")
    parser.add_argument("--silence-ms", type=int, default=500)
    given = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    route = WebSocketRoute("/v1/realtime", session(given.base_url, given.turn, given.silence_ms))
    uvicorn.run(Starlette(routes=[route]), host="127.0.0.1", port=given.port, log_level="error", ws_ping_interval=None)
