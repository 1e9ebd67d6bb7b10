"""The official Python client."""

import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.types.websocket_reconnection import ReconnectingEvent

from tests.compat.reporting import ask_for_a_cut, chunks, main, silence, tone

TOOLS: list[Any] = [
    {"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("weather", "clock")
]


class Client:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []
        self._incoming = aiter(connection)

    async def until(self, event_type: str) -> Any:
        while True:
            event = await anext(self._incoming)
            self.events.append(event)
            assert event.type in ("error", event_type) or not event.type.endswith(("error", "failed")), event
            if event.type == event_type:
                return event

    async def update(self, **session: Any) -> Any:
        await self.connection.session.update(session={"type": "realtime", **session})
        return (await self.until("session.updated")).session

    async def ask(self, text: str, **response: Any) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await self.connection.response.create(response=response)

    async def speak(self, pcm: bytes) -> None:
        for chunk in chunks(pcm):
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())

    def count(self, event_type: str) -> int:
        return sum(event.type == event_type for event in self.events)


@asynccontextmanager
async def connected(address: str, **options: Any) -> AsyncIterator[Client]:
    os.environ.update(OPENAI_BASE_URL=address, OPENAI_API_KEY="any")
    async with AsyncOpenAI() as openai, openai.realtime.connect(model="gpt-realtime", **options) as connection:
        client = Client(connection)
        await client.until("session.created")
        yield client


async def connect(address: str) -> str:
    async with connected(address) as client:
        session = client.events[0].session
        assert session.type == "realtime"
        assert session.model == "gpt-realtime"
        return str(session.id)


async def configure(address: str) -> str:
    async with connected(address) as client:
        session = await client.update(
            instructions="Be kind.", tools=TOOLS, audio={"output": {"voice": "marin", "speed": 1.2}}
        )
        assert session.instructions == "Be kind."
        assert [tool.name for tool in session.tools] == ["weather", "clock"]
        assert (session.audio.output.voice, session.audio.output.speed) == ("marin", 1.2)
        return "instructions, tools, voice and speed came back"


async def spoken_turn(address: str) -> str:
    async with connected(address) as client:
        await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        await client.speak(silence(300) + tone(900) + silence(900))
        done = await client.until("response.done")
        heard = next(one for one in client.events if one.type.endswith("input_audio_transcription.completed"))
        assert heard.transcript.startswith("I heard "), heard
        (part,) = done.response.output[0].content
        assert part.transcript == f"You said: {heard.transcript}"
        audio = b"".join(base64.b64decode(e.delta) for e in client.events if e.type == "response.output_audio.delta")
        assert len(audio) > 24_000
        return f"{heard.transcript!r} was answered with {len(audio)} bytes"


async def text_turn(address: str) -> str:
    async with connected(address) as client:
        await client.update(output_modalities=["text"])
        await client.ask("hello")
        done = await client.until("response.done")
        assert done.response.output[0].content[0].text == "You said: hello"
        streamed = "".join(event.delta for event in client.events if event.type == "response.output_text.delta")
        assert streamed == "You said: hello"
        return streamed


async def two_tools(address: str) -> str:
    async with connected(address) as client:
        await client.update(tools=TOOLS, output_modalities=["text"])
        await client.ask('call weather {"city": "Paris"}\ncall clock {"zone": "CET"}')
        calls = (await client.until("response.done")).response.output
        assert [(call.name, json.loads(call.arguments)) for call in calls] == [
            ("weather", {"city": "Paris"}),
            ("clock", {"zone": "CET"}),
        ]
        for call, output in zip(calls, ("sunny", "noon"), strict=True):
            await client.connection.conversation.item.create(
                item={"type": "function_call_output", "call_id": call.call_id, "output": output}
            )
        await client.connection.response.create()
        answer = (await client.until("response.done")).response.output[0].content[0].text
        assert answer == "The tool says: noon"
        return f"weather and clock were called; {answer}"


async def barge_in(address: str) -> str:
    async with connected(address) as client:
        await client.ask("long 30\nhang")
        await client.until("response.output_audio.delta")
        await client.speak(tone(600) + silence(900))
        await client.until("input_audio_buffer.speech_started")
        stopped = (await client.until("response.done")).response
        assert (stopped.status, stopped.status_details.reason) == ("cancelled", "turn_detected")
        answer = (await client.until("response.done")).response
        assert answer.status == "completed", answer
        await client.connection.conversation.item.truncate(
            item_id=stopped.output[0].id, content_index=0, audio_end_ms=100
        )
        await client.until("conversation.item.truncated")
        return "speech ended the response, and was answered"


