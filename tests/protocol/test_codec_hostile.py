"""Whatever arrives becomes an event or one ``ProtocolError`` that can itself be sent."""

import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from antiphon.protocol.client_events import ClientEvent
from antiphon.protocol.codec import (
    UnknownServerEvent,
    decode_body,
    decode_client_event,
    decode_server_event,
    encode_client_event,
    encode_server_event,
)
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.rest import ClientSecretRequest
from antiphon.testing.wire import assert_valid_server_event
from antiphon.testing.wire_strategies import client_events, json_values

_T = TypeVar("_T")

CODES = {
    "invalid_event",
    "invalid_type",
    "invalid_value",
    "missing_required_parameter",
    "unknown_parameter",
}
_relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def outcome(decode: Callable[[], _T]) -> _T | ProtocolError:
    try:
        return decode()
    except ProtocolError as error:
        return error


def assert_event_or_refusal(text: str | bytes) -> None:
    for strict in (False, True):
        event = outcome(partial(decode_client_event, text, strict=strict))
        if isinstance(event, ProtocolError):
            assert event.code in CODES
            assert_valid_server_event(json.loads(encode_server_event(event.as_event("event_1"))))
        else:
            assert decode_client_event(encode_client_event(event.event), strict=True).event == event.event


def _corpus() -> Iterator[tuple[str, str | bytes]]:
    deep = 5_000
    truncate = '{"type":"conversation.item.truncate","item_id":"a","audio_end_ms":1,"content_index":'
    texts: dict[str, str | bytes] = {
        "empty": "",
        "white space": " \t\r\n",
        "nul": "\0",
        "byte order mark": "\ufeff" + '{"type":"response.create"}',
        "utf-16": '{"type":"response.create"}'.encode("utf-16"),
        "utf-32": '{"type":"response.create"}'.encode("utf-32-le"),
        "latin-1": '{"type":"é"}'.encode("latin-1"),
        "overlong utf-8": b'{"type":"\xc0\xae"}',
        "utf-8 of a surrogate": b'{"type":"\xed\xa0\x80"}',
        "cut utf-8": b'{"type":"\xe2\x82',
        "raw lone surrogate": '{"type":"\ud800"}',
        "raw surrogate in a key": '{"type":"response.create","\udfff":1}',
        "escaped lone surrogate": '{"type":"\\ud800"}',
        "escaped surrogates swapped": '{"type":"response.create","event_id":"\\udc00\\ud800"}',
        "escaped surrogate key": '{"type":"response.create","\\ud800":1}',
        "bad escape": '{"type":"\\x41"}',
        "cut escape": '{"type":"\\u12"}',
        "control character in a string": '{"type":"a\nb"}',
        "deep arrays": "[" * deep,
        "deep closed arrays": '{"type":"response.create","x":' + "[" * deep + "]" * deep + "}",
        "deep objects": '{"a":' * deep,
        "deep known field": '{"type":"session.update","session":' * deep,
        "as deep as a parser may allow": '{"type":"response.create","x":' + "[" * 900 + "]" * 900 + "}",
        "huge integer": '{"type":' + "9" * 100_000 + "}",
        "huge exponent": truncate + "1e999999999}",
        "tiny exponent": truncate + "1e-99999}",
        "leading zero": truncate + "01}",
        "hexadecimal": truncate + "0x1}",
        "nan": '{"type":NaN}',
        "infinity": '{"type":"response.create","response":{"max_output_tokens":Infinity}}',
        "not quite nan": '{"type":nan}',
        "trailing comma": '{"type":"response.create",}',
        "comment": '{"type":"response.create"/**/}',
        "single quotes": "{'type':'response.create'}",
        "bare word": "true",
        "two objects": '{"type":"response.create"}{"type":"response.create"}',
        "array of events": '[{"type":"response.create"}]',
        "duplicate types": '{"type":"response.create","type":"response.cancel"}',
        "duplicate of a refused number": '{"type":"response.create","x":NaN,"x":1e999}',
        "empty key": '{"":1,"type":"response.create"}',
        "dots in keys": '{"type":"response.create","response":{"a.b[0]":{}}}',
        "format string": '{"type":"%s{0}{type!r}"}',
        "prototype": '{"__proto__":{"type":"x"},"type":"response.create"}',
        "quote in type": '{"type":"\\"\\\\\'"}',
        "many keys": json.dumps({"type": "response.create"} | {f"k{index}": index for index in range(20_000)}),
        "many items": json.dumps({"type": "response.create", "response": {"input": [{}] * 20_000}}),
        "long type": json.dumps({"type": "x" * 1_000_000}),
        "long key": json.dumps({"type": "response.create", "k" * 1_000_000: 1}),
        "nested union of wrong kinds": '{"type":"session.update","session":{"type":"realtime","tool_choice":[[]]}}',
        "type is an object": '{"type":{}}',
        "base64 of nothing": '{"type":"input_audio_buffer.append","audio":"===="}',
        "base64 with nul": '{"type":"input_audio_buffer.append","audio":"\\u0000"}',
        "base64 beyond ascii": '{"type":"input_audio_buffer.append","audio":"ａＧｋ＝"}',
    }
    yield from texts.items()


