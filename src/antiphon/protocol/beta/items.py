"""Conversation items of the beta: an assistant's parts are ``text`` and ``audio``, and every item names its kind."""

from typing import TypeAlias

from msgspec import structs

from antiphon.protocol.base import UNSET, Absent, ItemId, Wire
from antiphon.protocol.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemReference,
    ItemStatus,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpListTools,
    Message,
    Object,
    OutputAudio,
    OutputText,
    ResponseInputItem,
    Role,
)

__all__ = [
    "BetaAudio",
    "BetaInputItem",
    "BetaItem",
    "BetaMessage",
    "BetaPart",
    "BetaText",
    "beta_item",
    "input_item_of",
    "item_of",
]


class BetaText(Wire, tag="text", kw_only=True, frozen=True):
    text: str


class BetaAudio(Wire, tag="audio", kw_only=True, frozen=True):
    transcript: str | Absent = UNSET
    audio: bytes | Absent = UNSET


BetaPart: TypeAlias = InputText | InputAudio | InputImage | OutputText | OutputAudio | BetaText | BetaAudio
"""Today's names of the parts are read, too, and never sent."""


class BetaMessage(Wire, tag="message", kw_only=True, frozen=True):
    id: ItemId | Absent = UNSET
    object: Object | Absent = UNSET
    status: ItemStatus | Absent = UNSET
    role: Role
    content: list[BetaPart]


BetaItem: TypeAlias = (
    BetaMessage | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse
)

BetaInputItem: TypeAlias = (
    BetaMessage
    | FunctionCall
    | FunctionCallOutput
    | McpListTools
    | McpCall
    | McpApprovalRequest
    | McpApprovalResponse
    | ItemReference
)


def item_of(sent: BetaItem) -> Item:
    """A beta client's item in today's words."""
    return _message_of(sent) if isinstance(sent, BetaMessage) else sent


def input_item_of(sent: BetaInputItem) -> ResponseInputItem:
    return _message_of(sent) if isinstance(sent, BetaMessage) else sent


def _message_of(sent: BetaMessage) -> Message:
    content = [_part_of(part, sent.role) for part in sent.content]
    return Message(id=sent.id, object=sent.object, status=sent.status, role=sent.role, content=content)


def _part_of(part: BetaPart, role: Role) -> ContentPart:
    """``text`` and ``audio`` are what the assistant said or, with other roles, what was said to it."""
    if isinstance(part, BetaText):
        return OutputText(text=part.text) if role == "assistant" else InputText(text=part.text)
    if isinstance(part, BetaAudio):
        if role == "assistant":
            return OutputAudio(transcript=part.transcript, audio=part.audio)
        return InputAudio(audio=part.audio, transcript=part.transcript or None)
    return part


def beta_item(item: Item) -> BetaItem:
    """The item as a beta client reads it."""
    if isinstance(item, Message):
        content = [_beta_part(part) for part in item.content]
        return BetaMessage(id=item.id, object="realtime.item", status=item.status, role=item.role, content=content)
    if isinstance(item, FunctionCall | FunctionCallOutput):
        return structs.replace(item, object="realtime.item")
    return item


def _beta_part(part: ContentPart) -> BetaPart:
    if isinstance(part, OutputText):
        return BetaText(text=part.text)
    if isinstance(part, OutputAudio):
        return BetaAudio(transcript=part.transcript, audio=part.audio)
    return part
