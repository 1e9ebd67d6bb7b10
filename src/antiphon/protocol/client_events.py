"""The eleven events that a client may send. Source: API reference, "Client events"."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from antiphon.protocol.base import UNSET, EventId, Opt, Wire
from antiphon.protocol.items import Item
from antiphon.protocol.response import ResponseOverrides
from antiphon.protocol.session_config import SessionUpdateBody

__all__ = [
    "ClientEvent",
    "ConversationItemCreate",
    "ConversationItemDelete",
    "ConversationItemRetrieve",
    "ConversationItemTruncate",
    "InputAudioBufferAppend",
    "InputAudioBufferClear",
    "InputAudioBufferCommit",
    "OutputAudioBufferClear",
    "ResponseCancel",
    "ResponseCreate",
    "SessionUpdate",
]


class _ClientEvent(Wire, kw_only=True, frozen=True):
    event_id: Opt[EventId] = UNSET


class SessionUpdate(_ClientEvent, tag="session.update", kw_only=True, frozen=True):
    session: SessionUpdateBody


class InputAudioBufferAppend(_ClientEvent, tag="input_audio_buffer.append", kw_only=True, frozen=True):
    audio: bytes
    """Base64 on the wire: audio in the session's input format; at most 15 MiB of base64 text."""


class InputAudioBufferCommit(_ClientEvent, tag="input_audio_buffer.commit", kw_only=True, frozen=True):
    pass


class InputAudioBufferClear(_ClientEvent, tag="input_audio_buffer.clear", kw_only=True, frozen=True):
    pass


class OutputAudioBufferClear(_ClientEvent, tag="output_audio_buffer.clear", kw_only=True, frozen=True):
    """Only where the server paces playout (WebRTC, SIP)."""


class ConversationItemCreate(_ClientEvent, tag="conversation.item.create", kw_only=True, frozen=True):
    item: Item
    previous_item_id: Opt[Annotated[str, Meta(max_length=128)]] = UNSET
    """Absent, null or empty: append; ``"root"``: first; else after that item."""


class ConversationItemRetrieve(_ClientEvent, tag="conversation.item.retrieve", kw_only=True, frozen=True):
    item_id: str


class ConversationItemTruncate(_ClientEvent, tag="conversation.item.truncate", kw_only=True, frozen=True):
    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationItemDelete(_ClientEvent, tag="conversation.item.delete", kw_only=True, frozen=True):
    item_id: str


class ResponseCreate(_ClientEvent, tag="response.create", kw_only=True, frozen=True):
    response: Opt[ResponseOverrides] = UNSET


class ResponseCancel(_ClientEvent, tag="response.cancel", kw_only=True, frozen=True):
    response_id: Opt[str] = UNSET


ClientEvent: TypeAlias = (
    SessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | OutputAudioBufferClear
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | ConversationItemDelete
    | ResponseCreate
    | ResponseCancel
)
