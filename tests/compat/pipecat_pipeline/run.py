"""Pipecat: its realtime model and its speech-to-text, each in a pipeline of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames import frames
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from pipecat.turns.user_turn_strategies import ExternalUserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from tests.compat.reporting import RATE_HZ, ask_for_a_cut, chunks, main, silence, tone, until

logger.remove()
logger.add(sys.stderr, level="WARNING")


class Frames(BaseObserver):
    """Every frame that anybody pushed, once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        if data.first_push:
            self.seen.append(data.frame)


class Client:
    def __init__(self, worker: PipelineWorker, seen: Frames, context: LLMContext, llm: Any) -> None:
        self.worker = worker
        self.context = context
        self.llm = llm
        self.calls: list[tuple[str, Any]] = []
        self._seen = seen

    def of_type(self, frame_type: type) -> list[Any]:
        return [frame for frame in self._seen.seen if isinstance(frame, frame_type)]

    async def until_frame(self, frame_type: type, count: int = 1) -> Any:
        await until(lambda: len(self.of_type(frame_type)) >= count, f"{count} {frame_type.__name__}")
        return self.of_type(frame_type)[count - 1]

    def words(self) -> str:
        """What the model said so far."""
        return "".join(frame.text for frame in self.of_type(frames.LLMTextFrame))

    async def until_said(self, text: str) -> None:
        await until(lambda: text in self.words(), f"the model says: {text}")

    async def run_model(self, *said: str) -> None:
        for text in said:
            self.context.add_message({"role": "user", "content": text})
        await self.worker.queue_frame(frames.LLMRunFrame())

    async def speak(self, pcm: bytes) -> None:
        await self.worker.queue_frames(
            [frames.InputAudioRawFrame(audio=chunk, sample_rate=RATE_HZ, num_channels=1) for chunk in chunks(pcm)]
        )

    def assert_sane(self) -> None:
        assert not self.of_type(frames.ErrorFrame), self.of_type(frames.ErrorFrame)


def _tool(name: str, argument: str) -> FunctionSchema:
    return FunctionSchema(
        name=name, description=f"Tell the {name}.", properties={argument: {"type": "string"}}, required=[argument]
    )


@asynccontextmanager
async def connected(address: str, *, detection: Any = None, **properties: Any) -> AsyncIterator[Client]:
    audio = events.AudioConfiguration(
        input=events.AudioInput(transcription=events.InputAudioTranscription(), turn_detection=detection),
        output=events.AudioOutput(voice="marin", speed=1.2),
    )
    llm = OpenAIRealtimeLLMService(
        base_url=address.replace("http", "ws", 1) + "/realtime",
        api_key="any",
        settings=OpenAIRealtimeLLMService.Settings(
            session_properties=events.SessionProperties(audio=audio, **properties)
        ),
    )
    context = LLMContext(tools=ToolsSchema(standard_tools=[_tool("weather", "city"), _tool("clock", "zone")]))
    # The strategies that the service asks for; the default ones would load an onnx model first.
    turns = LLMUserAggregatorParams(user_turn_strategies=ExternalUserTurnStrategies())
    pair = LLMContextAggregatorPair(context, user_params=turns)
    async with running([pair.user(), llm, pair.assistant()]) as (worker, seen):
        client = Client(worker, seen, context, llm)

        async def answer(call: Any) -> None:
            client.calls.append((call.function_name, dict(call.arguments)))
            await call.result_callback({"weather": "sunny", "clock": "noon"}[call.function_name])

        llm.register_function("weather", answer)
        llm.register_function("clock", answer)
        yield client
        # Left in the middle of a response, it would wait ten seconds for its connection to close.
        await until(lambda: not llm._response_active, "the end of the last response")


@asynccontextmanager
async def running(steps: list[Any]) -> AsyncIterator[tuple[PipelineWorker, Frames]]:
    seen = Frames()
    params = PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)
    worker = PipelineWorker(Pipeline(steps), params=params, observers=[seen], enable_rtvi=False)
    started = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def on_pipeline_started(*_: Any) -> None:
        started.set()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        try:
            await started.wait()
            yield worker, seen
        finally:
            await runner.cancel()


async def connect(address: str) -> str:
    async with connected(address) as client:
        # It tells its pipeline nothing of this, and begins to talk only then.
        await until(lambda: client.llm._api_session_ready, "the session is configured")
        client.assert_sane()
        return "the session is ready"


async def configure(address: str) -> str:
    async with connected(address, instructions="scripted: say configured", output_modalities=["text"]) as client:
        await client.run_model("hello")
        await client.until_said("configured")
        client.assert_sane()
        return "instructions were followed; tools, voice and speed were taken"


