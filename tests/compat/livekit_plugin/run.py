"""The OpenAI plugin of LiveKit Agents: its realtime model and its speech-to-text, without a room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import APIConnectOptions, function_tool, llm, stt, utils
from livekit.plugins import openai

from tests.compat.reporting import RATE_HZ, ask_for_a_cut, chunks, main, silence, tone, until

_TOLD = (
    "generation_created",
    "input_audio_transcription_completed",
    "input_speech_started",
    "openai_server_event_received",
    "session_reconnected",
    "error",
)


@function_tool
async def weather(city: str) -> str:
    """Tell the weather of a city."""
    return "sunny"


@function_tool
async def clock(zone: str) -> str:
    """Tell the time in a zone."""
    return "noon"


class Client:
    """A session, and everything that it told."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.told: dict[str, list[Any]] = {name: [] for name in _TOLD}
        for name, events in self.told.items():
            session.on(name, lambda event, events=events: events.append(event))

    async def server_sent(self, event_type: str, count: int = 1) -> Any:
        def found() -> list[Any]:
            return [event for event in self.told["openai_server_event_received"] if event["type"] == event_type]

        await until(lambda: len(found()) >= count, f"{count} {event_type}")
        return found()[count - 1]

    async def ask(self, text: str) -> Any:
        """The generation that answers."""
        context = self.session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await self.session.update_chat_ctx(context)
        return await self.session.generate_reply()

    async def generation(self, count: int = 1) -> Any:
        await until(lambda: len(self.told["generation_created"]) >= count, f"{count} generations")
        return self.told["generation_created"][count - 1]

    def speak(self, pcm: bytes) -> None:
        for chunk in chunks(pcm):
            self.session.push_audio(_frame(chunk))

    def assert_sane(self) -> None:
        assert not self.told["error"], self.told["error"]


def _frame(pcm: bytes) -> Any:
    return rtc.AudioFrame(data=pcm, sample_rate=RATE_HZ, num_channels=1, samples_per_channel=len(pcm) // 2)


async def said(generation: Any) -> tuple[str, int]:
    """The words of a generation, and the length of its audio in bytes."""
    words, audio_bytes = "", 0
    async for message in generation.message_stream:
        async for text in message.text_stream:
            words += text
        async for frame in message.audio_stream:
            audio_bytes += len(frame.data.cast("B"))
    return words, audio_bytes


@asynccontextmanager
async def connected(address: str, **options: Any) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        model = openai.realtime.RealtimeModel(
            base_url=address,
            api_key="any",
            http_session=http,
            conn_options=APIConnectOptions(retry_interval=0.05),
            **options,
        )
        session = model.session()
        client = Client(session)
        try:
            await client.server_sent("session.updated")
            yield client
        finally:
            await session.aclose()
            await model.aclose()


async def connect(address: str) -> str:
    async with connected(address) as client:
        session = (await client.server_sent("session.created"))["session"]
        client.assert_sane()
        return str(session["id"])


async def configure(address: str) -> str:
    async with connected(address, voice="cedar", speed=1.2) as client:
        await client.session.update_instructions("Be kind.")
        await client.session.update_tools([weather, clock])
        session = (await client.server_sent("session.updated", 3))["session"]
        assert session["instructions"] == "Be kind."
        assert [tool["name"] for tool in session["tools"]] == ["weather", "clock"]
        assert (session["audio"]["output"]["voice"], session["audio"]["output"]["speed"]) == ("cedar", 1.2)
        client.assert_sane()
        return "instructions, tools, voice and speed came back"


async def spoken_turn(address: str) -> str:
    async with connected(address) as client:
        client.speak(silence(300) + tone(900) + silence(3000))
        words, audio_bytes = await said(await client.generation())
        assert client.told["input_speech_started"]
        heard = [event.transcript for event in client.told["input_audio_transcription_completed"] if event.is_final]
        assert heard[-1].startswith("I heard ")
        assert words == f"You said: {heard[-1]}"
        assert audio_bytes > 24_000
        client.assert_sane()
        return f"{heard[-1]!r} was answered with {audio_bytes} bytes"


async def text_turn(address: str) -> str:
    async with connected(address, modalities=["text"]) as client:
        words, audio_bytes = await said(await client.ask("hello"))
        assert (words, audio_bytes) == ("You said: hello", 0)
        client.assert_sane()
        return words


async def two_tools(address: str) -> str:
    async with connected(address, modalities=["text"]) as client:
        await client.session.update_tools([weather, clock])
        generation = await client.ask('call weather {"city": "Paris"}\ncall clock {"zone": "CET"}')
        calls = [call async for call in generation.function_stream]
        assert [call.name for call in calls] == ["weather", "clock"]
        assert ["Paris" in calls[0].arguments, "CET" in calls[1].arguments] == [True, True]
        context = client.session.chat_ctx.copy()
        for call, output in zip(calls, ("sunny", "noon"), strict=True):
            context.items.append(
                llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output=output, is_error=False)
            )
        await client.session.update_chat_ctx(context)
        words, _ = await said(await client.session.generate_reply())
        assert words == "The tool says: noon"
        client.assert_sane()
        return f"weather and clock were called; {words}"


