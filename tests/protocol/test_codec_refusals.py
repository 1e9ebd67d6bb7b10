"""Each mistake of a client gets its code, its message, the path of its field and the event's id."""

import json
from typing import Any

import pytest

from antiphon.protocol.codec import BASE64_CHARS_MAX, decode_client_event
from antiphon.protocol.errors import ProtocolError

EVENT_TYPES = (
    "'session.update', 'input_audio_buffer.append', 'input_audio_buffer.commit', 'input_audio_buffer.clear', "
    "'output_audio_buffer.clear', 'conversation.item.create', 'conversation.item.retrieve', "
    "'conversation.item.truncate', 'conversation.item.delete', 'response.create', and 'response.cancel'"
)


def refusal(text: str | bytes, *, strict: bool = False) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode_client_event(text, strict=strict)
    return caught.value


def session(**fields: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def turn_detection(**fields: Any) -> dict[str, Any]:
    return session(audio={"input": {"turn_detection": fields}})


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": fields}


def message(*content: Any, **fields: Any) -> dict[str, Any]:
    return item(type="message", role="user", content=[*content], **fields)


TOO_LONG_ID = (
    "Invalid 'item.id': string too long; expected a string with maximum length 128, "
    "but got a string with length 129 instead."
)
VAD = "session.audio.input.turn_detection"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The event is not valid JSON: Expecting value at character 0."),
        (" ", "The event is not valid JSON: Expecting value at character 1."),
        ("hello", "The event is not valid JSON: Expecting value at character 0."),
        ('{"type":', "The event is not valid JSON: Expecting value at character 8."),
        ('{"type":"response.create"} x', "The event is not valid JSON: Extra data at character 27."),
        ("\ufeff{}", "The event is not valid JSON: Expecting value at character 0."),
        (b"\xef\xbb\xbf{}", "The event is not valid JSON: Expecting value at character 0."),
        (b"\xff", "The event is not valid UTF-8 at byte 0."),
        ("\ud800", "The event is not valid Unicode."),
        ("[]", "The event is not a JSON object."),
        ("null", "The event is not a JSON object."),
        ('"type"', "The event is not a JSON object."),
        ("7", "The event is not a JSON object."),
    ],
)
def test_what_is_no_json_object_is_an_invalid_event(text: str | bytes, message: str) -> None:
    error = refusal(text)
    assert (error.code, error.message, error.param, error.event_id) == ("invalid_event", message, None, None)


@pytest.mark.parametrize("text", ["{}", '{"Type":"response.create"}', '{"session":{}}'])
def test_an_event_without_a_type_is_an_invalid_event(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.message, error.param) == ("invalid_event", "The 'type' field is missing.", "type")


@pytest.mark.parametrize("name", ["scooby.dooby.doo", "", "session.updated", "transcription_session.update"])
@pytest.mark.parametrize("strict", [False, True])
def test_an_unknown_event_type_is_an_invalid_value_and_the_message_lists_the_types(name: str, strict: bool) -> None:
    error = refusal(json.dumps({"type": name}), strict=strict)
    assert (error.code, error.param) == ("invalid_value", "type")
    assert error.message == f"Invalid value: '{name}'. Supported values are: {EVENT_TYPES}."


