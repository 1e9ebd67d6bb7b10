"""What is refused, and how."""

import functools
from collections.abc import Mapping
from typing import Any

from antiphon.conform.check import Event, Level, Need, RuleError, Rules, require
from antiphon.conform.connection import message
from antiphon.conform.probe import Probe

__all__ = ["RULES"]

RULES = Rules("errors", "Errors")

_ERROR = "API reference, server events, error"
_HOSTED = "observed: hosted API"
_UPDATE = "API reference, client events, session.update"
_CREATE = "API reference, client events, conversation.item.create"
_OTHERS = "API reference, client events"
_RESPONSE = "API reference, client events, response.create"


def _session(**fields: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def _vad(**fields: Any) -> dict[str, Any]:
    return _session(audio={"input": {"turn_detection": {"type": "server_vad", **fields}}})


def _item(item: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": item, **fields}


def _said(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts)}


def _response(**fields: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": fields}


_UNKNOWN = "item_conform_unknown"
_MISSING = "missing_required_parameter"
_REFUSALS: tuple[tuple[str, str, Mapping[str, Any], str | None, str | None, str], ...] = (
    # name, what is refused, event, code, param (None: any), source
    ("unknown-type", "An unknown event type", {"type": "conversation.item.frobnicate"}, "invalid_value", "type",
     "Guide 'Realtime conversations', error handling"),
    ("no-type", "An event without a type", {"audio": "AAAA"}, "invalid_event", None, f"{_ERROR}, example"),
    ("type-no-text", "An event whose type is no string", {"type": 7}, None, None, _ERROR),
    ("no-session-type", "An update without session.type", {"type": "session.update", "session": {}}, _MISSING,
     "session.type", f"{_UPDATE}; {_HOSTED}"),
    ("no-session", "An update without a session", {"type": "session.update"}, _MISSING, "session", _UPDATE),
    ("session-type", "An unknown session.type", {"type": "session.update", "session": {"type": "telepathy"}}, None,
     "session.type", _UPDATE),
    ("instructions-type", "Instructions that are no string", _session(instructions=5), None, "session.instructions",
     _UPDATE),
    ("modalities-type", "Output modalities that are no list", _session(output_modalities="text"), None,
     "session.output_modalities", _UPDATE),
    ("tools-type", "Tools that are no list", _session(tools={"name": "look"}), None, "session.tools", _UPDATE),
    ("tool-without-name", "A function without a name", _session(tools=[{"type": "function"}]), None, None, _UPDATE),
    ("tool-type", "A tool of an unknown type", _session(tools=[{"type": "spell", "name": "a"}]), None, None, _UPDATE),
    ("tool-choice", "An unknown tool_choice", _session(tool_choice="maybe"), None, "session.tool_choice", _UPDATE),
    ("max-output-word", "max_output_tokens as a word", _session(max_output_tokens="lots"), None,
     "session.max_output_tokens", _UPDATE),
    ("max-output-zero", "max_output_tokens of 0", _session(max_output_tokens=0), None, "session.max_output_tokens",
     _UPDATE),
    ("speed", "A speed above 1.5", _session(audio={"output": {"speed": 3}}), None, "session.audio.output.speed",
     _UPDATE),
    ("format", "An unknown audio format", _session(audio={"input": {"format": {"type": "audio/mp3"}}}), None, None,
     _UPDATE),
    ("rate", "A PCM rate other than 24000",
     _session(audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}}), None, None, _UPDATE),
    ("vad-type", "An unknown kind of turn detection", _vad(type="telepathy"), None, None, _UPDATE),
    ("threshold", "A threshold above 1", _vad(threshold=1.5), None, "session.audio.input.turn_detection.threshold",
     _UPDATE),
    ("idle-timeout", "An idle timeout below 5 s", _vad(idle_timeout_ms=100), None,
     "session.audio.input.turn_detection.idle_timeout_ms", _UPDATE),
    ("eagerness", "An unknown eagerness",
     _session(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "wild"}}}), None,
     "session.audio.input.turn_detection.eagerness", _UPDATE),
    ("retention", "A retention ratio above 1",
     _session(truncation={"type": "retention_ratio", "retention_ratio": 2}), None, None, _UPDATE),
    ("include", "An unknown include", _session(include=["item.everything"]), None, None, _UPDATE),
    ("no-item", "conversation.item.create without an item", {"type": "conversation.item.create"}, _MISSING, "item",
     _CREATE),
    ("item-type", "An item of an unknown type", _item({"type": "poem"}), None, "item.type", _CREATE),
    ("role", "A message of an unknown role", _item(_said({"type": "input_text", "text": "a"}, role="ghost")), None,
     "item.role", _CREATE),
    ("part-type", "A content part of an unknown type", _item(_said({"type": "smell"})), None, None, _CREATE),
    ("part-of-role", "An output part in a user's message", _item(_said({"type": "output_text", "text": "a"})), None,
     None, _CREATE),
    ("text-missing", "A text part without text", _item(_said({"type": "input_text"})), None, None, _CREATE),
    ("seeded-audio", "Audio of the assistant cannot be created", _item(
        _said({"type": "output_audio", "transcript": "Hello."}, role="assistant")), _MISSING, "item.content[0].text",
     f"{_CREATE}; {_HOSTED}"),
    ("output-without-call", "A function's output without call_id",
     _item({"type": "function_call_output", "output": "5"}), None, "item.call_id", _CREATE),
    ("item-audio", "Audio of an item that is no base64", _item(_said({"type": "input_audio", "audio": "*?*"})), None,
     None, _CREATE),
    ("append-missing", "An append without audio", {"type": "input_audio_buffer.append"}, _MISSING, "audio", _OTHERS),
    ("append-no-base64", "An append that is no base64", {"type": "input_audio_buffer.append", "audio": "*?*"}, None,
     "audio", _OTHERS),
    ("append-type", "An append whose audio is no string", {"type": "input_audio_buffer.append", "audio": 5}, None,
     "audio", _OTHERS),
    ("commit-empty", "A commit of an empty buffer", {"type": "input_audio_buffer.commit"},
     "input_audio_buffer_commit_empty", None, f"{_OTHERS}, input_audio_buffer.commit; {_HOSTED}"),
    ("retrieve-unknown", "Retrieving an unknown item",
     {"type": "conversation.item.retrieve", "item_id": _UNKNOWN}, "item_retrieve_invalid_item_id", None, _HOSTED),
    ("delete-unknown", "Deleting an unknown item", {"type": "conversation.item.delete", "item_id": _UNKNOWN},
     "item_delete_invalid_item_id", None, _HOSTED),
    ("truncate-unknown", "Truncating an unknown item",
     {"type": "conversation.item.truncate", "item_id": _UNKNOWN, "content_index": 0, "audio_end_ms": 0},
     "item_truncate_invalid_item_id", None, _HOSTED),
    ("retrieve-missing", "Retrieving without an item_id", {"type": "conversation.item.retrieve"}, _MISSING, "item_id",
     _OTHERS),
    ("delete-missing", "Deleting without an item_id", {"type": "conversation.item.delete"}, _MISSING, "item_id",
     _OTHERS),
    ("truncate-missing", "Truncating without audio_end_ms",
     {"type": "conversation.item.truncate", "item_id": _UNKNOWN, "content_index": 0}, _MISSING, "audio_end_ms",
     _OTHERS),
    ("cancel-idle", "Cancelling where nothing runs", {"type": "response.cancel"}, "response_cancel_not_active", None,
     _HOSTED),
    ("cancel-unknown", "Cancelling an unknown response",
     {"type": "response.cancel", "response_id": "resp_conform_unknown"}, "response_cancel_not_active", None, _HOSTED),
    ("previous-unknown", "An item after an unknown one",
     _item(message("a", id="item_conform_orphan"), previous_item_id=_UNKNOWN), None, None,
     f"{_CREATE}, previous_item_id"),
    ("response-modalities", "A response of an unknown modality", _response(output_modalities=["smell"]), None, None,
     _RESPONSE),
    ("response-conversation", "A response for an unknown conversation", _response(conversation="mine"), None, None,
     _RESPONSE),
    ("response-max-output", "A response of -1 tokens", _response(max_output_tokens=-1), None,
     "response.max_output_tokens", _RESPONSE),
    ("response-reference", "A response to an unknown item",
     _response(conversation="none", input=[{"type": "item_reference", "id": _UNKNOWN}]), None, None, _RESPONSE),
    ("metadata-value", "Metadata whose value is no string", _response(metadata={"a": 1}), None, None, _RESPONSE),
    ("metadata-pairs", "Metadata of more than 16 pairs", _response(metadata={f"k{n}": "v" for n in range(17)}), None,
     None, _RESPONSE),
    ("metadata-length", "Metadata with a value of more than 512 characters", _response(metadata={"k": "v" * 513}), None,
     None, _RESPONSE),
)  # fmt: skip


