"""The items that clients see come and go, within the bounds of what a session keeps."""

from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Effects
from antiphon.core.hearing import Hearing
from antiphon.core.item_checks import checked_entry
from antiphon.core.item_view import retrieved_item, shown_item
from antiphon.core.limits import Limits
from antiphon.core.outputs import MeasureItem
from antiphon.core.prompt import item_text
from antiphon.core.seeing import Seeing
from antiphon.core.settings import Settings
from antiphon.protocol.base import given
from antiphon.protocol.client_events import ConversationItemCreate
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemRetrieved,
)

__all__ = ["Items"]


class Items:
    def __init__(
        self,
        effects: Effects,
        conversation: Conversation,
        hearing: Hearing,
        seeing: Seeing,
        settings: Settings,
        limits: Limits,
    ) -> None:
        self._effects = effects
        self._conversation = conversation
        self._hearing = hearing
        self._seeing = seeing
        self._settings = settings
        self._limits = limits
        self._audio_bytes = limits.audio_bytes

    # --- asked for by the client -----------------------------------------------------------------------------------

    def create(self, event: ConversationItemCreate, now: float, *, announced_id: str | None) -> None:
        """``announced_id``: taken by the turn that is being spoken. Raises ``ProtocolError``."""
        place = self._conversation.place_after(given(event.previous_item_id, ""))
        if announced_id is not None and event.item.id == announced_id:
            raise ProtocolError(
                "item_create_duplicate_item_id",
                f"Error creating item: the id '{announced_id}' belongs to the turn that is being spoken.",
                "item.id",
            )
        entry = checked_entry(
            event.item,
            conversation=self._conversation,
            format=self._settings.input.format.type,
            limits=self._limits,
            new_id=self._effects.new_id,
            param="item",
        )
        if entry.pending:
            self._hearing.check_room(entry.audio_bytes, "item")
        self.add(entry, place)
        self._hearing.hear(entry, now)
        self._seeing.look(entry, now)
        self.shed_audio()
        if entry.settled:
            self._effects.order(MeasureItem(entry.id, item_text(entry)))

    def retrieve(self, item_id: str) -> None:
        entry = self._conversation.require(item_id, "retrieve", "retrieving")
        item = retrieved_item(entry, self._settings.input.format.type, self._limits)
        self._effects.emit(ConversationItemRetrieved(event_id=self._effects.event_id(), item=item))

    def delete(self, item_id: str) -> None:
        self._remove(self._conversation.require(item_id, "delete", "deleting"))

    # --- any item --------------------------------------------------------------------------------------------------

    def add(self, entry: Entry, place: int | None = None) -> None:
        """Take up a complete item."""
        previous = self._conversation.add(entry, place)
        item = shown_item(entry.item, self._limits)
        for kind in (ConversationItemAdded, ConversationItemDone):
            self._effects.emit(kind(event_id=self._effects.event_id(), previous_item_id=previous, item=item))

    def keep_within_limit(self) -> None:
        """The oldest items go where turns and answers, which nobody can refuse, are too many."""
        while len(self._conversation) > self._limits.items:
            self._remove(next(iter(self._conversation)))

    def _remove(self, entry: Entry) -> None:
        self._conversation.delete(entry)
        self._hearing.forget(entry.id)
        self._seeing.forget(entry.id)
        entry.transcripts.clear()
        self._effects.emit(ConversationItemDeleted(event_id=self._effects.event_id(), item_id=entry.id))

    # --- audio -----------------------------------------------------------------------------------------------------

    @property
    def audio_share_bytes(self) -> int:
        """What the input buffer may hold, and the items of the conversation together: half of the budget each."""
        return self._audio_bytes // 2

    def set_audio_budget(self, max_bytes: int) -> None:
        self._audio_bytes = min(max_bytes, self._limits.audio_bytes)

    def shed_audio(self) -> None:
        self._conversation.shed_audio(self.audio_share_bytes)