@pytest.mark.parametrize(
    ("event", "param", "message"),
    [
        ({"type": 5}, "type", "expected a string, but got an integer instead"),
        ({"type": None}, "type", "expected a string, but got null instead"),
        ({"type": "session.update", "session": []}, "session", "expected an object, but got an array instead"),
        (session(instructions=1), "session.instructions", "expected a string or null, but got an integer instead"),
        (session(instructions=True), "session.instructions", "expected a string or null, but got a boolean instead"),
        (session(tools={}), "session.tools", "expected an array or null, but got an object instead"),
        (session(tools=[1]), "session.tools[0]", "expected an object, but got an integer instead"),
        (session(tool_choice=1), "session.tool_choice", "expected a string, an object, or null, but got an integer"),
        (turn_detection(threshold="0.5"), f"{VAD}.threshold", "expected a number or null, but got a string instead"),
        (turn_detection(threshold=True), f"{VAD}.threshold", "expected a number or null, but got a boolean instead"),
        (turn_detection(type=None), f"{VAD}.type", "expected a string, but got null instead"),
        (
            turn_detection(silence_duration_ms=200.5),
            f"{VAD}.silence_duration_ms",
            "expected an integer or null, but got a decimal number instead",
        ),
        (
            turn_detection(silence_duration_ms=False),
            f"{VAD}.silence_duration_ms",
            "expected an integer or null, but got a boolean instead",
        ),
        (
            session(max_output_tokens=1.5),
            "session.max_output_tokens",
            "expected an integer, a string, or null, but got a decimal number instead",
        ),
        (
            {"type": "conversation.item.truncate", "item_id": "a", "content_index": 1e300, "audio_end_ms": 0},
            "content_index",
            "expected an integer, but got a decimal number instead",
        ),
        (
            item(type="mcp_approval_response", approval_request_id="a", approve=1),
            "item.approve",
            "expected a boolean, but got an integer instead",
        ),
        (message({"type": "input_text", "text": 5}), "item.content[0].text", "expected a string, but got an integer"),
        (message({"type": 1}), "item.content[0].type", "expected a string, but got an integer instead"),
        (message({"type": "input_text", "text": None}), "item.content[0].text", "expected a string, but got null"),
        (item(type="message", role="user", content=None), "item.content", "expected an array, but got null instead"),
        ({"type": "input_audio_buffer.append", "audio": 1}, "audio", "expected a string, but got an integer instead"),
        (
            {"type": "response.create", "response": {"metadata": {"a": 1}}},
            "response.metadata.a",
            "expected a string, but got an integer instead",
        ),
        ({"type": "response.cancel", "event_id": 1}, "event_id", "expected a string or null, but got an integer"),
    ],
)
def test_a_wrong_type_names_the_field_what_came_and_what_is_allowed(
    event: dict[str, Any], param: str, message: str
) -> None:
    error = refusal(json.dumps(event))
    assert (error.code, error.param) == ("invalid_type", param)
    assert error.message.startswith(f"Invalid type for '{param}': {message}")


@pytest.mark.parametrize(
    ("event", "param", "message"),
    [
        (
            session(output_modalities=["text", "video"]),
            "session.output_modalities[1]",
            "Invalid value: 'video' for 'session.output_modalities[1]'. Supported values are: 'audio' and 'text'.",
        ),
        (
            session(tool_choice={"type": "x"}),
            "session.tool_choice.type",
            "Invalid value: 'x' for 'session.tool_choice.type'. Supported values are: 'function' and 'mcp'.",
        ),
        (
            session(audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}}),
            "session.audio.input.format.rate",
            "Invalid value: 16000 for 'session.audio.input.format.rate'. Supported values are: 24000.",
        ),
        (
            turn_detection(threshold=1.5),
            f"{VAD}.threshold",
            f"Invalid '{VAD}.threshold': expected a value <= 1.0, but got 1.5 instead.",
        ),
        (
            turn_detection(idle_timeout_ms=4999),
            f"{VAD}.idle_timeout_ms",
            f"Invalid '{VAD}.idle_timeout_ms': expected a value >= 5000, but got 4999 instead.",
        ),
        (
            session(max_output_tokens=4097),
            "session.max_output_tokens",
            "Invalid 'session.max_output_tokens': expected a value <= 4096, but got 4097 instead.",
        ),
        (
            session(audio={"output": {"speed": 0}}),
            "session.audio.output.speed",
            "Invalid 'session.audio.output.speed': expected a value >= 0.25, but got 0 instead.",
        ),
        (
            message(id="a b"),
            "item.id",
            r"Invalid 'item.id': expected a string that matches the pattern ^[\x21-\x7e]+$.",
        ),
        (
            message(id="a\n"),
            "item.id",
            r"Invalid 'item.id': expected a string that matches the pattern ^[\x21-\x7e]+$.",
        ),
        (
            message(id=""),
            "item.id",
            "Invalid 'item.id': string too short; expected a string with minimum length 1.",
        ),
        (
            message(id="a" * 129),
            "item.id",
            TOO_LONG_ID,
        ),
        (
            {"type": "input_audio_buffer.append", "audio": "a"},
            "audio",
            "Invalid 'audio': expected base64-encoded bytes (standard alphabet, padded, without line breaks).",
        ),
    ],
)
def test_a_value_outside_the_allowed_ones_is_an_invalid_value(event: dict[str, Any], param: str, message: str) -> None:
    error = refusal(json.dumps(event))
    assert (error.code, error.param, error.message) == ("invalid_value", param, message)


@pytest.mark.parametrize("audio", ["aGk", "aG k=", "aG\nk=", "_-8=", "aGk==", "é"])
def test_bad_base64_is_an_invalid_value_of_audio(audio: str) -> None:
    error = refusal(json.dumps({"type": "input_audio_buffer.append", "audio": audio, "event_id": "e"}))
    assert (error.code, error.param, error.event_id) == ("invalid_value", "audio", "e")