_PARAM_SEEN = {"unknown-type", "no-session-type", "seeded-audio"}
"""Where the hosted API was seen to name the field. Elsewhere ``param`` may be null, but not another field."""


async def _refused(
    sent: Mapping[str, Any], code: str | None, param: str | None, param_needed: bool, probe: Probe
) -> None:
    async with probe.connect() as connection:
        event = await connection.refusal_of(sent)
        error = event["error"]
        if code is not None:
            require(error.get("code") == code, f"the code {code}", repr(error.get("code")), event)
        if param is not None and (param_needed or error.get("param") is not None):
            require(error.get("param") == param, f"the param {param}", repr(error.get("param")), event)


for _name, _what, _event, _code, _param, _source in _REFUSALS:
    _seen = _name in _PARAM_SEEN
    _title = f"{_what} is refused" + (f" as {_code}" if _code else "")
    _title += f", param {_param}{'' if _seen else ' or null'}" if _param else ""
    RULES.add(_name, _title, _source, functools.partial(_refused, _event, _code, _param, _seen))


# --- the shape of an error -----------------------------------------------------------------------------------------


@RULES.check("event-id", "An error has the event_id of the event that caused it", f"{_ERROR}, error.event_id")
async def event_id(probe: Probe) -> None:
    async with probe.connect() as connection:
        event = await connection.refusal("conversation.item.retrieve", event_id="mine-1", item_id=_UNKNOWN)
        got = event["error"].get("event_id")
        require(got == "mine-1", "error.event_id 'mine-1'", repr(got), event)


