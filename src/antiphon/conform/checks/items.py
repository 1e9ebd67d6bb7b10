"""Items of the conversation: made, placed, shown, deleted."""

import base64
import functools
from collections.abc import Mapping
from typing import Any

from antiphon.conform.check import Level, Need, RuleError, Rules, require
from antiphon.conform.connection import Connection, message
from antiphon.conform.events import Events
from antiphon.conform.probe import INPUT_HZ, Probe

__all__ = ["RULES"]

RULES = Rules("items", "Items of the conversation")

_CREATE = "API reference, client events, conversation.item.create"
_RECORDED = "recorded sessions of the hosted API"
_RETRIEVE = "API reference, client events, conversation.item.retrieve"
_TRUNCATE = "API reference, client events, conversation.item.truncate"
_DELETE = "API reference, client events, conversation.item.delete"


async def _created(connection: Connection, item: Mapping[str, Any], **fields: Any) -> Events:
    """The events that follow the creation of an item, up to its ``conversation.item.done``."""
    item_id = await connection.create(item, **fields)
    events = await connection.fence()
    if events.of("error"):
        raise RuleError("the item is accepted", "an error", events.of("error")[0])
    return events.about(item_id)


@RULES.check("added-done", "conversation.item.create is answered by conversation.item.added, then .done", _CREATE)
async def added_done(probe: Probe) -> None:
    async with probe.connect() as connection:
        types = (await _created(connection, message("Hello."))).types
        wanted = ["conversation.item.added", "conversation.item.done"]
        require(types == wanted, " then ".join(wanted), types)


@RULES.check("client-id", "An item keeps the id that the client gives it", f"{_CREATE}, item.id")
async def client_id(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message("Hello.", id="0123456789abcdef0123456789abcdef"))
        ids = [event["item"].get("id") for event in await connection.fence() if "item" in event]
        require(set(ids) == {"0123456789abcdef0123456789abcdef"}, "the id as it was given", ids)


