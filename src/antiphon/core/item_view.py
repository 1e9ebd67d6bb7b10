"""Items as clients see them: within the frame limit, and with their audio where a client asks for it."""

import msgspec
from msgspec import structs

from antiphon.audio.g711 import G711_HZ, encode_alaw, encode_ulaw
from antiphon.audio.resample import resample_recording
from antiphon.core.conversation import Entry, KeptAudio
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.limits import Limits
from antiphon.protocol.items import ContentPart, InputAudio, InputImage, Item, Message, OutputAudio
from antiphon.protocol.session_config import FormatName

__all__ = ["retrieved_item", "shown_item"]


def shown_item(item: Item, limits: Limits) -> Item:
    """The item as its events show it: images that would not fit into a frame are left as the head of their data URL."""
    if not isinstance(item, Message) or not any(isinstance(part, InputImage) for part in item.content):
        return item
    if len(msgspec.json.encode(item)) <= limits.room_bytes:
        return item
    return structs.replace(item, content=[_without_image(part) for part in item.content])


def _without_image(part: ContentPart) -> ContentPart:
    if not isinstance(part, InputImage):
        return part
    return structs.replace(part, image_url=part.image_url[: part.image_url.find(",") + 1])


def retrieved_item(entry: Entry, input_format: FormatName, limits: Limits) -> Item:
    """The item with its audio bytes, left out where the event would exceed the frame limit."""
    item = shown_item(entry.item, limits)
    if not isinstance(item, Message) or not entry.audio:
        return item
    room = limits.room_bytes - len(msgspec.json.encode(item))
    content = list(item.content)
    for index, kept in entry.audio.items():
        if index >= len(content):
            continue
        size = _base64_chars(_shown_bytes(content[index], kept, input_format))
        if size <= room:
            content[index] = _with_audio(content[index], kept, input_format)
            room -= size
    return structs.replace(item, content=content)


def _base64_chars(size_bytes: int) -> int:
    return 4 * (size_bytes + 2) // 3


def _shown_bytes(part: ContentPart, kept: KeptAudio, input_format: FormatName) -> int:
    narrow = isinstance(part, InputAudio) and input_format != "audio/pcm"
    return len(kept.data) * G711_HZ // (2 * INPUT_HZ) if narrow else len(kept.data)


def _with_audio(part: ContentPart, kept: KeptAudio, input_format: FormatName) -> ContentPart:
    if isinstance(part, InputAudio):
        return structs.replace(part, audio=_in_format(bytes(kept.data), input_format))
    if isinstance(part, OutputAudio):
        return structs.replace(part, audio=bytes(kept.data))
    return part


def _in_format(pcm: bytes, format: FormatName) -> bytes:
    if format == "audio/pcm":
        return pcm
    narrow = resample_recording(pcm, INPUT_HZ, G711_HZ)
    return encode_ulaw(narrow) if format == "audio/pcmu" else encode_alaw(narrow)
