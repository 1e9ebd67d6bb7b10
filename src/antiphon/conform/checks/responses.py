"""Responses: what makes them, how they run and how they end."""

import asyncio
import functools
from typing import Any

from antiphon.conform.check import Level, Need, NotApplicableError, RuleError, Rules, require
from antiphon.conform.connection import Connection, message
from antiphon.conform.events import Events, joined
from antiphon.conform.probe import Probe

__all__ = ["RULES", "require_sequence"]

RULES = Rules("responses", "Responses of text, and what holds for all")

_RESPONSE = "API reference, client events, response.create"
_CANCEL = "API reference, client events, response.cancel"
_SERVER = "API reference, server events"
_OBJECT = "API reference, the response object"
_RECORDED = "recorded sessions of the hosted API"
_OUT_OF_BAND = "Guide 'Realtime conversations', responses outside the conversation"
_TEXT_SEQUENCE = (
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
)


def require_sequence(events: Events, item_id: str, wanted: tuple[str, ...]) -> None:
    """The events about an item are of these types, in this order; ``conversation.item.done`` may be anywhere."""
    got = Events(events.about(item_id).without(["conversation.item.done"])).sequence
    require(got == list(wanted), " -> ".join(wanted), " -> ".join(got))


def _item_id(events: Events) -> str:
    return str(events.some("response.output_item.added")[0]["item"].get("id"))