async def barge_in(address: str) -> str:
    async with connected(address) as client:
        generation = await client.ask("long 30\nhang")
        await client.server_sent("response.output_audio.delta")
        client.speak(tone(600) + silence(3000))
        words, _ = await said(generation)
        assert words.startswith("word 1,")
        done = (await client.server_sent("response.done"))["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
        assert client.told["input_speech_started"]
        client.session.truncate(message_id=done["output"][0]["id"], modalities=["audio"], audio_end_ms=100)
        await client.server_sent("conversation.item.truncated")
        words, _ = await said(await client.generation(2))
        assert words.startswith("You said: I heard ")
        client.assert_sane()
        return "the generation ended, was truncated, and the speech was answered"


async def cancel(address: str) -> str:
    async with connected(address) as client:
        generation = await client.ask("long 30\nhang")
        await client.server_sent("response.output_audio.delta")
        client.session.interrupt()
        await said(generation)
        done = (await client.server_sent("response.done"))["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        words, _ = await said(await client.ask("still there?"))
        assert words == "You said: still there?"
        client.assert_sane()
        return "interrupt() ended the generation, and the next one began"


async def error(address: str) -> str:
    async with connected(address) as client:
        client.session.send_event({"type": "conversation.item.delete", "item_id": "nowhere", "event_id": "mine"})
        (problem,) = await until(lambda: client.told["error"], "an error")
        assert problem.recoverable
        assert problem.error.body.event_id == "mine"
        words, _ = await said(await client.ask("still there?"))
        assert words == "You said: still there?"
        return f"{problem.error.body.code} for event {problem.error.body.event_id!r}"


async def reconnect(address: str) -> str:
    async with connected(address, modalities=["text"]) as client:
        await said(await client.ask("hello"))
        ask_for_a_cut()
        await until(lambda: client.told["session_reconnected"], "session_reconnected")
        first = (await client.server_sent("session.created"))["session"]["id"]
        assert (await client.server_sent("session.created", 2))["session"]["id"] != first
        await until(lambda: len(client.session.chat_ctx.items) == 2, "the conversation so far")
        words, _ = await said(await client.ask("hello again"))
        assert words == "You said: hello again"
        kept = [item.text_content for item in client.session.chat_ctx.items if item.type == "message"]
        assert kept == ["hello", "You said: hello", "hello again", "You said: hello again"], kept
        return "by itself, with the conversation so far"


async def transcription(address: str) -> str:
    async with (
        utils.http_context.open(),
        openai.STT(use_realtime=True, base_url=address, api_key="any", model="gpt-4o-transcribe") as ears,
        ears.stream() as stream,
    ):
        for chunk in chunks(silence(300) + tone(900) + silence(3000)):
            stream.push_frame(_frame(chunk))
        async for event in stream:
            if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                heard = event.alternatives[0].text
                break
    assert heard.startswith("I heard ")
    return str(heard)


main(connect, configure, spoken_turn, text_turn, two_tools, barge_in, cancel, error, reconnect, transcription)
