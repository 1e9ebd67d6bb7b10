"""Items as clients send them and as they see them again: audio formats, frames, bounds."""

import base64
import json
from typing import Any

import pytest

from antiphon.audio.g711 import encode_alaw, encode_ulaw
from antiphon.core.conversation import Conversation, Entry
from antiphon.core.item_checks import checked_entry, decoded_audio
from antiphon.core.item_view import retrieved_item, shown_item
from antiphon.core.limits import Limits
from antiphon.protocol.client_events import ConversationItemCreate
from antiphon.protocol.codec import decode_client_event
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import InputAudio, InputImage, Item, Message, OutputAudio
from antiphon.protocol.session_config import FormatName
from tests.support.audio import tone_ms
from tests.support.images import data_url, png_chunk, png_of
from tests.support.session import Ids


def item_of(**fields: Any) -> Item:
    event = decode_client_event(json.dumps({"type": "conversation.item.create", "item": fields})).event
    assert isinstance(event, ConversationItemCreate)
    return event.item


def entry_of(limits: Limits | None = None, format: FormatName = "audio/pcm", **fields: Any) -> Entry:
    return checked_entry(
        item_of(**fields),
        conversation=Conversation(),
        format=format,
        limits=limits or Limits(),
        new_id=Ids(),
        param="item",
    )


def audio_part(data: bytes) -> dict[str, str]:
    return {"type": "input_audio", "audio": base64.b64encode(data).decode()}


def shown_audio(entry: Entry, format: FormatName, limits: Limits | None = None) -> bytes | None:
    item = retrieved_item(entry, format, limits or Limits())
    assert isinstance(item, Message)
    part = item.content[0]
    assert isinstance(part, InputAudio | OutputAudio)
    return part.audio if isinstance(part.audio, bytes) else None


@pytest.mark.parametrize(
    ("format", "bytes_per_s"), [("audio/pcm", 48_000), ("audio/pcmu", 8_000), ("audio/pcma", 8_000)]
)
def test_audio_of_every_format_is_kept_at_the_rate_of_the_session(format: FormatName, bytes_per_s: int) -> None:
    assert len(decoded_audio(bytes(bytes_per_s), format, "audio")) == 48_000


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ProtocolError) as refusal:
        decoded_audio(bytes(3), "audio/pcm", "item.content[0].audio")
    assert (refusal.value.code, refusal.value.param) == ("invalid_value", "item.content[0].audio")


def test_user_audio_is_retrieved_exactly_as_it_was_sent() -> None:
    sent = tone_ms(250)
    entry = entry_of(type="message", role="user", content=[audio_part(sent)])
    assert shown_audio(entry, "audio/pcm") == sent


@pytest.mark.parametrize("format", ["audio/pcmu", "audio/pcma"])
def test_user_audio_is_retrieved_in_the_present_input_format(format: FormatName) -> None:
    entry = entry_of(type="message", role="user", content=[audio_part(tone_ms(500))])
    shown = shown_audio(entry, format)
    assert shown is not None
    assert len(shown) == 4_000


def test_narrow_audio_fits_into_a_frame_that_is_too_small_for_the_wide() -> None:
    limits = Limits(frame_bytes=16 * 1024 + 10_000)
    entry = entry_of(limits, type="message", role="user", content=[audio_part(tone_ms(500))])
    assert shown_audio(entry, "audio/pcm", limits) is None
    assert shown_audio(entry, "audio/pcmu", limits) is not None


def test_assistant_audio_is_retrieved_as_it_was_sent() -> None:
    entry = Entry(Message(id="a", role="assistant", content=[OutputAudio(transcript="Hi")]), "a")
    entry.keep_audio(0, encode_ulaw(tone_ms(100)), "audio/pcmu")
    assert shown_audio(entry, "audio/pcma") == encode_ulaw(tone_ms(100)) != encode_alaw(tone_ms(100))