async def spoken_turn(address: str) -> str:
    async with connected(address) as client:
        await client.speak(silence(300) + tone(900) + silence(900))
        await client.until_said("You said: I heard ")
        await client.until_frame(frames.TTSStoppedFrame)
        heard = (await client.until_frame(frames.TranscriptionFrame)).text
        await client.until_said(f"You said: {heard}")
        assert client.words() == f"You said: {heard}", (client.words(), heard)
        audio_bytes = sum(len(frame.audio) for frame in client.of_type(frames.TTSAudioRawFrame))
        assert audio_bytes > 24_000
        client.assert_sane()
        return f"{heard!r} was answered with {audio_bytes} bytes"


async def text_turn(address: str) -> str:
    async with connected(address, output_modalities=["text"]) as client:
        await client.run_model("hello")
        await client.until_said("You said: hello")
        await until(lambda: len(client.context.get_messages()) == 2, "the answer in the context")
        assert client.context.get_messages()[1]["content"] == "You said: hello"
        client.assert_sane()
        return client.words()


async def two_tools(address: str) -> str:
    async with connected(address, output_modalities=["text"]) as client:
        await client.run_model('call weather {"city": "Paris"}\ncall clock {"zone": "CET"}')
        await client.until_said("The tool says: ")
        assert client.calls == [("weather", {"city": "Paris"}), ("clock", {"zone": "CET"})]
        client.assert_sane()
        return f"weather and clock were called; {client.words()}"


async def barge_in(address: str) -> str:
    async with connected(address) as client:
        await client.run_model("long 30\nhang")
        await client.until_frame(frames.TTSAudioRawFrame)
        await client.speak(tone(600) + silence(900))
        await client.until_frame(frames.InterruptionFrame)
        await client.until_frame(frames.TTSStoppedFrame)
        await client.until_said("You said: I heard ")
        client.assert_sane()
        return "the pipeline was interrupted, and the speech was answered"


async def cancel(address: str) -> str:
    """Turns made by the client: an interruption is a ``response.cancel``."""
    async with connected(address, detection=False) as client:
        await client.run_model("long 30\nhang")
        await client.until_frame(frames.TTSAudioRawFrame)
        await client.worker.queue_frame(frames.InterruptionFrame())
        await client.until_frame(frames.TTSStoppedFrame)
        await client.speak(tone(600))
        await client.worker.queue_frame(frames.UserStoppedSpeakingFrame())
        await client.until_said("You said: I heard ")
        client.assert_sane()
        return "the response ended, and the next one began"


async def error(address: str) -> str:
    """Any error event ends the client's reading; ``reset_conversation`` begins anew."""
    async with connected(address, output_modalities=["text"]) as client:
        await _talk(client)
        await client.llm.send_client_event(events.InputAudioBufferCommitEvent(event_id="mine"))
        problem = (await client.until_frame(frames.ErrorFrame)).error
        assert "input_audio_buffer_commit_empty" in problem
        assert "'mine'" in problem
        await _works_again(client)
        return "an ErrorFrame with code and event_id"


async def reconnect(address: str) -> str:
    async with connected(address, output_modalities=["text"]) as client:
        await _talk(client)
        ask_for_a_cut()
        while not client.of_type(frames.ErrorFrame):
            await client.speak(silence(100))
            await asyncio.sleep(0.02)
        await _works_again(client)
        return "an ErrorFrame; reset_conversation() begins a new session, which works"


async def _talk(client: Client) -> None:
    await client.run_model("hello")
    await client.until_said("You said: hello")
    await client.until_frame(frames.LLMFullResponseEndFrame)


async def _works_again(client: Client) -> None:
    await client.llm.reset_conversation()
    await until(lambda: client.llm._api_session_ready, "the new session is configured")
    await client.speak(silence(300) + tone(900) + silence(900))
    await client.until_said("You said: I heard ")


async def transcription(address: str) -> str:
    ears = OpenAIRealtimeSTTService(
        base_url=address.replace("http", "ws", 1) + "/realtime",
        api_key="any",
        turn_detection={"type": "server_vad"},
        settings=OpenAIRealtimeSTTService.Settings(model="gpt-transcribe"),
    )
    async with running([ears]) as (worker, seen):
        for chunk in chunks(silence(300) + tone(900) + silence(900)):
            await worker.queue_frame(frames.InputAudioRawFrame(audio=chunk, sample_rate=RATE_HZ, num_channels=1))
        heard = await until(
            lambda: [frame.text for frame in seen.seen if isinstance(frame, frames.TranscriptionFrame)], "a transcript"
        )
        assert heard[0].startswith("I heard ")
        assert not [frame for frame in seen.seen if isinstance(frame, frames.ErrorFrame)]
        return str(heard[0])


main(connect, configure, spoken_turn, text_turn, two_tools, barge_in, cancel, error, reconnect, transcription)
