"""One connection that asked for the beta: its texts become today's events, and today's events its texts.

A client whose first ``session.update`` has a ``session.type`` speaks today's language, whatever it asked for: from then
on nothing is translated. Until that is known the session is shown in both shapes at once; their fields do not collide.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast, get_args

import msgspec
from msgspec import structs

from antiphon.protocol.base import UNSET, Opt, given
from antiphon.protocol.beta.errors import beta_error
from antiphon.protocol.beta.events import (
    BetaAudioDelta,
    BetaAudioDone,
    BetaAudioTranscriptDelta,
    BetaAudioTranscriptDone,
    BetaClientEvent,
    BetaItemCreate,
    BetaItemCreated,
    BetaItemRetrieved,
    BetaOutputItemAdded,
    BetaOutputItemDone,
    BetaResponseCreate,
    BetaResponseCreated,
    BetaResponseDone,
    BetaSessionUpdated,
    BetaSessionUpdateEvent,
    BetaTextDelta,
    BetaTextDone,
    BetaTranscriptionSessionUpdated,
    BetaTranscriptionSessionUpdateEvent,
)
from antiphon.protocol.beta.items import BetaInputItem, BetaPart, beta_item, item_of
from antiphon.protocol.beta.response import beta_response, overrides_of
from antiphon.protocol.beta.session import (
    DEFAULT_TEMPERATURE,
    BetaSession,
    beta_session,
    session_update,
    transcription_update,
)
from antiphon.protocol.checks import compile_check
from antiphon.protocol.client_events import ClientEvent, ConversationItemCreate, ResponseCreate, SessionUpdate
from antiphon.protocol.codec import (
    Decoded,
    decode_client_event,
    encode_server_event,
    plain_append,
    plain_event,
    read_event,
)
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import McpToolDescription
from antiphon.protocol.json_text import NESTING_MAX
from antiphon.protocol.server_events import (
    Conversation,
    ConversationCreated,
    ConversationItemAdded,
    ConversationItemCreated,
    ConversationItemDone,
    ConversationItemRetrieved,
    Error,
    ResponseCreated,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
)
from antiphon.protocol.session_config import RealtimeSession, RealtimeSessionUpdate, SessionObject

__all__ = ["BetaDialect"]

_T = TypeVar("_T", bound=msgspec.Struct)

_ITEM_STRUCTS: Final = (*get_args(BetaInputItem), *get_args(BetaPart), McpToolDescription)
_CLIENT_EVENT: Final = compile_check(BetaClientEvent, null_is_absent=_ITEM_STRUCTS)
_ENCODER: Final = msgspec.json.Encoder()


class BetaDialect:
    """The state of the translation: what the client was found to speak, and the temperatures, which nobody else keeps.

    Not thread-safe. An event is handled before the next one is decoded.
    """

    def __init__(self, *, conversation_id: str | None, new_id: Callable[[str], str]) -> None:
        """``conversation_id``: None where the session only transcribes."""
        self._conversation_id = conversation_id
        self._new_id = new_id
        self._is_beta: bool | None = None
        """None until the first ``session.update``."""
        self._temperature = DEFAULT_TEMPERATURE
        self._asked: float | None = None
        """The temperature of the event that is being handled."""
        self._by_response: dict[str, float] = {}

    # --- what the client sends -------------------------------------------------------------------------------------

    def decode(self, text: str | bytes, *, strict: bool = False, nesting: int = NESTING_MAX) -> Decoded[ClientEvent]:
        """As ``decode_client_event``: one event, or ``ProtocolError`` with the beta's names."""
        if self._is_beta is False:
            return decode_client_event(text, strict=strict, nesting=nesting)
        append = plain_append(text)
        if append is not None:
            return Decoded(append)
        plain = plain_event(text, nesting=nesting)
        if self._is_beta is None and _is_session_update(plain):
            self._is_beta = not _has_session_type(plain)
            if not self._is_beta:
                return decode_client_event(text, strict=strict, nesting=nesting)
        event, unknown_fields = read_event(_CLIENT_EVENT, plain, strict=strict)
        return Decoded(self._today(cast("BetaClientEvent", event)), unknown_fields)

    def _today(self, event: BetaClientEvent) -> ClientEvent:
        self._asked = None
        match event:
            case BetaSessionUpdateEvent():
                return self._session_update(event)
            case BetaTranscriptionSessionUpdateEvent():
                if self._conversation_id is not None:
                    message = (
                        "'transcription_session.update' is only available in sessions with 'intent=transcription'."
                    )
                    raise ProtocolError("invalid_value", message, "type", event_id=given(event.event_id, None))
                return SessionUpdate(event_id=event.event_id, session=transcription_update(event.session))
            case BetaItemCreate():
                return ConversationItemCreate(
                    event_id=event.event_id, previous_item_id=event.previous_item_id, item=item_of(event.item)
                )
            case BetaResponseCreate():
                self._ask(event.response.temperature if event.response else UNSET)
                return ResponseCreate(event_id=event.event_id, response=overrides_of(event.response))
            case _:
                return event

    def _session_update(self, event: BetaSessionUpdateEvent) -> SessionUpdate:
        if self._conversation_id is None:
            return SessionUpdate(event_id=event.event_id, session=transcription_update(event.session))
        temperature = event.session.temperature
        self._ask(DEFAULT_TEMPERATURE if temperature is None else temperature)
        update: RealtimeSessionUpdate = session_update(event.session)
        return SessionUpdate(event_id=event.event_id, session=update)

    def _ask(self, temperature: Opt[float]) -> None:
        self._asked = given(temperature, None)

    # --- what the server sends -------------------------------------------------------------------------------------

    def encode(self, event: ServerEvent) -> Sequence[bytes]:
        """The texts of an event; none for what the beta did not tell."""
        if self._is_beta is False:
            return (encode_server_event(event),)
        translate = _TRANSLATIONS.get(type(event))
        if translate is not None:
            return tuple(_ENCODER.encode(told) for told in translate(self, event))
        renamed = _RENAMED.get(type(event))
        return (_ENCODER.encode(event if renamed is None else _as(renamed, event)),)

    def _created(self, event: SessionCreated) -> Sequence[Any]:
        """Today's fields and the beta's, since nobody knows yet which of them the client reads."""
        shown = {**msgspec.to_builtins(event.session), **msgspec.to_builtins(self._session(event.session))}
        if self._conversation_id is None:
            return ({"type": "transcription_session.created", "event_id": event.event_id, "session": shown},)
        created = {"type": "session.created", "event_id": event.event_id, "session": shown}
        conversation = Conversation(id=self._conversation_id)
        return created, ConversationCreated(event_id=self._new_id("event"), conversation=conversation)

    def _updated(self, event: SessionUpdated) -> Sequence[Any]:
        if isinstance(event.session, RealtimeSession) and self._asked is not None:
            self._temperature, self._asked = self._asked, None
        session = self._session(event.session)
        if isinstance(session, BetaSession):
            return (BetaSessionUpdated(event_id=event.event_id, session=session),)
        return (BetaTranscriptionSessionUpdated(event_id=event.event_id, session=session),)

    def _session(self, session: SessionObject) -> Any:
        return beta_session(session, temperature=self._temperature)

    def _response_created(self, event: ResponseCreated) -> Sequence[Any]:
        asked = self._temperature if self._asked is None else self._asked
        self._asked = None
        self._by_response[event.response.id] = asked
        return (BetaResponseCreated(event_id=event.event_id, response=beta_response(event.response, asked)),)

    def _response_done(self, event: ResponseDone) -> Sequence[Any]:
        temperature = self._by_response.pop(event.response.id, self._temperature)
        return (BetaResponseDone(event_id=event.event_id, response=beta_response(event.response, temperature)),)

    def _refused(self, event: Error) -> Sequence[Any]:
        self._asked = None
        return (structs.replace(event, error=beta_error(event.error)),)

    def _item_created(self, event: ConversationItemAdded | ConversationItemCreated) -> Sequence[Any]:
        item = beta_item(event.item)
        return (BetaItemCreated(event_id=event.event_id, previous_item_id=event.previous_item_id, item=item),)

    def _item_retrieved(self, event: ConversationItemRetrieved) -> Sequence[Any]:
        return (BetaItemRetrieved(event_id=event.event_id, item=beta_item(event.item)),)

    def _output_item(self, event: ResponseOutputItemAdded | ResponseOutputItemDone) -> Sequence[Any]:
        kind = BetaOutputItemAdded if isinstance(event, ResponseOutputItemAdded) else BetaOutputItemDone
        item = beta_item(event.item)
        told = kind(event_id=event.event_id, response_id=event.response_id, output_index=event.output_index, item=item)
        return (told,)

    def _untold(self, event: ConversationItemDone) -> Sequence[Any]:
        """The beta had one event for an item of the conversation; its end is told by the response."""
        return ()