def test_of_several_parts_as_much_audio_is_shown_as_fits() -> None:
    limits = Limits(frame_bytes=16 * 1024 + 30_000)
    entry = entry_of(limits, type="message", role="user", content=[audio_part(tone_ms(200))] * 3)
    item = retrieved_item(entry, "audio/pcm", limits)
    assert isinstance(item, Message)
    kept = [isinstance(part.audio, bytes) for part in item.content if isinstance(part, InputAudio)]
    assert kept == [True, True, False]


def test_audio_that_was_dropped_does_not_begin_again_in_the_middle() -> None:
    entry = Entry(Message(id="a", role="assistant", content=[OutputAudio(transcript="Hi")]), "a")
    entry.keep_audio(0, bytes(100), "audio/pcm")
    entry.drop_audio()
    entry.keep_audio(0, bytes(100), "audio/pcm")
    assert entry.audio_bytes == 0
    assert shown_audio(entry, "audio/pcm") is None


def image_part(characters: int) -> dict[str, str]:
    url = data_url(png_of(1, 1, png_chunk(b"tEXt", bytes(characters * 3 // 4))))
    return {"type": "input_image", "image_url": url}


def test_an_item_is_shown_as_it_is_while_it_fits_and_without_image_data_beyond() -> None:
    limits = Limits(frame_bytes=16 * 1024 + 1_000)
    small = entry_of(limits, type="message", role="user", content=[image_part(500)])
    assert shown_item(small.item, limits) is small.item
    large = entry_of(limits, type="message", role="user", content=[image_part(2_000)])
    shown = shown_item(large.item, limits)
    assert isinstance(shown, Message)
    assert isinstance(shown.content[0], InputImage)
    assert shown.content[0].image_url == "data:image/png;base64,"


@pytest.mark.parametrize(
    ("rule", "limits", "fields"),
    [
        (
            "text beyond a frame",
            Limits(frame_bytes=17_000),
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 700}]},
        ),
        (
            "text that grows as JSON",
            Limits(frame_bytes=17_000),
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "\n" * 400}]},
        ),
        (
            "arguments of a call",
            Limits(frame_bytes=17_000),
            {"type": "function_call", "name": "f", "arguments": json.dumps({"a": "x" * 700})},
        ),
        (
            "the output of a call",
            Limits(frame_bytes=17_000),
            {"type": "function_call_output", "call_id": "c", "output": "x" * 700},
        ),
        (
            "tools of an MCP server",
            Limits(frame_bytes=17_000),
            {"type": "mcp_list_tools", "server_label": "s", "tools": [{"name": "f", "input_schema": {"a": "x" * 700}}]},
        ),
        (
            "images together",
            Limits(image_bytes=900),
            {"type": "message", "role": "user", "content": [image_part(500)] * 2},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_item_that_no_event_could_show_is_refused(rule: str, limits: Limits, fields: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as refusal:
        entry_of(limits, **fields)
    assert (refusal.value.code, refusal.value.param) == ("invalid_value", "item"), rule


def test_equal_items_are_two_items() -> None:
    first, second = (entry_of(type="message", role="user", content=[{"type": "input_text", "text": "A"}]) for _ in "12")
    conversation = Conversation()
    conversation.add(first)
    assert first != second
    assert second not in list(conversation)


@pytest.mark.parametrize(("format", "fits_bytes"), [("audio/pcm", 9_600), ("audio/pcmu", 1_600), ("audio/pcma", 1_600)])
def test_an_item_holds_no_more_audio_than_a_session_may_keep(format: FormatName, fits_bytes: int) -> None:
    limits = Limits(audio_bytes=9_600)
    whole, halves = [audio_part(bytes(fits_bytes))], [audio_part(bytes(fits_bytes // 2))] * 2
    for content in (whole, halves):
        assert entry_of(limits, format, type="message", role="user", content=content).audio_bytes == 9_600
        with pytest.raises(ProtocolError) as refusal:
            entry_of(limits, format, type="message", role="user", content=[*content, audio_part(b"\0\0")])
        assert (refusal.value.code, refusal.value.param) == ("invalid_value", "item.content")