@RULES.check("event-id-null", "error.event_id is null where the event had none", f"{_ERROR}, error.event_id")
async def event_id_null(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.send("conversation.item.retrieve", item_id=_UNKNOWN)
        event = (await connection.until({"error"}))[-1]
        require(event["error"].get("event_id") is None, "null", event["error"].get("event_id"), event)


@RULES.check("type", "What a client does wrong is an invalid_request_error", f"{_ERROR}, error.type")
async def error_type(probe: Probe) -> None:
    async with probe.connect() as connection:
        event = await connection.refusal("conversation.item.retrieve", item_id=_UNKNOWN)
        got = event["error"].get("type")
        require(got == "invalid_request_error", "invalid_request_error", repr(got), event)


@RULES.check("only-one", "A refused event is answered by one error and nothing else", _ERROR)
async def only_one(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.send("conversation.item.retrieve", item_id=_UNKNOWN)
        types = (await connection.fence()).types
        require(types == ["error"], "one error", types)


@RULES.check("none-unasked", "What is legal is not answered by an error", _ERROR)
async def none_unasked(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message("say Hello."))
        await connection.send("input_audio_buffer.clear")
        await connection.send("response.create", response={"output_modalities": ["text"]})
        events = await connection.collect("response.done", errors=True)
        events += await connection.fence()
        require(not events.of("error"), "no error", events.types, next(iter(events.of("error")), None))


@RULES.check("session-goes-on", "A session goes on after errors", f"{_ERROR}: the session stays open")
async def session_goes_on(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.refusal("session.update", session={})
        await connection.refusal("no.such.event")
        await connection.refusal("conversation.item.retrieve", item_id=_UNKNOWN)
        response = (await connection.turn("say Still here."))[-1]["response"]
        require(response.get("status") == "completed", "a completed response", response.get("status"))


async def _raw(data: str | bytes, probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.send_raw(data)
        await connection.until({"error"})
        await connection.fence()


for _name, _what, _data, _level in (
    ("no-json", "A frame that is no JSON", "{this is not json", Level.REQUIRED),
    ("no-object", "A frame whose JSON is no object", '["session.update"]', Level.REQUIRED),
    ("empty-frame", "An empty frame", "", Level.RECOMMENDED),
    ("binary-frame", "A binary frame", b'{"type":"input_audio_buffer.clear"}', Level.RECOMMENDED),
):
    RULES.add(
        _name,
        f"{_what} is answered by an error, and the session goes on",
        f"{_ERROR}; Guide 'Realtime API with WebSocket': events are JSON text",
        functools.partial(_raw, _data),
        level=_level,
    )


@RULES.check(
    "unknown-field",
    "A field that the API does not have is refused as unknown_parameter, or has no effect",
    f"{_UPDATE}; {_HOSTED}",
)
async def unknown_field(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.send("session.update", session={"type": "realtime", "conform_field": 1})
        event = (await connection.until({"error", "session.updated"}))[-1]
        if event.get("type") == "error":
            code = event["error"].get("code")
            require(code == "unknown_parameter", "the code unknown_parameter", repr(code), event)
        else:
            require("conform_field" not in event["session"], "a session without it", "it is in the session", event)


@RULES.check(
    "previous-unknown-adds-nothing", "An item after an unknown one is not added", f"{_CREATE}, previous_item_id"
)
async def previous_unknown_adds_nothing(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.create(message("a", id="item_conform_orphan"), previous_item_id=_UNKNOWN)
        events = await connection.fence()
        require(not events.of("conversation.item.added"), "no conversation.item.added", events.types)


@RULES.check(
    "duplicate-id",
    "An item with the id of another one is refused as item_create_duplicate_item_id",
    "observed: LiveKit knows the code; the hosted models differ",
    level=Level.RECOMMENDED,
)
async def duplicate_id(probe: Probe) -> None:
    async with probe.connect() as connection:
        item_id = await connection.create(message("a"))
        await connection.fence()
        event = await connection.refusal("conversation.item.create", item=message("b", id=item_id))
        code = event["error"].get("code")
        require(code == "item_create_duplicate_item_id", "the code item_create_duplicate_item_id", repr(code), event)


@RULES.check(
    "invalid-type",
    "A field of the wrong JSON type has the code invalid_type",
    "Guide 'Error codes'",
    level=Level.RECOMMENDED,
)
async def invalid_type(probe: Probe) -> None:
    async with probe.connect() as connection:
        event = await connection.refusal("session.update", session={"type": "realtime", "instructions": 5})
        code = event["error"].get("code")
        require(code == "invalid_type", "the code invalid_type", repr(code), event)


@RULES.check(
    "clear-output",
    "output_audio_buffer.clear is refused over WebSocket",
    f"{_OTHERS}, output_audio_buffer.clear: WebRTC and SIP only",
    level=Level.RECOMMENDED,
)
async def clear_output(probe: Probe) -> None:
    async with probe.connect() as connection:
        await connection.refusal("output_audio_buffer.clear")


async def _busy(probe: Probe) -> Event:
    """The refusal of a second response while one runs."""
    async with probe.connect() as connection:
        await connection.create(message(probe.lasting()))
        await connection.send("response.create", response={"output_modalities": ["text"]})
        await connection.expect("response.created")
        event = await connection.refusal("response.create")
        if event.get("type") != "error":
            raise RuleError("an error", event.get("type"), event)
        return event


@RULES.check(
    "second-response",
    "A second response in the conversation is refused: conversation_already_has_active_response",
    f"{_RESPONSE}; {_HOSTED}",
    Need.SCRIPT,
)
async def second_response(probe: Probe) -> None:
    event = await _busy(probe)
    code = event["error"].get("code")
    expected = "conversation_already_has_active_response"
    require(code == expected, f"the code {expected}", repr(code), event)