_RENAMED: Final[Mapping[type, type[msgspec.Struct]]] = {
    ResponseOutputTextDelta: BetaTextDelta,
    ResponseOutputTextDone: BetaTextDone,
    ResponseOutputAudioTranscriptDelta: BetaAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone: BetaAudioTranscriptDone,
    ResponseOutputAudioDelta: BetaAudioDelta,
    ResponseOutputAudioDone: BetaAudioDone,
}
"""Events that differ in their name alone."""

_TRANSLATIONS: Final[Mapping[type, Callable[[BetaDialect, Any], Sequence[Any]]]] = {
    SessionCreated: BetaDialect._created,
    SessionUpdated: BetaDialect._updated,
    Error: BetaDialect._refused,
    ConversationItemAdded: BetaDialect._item_created,
    ConversationItemCreated: BetaDialect._item_created,
    ConversationItemDone: BetaDialect._untold,
    ConversationItemRetrieved: BetaDialect._item_retrieved,
    ResponseCreated: BetaDialect._response_created,
    ResponseDone: BetaDialect._response_done,
    ResponseOutputItemAdded: BetaDialect._output_item,
    ResponseOutputItemDone: BetaDialect._output_item,
}


def _as(kind: type[_T], event: msgspec.Struct) -> _T:
    return kind(**{name: getattr(event, name) for name in kind.__struct_fields__})


def _is_session_update(plain: Mapping[str, Any]) -> bool:
    return plain.get("type") in ("session.update", "transcription_session.update")


def _has_session_type(plain: Mapping[str, Any]) -> bool:
    session = plain.get("session")
    return plain["type"] == "session.update" and isinstance(session, dict) and "type" in session
