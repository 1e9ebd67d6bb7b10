"""``conversation.item.truncate``: the item keeps only what the client says was heard."""

from antiphon.core.conversation import Conversation
from antiphon.core.effects import Effects
from antiphon.core.outputs import MeasureItem
from antiphon.core.playout import Playback
from antiphon.core.prompt import item_text
from antiphon.core.responses import Responses
from antiphon.protocol.client_events import ConversationItemTruncate
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.server_events import ConversationItemTruncated

__all__ = ["truncate_item"]

_ROUNDING_MS = 1
"""A client that rounds the length of its audio up is right."""


def truncate_item(
    event: ConversationItemTruncate,
    conversation: Conversation,
    responses: Responses,
    playback: Playback,
    effects: Effects,
) -> None:
    """Cut an assistant item. An item that is still being spoken is stopped first: its listener has gone on.

    Past the end the API both complains and truncates to the true end.
    """
    entry = conversation.require(event.item_id, "truncate", "truncating")
    if entry.playout is None:
        raise ProtocolError("unsupported_content_type", "Only model output audio messages can be truncated", "item_id")
    if event.content_index != 0:
        raise ProtocolError(
            "invalid_value",
            f"Invalid 'content_index': {event.content_index}; the item has one part, 0.",
            "content_index",
        )
    if event.audio_end_ms < 0:
        raise ProtocolError(
            "invalid_value", f"Invalid 'audio_end_ms': {event.audio_end_ms}; expected 0 or more.", "audio_end_ms"
        )
    responses.interrupt_item(entry.id)
    if playback.plays(entry.playout, effects.now):
        playback.stop(effects.now)
    end_ms = entry.playout.truncate(event.audio_end_ms)
    entry.cut_to_heard()
    if 0 in entry.audio:
        entry.audio[0].cut(end_ms)
    effects.order(MeasureItem(entry.id, item_text(entry)))
    effects.emit(
        ConversationItemTruncated(event_id=effects.event_id(), item_id=entry.id, content_index=0, audio_end_ms=end_ms)
    )
    if event.audio_end_ms > end_ms + _ROUNDING_MS:
        raise ProtocolError(
            "invalid_value",
            f"Audio content of {end_ms}ms is already shorter than {event.audio_end_ms}ms",
            "audio_end_ms",
        )