async def cancel(address: str) -> str:
    async with connected(address) as client:
        await client.ask("long 30\nhang")
        await client.until("response.output_audio.delta")
        await client.connection.response.cancel()
        stopped = (await client.until("response.done")).response
        assert (stopped.status, stopped.status_details.reason) == ("cancelled", "client_cancelled")
        await client.ask("still there?", output_modalities=["text"])
        assert (await client.until("response.done")).response.status == "completed"
        return "the response ended, and the next one began"


async def error(address: str) -> str:
    async with connected(address) as client:
        await client.connection.input_audio_buffer.commit(event_id="mine")
        problem = (await client.until("error")).error
        assert (problem.code, problem.event_id) == ("input_audio_buffer_commit_empty", "mine")
        await client.ask("still there?", output_modalities=["text"])
        assert (await client.until("response.done")).response.status == "completed"
        return f"{problem.code} for event {problem.event_id!r}"


async def reconnect(address: str) -> str:
    attempts: list[ReconnectingEvent] = []
    async with connected(address, on_reconnecting=attempts.append, initial_delay=0.05) as client:
        first = client.events[0].session.id
        ask_for_a_cut()
        second = (await client.until("session.created")).session.id
        assert attempts
        assert second != first
        await client.ask("hello again", output_modalities=["text"])
        assert (await client.until("response.done")).response.status == "completed"
        return f"by itself, after close code {attempts[0].close_code}"


async def transcription(address: str) -> str:
    async with (
        AsyncOpenAI(base_url=address, api_key="any") as openai,
        openai.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        client = Client(connection)
        session = (await client.until("session.created")).session
        assert session.type == "transcription"
        await client.speak(silence(300) + tone(900) + silence(900))
        heard = await client.until("conversation.item.input_audio_transcription.completed")
        assert heard.transcript.startswith("I heard ")
        return str(heard.transcript)


async def client_secret(address: str) -> str:
    os.environ.update(OPENAI_BASE_URL=address, OPENAI_API_KEY="any")
    async with AsyncOpenAI() as openai:
        session: Any = {"type": "realtime", "instructions": "Be kind.", "output_modalities": ["text"]}
        secret = await openai.realtime.client_secrets.create(session=session)
    async with AsyncOpenAI(api_key=secret.value) as openai, openai.realtime.connect(model="gpt-realtime") as connection:
        client = Client(connection)
        assert (await client.until("session.created")).session.instructions == "Be kind."
        await client.ask("hello")
        assert (await client.until("response.done")).response.output[0].content[0].text == "You said: hello"
        return f"{secret.value[:3]}... brought its session"


async def mcp_tools(address: str) -> str:
    tool = {"type": "mcp", "server_label": "weather", "server_url": os.environ["MCP_URL"], "require_approval": "never"}
    async with connected(address) as client:
        await client.update(tools=[tool], output_modalities=["text"])
        await client.until("mcp_list_tools.completed")
        await client.ask('call find {"city": "Bonn"}')
        (call,) = (await client.until("response.done")).response.output
        assert (call.type, call.server_label, call.output) == ("mcp_call", "weather", "It rains in Bonn.")
        assert client.count("response.mcp_call.completed") == 1
        await client.connection.response.create()
        answer = (await client.until("response.done")).response.output[0].content[0].text
        assert answer == "The tool says: It rains in Bonn."
        await client.update(tools=[{**tool, "require_approval": "always"}])
        await client.ask('call find {"city": "Ulm"}')
        await client.until("response.done")
        items = [event.item for event in client.events if event.type == "conversation.item.done"]
        (request,) = [item for item in items if item.type == "mcp_approval_request"]
        await client.connection.conversation.item.create(
            item={
                "type": "mcp_approval_response",
                "id": "answer_1",
                "approval_request_id": request.id,
                "approve": True,
            }
        )
        await client.until("response.mcp_call.completed")
        return f"find was called, and again when that was approved; {answer}"


main(
    connect,
    configure,
    spoken_turn,
    text_turn,
    two_tools,
    barge_in,
    cancel,
    error,
    reconnect,
    transcription,
    client_secret,
    mcp_tools,
)