@RULES.check("order", "The events of a text answer come in the recorded order", _RECORDED)
async def order(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("say Hello there.")
        require_sequence(events, _item_id(events), _TEXT_SEQUENCE)


@RULES.check("item-done", "An answer's item is announced by conversation.item.done before response.done", _RECORDED)
async def item_done(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("say Hello there.")
        events.about(_item_id(events)).one("conversation.item.done")


@RULES.check(
    "item-done-first", "conversation.item.done comes before response.output_item.done", _RECORDED,
    level=Level.RECOMMENDED,
)  # fmt: skip
async def item_done_first(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("say Hello there.")
        types = events.about(_item_id(events)).types
        got = [one for one in types if one in ("conversation.item.done", "response.output_item.done")]
        require(got == ["conversation.item.done", "response.output_item.done"], "in this order", got)


@RULES.check("created", "response.created shows a response in progress, without output, usage or details", _RECORDED)
async def created(probe: Probe) -> None:
    async with probe.connect() as connection:
        response = (await connection.turn("say Hello there.")).one("response.created")["response"]
        wanted: dict[str, Any] = {
            "object": "realtime.response",
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "usage": None,
        }
        wrong = {
            name: response.get(name, "absent")
            for name, value in wanted.items()
            if response.get(name, "absent") != value
        }
        require(not wrong, str(wanted), wrong)


@RULES.check("conversation-id", "A response in the conversation names it in conversation_id", _OBJECT)
async def conversation_id(probe: Probe) -> None:
    async with probe.connect() as connection:
        ids = [(await connection.turn(text))[-1]["response"].get("conversation_id") for text in ("say A.", "say B.")]
        require(ids[0] and ids[0] == ids[1], "one id, the same for two responses", ids)


@RULES.check("announced-item", "An answer's item begins in progress and empty, after the user's", _RECORDED)
async def announced_item(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await connection.create(message("say Hello there."))
        events = await connection.respond(output_modalities=["text"])
        answer = _item_id(events)
        event = events.about(answer).one("conversation.item.added")
        item = event["item"]
        got = (event.get("previous_item_id"), item.get("status"), item.get("content"), item.get("role"))
        require(got == (item_id, "in_progress", [], "assistant"), "behind the user's item, in_progress, []", got, event)


@RULES.check("part-added", "A text part begins as type 'text' with an empty text", _RECORDED)
async def part_added(probe: Probe) -> None:
    async with probe.connect() as connection:
        part = (await connection.turn("say Hello there.")).some("response.content_part.added")[0]["part"]
        require(part.get("text") == "", "an empty text", part)


@RULES.check("text-agrees", "Deltas, text.done, content_part.done and the item hold the same text", _SERVER)
async def text_agrees(probe: Probe) -> None:
    async with probe.connect() as connection:
        every = await connection.turn("say Hello there.")
        events = every.about(_item_id(every))
        texts = {
            "deltas": joined(events.of("response.output_text.delta")),
            "text.done": events.one("response.output_text.done").get("text"),
            "content_part.done": events.one("response.content_part.done")["part"].get("text"),
            "output_item.done": events.one("response.output_item.done")["item"]["content"][0].get("text"),
        }
        require(len(set(texts.values())) == 1 and texts["deltas"], "one text", texts)


@RULES.check("output", "response.done lists the answer's items, completed", _OBJECT)
async def output(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("say Hello there.")
        got = [(item.get("id"), item.get("status")) for item in events[-1]["response"].get("output", ())]
        require((_item_id(events), "completed") in got, "the item, completed", got)


@RULES.check("content-type", "The item's text is of type output_text", f"{_SERVER}, response.output_item.done")
async def content_type(probe: Probe) -> None:
    async with probe.connect() as connection:
        item = (await connection.turn("say Hello there.")).some("response.output_item.done")[0]["item"]
        types = [part.get("type") for part in item["content"]]
        require(types == ["output_text"], "['output_text']", types)


@RULES.check("completed", "A response that ran to its end is completed", f"{_OBJECT}, status")
async def completed(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("say Hello there.")
        got = events[-1]["response"].get("status")
        require(got == "completed", "status 'completed'", repr(got), events[-1])


@RULES.check("usage", "A completed response tells its tokens, and they add up", f"{_OBJECT}, usage")
async def usage(probe: Probe) -> None:
    async with probe.connect() as connection:
        used = (await connection.turn("say Hello there."))[-1]["response"].get("usage")
        if not isinstance(used, dict):
            raise RuleError("an object usage", used)
        sums = (used.get("input_tokens", 0) + used.get("output_tokens", 0), used.get("total_tokens"))
        require(sums[0] == sums[1] and used.get("output_tokens"), "input + output = total, output above 0", used)


@RULES.check("one-id", "All events of a response have its id", f"{_SERVER}, response_id")
async def one_id(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("say Hello there.")
        ids = {event["response_id"] for event in events if "response_id" in event}
        wanted = events.one("response.created")["response"].get("id")
        require(ids == {wanted}, f"only {wanted}", ids)


@RULES.check("second-turn", "A second turn works, and its items follow the first's", _RESPONSE)
async def second_turn(probe: Probe) -> None:
    async with probe.connect() as connection:
        first = _item_id(await connection.turn("say One."))
        item_id = await connection.create(message("say Two."))
        events = await connection.respond(output_modalities=["text"])
        shown = [one for one in connection.received.about(item_id) if one.get("type") == "conversation.item.added"]
        require(shown and shown[0].get("previous_item_id") == first, f"behind {first}", shown[:1])
        require(events[-1]["response"].get("status") == "completed", "completed", events[-1]["response"].get("status"))


# --- overrides -----------------------------------------------------------------------------------------------------


async def _shows(sent: dict[str, Any], name: str, wanted: Any, probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("say Hello there.", **sent)
        for kind in ("response.created", "response.done"):
            got = events.one(kind)["response"].get(name)
            require(got == wanted, f"{kind}: {name} {wanted!r}", repr(got))


_METADATA = {"client_event_id": "response_create_1", "topic": "größe"}
for _name, _title, _sent, _field, _wanted in (
    ("metadata", "metadata is echoed", {"metadata": _METADATA}, "metadata", _METADATA),
    ("modalities", "output_modalities of a response are its own", {"output_modalities": ["text"]}, "output_modalities",
     ["text"]),
    ("max-output-tokens", "max_output_tokens of a response are its own", {"max_output_tokens": 300},
     "max_output_tokens", 300),
):  # fmt: skip
    RULES.add(_name, _title, f"{_RESPONSE}, {_field}", functools.partial(_shows, _sent, _field, _wanted))


@RULES.check("overrides-stay-out", "What a response overrides is not kept in the session", _RESPONSE)
async def overrides_stay_out(probe: Probe) -> None:
    async with probe.connect() as connection:
        before = await connection.configure()
        await connection.turn("say Hello.", instructions="Be someone else.", max_output_tokens=200, tool_choice="none")
        after = await connection.configure()
        changed = [name for name in before if before[name] != after.get(name)]
        require(not changed, "the session as before", f"changed: {changed}")


@RULES.check(
    "max-output-tokens-reached", "A response that reaches max_output_tokens is incomplete, with that reason",
    f"{_OBJECT}, status_details",
)  # fmt: skip
async def max_output_tokens_reached(probe: Probe) -> None:
    async with probe.connect() as connection:
        response = (await connection.turn(probe.long(), max_output_tokens=8))[-1]["response"]
        got = (response.get("status"), response.get("status_details"))
        right = got[0] == "incomplete" and isinstance(got[1], dict) and got[1].get("reason") == "max_output_tokens"
        require(right, "incomplete, max_output_tokens", got)


@RULES.check(
    "instructions-of-a-response", "instructions of a response guide it", f"{_RESPONSE}, instructions", Need.SCRIPT
)
async def instructions_of_a_response(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("Whatever.", instructions="scripted: say As instructed.")
        got = joined(events.of("response.output_text.delta"))
        require(got == "As instructed.", "'As instructed.'", repr(got))


# --- out of band ---------------------------------------------------------------------------------------------------


async def _beside(connection: Connection, text: str = "say Beside.", **fields: Any) -> Events:
    fields.setdefault("input", [message(text)])
    return await connection.respond(conversation="none", output_modalities=["text"], **fields)


@RULES.check("out-of-band", "A response beside the conversation has conversation_id null", _OUT_OF_BAND)
async def out_of_band(probe: Probe) -> None:
    async with probe.connect() as connection:
        response = (await _beside(connection))[-1]["response"]
        got = (response.get("conversation_id", "absent"), response.get("status"))
        require(got == (None, "completed"), "null, completed", got)


@RULES.check("out-of-band-items", "A response beside the conversation adds no items to it", _OUT_OF_BAND)
async def out_of_band_items(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = Events([*await _beside(connection), *await connection.fence()])
        types = events.starting("conversation.item.").types
        require(not types, "no conversation.item events", types)


@RULES.check("out-of-band-metadata", "A response beside the conversation echoes its metadata", _OUT_OF_BAND)
async def out_of_band_metadata(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _beside(connection, metadata={"topic": "classification"})
        got = [events.one(kind)["response"].get("metadata") for kind in ("response.created", "response.done")]
        require(got == [{"topic": "classification"}] * 2, "metadata in created and done", got)


@RULES.check("out-of-band-own-input", "input takes the place of the conversation", f"{_RESPONSE}, input", Need.SCRIPT)
async def out_of_band_own_input(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message("say From the conversation."))
        got = joined((await _beside(connection, "say From the input.")).of("response.output_text.delta"))
        require(got == "From the input.", "'From the input.'", repr(got))


@RULES.check("empty-input", "An empty input is an empty context", f"{_RESPONSE}, input")
async def empty_input(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message("say Not this."))
        events = await _beside(connection, input=[], instructions="Say hello.")
        require(events[-1]["response"].get("status") == "completed", "completed", events[-1]["response"].get("status"))
        said = joined(events.of("response.output_text.delta"))
        require("Not this." not in said, "an answer to nothing", said)


@RULES.check("reference", "input may refer to an item of the conversation", f"{_RESPONSE}, item_reference")
async def reference(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await connection.create(message("say By reference."))
        events = await _beside(connection, input=[{"type": "item_reference", "id": item_id}])
        require(events[-1]["response"].get("status") == "completed", "completed", events[-1]["response"].get("status"))


@RULES.check("input-in-conversation", "A response with input may be part of the conversation", f"{_RESPONSE}, input")
async def input_in_conversation(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.respond(input=[message("say To be kept.")], output_modalities=["text"])
        events.about(_item_id(events)).one("conversation.item.added")


@RULES.check("parallel", "Responses beside the conversation run while one in it runs", _OUT_OF_BAND, Need.SCRIPT)
async def parallel(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message(probe.lasting()))
        await connection.send("response.create", response={"output_modalities": ["text"]})
        main = (await connection.expect("response.created"))["response"]["id"]
        done = [(await _beside(connection, text))[-1]["response"] for text in ("say A.", "say B.")]
        got = [response.get("status") for response in done]
        require(got == ["completed", "completed"] and main not in [one["id"] for one in done], "both completed", got)


# --- cancel, failure -----------------------------------------------------------------------------------------------


async def _cancelled(connection: Connection, probe: Probe, *, named: bool = False, speaks: bool = False) -> Events:
    """The events of a response that was cancelled after its first delta."""
    await connection.create(message(probe.lasting()))
    await connection.send("response.create", response={"output_modalities": ["audio" if speaks else "text"]})
    delta = "response.output_audio.delta" if speaks else "response.output_text.delta"
    begun = await connection.collect(delta)
    fields = {"response_id": begun[-1]["response_id"]} if named else {}
    await connection.send("response.cancel", **fields)
    events = await connection.collect("response.done")
    if events[-1]["response"].get("status") == "completed":
        late = (await connection.fence()).of("error")
        if late and late[0]["error"].get("code") == "response_cancel_not_active":
            raise NotApplicableError("the answer was over before it could be cancelled")
    return Events([*begun, *events])


async def _cancels(named: bool, speaks: bool, probe: Probe) -> None:
    async with probe.connect() as connection:
        response = (await _cancelled(connection, probe, named=named, speaks=speaks))[-1]["response"]
        details = response.get("status_details")
        got = (response.get("status"), details.get("reason") if isinstance(details, dict) else details)
        require(got == ("cancelled", "client_cancelled"), "cancelled, client_cancelled", got)


RULES.add("cancel", "response.cancel ends the running response as cancelled, client_cancelled", _CANCEL,
          functools.partial(_cancels, False, False))  # fmt: skip
RULES.add("cancel-by-id", "response.cancel ends the response that it names", _CANCEL,
          functools.partial(_cancels, True, False))  # fmt: skip
RULES.add("cancel-speech", "response.cancel ends a response that speaks", _CANCEL,
          functools.partial(_cancels, False, True), [Need.VOICE])  # fmt: skip


@RULES.check("cancel-closes", "A cancelled response closes its text, part and item before response.done", _CANCEL)
async def cancel_closes(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _cancelled(connection, probe)
        require_sequence(events, str(events.some("response.output_text.delta")[0]["item_id"]), _TEXT_SEQUENCE)


@RULES.check("cancel-incomplete", "The item of a cancelled response is incomplete", _CANCEL)
async def cancel_incomplete(probe: Probe) -> None:
    async with probe.connect() as connection:
        item = (await _cancelled(connection, probe)).some("response.output_item.done")[0]["item"]
        require(item.get("status") == "incomplete", "status 'incomplete'", repr(item.get("status")))


@RULES.check("after-cancel", "After a cancelled response the next one runs", _CANCEL)
async def after_cancel(probe: Probe) -> None:
    async with probe.connect() as connection:
        await _cancelled(connection, probe)
        response = (await connection.turn("say And now?"))[-1]["response"]
        require(response.get("status") == "completed", "completed", response.get("status"))


@RULES.check(
    "cancel-beside", "response.cancel with an id ends a response beside the conversation", _CANCEL, Need.SCRIPT
)
async def cancel_beside(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.send(
            "response.create",
            response={"conversation": "none", "input": [message(probe.lasting())], "output_modalities": ["text"]},
        )
        response_id = (await connection.expect("response.output_text.delta"))["response_id"]
        await connection.refusal("response.cancel")
        await connection.send("response.cancel", response_id=response_id)
        response = (await connection.expect("response.done"))["response"]
        got = (response.get("id"), response.get("status"))
        require(got == (response_id, "cancelled"), f"{response_id}, cancelled", got)


@RULES.check(
    "failed",
    "A model that fails ends the response as failed, with an error in status_details, and no error event",
    f"{_OBJECT}, status_details.error",
    Need.SCRIPT,
)
async def failed(probe: Probe) -> None:
    async with probe.connect() as connection:
        response = (await connection.turn("fail"))[-1]["response"]
        details = response.get("status_details")
        error = details.get("error") if isinstance(details, dict) else None
        right = response.get("status") == "failed" and isinstance(error, dict) and error.get("type")
        require(right, "failed, with status_details.error.type", (response.get("status"), details))
        types = (await connection.fence()).types
        require("error" not in types, "no error event", types)


@RULES.check(
    "content-filter", "A filtered answer is incomplete, content_filter", f"{_OBJECT}, status_details", Need.SCRIPT
)
async def content_filter(probe: Probe) -> None:
    async with probe.connect() as connection:
        response = (await connection.turn("say Well\nfinish content_filter"))[-1]["response"]
        details = response.get("status_details")
        got = (response.get("status"), details.get("reason") if isinstance(details, dict) else details)
        require(got == ("incomplete", "content_filter"), "incomplete, content_filter", got)


@RULES.check(
    "items-while-running",
    "Items can be created while a response runs",
    "API reference, client events, conversation.item.create",
    Need.SCRIPT,
)
async def items_while_running(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message(probe.lasting()))
        await connection.send("response.create", response={"output_modalities": ["text"]})
        await connection.expect("response.output_text.delta")
        item_id = await connection.create(message("And this."))
        async with asyncio.timeout(probe.target.timeout_s):
            await connection.collect("conversation.item.added")
        await connection.send("response.cancel")
        events = await connection.collect("response.done")
        require(connection.received.about(item_id), "its events", events.types)
