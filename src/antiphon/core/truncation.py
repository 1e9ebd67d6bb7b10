"""``conversation.item.truncate``: the item keeps only what the client says was heard."""

from antiphon.core.conversation import Conversation
from antiphon.core.effects import Effects
from antiphon.core.output_audio import OutputAudio, cut_item, past_the_end
from antiphon.core.responses import Responses
from antiphon.protocol.client_events import ConversationItemTruncate
from antiphon.protocol.errors import ProtocolError

__all__ = ["truncate_item"]


def truncate_item(
    event: ConversationItemTruncate,
    conversation: Conversation,
    responses: Responses,
    output_audio: OutputAudio,
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
    if output_audio.truncates(entry, event.audio_end_ms):
        return
    conversation.revision += 1
    end_ms = cut_item(entry, event.audio_end_ms, effects)
    if (error := past_the_end(event.audio_end_ms, end_ms)) is not None:
        raise error
