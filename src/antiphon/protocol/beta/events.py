"""The beta's own events: those whose name or fields differ from today's. All others are the same in both."""

from typing import Annotated, TypeAlias

from msgspec import Meta

from antiphon.protocol.base import UNSET, Absent, EventId, Opt, Wire
from antiphon.protocol.beta.items import BetaItem
from antiphon.protocol.beta.response import BetaResponse, BetaResponseOverrides
from antiphon.protocol.beta.session import (
    BetaSession,
    BetaSessionUpdate,
    BetaTranscriptionSession,
    BetaTranscriptionSessionUpdate,
)
from antiphon.protocol.client_events import (
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    OutputAudioBufferClear,
    ResponseCancel,
)

__all__ = [
    "BetaAudioDelta",
    "BetaAudioDone",
    "BetaAudioTranscriptDelta",
    "BetaAudioTranscriptDone",
    "BetaClientEvent",
    "BetaItemCreate",
    "BetaItemCreated",
    "BetaItemRetrieved",
    "BetaOutputItemAdded",
    "BetaOutputItemDone",
    "BetaResponseCreate",
    "BetaResponseCreated",
    "BetaResponseDone",
    "BetaServerEvent",
    "BetaSessionUpdateEvent",
    "BetaSessionUpdated",
    "BetaTextDelta",
    "BetaTextDone",
    "BetaTranscriptionSessionUpdateEvent",
    "BetaTranscriptionSessionUpdated",
]

# --- what a client sends -------------------------------------------------------------------------------------------


class _ClientEvent(Wire, kw_only=True, frozen=True):
    event_id: Opt[EventId] = UNSET


class BetaSessionUpdateEvent(_ClientEvent, tag="session.update", kw_only=True, frozen=True):
    session: BetaSessionUpdate


class BetaTranscriptionSessionUpdateEvent(_ClientEvent, tag="transcription_session.update", kw_only=True, frozen=True):
    session: BetaTranscriptionSessionUpdate


class BetaItemCreate(_ClientEvent, tag="conversation.item.create", kw_only=True, frozen=True):
    item: BetaItem
    previous_item_id: Opt[Annotated[str, Meta(max_length=128)]] = UNSET


class BetaResponseCreate(_ClientEvent, tag="response.create", kw_only=True, frozen=True):
    response: Opt[BetaResponseOverrides] = UNSET


BetaClientEvent: TypeAlias = (
    BetaSessionUpdateEvent
    | BetaTranscriptionSessionUpdateEvent
    | InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | OutputAudioBufferClear
    | BetaItemCreate
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | ConversationItemDelete
    | BetaResponseCreate
    | ResponseCancel
)


# --- what the server sends -----------------------------------------------------------------------------------------


class _ServerEvent(Wire, kw_only=True, frozen=True):
    event_id: str


class BetaSessionUpdated(_ServerEvent, tag="session.updated", kw_only=True, frozen=True):
    session: BetaSession


class BetaTranscriptionSessionUpdated(_ServerEvent, tag="transcription_session.updated", kw_only=True, frozen=True):
    session: BetaTranscriptionSession


class BetaItemCreated(_ServerEvent, tag="conversation.item.created", kw_only=True, frozen=True):
    previous_item_id: str | None
    item: BetaItem


class BetaItemRetrieved(_ServerEvent, tag="conversation.item.retrieved", kw_only=True, frozen=True):
    item: BetaItem


class BetaResponseCreated(_ServerEvent, tag="response.created", kw_only=True, frozen=True):
    response: BetaResponse


class BetaResponseDone(_ServerEvent, tag="response.done", kw_only=True, frozen=True):
    response: BetaResponse


class _OutputItemEvent(_ServerEvent, kw_only=True, frozen=True):
    response_id: str
    output_index: int
    item: BetaItem


class BetaOutputItemAdded(_OutputItemEvent, tag="response.output_item.added", kw_only=True, frozen=True):
    pass


class BetaOutputItemDone(_OutputItemEvent, tag="response.output_item.done", kw_only=True, frozen=True):
    pass


class _PartPlace(_ServerEvent, kw_only=True, frozen=True):
    response_id: str
    item_id: str
    output_index: int
    content_index: int


class BetaTextDelta(_PartPlace, tag="response.text.delta", kw_only=True, frozen=True):
    delta: str
    obfuscation: str | Absent = UNSET


class BetaTextDone(_PartPlace, tag="response.text.done", kw_only=True, frozen=True):
    text: str


class BetaAudioTranscriptDelta(_PartPlace, tag="response.audio_transcript.delta", kw_only=True, frozen=True):
    delta: str
    obfuscation: str | Absent = UNSET


class BetaAudioTranscriptDone(_PartPlace, tag="response.audio_transcript.done", kw_only=True, frozen=True):
    transcript: str


class BetaAudioDelta(_PartPlace, tag="response.audio.delta", kw_only=True, frozen=True):
    delta: bytes


class BetaAudioDone(_PartPlace, tag="response.audio.done", kw_only=True, frozen=True):
    pass


BetaServerEvent: TypeAlias = (
    BetaSessionUpdated
    | BetaTranscriptionSessionUpdated
    | BetaItemCreated
    | BetaItemRetrieved
    | BetaResponseCreated
    | BetaResponseDone
    | BetaOutputItemAdded
    | BetaOutputItemDone
    | BetaTextDelta
    | BetaTextDone
    | BetaAudioTranscriptDelta
    | BetaAudioTranscriptDone
    | BetaAudioDelta
    | BetaAudioDone
)