@pytest.mark.parametrize(
    ("event", "param"),
    [
        ({"type": "session.update"}, "session"),
        ({"type": "session.update", "session": {}}, "session.type"),
        ({"type": "session.update", "session": {"instructions": "x"}}, "session.type"),
        ({"type": "input_audio_buffer.append"}, "audio"),
        ({"type": "conversation.item.create"}, "item"),
        ({"type": "conversation.item.truncate", "item_id": "a", "content_index": 0}, "audio_end_ms"),
        (message({"type": "input_text"}), "item.content[0].text"),
        (item(type="message", role="user"), "item.content"),
        (item(type="function_call_output", call_id="c"), "item.output"),
        (session(tools=[{"type": "function"}]), "session.tools[0].name"),
        (session(prompt={}), "session.prompt.id"),
    ],
)
def test_what_is_missing_is_named(event: dict[str, Any], param: str) -> None:
    error = refusal(json.dumps(event))
    assert (error.code, error.param) == ("missing_required_parameter", param)
    assert error.message == f"Missing required parameter: '{param}'."


@pytest.mark.parametrize(
    ("event", "param", "counted_as"),
    [
        (session(custom_voice_id="v"), "session.custom_voice_id", "session.custom_voice_id"),
        (
            session(tools=[{"type": "function", "name": "f", "colour": 1}]),
            "session.tools[0].colour",
            "session.tools[].colour",
        ),
        (message({"type": "input_text", "text": "", "a.b": 1}), "item.content[0].a.b", "item.content[].a.b"),
        ({"type": "input_audio_buffer.append", "audio": "", "x": None}, "x", "x"),
        ({"type": "input_audio_buffer.commit", "x": {"y": [1]}}, "x", "x"),
    ],
)
def test_unknown_fields_are_ignored_and_named_or_refused_when_strict(
    event: dict[str, Any], param: str, counted_as: str
) -> None:
    text = json.dumps(event)
    assert decode_client_event(text).unknown_fields == (counted_as,)
    error = refusal(text, strict=True)
    assert (error.code, error.param) == ("unknown_parameter", param)
    assert error.message == f"Unknown parameter: '{param}'."


@pytest.mark.parametrize(
    ("text", "param", "complaint"),
    [
        ('{"type":"response.create","type":"response.cancel"}', "type", "the key appears more than once"),
        ('{"type":"input_audio_buffer.append","audio":"","audio":""}', "audio", "the key appears more than once"),
        ('{"type":"response.create","x":[{"a":1,"a":1}]}', "x[0].a", "the key appears more than once"),
        ('{"type":"response.create","x":{"\\u0061":1,"a":1}}', "x.a", "the key appears more than once"),
        ('{"type":"response.create","x":NaN}', "x", "not a number; JSON has no NaN and no infinities"),
        ('{"type":"response.create","x":[-Infinity]}', "x[0]", "not a number; JSON has no NaN and no infinities"),
        (
            '{"type":"response.create","x":1e400}',
            "x",
            "the number is out of range; expected a 64-bit floating-point number",
        ),
        (
            '{"type":"response.create","x":-1e400}',
            "x",
            "the number is out of range; expected a 64-bit floating-point number",
        ),
        (
            '{"type":"response.create","x":18446744073709551616}',
            "x",
            "the number is out of range; expected a 64-bit integer",
        ),
        (
            '{"type":"response.create","x":' + "9" * 1000 + "}",
            "x",
            "the number is out of range; expected a 64-bit integer",
        ),
        (
            '{"type":"response.create","x":' + "9" * 9000 + "}",
            "x",
            "the number is out of range; expected a 64-bit integer",
        ),
        ('{"type":"response.create","x":"\\ud800"}', "x", "the text is not valid Unicode; it holds a lone surrogate"),
        ('{"type":"response.create","x":"\\uDC00"}', "x", "the text is not valid Unicode; it holds a lone surrogate"),
    ],
)
def test_what_parsers_disagree_about_is_refused_wherever_it_stands(text: str, param: str, complaint: str) -> None:
    error = refusal(text[:-1] + ',"event_id":"event_7"}')
    assert (error.code, error.param, error.event_id) == ("invalid_value", param, "event_7")
    assert error.message == f"Invalid value for '{param}': {complaint}."


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"type":"response.create","x":[{"y":'])
def test_deep_nesting_is_refused(opening: str) -> None:
    error = refusal(opening * 10_000)
    # How deep a text may be, and so which complaint comes first, depends on the Python version.
    assert (error.code, error.message) in [
        ("invalid_value", "The event is nested too deeply."),
        ("invalid_event", f"The event is not valid JSON: Expecting value at character {10_000 * len(opening)}."),
    ]


def _tool_event(levels: int) -> str:
    """An event of so many levels in a tool's parameters, which themselves stand at level 5."""
    parameters = '{"a":' * (levels - 4) + "1" + "}" * (levels - 4)
    return (
        '{"event_id":"e","type":"session.update","session":{"type":"realtime",'
        f'"tools":[{{"type":"function","name":"t","parameters":{parameters}}}]}}}}'
    )


def test_an_event_may_have_64_levels() -> None:
    decode_client_event(_tool_event(64), strict=True)
    error = refusal(_tool_event(65))
    assert (error.code, error.param, error.event_id) == ("invalid_value", "session", "e")
    assert error.message == "The event is nested too deeply in 'session'; expected at most 64 levels."


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"response.create","x":' + "[" * 64 + "]" * 64 + ',"event_id":"e"}',
        '{"type":"nonsense","event_id":"e","x":' + '[{"b":' * 32 + "0" + "}]" * 32 + "}",
        '{"event_id":"e","x":[' + "[]," * 100 + "[" * 63 + "]" * 63 + "]}",
        '{"type":"input_audio_buffer.append","audio":"AAAA","event_id":"e","x":' + "[" * 64 + "]" * 64 + "}",
    ],
)
def test_a_field_that_nobody_knows_may_not_be_deeper_either(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.param, error.event_id) == ("invalid_value", "x", "e")


