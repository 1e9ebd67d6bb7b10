"""Images that a client sends: which ones are taken, judged by their first bytes, before anything is decoded."""

from collections.abc import Iterator

from antiphon.core.limits import Limits
from antiphon.images.head import BadImageError, ImageHead, read_head
from antiphon.protocol.base import given
from antiphon.protocol.client_events import ClientEvent, ConversationItemCreate, ResponseCreate
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import InputImage, Item, ItemReference, Message
from antiphon.protocol.response import ResponseOverrides

__all__ = ["checked_head", "image_refused", "images_of"]


def checked_head(part: InputImage, limits: Limits, place: str) -> ImageHead:
    """Kind and size. Raises ``ProtocolError`` for what is no image (only data URLs: no engine behind us may fetch a
    URL or a file for a client), for a wrong type, and for more bytes or pixels than are allowed."""
    try:
        head = read_head(part.image_url)
    except BadImageError as error:
        raise image_refused(str(error), place) from error
    if head.file_bytes > limits.image_file_bytes:
        raise image_refused(f"{head.file_bytes} bytes, at most {limits.image_file_bytes} are allowed", place)
    if head.pixels > limits.image_pixels:
        size = f"{head.width} x {head.height} pixels are {head.pixels}"
        raise image_refused(f"{size}, at most {limits.image_pixels} are allowed", place)
    return head


def image_refused(reason: str, place: str) -> ProtocolError:
    return ProtocolError("invalid_value", f"Invalid '{place}': {reason}.", place)


def images_of(event: ClientEvent) -> Iterator[tuple[str, InputImage]]:
    """The images that an event brings, each with its dotted path."""
    match event:
        case ConversationItemCreate():
            yield from _images("item", event.item)
        case ResponseCreate():
            for index, item in enumerate(given(event.response, ResponseOverrides()).input or ()):
                yield from _images(f"response.input[{index}]", item)
        case _:
            pass


def _images(param: str, item: Item | ItemReference) -> Iterator[tuple[str, InputImage]]:
    if isinstance(item, Message):
        for index, part in enumerate(item.content):
            if isinstance(part, InputImage):
                yield f"{param}.content[{index}].image_url", part
