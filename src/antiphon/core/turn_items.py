"""User turns as the client sees them: their events, and the items that their audio becomes."""

from antiphon.audio.pcm import samples_to_ms
from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Effects
from antiphon.core.hearing import Hearing
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.items import Items
from antiphon.protocol.items import InputAudio, Message
from antiphon.protocol.server_events import (
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioBufferTimeoutTriggered,
)

__all__ = ["TurnItems"]


class TurnItems:
    def __init__(self, effects: Effects, conversation: Conversation, items: Items, hearing: Hearing) -> None:
        self._effects = effects
        self._conversation = conversation
        self._items = items
        self._hearing = hearing

    def show_start(self, item_id: str, start_sample: int) -> None:
        event_id = self._effects.event_id()
        start_ms = samples_to_ms(start_sample, INPUT_HZ)
        self._effects.emit(InputAudioBufferSpeechStarted(event_id=event_id, audio_start_ms=start_ms, item_id=item_id))

    def show_stop(self, item_id: str, end_sample: int) -> None:
        event_id = self._effects.event_id()
        end_ms = samples_to_ms(end_sample, INPUT_HZ)
        self._effects.emit(InputAudioBufferSpeechStopped(event_id=event_id, audio_end_ms=end_ms, item_id=item_id))

    def commit(
        self, item_id: str, pcm: bytes, *, speech_samples: int | None = None, faint: bool = False, overheard: str = ""
    ) -> Entry:
        """The turn's audio becomes a user item, and is heard.

        ``speech_samples`` of it are more than silence, where that is known; ``faint``: what came after may be, too;
        ``overheard``: what the assistant said meanwhile.
        """
        entry = self._add(item_id, pcm)
        entry.overheard = overheard
        self._hearing.end_utterance(entry, pcm, self._effects.now, voiced_samples=speech_samples, faint=faint)
        self._items.shed_audio()
        return entry

    def commit_silence(self, start_sample: int, end_sample: int, pcm: bytes) -> None:
        """Nobody has spoken for long: the silence becomes an item, and nobody is asked for words in it."""
        item_id = self._effects.new_id("item")
        self._effects.emit(
            InputAudioBufferTimeoutTriggered(
                event_id=self._effects.event_id(),
                audio_start_ms=samples_to_ms(start_sample, INPUT_HZ),
                audio_end_ms=samples_to_ms(end_sample, INPUT_HZ),
                item_id=item_id,
            )
        )
        entry = self._add(item_id, pcm)
        entry.silent = True
        self._hearing.know_silence(entry)
        self._items.shed_audio()

    def _add(self, item_id: str, pcm: bytes) -> Entry:
        item = Message(id=item_id, status="completed", role="user", content=[InputAudio()])
        entry = Entry(item, item_id, {0: "pending"})
        entry.keep_audio(0, pcm, "audio/pcm")
        previous_id = self._conversation.last_id
        self._effects.emit(
            InputAudioBufferCommitted(event_id=self._effects.event_id(), previous_item_id=previous_id, item_id=item_id)
        )
        self._items.add(entry)
        return entry
