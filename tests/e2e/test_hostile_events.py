"""Bad events over a real socket: each gets the API's own error, and the session goes on."""

import asyncio
import base64
from typing import Any

import pytest

from tests.support.audio import tone_ms
from tests.support.server import ServerProcess
from tests.support.wire_client import Event, append, connected, message, sessions_gone, update

pytestmark = pytest.mark.e2e

ID = {"event_id": "mine"}
ODD = base64.b64encode(b"\0\0\0").decode()
TOO_LONG = "A" * (15 * 1024 * 1024 + 4)
IMAGE = {"type": "input_image", "image_url": "https://example.com/cat.png"}
VAD = "session.audio.input.turn_detection"


def vad(**fields: Any) -> dict[str, Any]:
    return update(audio={"input": {"turn_detection": fields}})


def part(**fields: Any) -> dict[str, Any]:
    return message(content=[fields])


def respond(**fields: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": fields}


def named(item_id: str) -> dict[str, Any]:
    return message(id=item_id)


def tools(*schemas: Any) -> dict[str, Any]:
    return update(tools=[{"type": "function", "name": f"t{n}", "parameters": p} for n, p in enumerate(schemas)])


REFUSED: dict[str, tuple[Event, str, str | None]] = {
    # Not an event at all.
    "nothing": ("", "invalid_event", None),
    "not JSON": ("hello", "invalid_event", None),
    "cut JSON": ('{"type":"response.create"', "invalid_event", None),
    "two events": ('{"type":"response.create"}{"type":"response.create"}', "invalid_event", None),
    "an array": ('[{"type":"response.create"}]', "invalid_event", None),
    "a binary frame": (b'{"type":"response.create"}', "invalid_event", None),
    "an empty binary frame": (b"", "invalid_event", None),
    "no type": (ID, "invalid_event", "type"),
    "unknown type": ({"type": "scooby.dooby.doo"}, "invalid_value", "type"),
    "an event of the server": ({"type": "session.updated"}, "invalid_value", "type"),
    # Fields.
    "type of a wrong type": ({"type": 1}, "invalid_type", "type"),
    "wrong type": (update(instructions=1), "invalid_type", "session.instructions"),
    "wrong type deep down": (vad(type="server_vad", threshold="high"), "invalid_type", f"{VAD}.threshold"),
    "out of range": (vad(type="server_vad", threshold=2), "invalid_value", f"{VAD}.threshold"),
    "not in the set": (vad(type="telepathy"), "invalid_value", f"{VAD}.type"),
    "no session": ({"type": "session.update"}, "missing_required_parameter", "session"),
    "no session type": ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    "another kind of session": (
        {"type": "session.update", "session": {"type": "transcription"}},
        "invalid_value",
        "session.type",
    ),
    "no item": ({"type": "conversation.item.create"}, "missing_required_parameter", "item"),
    "no item id": ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
    "no content": (message(content=[]), "invalid_value", "item.content"),
    "text without text": (part(type="input_text"), "missing_required_parameter", "item.content[0].text"),
    "audio without audio": (part(type="input_audio"), "missing_required_parameter", "item.content[0].audio"),
    "output of a user": (part(type="output_text", text="x"), "invalid_value", "item.content[0].type"),
    "an image to be fetched": (part(**IMAGE), "invalid_value", "item.content[0].image_url"),
    # What JSON parsers disagree about.
    "a huge number": ('{"type":"response.cancel","event_id":"mine","x":1e999}', "invalid_value", "x"),
    "a long integer": ('{"type":"response.cancel","event_id":"mine","x":' + "9" * 5000 + "}", "invalid_value", "x"),
    "not a number": ('{"type":"response.cancel","event_id":"mine","x":NaN}', "invalid_value", "x"),
    "a key twice": ('{"type":"response.cancel","event_id":"mine","x":1,"x":2}', "invalid_value", "x"),
    "half a character": ('{"type":"response.cancel","event_id":"mine","x":"\\ud800"}', "invalid_value", "x"),
    # Audio.
    "no audio": ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
    "audio that is null": ({"type": "input_audio_buffer.append", "audio": None}, "invalid_type", "audio"),
    "empty audio": ({"type": "input_audio_buffer.append", "audio": ""}, "invalid_value", "audio"),
    "not base64": ({"type": "input_audio_buffer.append", "audio": "@@@@"}, "invalid_value", "audio"),
    "base64 for URLs": ({"type": "input_audio_buffer.append", "audio": "-_-_"}, "invalid_value", "audio"),
    "base64 without padding": ({"type": "input_audio_buffer.append", "audio": "AAA"}, "invalid_value", "audio"),
    "half a sample": ({"type": "input_audio_buffer.append", "audio": ODD}, "invalid_value", "audio"),
    "over 15 MiB of base64": ({"type": "input_audio_buffer.append", "audio": TOO_LONG}, "invalid_value", "audio"),
    "half a sample in an item": (part(type="input_audio", audio=ODD), "invalid_value", "item.content[0].audio"),
    "commit of nothing": ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
    # Things that are not there.
    "delete nothing": ({"type": "conversation.item.delete", "item_id": "yo"}, "item_delete_invalid_item_id", None),
    "retrieve nothing": (
        {"type": "conversation.item.retrieve", "item_id": "yo"},
        "item_retrieve_invalid_item_id",
        None,
    ),
    "truncate nothing": (
        {"type": "conversation.item.truncate", "item_id": "yo", "content_index": 0, "audio_end_ms": 0},
        "item_truncate_invalid_item_id",
        None,
    ),
    "after nothing": (
        message() | {"previous_item_id": "yo"},
        "item_create_invalid_previous_item_id",
        "previous_item_id",
    ),
    "refer to nothing": (
        respond(input=[{"type": "item_reference", "id": "yo"}]),
        "invalid_value",
        "response.input[0].id",
    ),
    "cancel nothing": ({"type": "response.cancel"}, "response_cancel_not_active", None),
    "cancel something else": ({"type": "response.cancel", "response_id": "yo"}, "response_cancel_not_active", None),
    "choose no tool": (
        respond(tool_choice={"type": "function", "name": "f"}),
        "invalid_value",
        "response.tool_choice.name",
    ),
    "what only WebRTC has": ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
    # Bounds.
    "id of nothing": (named(""), "invalid_value", "item.id"),
    "id of 129 characters": (named("a" * 129), "invalid_value", "item.id"),
    "id with a control character": (named("a\x1b[31m"), "invalid_value", "item.id"),
    "id with a line break": (named("a\n"), "invalid_value", "item.id"),
    "id beyond ASCII": (named("é"), "invalid_value", "item.id"),
    "17 pairs of metadata": (respond(metadata={f"k{n}": "" for n in range(17)}), "invalid_value", "response.metadata"),
    "metadata key of 65": (respond(metadata={"k" * 65: ""}), "invalid_value", "response.metadata"),
    "metadata value of 513": (respond(metadata={"k": "v" * 513}), "invalid_value", "response.metadata"),
    "metadata of numbers": (respond(metadata={"k": 1}), "invalid_type", "response.metadata.k"),
    "long instructions": (update(instructions="x" * 300_000), "string_above_max_length", "session.instructions"),
    "long instructions of a response": (
        respond(instructions="x" * 300_000),
        "string_above_max_length",
        "response.instructions",
    ),
    "129 tools": (tools(*[{}] * 129), "array_above_max_length", "session.tools"),
    "a large schema": (tools({"description": "x" * 300_000}), "string_above_max_length", "session.tools"),
    "a large name of a recogniser": (
        update(audio={"input": {"transcription": {"model": "m" * 2_000_000}}}),
        "string_above_max_length",
        "session",
    ),
    "a large voice name": (
        respond(audio={"output": {"voice": "v" * 300}}),
        "string_above_max_length",
        "response.audio.output.voice",
    ),
    "65 parts": (message(content=[{"type": "input_text", "text": "x"}] * 65), "invalid_value", "item.content"),
    "an item of 1 MB": (message("x" * 1_000_000), "invalid_value", "item"),
    "a large function name": (
        {
            "type": "conversation.item.create",
            "item": {"type": "function_call", "name": "n" * 1_000_000, "arguments": ""},
        },
        "invalid_value",
        "item",
    ),
    "4097 items for one response": (
        respond(input=[message()["item"]] * 4097),
        "array_above_max_length",
        "response.input",
    ),
    "65 levels in a schema": (
        '{"event_id":"mine","type":"session.update","session":{"type":"realtime","tools":[{"type":"function",'
        '"name":"t","parameters":' + '{"a":' * 61 + "1" + "}" * 61 + "}]}}",
        "invalid_value",
        "session",
    ),
    "65 levels in an unknown field": (
        '{"event_id":"mine","type":"response.cancel","x":' + "[" * 64 + "]" * 64 + "}",
        "invalid_value",
        "x",
    ),
    "65 levels in content": (
        '{"event_id":"mine","type":"conversation.item.create","item":{"type":"message","role":"user","content":'
        + "[" * 63
        + "]" * 63
        + "}}",
        "invalid_value",
        "item",
    ),
    "deeper than any parser": ('{"type":"response.cancel","x":' + "[" * 100_000, "invalid_value", None),
    "50,000 values": ('{"type":"response.cancel","x":[' + "1," * 50_000 + "1]}", "invalid_value", None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_event_is_refused_and_the_session_goes_on(scripted_server: ServerProcess, name: str) -> None:
    event, code, param = REFUSED[name]
    named_event = event if isinstance(event, str | bytes) else ID | dict(event)
    has_id = isinstance(named_event, dict) or b'"mine"' in (
        named_event.encode() if isinstance(named_event, str) else named_event
    )

    async def run() -> None:
        async with connected(scripted_server) as client:
            error = await client.refusal(named_event)
            assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine" if has_id else None)
            assert error["type"] == "invalid_request_error"
            assert 0 < len(error["message"]) < 1000
            await client.assert_works()

    asyncio.run(run())


MESSAGES = {
    "response.cancel": "Cancellation failed: no active response found",
    "input_audio_buffer.commit": "Error committing input audio buffer: buffer too small. Expected at least 100ms of "
    "audio, but buffer only has 0.00ms of audio.",
    "conversation.item.delete": "Error deleting item: the item with id 'yo' does not exist.",
    "conversation.item.retrieve": "Error retrieving item: the item with id 'yo' does not exist.",
}


@pytest.mark.parametrize("type", MESSAGES)
def test_messages_that_clients_match_are_the_apis_own(scripted_server: ServerProcess, type: str) -> None:
    async def run() -> None:
        async with connected(scripted_server) as client:
            item_id = {"item_id": "yo"} if ".item." in type else {}
            assert (await client.refusal({"type": type, **item_id}))["message"] == MESSAGES[type]

    asyncio.run(run())


@pytest.mark.parametrize(("length", "taken"), [(0, True), (512, True), (513, False)])
def test_an_event_id_of_up_to_512_characters_comes_back(
    scripted_server: ServerProcess, length: int, taken: bool
) -> None:
    async def run() -> None:
        async with connected(scripted_server) as client:
            error = await client.refusal({"type": "response.cancel", "event_id": "e" * length})
            assert (error["code"] == "response_cancel_not_active") is taken
            assert error["event_id"] == ("e" * length if taken else None)

    asyncio.run(run())


def test_a_commit_of_under_100_ms_is_refused_and_the_audio_stays(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server) as client:
            await client.send(update(audio={"input": {"turn_detection": None}}))
            await client.until("session.updated")
            short = append(base64.b64encode(tone_ms(60)).decode())
            await client.send(short)
            error = await client.refusal({"type": "input_audio_buffer.commit", **ID})
            assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
            assert "only has 60.00ms" in error["message"]
            await client.send(short)
            await client.send({"type": "input_audio_buffer.commit"})
            assert (await client.next())["type"] == "input_audio_buffer.committed"
            await client.until("conversation.item.done")
            await client.assert_works()

    asyncio.run(run())


def test_an_id_is_used_once(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server) as client:
            await client.send(named("twice"))
            await client.until("conversation.item.done")
            error = await client.refusal(named("twice") | ID)
            assert (error["code"], error["param"], error["event_id"]) == (
                "item_create_duplicate_item_id",
                "item.id",
                "mine",
            )
            await client.assert_works()

    asyncio.run(run())


def test_a_second_response_is_refused_while_one_runs(scripted_server: ServerProcess) -> None:
    async def run() -> None:
        async with connected(scripted_server) as client:
            await client.send(message("hang"))
            await client.send({"type": "response.create"})
            running = (await client.until("response.created"))["response"]["id"]
            error = await client.refusal({"type": "response.create", **ID})
            assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "mine")
            assert error["message"] == (
                f"Conversation already has an active response in progress: {running}. "
                "Wait until the response is finished before creating a new one."
            )
            await client.send({"type": "response.cancel"})
            assert (await client.until("response.done"))["response"]["status"] == "cancelled"
            await client.assert_works()

    asyncio.run(run())


def test_at_most_eight_responses_run_beside_the_conversation(scripted_server: ServerProcess) -> None:
    prompt = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hang"}]}
    beside = respond(conversation="none", input=[prompt])

    async def run() -> None:
        async with connected(scripted_server) as client:
            for _ in range(8):
                await client.send(beside)
                await client.until("response.created")
            error = await client.refusal(beside | ID)
            assert (error["code"], error["event_id"]) == ("too_many_active_responses", "mine")
            await client.assert_works()

    asyncio.run(run())


def test_a_client_that_goes_away_in_the_middle_of_responses_is_forgotten(scripted_server: ServerProcess) -> None:
    async def leave(text: str, until: str) -> None:
        async with connected(scripted_server) as client:
            await client.send(message(text))
            await client.send({"type": "response.create"})
            await client.until(until)
            client.socket.transport.abort()

    async def run() -> None:
        for text, until in [
            ("hang", "response.created"),
            ("say one\nhang", "response.output_audio_transcript.delta"),
            ("long 500", "response.output_audio.delta"),
            ("say speech hangs here.", "response.output_audio_transcript.delta"),
        ]:
            await leave(text, until)
        await sessions_gone(scripted_server)
        async with connected(scripted_server) as client:
            await client.assert_works()

    asyncio.run(run())
