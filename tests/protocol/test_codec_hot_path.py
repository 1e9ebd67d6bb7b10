"""Appends take a short cut; it must not be visible in any result."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.protocol.base import UNSET
from antiphon.protocol.client_events import InputAudioBufferAppend
from antiphon.protocol.codec import decode_client_event
from antiphon.protocol.errors import ProtocolError

APPEND = "input_audio_buffer.append"


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"input_audio_buffer.append","audio":"aGk="}',
        '{"audio":"aGk=","type":"input_audio_buffer.append"}',
        ' {\n"type" : "input_audio_buffer.append" , "audio" : "aGk=" }\r\n',
        r'{"\u0074ype":"input_audio_buffer\u002eappend","audio":"\u0061Gk="}',
        r'{"type":"input_audio_buffer.append","audio":"aGk\u003d"}',
    ],
)
@pytest.mark.parametrize("encode", [str, str.encode])
def test_an_append_decodes_however_its_json_is_written(text: str, encode: Any) -> None:
    decoded = decode_client_event(encode(text), strict=True)
    assert decoded.event == InputAudioBufferAppend(audio=b"hi")
    assert decoded.unknown_fields == ()


@pytest.mark.parametrize("event_id", [UNSET, None, "", "event_1", 'with "quotes"', "\\", "é😀"])
def test_an_append_keeps_its_event_id(event_id: Any) -> None:
    fields = {"type": APPEND, "audio": "aGk="} | ({} if event_id is UNSET else {"event_id": event_id})
    for ensure_ascii in (True, False):
        text = json.dumps(fields, ensure_ascii=ensure_ascii)
        assert decode_client_event(text).event == InputAudioBufferAppend(audio=b"hi", event_id=event_id)


@given(audio=st.binary(max_size=200), event_id=st.none() | st.text(max_size=20))
def test_any_audio_arrives_unchanged(audio: bytes, event_id: str | None) -> None:
    text = json.dumps({"type": APPEND, "event_id": event_id, "audio": b64encode(audio).decode()})
    assert decode_client_event(text).event == InputAudioBufferAppend(audio=audio, event_id=event_id)


@pytest.mark.parametrize(
    "extra",
    ['"x":1', '"x":"y"', '"x":null', '"":0', '"x":{"audio":"aGk="}', '"event_ID":"e"', '"x":"\\"\\""', '"x":[]'],
)
@pytest.mark.parametrize("event_id", ["", '"event_id":null,', '"event_id":"e",', '"event_id":"\\"",'])
def test_an_unknown_field_is_seen_in_an_append(extra: str, event_id: str) -> None:
    text = f'{{{event_id}"type":"{APPEND}","audio":"aGk=",{extra}}}'
    decoded = decode_client_event(text)
    assert isinstance(decoded.event, InputAudioBufferAppend)
    assert len(decoded.unknown_fields) == 1
    with pytest.raises(ProtocolError, match="Unknown parameter"):
        decode_client_event(text, strict=True)


@pytest.mark.parametrize("repeated", ['"audio":"aGk="', f'"type":"{APPEND}"', '"event_id":"e"', '"event_id":null'])
def test_a_repeated_key_is_seen_in_an_append(repeated: str) -> None:
    text = f'{{"type":"{APPEND}","event_id":"e","audio":"aGk=",{repeated}}}'
    with pytest.raises(ProtocolError, match="more than once"):
        decode_client_event(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"audio":"aGk="}',
        '{"audio":"aGk=","x":"y"}',
        '{"audio":"aGk=","event_id":"e"}',
        f'{{"x":"{APPEND}","audio":"aGk="}}',
    ],
)
def test_an_append_needs_its_type(text: str) -> None:
    with pytest.raises(ProtocolError, match="'type' field is missing"):
        decode_client_event(text)