def test_many_shallow_values_and_brackets_in_texts_are_not_deep() -> None:
    decode_client_event('{"type":"response.create","x":[' + "[[]]," * 1000 + "1]}")
    decode_client_event(json.dumps({"type": "response.create", "response": {"instructions": "[" * 1000}}))


def test_the_depth_that_is_allowed_can_be_set() -> None:
    decode_client_event(_tool_event(65), nesting=65)
    with pytest.raises(ProtocolError, match="at most 8 levels"):
        decode_client_event(_tool_event(9), nesting=8)


@pytest.mark.parametrize("element", ["[]", "{}", "0", "[0]", '{"a":[]}', "[[[]]]"])
def test_an_event_of_too_many_values_is_refused_before_it_is_parsed(element: str) -> None:
    error = refusal('{"type":"response.create","x":[' + ",".join([element] * 50_001) + "]}")
    assert (error.code, error.message) == (
        "invalid_value",
        "The event holds too many values; expected at most 50000.",
    )


def test_an_event_may_hold_many_items_and_long_texts() -> None:
    items = [{"type": "item_reference", "id": f"item_{index}"} for index in range(10_000)]
    event = {"type": "response.create", "response": {"input": items, "instructions": "Well, yes. " * 10_000}}
    decoded = decode_client_event(json.dumps(event), strict=True).event
    assert len(decoded.response.input) == 10_000  # type: ignore[union-attr, arg-type]


def test_one_append_holds_at_most_15_mib_of_base64_text() -> None:
    assert BASE64_CHARS_MAX == 15 * 1024 * 1024
    fits = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * BASE64_CHARS_MAX})
    assert decode_client_event(fits).event.audio == bytes(BASE64_CHARS_MAX // 4 * 3)  # type: ignore[union-attr]
    error = refusal(json.dumps({"type": "input_audio_buffer.append", "audio": "A" * (BASE64_CHARS_MAX + 4)}))
    assert (error.code, error.param) == ("invalid_value", "audio")
    assert "at most 15728640 characters of base64 (15 MiB), but got 15728644 instead" in error.message


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "nonsense"},
        {"type": 1},
        {"type": "session.update", "session": {"type": "realtime", "instructions": 1}},
        {"type": "conversation.item.delete"},
        {"type": "input_audio_buffer.append", "audio": "?"},
    ],
)
@pytest.mark.parametrize("event_id", ["", "e" * 512, "é\n"])
def test_every_refusal_carries_the_events_id(event: dict[str, Any], event_id: str) -> None:
    assert refusal(json.dumps({**event, "event_id": event_id})).event_id == event_id
    assert refusal(json.dumps({"event_id": event_id, **event})).event_id == event_id


@pytest.mark.parametrize("event_id", [None, 1, [], {"a": 1}, "e" * 513])
def test_an_unusable_event_id_is_not_sent_back(event_id: Any) -> None:
    assert refusal(json.dumps({"type": "nonsense", "event_id": event_id})).event_id is None


def test_a_long_event_id_is_an_invalid_value() -> None:
    error = refusal(json.dumps({"type": "response.cancel", "event_id": "e" * 513}))
    assert (error.code, error.param) == ("invalid_value", "event_id")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "x" * 10_000},
        session(tool_choice="x" * 10_000),
        {"type": "response.create", "response": {"metadata": {"k" * 10_000: 1}}},
    ],
)
def test_messages_and_paths_repeat_at_most_128_characters_of_the_clients_text(event: dict[str, Any]) -> None:
    error = refusal(json.dumps(event))
    assert len(error.message) < 1000
    assert len(error.param or "") <= 129
