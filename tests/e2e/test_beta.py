"""Clients written for the beta, against a server process: they read and write its shapes, by header or subprotocol."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets

from antiphon.testing.wire import assert_valid_server_event
from tests.support.audio import chunks, silence_ms, tone_ms
from tests.support.beta import assert_valid_beta_event
from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

KEY = "sk-key-of-the-test"
HEADER: dict[str, Any] = {"additional_headers": {"OpenAI-Beta": "realtime=v1"}}
SUBPROTOCOL: dict[str, Any] = {"subprotocols": ["realtime", "openai-insecure-api-key.x", "openai-beta.realtime-v1"]}


class Client:
    """A connection of the beta; every event that comes is of its shape."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            event: dict[str, Any] = json.loads(await self.socket.recv())
        assert_valid_beta_event(event)
        self.events.append(event)
        return event

    async def until(self, type: str) -> dict[str, Any]:
        while (event := await self.next())["type"] != type:
            pass
        return event

    async def say(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.send("response.create")

    def types(self) -> list[str]:
        """Types of all events so far, runs of the same type as one."""
        types = [event["type"] for event in self.events]
        return [one for index, one in enumerate(types) if index == 0 or types[index - 1] != one]


@asynccontextmanager
async def connected(server: ServerProcess, query: str = "", **options: Any) -> AsyncIterator[Client]:
    async with websockets.connect(server.websocket_url + query, compression=None, **options) as socket:
        yield Client(socket)


@pytest.mark.parametrize("options", [HEADER, SUBPROTOCOL], ids=["header", "subprotocol"])
def test_a_text_turn(scripted_server: ServerProcess, options: dict[str, Any]) -> None:
    async def run() -> None:
        async with connected(scripted_server, **options) as client:
            await client.until("conversation.created")
            await client.send("session.update", session={"modalities": ["text"], "temperature": 0.9})
            session = (await client.until("session.updated"))["session"]
            assert (session["modalities"], session["temperature"]) == (["text"], 0.9)
            assert "output_modalities" not in session
            await client.say("hello")
            response = (await client.until("response.done"))["response"]
            assert response["output"][0]["content"] == [{"type": "text", "text": "You said: hello"}]
            assert response["temperature"] == 0.9
            assert (await client.next())["type"] == "rate_limits.updated"
            assert client.types() == [
                "session.created",
                "conversation.created",
                "session.updated",
                "conversation.item.created",
                "response.created",
                "response.output_item.added",
                "conversation.item.created",
                "response.content_part.added",
                "response.text.delta",
                "response.text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.done",
                "rate_limits.updated",
            ]

    asyncio.run(run())


def test_a_spoken_turn(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server, **HEADER) as client:
            await client.send(
                "session.update",
                session={"input_audio_transcription": {"model": "whisper-1"}, "output_audio_format": "g711_ulaw"},
            )
            await client.until("session.updated")
            for chunk in chunks(silence_ms(500) + tone_ms(900) + silence_ms(1200), 100):
                await client.send("input_audio_buffer.append", audio=base64.b64encode(chunk).decode())
            response = (await client.until("response.done"))["response"]
            assert (response["modalities"], response["output_audio_format"]) == (["text", "audio"], "g711_ulaw")
            (part,) = response["output"][0]["content"]
            assert part["type"] == "audio"
            types = client.types()
            assert {"response.audio.delta", "response.audio.done", "response.audio_transcript.delta"} <= set(types)
            heard = [one for one in types if one.startswith(("input_audio_buffer", "conversation.item", "response.c"))]
            assert heard[:4] == [
                "input_audio_buffer.speech_started",
                "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.created",
            ]
            assert "conversation.item.input_audio_transcription.completed" in heard
            deltas = [event["delta"] for event in client.events if event["type"] == "response.audio.delta"]
            spoken = [event["delta"] for event in client.events if event["type"] == "response.audio_transcript.delta"]
            assert sum(len(base64.b64decode(delta)) for delta in deltas) > 4_000
            assert "".join(spoken) == part["transcript"]

    asyncio.run(run())


def test_a_function_call(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server, **SUBPROTOCOL) as client:
            tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
            await client.send("session.update", session={"modalities": ["text"], "tools": [tool]})
            await client.until("session.updated")
            await client.say('call weather {"city": "Rome"}')
            done = await client.until("response.output_item.done")
            assert (done["item"]["type"], done["item"]["object"]) == ("function_call", "realtime.item")
            await client.until("response.done")
            result = {"type": "function_call_output", "call_id": done["item"]["call_id"], "output": "sunny"}
            await client.send("conversation.item.create", item=result)
            await client.send("response.create", response={"modalities": ["text"], "max_output_tokens": 100})
            response = (await client.until("response.done"))["response"]
            assert "sunny" in response["output"][0]["content"][0]["text"]
            assert response["max_output_tokens"] == 100

    asyncio.run(run())


def test_errors_name_the_betas_fields(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server, **HEADER) as client:
            for session, param in (
                ({"input_audio_format": "mp3"}, "session.input_audio_format"),
                ({"modalities": ["text", "text", "text"]}, "session.modalities"),
                ({"input_audio_noise_reduction": {}}, "session.input_audio_noise_reduction.type"),
            ):
                await client.send("session.update", event_id="mine", session=session)
                error = (await client.until("error"))["error"]
                assert (error["param"], error["event_id"]) == (param, "mine")
                assert param in error["message"]

    asyncio.run(run())


def test_a_transcription_session(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server, "?intent=transcription", **HEADER) as client:
            created = await client.next()
            assert created["type"] == "transcription_session.created"
            await client.send(
                "transcription_session.update",
                session={"input_audio_transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": None},
            )
            session = (await client.next())["session"]
            assert (session["input_audio_transcription"]["model"], session["turn_detection"]) == (
                "gpt-4o-transcribe",
                None,
            )
            await client.send("input_audio_buffer.append", audio=base64.b64encode(tone_ms(500)).decode())
            await client.send("input_audio_buffer.commit")
            completed = await client.until("conversation.item.input_audio_transcription.completed")
            assert completed["transcript"]
            assert "conversation.item.created" in client.types()

    asyncio.run(run())


def test_a_client_of_today_that_asks_for_the_beta_gets_todays_events(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server, **HEADER) as client:
            session = (await client.next())["session"]
            assert session["audio"]["output"]["voice"] == session["voice"]
            assert (await client.next())["type"] == "conversation.created"
            await client.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
            await client.say("hello")
            types = []
            while "response.done" not in types:
                event = json.loads(await client.socket.recv())
                assert_valid_server_event(event)
                types.append(event["type"])
            assert types[:3] == ["session.updated", "conversation.item.added", "conversation.item.done"]
            assert "response.output_text.delta" in types

    asyncio.run(run())


def test_a_page_of_the_beta_without_the_other_subprotocol_can_connect(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server, subprotocols=["openai-beta.realtime-v1"]) as client:
            assert client.socket.subprotocol == "openai-beta.realtime-v1"
            assert (await client.next())["type"] == "session.created"
            assert (await client.next())["type"] == "conversation.created"

    asyncio.run(run())


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talkative_server() -> Iterator[ServerProcess]:
    environment = {"ANTIPHON_API_KEYS": KEY, "ANTIPHON_LOG_LEVEL": "debug"}
    with running_server(["--engine", "scripted"], environment=environment) as server:
        yield server


def test_a_page_of_the_beta_talks_with_a_secret_that_no_log_line_holds(talkative_server: ServerProcess) -> None:
    async def run() -> str:
        async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {KEY}"}) as client:
            answer = await client.post(
                f"{talkative_server.base_url}/realtime/sessions",
                json={"model": "gpt-4o-realtime-preview", "modalities": ["text"], "voice": "sage"},
            )
        secret: str = answer.json()["client_secret"]["value"]
        offered: Any = ["realtime", f"openai-insecure-api-key.{secret}", "openai-beta.realtime-v1"]
        async with connected(talkative_server, subprotocols=offered) as page:
            session = (await page.next())["session"]
            assert (session["modalities"], session["voice"]) == (["text"], "sage")
            await page.say("hello")
            response = (await page.until("response.done"))["response"]
            assert response["output"][0]["content"][0]["text"] == "You said: hello"
        return secret

    secret = asyncio.run(run())
    assert not any(secret[3:40] in line or KEY in line for line in talkative_server.lines)
