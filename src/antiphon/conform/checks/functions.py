"""Function calls."""

import json
from typing import Any

from antiphon.conform.check import Need, RuleError, Rules, require
from antiphon.conform.checks.responses import require_sequence
from antiphon.conform.connection import Connection, message
from antiphon.conform.events import Events, joined
from antiphon.conform.probe import Probe

__all__ = ["RULES"]

RULES = Rules("functions", "Function calls")

_GUIDE = "Guide 'Realtime conversations', function calling"
_RECORDED = "recorded sessions of the hosted API"
_SERVER = "API reference, server events"
_TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_OTHER = {
    "type": "function",
    "name": "get_time",
    "description": "Tells the time.",
    "parameters": {"type": "object", "properties": {}},
}
_DELTA = "response.function_call_arguments.delta"
_DONE = "response.function_call_arguments.done"


async def _called(connection: Connection, probe: Probe, **response: Any) -> Events:
    """A response that was made to call ``get_weather``."""
    response.setdefault("tool_choice", {"type": "function", "name": "get_weather"})
    return await connection.turn(probe.calling(), tools=[_TOOL], **response)


@RULES.check("order", "The events of a function call come in the recorded order", _RECORDED, Need.TOOLS)
async def order(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _called(connection, probe)
        item_id = str(events.one(_DONE).get("item_id"))
        wanted = ("response.output_item.added", "conversation.item.added", _DELTA, _DONE, "response.output_item.done")
        require_sequence(events, item_id, wanted)


@RULES.check("item-done", "A call's item is announced by conversation.item.done", _RECORDED, Need.TOOLS)
async def item_done(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _called(connection, probe)
        events.about(str(events.one(_DONE).get("item_id"))).one("conversation.item.done")


@RULES.check("added", "A call begins in progress, with its name and empty arguments", _RECORDED, Need.TOOLS)
async def added(probe: Probe) -> None:
    async with probe.connect() as connection:
        item = (await _called(connection, probe)).some("response.output_item.added")[0]["item"]
        got = (item.get("type"), item.get("status"), item.get("name"), item.get("arguments"))
        require(got == ("function_call", "in_progress", "get_weather", ""), "in_progress, get_weather, ''", got)


@RULES.check(
    "arguments", "Deltas, arguments.done and the item hold the same JSON object", f"{_SERVER}, {_DONE}", Need.TOOLS
)
async def arguments(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _called(connection, probe)
        texts = {
            "deltas": joined(events.of(_DELTA)),
            "arguments.done": events.one(_DONE).get("arguments"),
            "output_item.done": events.some("response.output_item.done")[-1]["item"].get("arguments"),
        }
        require(len(set(texts.values())) == 1, "one text", texts)
        try:
            parsed = json.loads(texts["deltas"])
        except ValueError:
            raise RuleError("JSON", texts["deltas"]) from None
        require(isinstance(parsed, dict), "a JSON object", texts["deltas"])


@RULES.check("name", "arguments.done names the function", f"{_SERVER}, {_DONE}", Need.TOOLS)
async def name(probe: Probe) -> None:
    async with probe.connect() as connection:
        got = (await _called(connection, probe)).one(_DONE).get("name")
        require(got == "get_weather", "get_weather", repr(got))


@RULES.check("call-id", "All events of a call have its call_id", f"{_SERVER}, call_id", Need.TOOLS)
async def call_id(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _called(connection, probe)
        item = events.some("response.output_item.done")[-1]["item"]
        ids = {event.get("call_id") for event in events if event.get("type") in (_DELTA, _DONE)} | {item.get("call_id")}
        require(len(ids) == 1 and all(ids), "one call_id", ids)


@RULES.check("completed", "A finished call is completed, and so is its response, which lists it", _RECORDED, Need.TOOLS)
async def completed(probe: Probe) -> None:
    async with probe.connect() as connection:
        response = (await _called(connection, probe))[-1]["response"]
        items = [(item.get("type"), item.get("status")) for item in response.get("output", ())]
        require(response.get("status") == "completed", "completed", response.get("status"))
        require(("function_call", "completed") in items, "a completed function_call in output", items)


@RULES.check("answered", "After the function's output the next response is an answer", _GUIDE, Need.TOOLS)
async def answered(probe: Probe) -> None:
    async with probe.connect() as connection:
        call = (await _called(connection, probe)).some("response.output_item.done")[-1]["item"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"weather": "sunny"}'}
        await connection.send("conversation.item.create", item=output)
        events = await connection.respond(output_modalities=["text"], tools=[_TOOL], tool_choice="none")
        require(events.of("response.output_text.done"), "a text", events.sequence)


@RULES.check("tools-of-the-session", "Tools and a forced choice of the session hold for responses", _GUIDE, Need.TOOLS)
async def tools_of_the_session(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.configure(tools=[_TOOL], tool_choice={"type": "function", "name": "get_weather"})
        events = await connection.turn(probe.calling())
        events.one(_DONE)


@RULES.check("required", "tool_choice 'required' makes the model call a function", f"{_GUIDE}, tool_choice", Need.TOOLS)
async def required(probe: Probe) -> None:
    async with probe.connect() as connection:
        (await _called(connection, probe, tool_choice="required")).some(_DONE)


@RULES.check("none", "tool_choice 'none' keeps the model from calling", f"{_GUIDE}, tool_choice", Need.TOOLS)
async def none(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await _called(connection, probe, tool_choice="none")
        require(not events.of(_DONE), "no call", events.sequence)


@RULES.check(
    "two-calls",
    "A response may hold two calls, each with its own item, index and call_id",
    f"{_SERVER}, output_index",
    Need.TOOLS,
    Need.SCRIPT,
)
async def two_calls(probe: Probe) -> None:
    async with probe.connect() as connection:
        text = 'call get_weather {"city": "Paris"}\ncall get_time'
        events = await connection.turn(text, tools=[_TOOL, _OTHER])
        done = events.of(_DONE)
        for field in ("item_id", "call_id", "output_index"):
            got = [event.get(field) for event in done]
            require(len(got) == 2 and got[0] != got[1], f"two calls, each with its {field}", got)


@RULES.check("two-outputs", "Both outputs may be given before the next response", _GUIDE, Need.TOOLS, Need.SCRIPT)
async def two_outputs(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("call get_weather\ncall get_time", tools=[_TOOL, _OTHER])
        for event in events.of(_DONE):
            item = {"type": "function_call_output", "call_id": event["call_id"], "output": "fine"}
            await connection.send("conversation.item.create", item=item)
        response = (await connection.respond(output_modalities=["text"]))[-1]["response"]
        require(response.get("status") == "completed", "completed", response.get("status"))


@RULES.check("text-and-call", "A response may say something and call a function", _RECORDED, Need.TOOLS, Need.SCRIPT)
async def text_and_call(probe: Probe) -> None:
    async with probe.connect() as connection:
        events = await connection.turn("say One moment.\ncall get_weather", tools=[_TOOL])
        types = [item.get("type") for item in events[-1]["response"].get("output", ())]
        require(types == ["message", "function_call"], "['message', 'function_call']", types)


@RULES.check("early-output", "An output given before response.done is taken", _RECORDED, Need.TOOLS)
async def early_output(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message(probe.calling()))
        await connection.send(
            "response.create",
            response={
                "tools": [_TOOL],
                "tool_choice": {"type": "function", "name": "get_weather"},
                "output_modalities": ["text"],
            },
        )
        call = (await connection.collect("response.output_item.done"))[-1]["item"]
        output = {"type": "function_call_output", "call_id": call.get("call_id"), "output": "sunny"}
        item_id = await connection.create(output)
        await connection.fence()
        require(connection.received.about(item_id).of("conversation.item.added"), "conversation.item.added", "nothing")
