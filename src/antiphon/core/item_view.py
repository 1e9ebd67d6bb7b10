"""``conversation.item.retrieve``: an item with the audio that is kept of it."""

from msgspec import structs

from antiphon.audio.g711 import encode_alaw, encode_ulaw
from antiphon.audio.resample import resample
from antiphon.core.conversation import Entry, KeptAudio
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.limits import Limits
from antiphon.protocol.items import ContentPart, InputAudio, Item, Message, OutputAudio
from antiphon.protocol.session_config import FormatName

__all__ = ["retrieved_item"]

_G711_HZ = 8_000
_FRAME_SLACK_BYTES = 16 * 1024


def retrieved_item(entry: Entry, input_format: FormatName, limits: Limits) -> Item:
    """The item with its audio bytes, left out where the event would exceed the frame limit."""
    item = entry.item
    if not isinstance(item, Message) or not entry.audio:
        return item
    room = limits.frame_bytes - _FRAME_SLACK_BYTES - entry.text_bytes
    content = list(item.content)
    for index, kept in entry.audio.items():
        if index >= len(content) or 4 * len(kept.data) // 3 > room:
            continue
        part = _with_audio(content[index], kept, input_format)
        content[index] = part
        room -= 4 * len(kept.data) // 3
    return structs.replace(item, content=content)


def _with_audio(part: ContentPart, kept: KeptAudio, input_format: FormatName) -> ContentPart:
    if isinstance(part, InputAudio):
        return structs.replace(part, audio=_in_format(bytes(kept.data), input_format))
    if isinstance(part, OutputAudio):
        return structs.replace(part, audio=bytes(kept.data))
    return part


def _in_format(pcm: bytes, format: FormatName) -> bytes:
    if format == "audio/pcm":
        return pcm
    narrow = resample(pcm, INPUT_HZ, _G711_HZ)
    return encode_ulaw(narrow) if format == "audio/pcmu" else encode_alaw(narrow)
