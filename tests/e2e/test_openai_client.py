"""The official Python client, unmodified, drives a server process; every event it gets is valid for it."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable

import pytest
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeConversationItemUserMessageParam

from tests.support.audio import silence_ms, tone_ms
from tests.support.official_client import Client, connected
from tests.support.server import ServerProcess

pytestmark = pytest.mark.e2e

Scenario = Callable[[Client], Awaitable[None]]


async def a_text_turn(client: Client) -> None:
    await client.connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
    await client.until("session.updated")
    await client.say("hello")
    await client.connection.response.create()
    done = await client.until("response.done")
    assert done["response"]["output"][0]["content"] == [{"type": "output_text", "text": "You said: hello"}]
    assert (await client.next())["type"] == "rate_limits.updated"
    assert client.types[2:] == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]


async def a_spoken_turn(client: Client) -> None:
    await client.speak(silence_ms(500) + tone_ms(900) + silence_ms(1200))
    done = await client.until("response.done")
    assert done["response"]["status"] == "completed"
    assert len(client.audio()) > 24_000
    spoken = [one for one in client.types if one.startswith(("input_audio_buffer", "conversation.item", "response.c"))]
    assert spoken[:6] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]


async def a_function_call(client: Client) -> None:
    await client.connection.session.update(
        session={
            "type": "realtime",
            "output_modalities": ["text"],
            "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
        }
    )
    await client.say('call weather {"city": "Paris"}')
    await client.connection.response.create()
    call = (await client.until("response.done"))["response"]["output"][0]
    assert (call["type"], call["name"], json.loads(call["arguments"])) == (
        "function_call",
        "weather",
        {"city": "Paris"},
    )
    await client.connection.conversation.item.create(
        item={"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    )
    await client.connection.response.create()
    text = (await client.until("response.done"))["response"]["output"][0]["content"][0]["text"]
    assert text == "The tool says: sunny"


async def cancelling(client: Client) -> None:
    await client.say("say one\nhang")
    await client.connection.response.create()
    await client.until("response.output_audio_transcript.delta")
    await client.connection.response.cancel()
    done = await client.until("response.done")
    details = done["response"]["status_details"]
    assert (done["response"]["status"], details["reason"]) == ("cancelled", "client_cancelled")


async def errors(client: Client) -> None:
    await client.connection.response.cancel(event_id="mine")
    error = (await client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "mine")
    await client.connection.input_audio_buffer.commit()
    assert (await client.until("error"))["error"]["code"] == "input_audio_buffer_commit_empty"
    await a_text_turn_after(client)


async def a_text_turn_after(client: Client) -> None:
    await client.say("still there?")
    await client.connection.response.create(response={"output_modalities": ["text"]})
    assert (await client.until("response.done"))["response"]["status"] == "completed"


async def truncating(client: Client) -> None:
    await client.say("long 30")
    await client.connection.response.create()
    item = (await client.until("response.done"))["response"]["output"][0]
    await client.connection.conversation.item.truncate(item_id=item["id"], content_index=0, audio_end_ms=500)
    assert (await client.until("conversation.item.truncated"))["audio_end_ms"] == 500
    await client.connection.conversation.item.retrieve(item_id=item["id"])
    kept = (await client.until("conversation.item.retrieved"))["item"]["content"][0]
    assert len(base64.b64decode(kept["audio"])) == 500 * 48
    assert item["content"][0]["transcript"].startswith(kept["transcript"])
    assert 0 < len(kept["transcript"]) < len(item["content"][0]["transcript"])


async def a_limited_answer(client: Client) -> None:
    await client.say("say one two three four five")
    await client.connection.response.create(response={"output_modalities": ["text"], "max_output_tokens": 3})
    done = (await client.until("response.done"))["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["usage"]["output_tokens"] == 3
    await a_text_turn_after(client)


async def responses_beside_the_conversation(client: Client) -> None:
    await client.say("say in the conversation")
    await client.connection.response.create()
    for number in range(3):
        item = RealtimeConversationItemUserMessageParam(
            type="message", role="user", content=[{"type": "input_text", "text": f"say beside it {number}"}]
        )
        await client.connection.response.create(
            response={"conversation": "none", "metadata": {"number": str(number)}, "input": [item]}
        )
    said: dict[str | None, str] = {}
    for _ in range(4):
        done = (await client.until("response.done"))["response"]
        assert (done["conversation_id"] is None) == (done["metadata"] is not None)
        said[(done["metadata"] or {}).get("number")] = done["output"][0]["content"][0]["transcript"]
        assert done["usage"]["output_token_details"]["audio_tokens"] > 0
    assert said == {None: "in the conversation"} | {str(number): f"beside it {number}" for number in range(3)}


async def a_failing_engine(client: Client) -> None:
    await client.say("fail overloaded")
    await client.connection.response.create()
    done = (await client.until("response.done"))["response"]
    assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "rate_limit_exceeded")
    await a_text_turn_after(client)


@pytest.mark.parametrize(
    "scenario",
    [
        a_text_turn,
        a_spoken_turn,
        a_function_call,
        cancelling,
        errors,
        truncating,
        a_limited_answer,
        responses_beside_the_conversation,
        a_failing_engine,
    ],
    ids=lambda scenario: scenario.__name__,
)
def test_the_official_client(scripted_server: ServerProcess, scenario: Scenario) -> None:
    async def run() -> None:
        async with connected(scripted_server) as client:
            await scenario(client)

    asyncio.run(run())


def test_a_transcription_session_of_the_official_client(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with (
            AsyncOpenAI(base_url=scripted_server.base_url, api_key="any") as openai,
            openai.realtime.connect(extra_query={"intent": "transcription"}) as connection,
        ):
            client = Client(connection)
            created = await client.next()
            assert created["session"]["type"] == "transcription"
            await utter(client, "say good morning")
            completed = await client.until("conversation.item.input_audio_transcription.completed")
            assert completed["transcript"] == "good morning"
            assert completed["usage"] == {"type": "duration", "seconds": 0.5}
            await utter(client, "fail unavailable")
            failed = await client.until("conversation.item.input_audio_transcription.failed")
            assert failed["error"]["code"] == "transcription_unavailable"
            await connection.response.create()
            assert (await client.until("error"))["error"]["code"] == "invalid_value"
            await utter(client, "say good night")
            completed = await client.until("conversation.item.input_audio_transcription.completed")
            assert completed["transcript"] == "good night"
            assert not [name for name in client.types if name.startswith("response.")]

    async def utter(client: Client, script: str) -> None:
        """The scripted recogniser hears what its hints say."""
        await client.connection.session.update(
            session={
                "type": "transcription",
                "audio": {"input": {"turn_detection": None, "transcription": {"model": "any", "prompt": script}}},
            }
        )
        await client.speak(tone_ms(500))
        await client.connection.input_audio_buffer.commit()

    asyncio.run(run())
