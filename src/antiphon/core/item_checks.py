"""Items that a client creates: what is legal, and the entry that a legal one becomes. A refusal changes nothing."""

import msgspec
from msgspec import structs

from antiphon.audio.g711 import G711_HZ, decode_alaw, decode_ulaw
from antiphon.audio.resample import resample_recording
from antiphon.core.conversation import Conversation, Entry, KnownImage
from antiphon.core.effects import IdFactory
from antiphon.core.image_checks import checked_head
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.limits import Limits
from antiphon.protocol.base import UNSET, given
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OutputText,
    Role,
)
from antiphon.protocol.session_config import FormatName

__all__ = ["check_whole_samples", "checked_entry", "decoded_audio"]

_PARTS: dict[Role, tuple[type[ContentPart], ...]] = {
    "system": (InputText,),
    "user": (InputText, InputAudio, InputImage),
    "assistant": (OutputText,),
}


def check_whole_samples(data: bytes, format: FormatName, param: str) -> None:
    """Raises ``ProtocolError`` for an odd number of bytes of PCM."""
    if format == "audio/pcm" and len(data) % 2:
        raise ProtocolError(
            "invalid_value",
            f"Invalid '{param}': {len(data)} bytes are not whole 16-bit samples (audio/pcm, 24 kHz, mono).",
            param,
        )


def decoded_audio(data: bytes, format: FormatName, param: str) -> bytes:
    """Wire audio as s16le at ``INPUT_HZ``. Raises ``ProtocolError`` for an odd number of bytes of PCM."""
    check_whole_samples(data, format, param)
    if format == "audio/pcm":
        return data
    pcm = decode_ulaw(data) if format == "audio/pcmu" else decode_alaw(data)
    return resample_recording(pcm, G711_HZ, INPUT_HZ)


def checked_entry(
    item: Item, *, conversation: Conversation, format: FormatName, limits: Limits, new_id: IdFactory, param: str
) -> Entry:
    """The entry for a client's item. Raises ``ProtocolError`` with the dotted path of what is wrong."""
    item_id = item.id if isinstance(item.id, str) else new_id("item")
    if conversation.get(item_id) is not None:
        raise ProtocolError(
            "item_create_duplicate_item_id",
            f"Error creating item: an item with id '{item_id}' exists already.",
            f"{param}.id",
        )
    if len(conversation) >= limits.items:
        raise _too_much(f"the conversation holds {limits.items} items, its limit; delete some first", param)
    entry = Entry(_completed(item, item_id, new_id), item_id)
    if isinstance(item, Message):
        entry.images = _checked_content(item, limits, param)
        _check_length(item, format, limits, param)
        _keep_audio(entry, item, format, param)
    _check_size(entry, conversation, limits, param)
    return entry


def _check_size(entry: Entry, conversation: Conversation, limits: Limits, param: str) -> None:
    size = len(msgspec.json.encode(entry.item)) - entry.image_bytes
    if size > limits.room_bytes:
        raise _too_much(f"{size} bytes beside its audio and images, at most {limits.room_bytes} are allowed", param)
    if conversation.sent_bytes + size > limits.text_bytes:
        raise _too_much(f"the items may hold {limits.text_bytes} bytes together; delete some first", param)
    entry.sent_bytes = size
    if not entry.images:
        return
    if conversation.image_bytes + entry.image_bytes > limits.image_bytes:
        raise _too_much(f"images may hold {limits.image_bytes} characters together; delete some first", param)
    if conversation.image_count + len(entry.images) > limits.images:
        raise _too_much(f"there may be {limits.images} images; delete some first", param)


def _completed(item: Item, item_id: str, new_id: IdFactory) -> Item:
    """As it is shown from now on: with ids and status, without audio bytes."""
    match item:
        case Message():
            return structs.replace(
                item,
                id=item_id,
                status="incomplete" if item.status == "incomplete" else "completed",
                object=UNSET,
                content=[_without_audio(part) for part in item.content],
            )
        case FunctionCall():
            call_id = given(item.call_id, "") or new_id("call")
            return structs.replace(item, id=item_id, call_id=call_id, status="completed", object=UNSET)
        case FunctionCallOutput():
            return structs.replace(item, id=item_id, status=UNSET, object=UNSET)
        case _:
            return structs.replace(item, id=item_id)


def _without_audio(part: ContentPart) -> ContentPart:
    if isinstance(part, InputAudio):
        return structs.replace(part, audio=UNSET)
    return part


def _checked_content(item: Message, limits: Limits, param: str) -> dict[int, KnownImage]:
    """The images among the parts."""
    if not item.content:
        raise ProtocolError("invalid_value", f"Invalid '{param}.content': it is empty.", f"{param}.content")
    if len(item.content) > limits.parts_per_item:
        raise _too_much(f"{len(item.content)} parts, at most {limits.parts_per_item} are allowed", f"{param}.content")
    images: dict[int, KnownImage] = {}
    for index, part in enumerate(item.content):
        place = f"{param}.content[{index}]"
        if not isinstance(part, _PARTS[item.role]):
            raise _wrong_part(item.role, part, place)
        if isinstance(part, InputImage):
            images[index] = KnownImage(checked_head(part, limits, f"{place}.image_url"))
    return images


def _wrong_part(role: Role, part: ContentPart, place: str) -> ProtocolError:
    if role == "assistant":
        path = f"{place}.text"
        return ProtocolError("missing_required_parameter", f"Missing required parameter: '{path}'.", path)
    allowed = ", ".join(f"'{_tag(kind)}'" for kind in _PARTS[role])
    return ProtocolError(
        "invalid_value",
        f"Invalid value: '{_tag(type(part))}'. Content of a {role} message must be one of: {allowed}.",
        f"{place}.type",
    )


def _tag(kind: type[ContentPart]) -> str:
    return str(kind.__struct_config__.tag)


def _check_length(item: Message, format: FormatName, limits: Limits, param: str) -> None:
    """Audio that no session may keep is not even converted."""
    factor = 1 if format == "audio/pcm" else 2 * INPUT_HZ // G711_HZ
    size = factor * sum(len(part.audio or b"") for part in item.content if isinstance(part, InputAudio))
    if size > limits.audio_bytes:
        seconds, most = (bytes_ // (2 * INPUT_HZ) for bytes_ in (size, limits.audio_bytes))
        raise _too_much(f"{seconds} s of audio, at most {most} s are allowed", f"{param}.content")


def _keep_audio(entry: Entry, item: Message, format: FormatName, param: str) -> None:
    for index, part in enumerate(item.content):
        if not isinstance(part, InputAudio):
            continue
        place = f"{param}.content[{index}].audio"
        if not part.audio:
            if part.transcript is None:
                raise ProtocolError("missing_required_parameter", f"Missing required parameter: '{place}'.", place)
            entry.transcripts[index] = "known"
            continue
        entry.keep_audio(index, decoded_audio(part.audio, format, place), "audio/pcm")
        entry.transcripts[index] = "pending" if part.transcript is None else "known"


def _too_much(message: str, param: str) -> ProtocolError:
    return ProtocolError("invalid_value", f"Invalid '{param}': {message}.", param)
