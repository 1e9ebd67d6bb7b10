"""The Agents SDK for Python."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import websockets
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.realtime.model_inputs import RealtimeModelRawClientMessage, RealtimeModelSendRawMessage

from tests.compat.reporting import ask_for_a_cut, chunks, main, silence, tone, until


class Client:
    """A session, and everything that it told."""

    def __init__(self, session: Any, calls: list[tuple[str, str]]) -> None:
        self.session = session
        self.calls = calls
        self.events: list[Any] = []

    async def listen(self) -> None:
        async for event in self.session:
            self.events.append(event)

    def of_type(self, event_type: str) -> list[Any]:
        return [event for event in self.events if event.type == event_type]

    def from_server(self, event_type: str) -> list[Any]:
        """Events as they came over the wire."""
        raw = (event.data.data for event in self.of_type("raw_model_event") if event.data.type == "raw_server_event")
        return [event for event in raw if event["type"] == event_type]

    async def server_sent(self, event_type: str, count: int = 1) -> Any:
        await until(lambda: len(self.from_server(event_type)) >= count, f"{count} {event_type}")
        return self.from_server(event_type)[count - 1]

    def said(self, role: str) -> list[str]:
        """What a side said, as the history of the session has it."""
        history = (event.history for event in reversed(self.of_type("history_updated")))
        messages = [item for item in next(history, []) if item.type == "message" and item.role == role]
        parts = (part for message in messages for part in message.content)
        return [part.text if part.type.endswith("text") else part.transcript or "" for part in parts]

    async def speak(self, pcm: bytes) -> None:
        for chunk in chunks(pcm):
            await self.session.send_audio(chunk)

    def assert_sane(self) -> None:
        """Each event that the client could not read is an error to it."""
        assert not self.of_type("error"), self.of_type("error")


@asynccontextmanager
async def connected(address: str, **settings: Any) -> AsyncIterator[Client]:
    calls: list[tuple[str, str]] = []

    @function_tool
    async def weather(city: str) -> str:
        """Tell the weather of a city."""
        calls.append(("weather", city))
        return "sunny"

    @function_tool
    async def clock(zone: str) -> str:
        """Tell the time in a zone."""
        calls.append(("clock", zone))
        return "noon"

    agent = RealtimeAgent(name="Guide", instructions="Be kind.", tools=[weather, clock])
    url = address.replace("http", "ws", 1) + "/realtime?model=gpt-realtime"
    config: Any = {"url": url, "api_key": "any", "initial_model_settings": settings}
    async with asyncio.TaskGroup() as tasks, await RealtimeRunner(agent).run(model_config=config) as session:
        client = Client(session, calls)
        tasks.create_task(client.listen())
        await client.server_sent("session.updated")
        yield client


async def connect(address: str) -> str:
    async with connected(address) as client:
        session = (await client.server_sent("session.created"))["session"]
        client.assert_sane()
        return str(session["id"])


async def configure(address: str) -> str:
    async with connected(address, voice="marin", speed=1.2) as client:
        session = (await client.server_sent("session.updated"))["session"]
        assert session["instructions"] == "Be kind."
        assert [tool["name"] for tool in session["tools"]] == ["weather", "clock"]
        assert (session["audio"]["output"]["voice"], session["audio"]["output"]["speed"]) == ("marin", 1.2)
        assert session["audio"]["input"]["turn_detection"]["interrupt_response"] is True
        client.assert_sane()
        return "instructions, tools, voice and speed came back"


async def spoken_turn(address: str) -> str:
    async with connected(address) as client:
        await client.speak(silence(300) + tone(900) + silence(3000))
        await until(lambda: client.of_type("agent_end"), "agent_end")
        heard = str(await until(lambda: "".join(client.said("user")), "the user's words in the history"))
        assert heard.startswith("I heard "), heard
        assert client.said("assistant") == [f"You said: {heard}"]
        audio = b"".join(event.audio.data for event in client.of_type("audio"))
        assert len(audio) > 24_000
        client.assert_sane()
        return f"{heard!r} was answered with {len(audio)} bytes"


async def text_turn(address: str) -> str:
    async with connected(address, output_modalities=["text"]) as client:
        await client.session.send_message("hello")
        await until(lambda: client.said("assistant") == ["You said: hello"], "the answer in the history")
        assert client.said("user") == ["hello"]
        client.assert_sane()
        return "You said: hello"


async def two_tools(address: str) -> str:
    async with connected(address) as client:
        await client.session.send_message('call weather {"city": "Paris"}\ncall clock {"zone": "CET"}')
        await until(lambda: len(client.of_type("tool_end")) == 2, "two tools")
        assert sorted(client.calls) == [("clock", "CET"), ("weather", "Paris")]
        answers = {"The tool says: noon", "The tool says: sunny"}
        answer = await until(lambda: answers & set(client.said("assistant")), "an answer after the tools")
        client.assert_sane()
        return f"weather and clock were called; {answer.pop()}"


async def barge_in(address: str) -> str:
    async with connected(address) as client:
        await client.session.send_message("long 30\nhang")
        await until(lambda: client.of_type("audio"), "audio")
        await client.speak(tone(600) + silence(3000))
        await until(lambda: client.of_type("audio_interrupted"), "audio_interrupted")
        done = (await client.server_sent("response.done"))["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
        await client.server_sent("conversation.item.truncated")
        assert (await client.server_sent("response.done", 2))["response"]["status"] == "completed"
        client.assert_sane()
        return "audio_interrupted, truncated at what was played, and answered"


async def cancel(address: str) -> str:
    async with connected(address, turn_detection={"type": "server_vad", "interrupt_response": False}) as client:
        await client.session.send_message("long 30\nhang")
        await until(lambda: client.of_type("audio"), "audio")
        await client.session.interrupt()
        done = (await client.server_sent("response.done"))["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
        await client.session.send_message("still there?")
        await until(lambda: "You said: still there?" in client.said("assistant"), "an answer after it")
        client.assert_sane()
        return "interrupt() ended the response, and the next one began"


async def error(address: str) -> str:
    async with connected(address) as client:
        message: RealtimeModelRawClientMessage = {
            "type": "input_audio_buffer.commit",
            "other_data": {"event_id": "mine"},
        }
        await client.session.model.send_event(RealtimeModelSendRawMessage(message=message))
        (problem,) = await until(lambda: client.of_type("error"), "an error")
        assert (problem.error.code, problem.error.event_id) == ("input_audio_buffer_commit_empty", "mine")
        await client.session.send_message("still there?")
        await until(lambda: "You said: still there?" in client.said("assistant"), "an answer after it")
        return f"{problem.error.code} for event {problem.error.event_id!r}"


async def reconnect(address: str) -> str:
    """The client ends its session with an exception; its user begins another."""
    try:
        async with connected(address) as client:
            first = (await client.server_sent("session.created"))["session"]["id"]
            ask_for_a_cut()
            await until(lambda: False, "the end of the session")
    except* websockets.ConnectionClosed:
        pass
    async with connected(address) as client:
        assert (await client.server_sent("session.created"))["session"]["id"] != first
        await client.session.send_message("hello again")
        await until(lambda: "You said: hello again" in client.said("assistant"), "an answer")
        client.assert_sane()
        return "the session ends with ConnectionClosed; a new one works"


main(connect, configure, spoken_turn, text_turn, two_tools, barge_in, cancel, error, reconnect)