CORPUS = list(_corpus())


@pytest.mark.parametrize("text", [text for _, text in CORPUS], ids=[name for name, _ in CORPUS])
def test_the_corpus_of_nasty_texts_is_survived(text: str | bytes) -> None:
    assert_event_or_refusal(text)


@given(text=st.text() | st.binary())
def test_any_text_and_any_bytes_are_survived(text: str | bytes) -> None:
    assert_event_or_refusal(text)


@given(value=json_values(max_leaves=20))
@example(value=float("nan"))
@example(value={"type": "response.create", "response": float("inf")})
def test_any_json_is_survived(value: Any) -> None:
    assert_event_or_refusal(json.dumps(value))


@given(event=client_events(), value=json_values(), data=st.data())
@_relaxed
def test_any_valid_event_with_one_value_replaced_is_survived(
    event: ClientEvent, value: Any, data: st.DataObject
) -> None:
    plain = json.loads(encode_client_event(event))
    places = list(_places(plain))
    container, key = data.draw(st.sampled_from(places))
    container[key] = value
    assert_event_or_refusal(json.dumps(plain))


@given(event=client_events(), seed=st.integers(0, 2**32))
@_relaxed
def test_any_valid_event_with_damaged_bytes_is_survived(event: ClientEvent, seed: int) -> None:
    text = bytearray(encode_client_event(event))
    dice = random.Random(seed)
    for _ in range(dice.randint(1, 4)):
        position = dice.randrange(len(text))
        if dice.random() < 0.5:
            text[position] = dice.randrange(256)
        else:
            del text[position : position + dice.randint(1, 5)]
    assert_event_or_refusal(bytes(text))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place inside a plain value, as container and key."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield value, key
        yield from _places(child)


@given(text=st.text() | st.binary() | json_values().map(json.dumps))
def test_a_body_is_read_or_refused(text: str | bytes) -> None:
    result = outcome(partial(decode_body, text, ClientSecretRequest))
    if isinstance(result, ProtocolError):
        assert result.code in CODES | {"invalid_body"}
    else:
        assert isinstance(result.event, ClientSecretRequest)


@given(value=st.dictionaries(st.text(max_size=5), json_values(), max_size=3), name=st.text(max_size=20))
def test_our_client_survives_any_server_event(value: dict[str, Any], name: str) -> None:
    event = {**value, "type": name}
    assert decode_server_event(json.dumps(event)) == UnknownServerEvent(name, event)


@given(text=st.text() | st.binary())
def test_our_client_refuses_what_is_no_event(text: str | bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_server_event(text)