@RULES.check("server-id", "An item without an id gets one", f"{_CREATE}, item.id")
async def server_id(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.send("conversation.item.create", item=message("Hello."))
        ids = {event["item"].get("id") for event in await connection.fence() if "item" in event}
        require(len(ids) == 1 and all(ids), "one id", ids)


@RULES.check("status", "A created message is shown as completed", _RECORDED)
async def status(probe: Probe) -> None:
    async with probe.connect() as connection:
        for event in await _created(connection, message("Hello.")):
            got = event["item"].get("status")
            require(got == "completed", "status 'completed'", repr(got), event)


_ITEMS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("user-text", "A user's text", message("Ünïcödé — 你好 \U0001f600")),
    ("system-text", "A system message", message("Be brief.", "system")),
    ("assistant-text", "A text of the assistant", message("I said so.", "assistant")),
    ("two-parts", "A message of two parts", {"type": "message", "role": "user", "content": [
        {"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}]}),
    ("function-call", "A function call", {"type": "function_call", "call_id": "call_conform_1", "name": "look",
                                          "arguments": '{"at": "it"}'}),
)  # fmt: skip


async def _echoed(item: Mapping[str, Any], probe: Probe) -> None:
    async with probe.connect() as connection:
        for event in (await _created(connection, item)).some("conversation.item.added"):
            for name, value in item.items():
                got = event["item"].get(name)
                require(got == value, f"item.{name} {value!r}", repr(got), event)


for _name, _what, _item in _ITEMS:
    RULES.add(_name, f"{_what} is taken and shown as it was sent", _CREATE, functools.partial(_echoed, _item))


@RULES.check("function-output", "A function's output is taken and shown with its call_id", _CREATE)
async def function_output(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create({"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"})
        item = {"type": "function_call_output", "call_id": "call_1", "output": '{"seen": true}'}
        event = (await _created(connection, item)).some("conversation.item.added")[0]
        got = (event["item"].get("call_id"), event["item"].get("output"))
        require(got == ("call_1", '{"seen": true}'), "call_id and output as they were sent", got, event)


# --- places --------------------------------------------------------------------------------------------------------


async def _three(connection: Connection, previous: Any) -> Any:
    """Of a third item placed by ``previous`` the ``previous_item_id`` of its events."""
    for item_id in ("item_a", "item_b"):
        await connection.create(message(item_id, id=item_id))
    fields = {} if previous is None else {"previous_item_id": previous}
    events = await _created(connection, message("third"), **fields)
    return events.some("conversation.item.added")[0].get("previous_item_id")


async def _placed(previous: str | None, wanted: str | None, probe: Probe) -> None:
    async with probe.connect() as connection:
        got = await _three(connection, previous)
        require(got == wanted, f"previous_item_id {wanted!r}", repr(got))


for _name, _title, _previous, _shown in (
    ("appended", "Without previous_item_id an item comes last", None, "item_b"),
    ("root", "previous_item_id 'root' puts an item first, shown as null", "root", None),
    ("after", "previous_item_id puts an item behind that one", "item_a", "item_a"),
):
    RULES.add(_name, _title, f"{_CREATE}, previous_item_id", functools.partial(_placed, _previous, _shown))

RULES.add(
    "empty-previous",
    "An empty previous_item_id means the end",
    "observed: tests against the hosted API",
    functools.partial(_placed, "", "item_b"),
    level=Level.RECOMMENDED,
)


@RULES.check(
    "first-has-no-previous",
    "The first item's previous_item_id is null",
    "API reference, server events, conversation.item.added",
)
async def first_has_no_previous(probe: Probe) -> None:
    async with probe.connect() as connection:
        event = (await _created(connection, message("first"))).some("conversation.item.added")[0]
        got = event.get("previous_item_id")
        require(got is None, "null", repr(got), event)


@RULES.check("inserted", "What is put in between shows in the places of what follows", f"{_CREATE}, previous_item_id")
async def inserted(probe: Probe) -> None:
    async with probe.connect() as connection:
        await _three(connection, "root")
        got = (await _created(connection, message("fourth", id="item_d"))).some("conversation.item.added")[0]
        require(got.get("previous_item_id") == "item_b", "'item_b'", repr(got.get("previous_item_id")), got)


# --- retrieve, delete ----------------------------------------------------------------------------------------------


@RULES.check("retrieve", "conversation.item.retrieve shows the item", _RETRIEVE)
async def retrieve(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await connection.create(message("Hello there."))
        await connection.send("conversation.item.retrieve", item_id=item_id)
        event = await connection.expect("conversation.item.retrieved")
        got = (event["item"].get("id"), event["item"].get("content"))
        require(got == (item_id, [{"type": "input_text", "text": "Hello there."}]), "the item", got, event)


@RULES.check("retrieve-audio", "Retrieving a user's audio brings the audio as it was sent", _RETRIEVE)
async def retrieve_audio(probe: Probe) -> None:
    audio = probe.speech_pcm[: INPUT_HZ * 2]
    part = {"type": "input_audio", "audio": base64.b64encode(audio).decode()}
    async with probe.connect() as connection:
        item_id = await connection.create({"type": "message", "role": "user", "content": [part]})
        await connection.send("conversation.item.retrieve", item_id=item_id)
        event = await connection.expect("conversation.item.retrieved")
        got = base64.b64decode(event["item"]["content"][0].get("audio") or "")
        require(got == audio, f"{len(audio)} bytes as they were sent", f"{len(got)} bytes")


@RULES.check("audio-not-echoed", "An item with audio is shown without the audio, with the key transcript", _RECORDED)
async def audio_not_echoed(probe: Probe) -> None:
    part = {"type": "input_audio", "audio": base64.b64encode(probe.speech_pcm[: INPUT_HZ * 2]).decode()}
    async with probe.connect() as connection:
        events = await _created(connection, {"type": "message", "role": "user", "content": [part]})
        shown = events.some("conversation.item.added")[0]["item"]["content"]
        require(shown == [{"type": "input_audio", "transcript": None}], "type and transcript null", shown)


@RULES.check("deleted", "conversation.item.delete is answered by conversation.item.deleted", _DELETE)
async def deleted(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await connection.create(message("Forget it."))
        await connection.send("conversation.item.delete", item_id=item_id)
        event = await connection.expect("conversation.item.deleted")
        require(event.get("item_id") == item_id, f"item_id {item_id!r}", repr(event.get("item_id")), event)


@RULES.check("deleted-is-gone", "A deleted item cannot be retrieved", _DELETE)
async def deleted_is_gone(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await connection.create(message("Forget it."))
        await connection.send("conversation.item.delete", item_id=item_id)
        await connection.fence()
        await connection.refusal("conversation.item.retrieve", item_id=item_id)


@RULES.check("deleted-leaves-chain", "After a deletion the next item follows the one before it", _DELETE)
async def deleted_leaves_chain(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message("a", id="item_a"))
        await connection.create(message("b", id="item_b"))
        await connection.send("conversation.item.delete", item_id="item_b")
        event = (await _created(connection, message("c"))).some("conversation.item.added")[0]
        got = event.get("previous_item_id")
        require(got == "item_a", "'item_a'", repr(got), event)


# --- truncate ------------------------------------------------------------------------------------------------------


async def _spoken(connection: Connection) -> str:
    """The id of an item that the assistant spoke."""
    events = await connection.turn("say Hello there, this is the answer.", output_modalities=["audio"])
    return str(events.some("response.output_item.done")[0]["item"]["id"])


@RULES.check(
    "truncated", "conversation.item.truncate is answered by conversation.item.truncated", _TRUNCATE, Need.VOICE
)
async def truncated(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await _spoken(connection)
        await connection.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
        event = await connection.expect("conversation.item.truncated")
        got = (event.get("item_id"), event.get("content_index"), event.get("audio_end_ms"))
        require(got == (item_id, 0, 100), f"{item_id}, content_index 0, audio_end_ms 100", got, event)


@RULES.check(
    "truncated-at-end",
    "Truncating beyond the end truncates to the end and is answered by an error",
    "observed: hosted API",
    Need.VOICE,
    level=Level.RECOMMENDED,
)
async def truncated_at_end(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await _spoken(connection)
        await connection.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=9_000_000)
        types = (await connection.fence()).without(["rate_limits.updated"]).types
        require(sorted(types) == ["conversation.item.truncated", "error"], "truncated and an error", types)


@RULES.check("truncate-user", "A user's message cannot be truncated", _TRUNCATE)
async def truncate_user(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await connection.create(message("Mine."))
        await connection.refusal("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)


@RULES.check(
    "retrieve-spoken", "Retrieving what the assistant said brings its transcript and audio", _RETRIEVE, Need.VOICE
)
async def retrieve_spoken(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await _spoken(connection)
        await connection.send("conversation.item.retrieve", item_id=item_id)
        event = await connection.expect("conversation.item.retrieved")
        part = event["item"]["content"][0]
        got = (part.get("type"), bool(part.get("transcript")), bool(part.get("audio")))
        require(got == ("output_audio", True, True), "output_audio with transcript and audio", got)
