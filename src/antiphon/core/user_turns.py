"""The user's turns: input audio, who speaks when, and the commit that makes a turn an item."""

from antiphon.audio.pcm import samples_to_ms
from antiphon.core.config import TurnPolicy
from antiphon.core.conversation import Conversation, Entry
from antiphon.core.drafts import Drafts
from antiphon.core.effects import Effects
from antiphon.core.hearing import Hearing
from antiphon.core.idle import IdleTimer
from antiphon.core.input_buffer import InputBuffer, Utterance
from antiphon.core.inputs import INPUT_HZ, SpeechProbability, TurnJudged
from antiphon.core.items import Items
from antiphon.core.limits import Limits
from antiphon.core.outputs import TurnClosed
from antiphon.core.pauses import Pause, Pauses
from antiphon.core.responses import Responses
from antiphon.core.settings import Settings
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import InputAudio, Message
from antiphon.protocol.server_events import (
    InputAudioBufferCleared,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioBufferTimeoutTriggered,
)
from antiphon.turns.endpointer import PAUSE_MS
from antiphon.turns.types import SpeechPaused, SpeechStarted, SpeechStopped, TurnEvent

__all__ = ["UserTurns"]

_MIN_COMMIT_MS = 100


class UserTurns:
    def __init__(
        self,
        effects: Effects,
        conversation: Conversation,
        items: Items,
        hearing: Hearing,
        responses: Responses,
        idle: IdleTimer,
        settings: Settings,
        limits: Limits,
        drafts: Drafts,
        policy: TurnPolicy,
    ) -> None:
        self._effects = effects
        self._conversation = conversation
        self._items = items
        self._hearing = hearing
        self._responses = responses
        self._idle = idle
        self._settings = settings
        self._drafts = drafts
        self._policy = policy
        self._buffer = InputBuffer(settings.input.turn_detection, limits)
        self._pauses = Pauses(effects, hearing, settings, judges=policy.judges)
        self._paused = False
        """Whether a pause of the turn has been told."""

    @property
    def audio_bytes(self) -> int:
        return self._buffer.audio_bytes

    @property
    def announced_id(self) -> str | None:
        """The id of the item that the turn being spoken will become."""
        return self._buffer.utterance.item_id if self._buffer.utterance else None

    def configure(self) -> None:
        """Apply changed settings at once. With turn detection off nobody would notice the end of the present turn."""
        detection = self._settings.input.turn_detection
        if detection is None and self._buffer.utterance is not None:
            self._drop(self._buffer.utterance)
        self._buffer.configure(detection)

    # --- audio -----------------------------------------------------------------------------------------------------

    def append(self, pcm: bytes) -> None:
        self._buffer.append(pcm, self._items.audio_share_bytes)
        self._idle.received(self._buffer.end_sample)
        utterance = self._buffer.utterance
        if utterance is not None:
            self._hearing.feed_utterance(utterance.item_id, pcm)

    def trim(self) -> None:
        self._buffer.trim(self._items.audio_share_bytes)

    def hear(self, window: SpeechProbability, now: float) -> None:
        for event in self._buffer.hear(window.first_sample, window.window_samples, window.value, window.level_dbfs):
            self._turn_event(event, now)
        pause = self._pause
        if pause is None:
            self._spoke_on()
        else:
            self._goes_on_pausing(pause, now)

    def judged(self, fact: TurnJudged, now: float) -> None:
        """The judge's word on a pause; of another turn it changes nothing."""
        pause = self._pause
        if pause is not None and pause.item_id == fact.item_id:
            self._pauses.judged(fact, pause)
            self._judge(pause, now)

    def words_changed(self, item_id: str, now: float) -> None:
        """More is known of what is being said, or something else."""
        pause = self._pause
        if pause is not None and pause.item_id == item_id:
            self._judge(pause, now)

    def clear(self) -> None:
        if self._buffer.utterance is not None:
            self._drop(self._buffer.utterance)
        self._buffer.clear()
        self._responses.user_speaks = False
        self._effects.emit(InputAudioBufferCleared(event_id=self._effects.event_id()))

    def commit(self, now: float) -> None:
        """The client's commit. Raises ``ProtocolError`` where there is too little audio."""
        if self._buffer.held_ms < _MIN_COMMIT_MS:
            raise ProtocolError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {self._buffer.held_ms:.2f}ms of audio.",
            )
        self._hearing.check_room(self._buffer.audio_bytes, None)
        utterance = self._buffer.utterance
        self._commit(None, now)
        if utterance is not None:
            self._drafts.dropped(utterance.item_id)
        self._responses.user_speaks = False
        self._idle.stop()

    def time_out(self) -> None:
        """Nobody has spoken for long: the silence becomes an item, and nobody is asked for words in it."""
        start, end = self._idle.from_sample, self._buffer.end_sample
        item_id = self._effects.new_id("item")
        self._effects.emit(
            InputAudioBufferTimeoutTriggered(
                event_id=self._effects.event_id(), audio_start_ms=_ms(start), audio_end_ms=_ms(end), item_id=item_id
            )
        )
        entry = self._commit_item(item_id, self._buffer.take_silence(start))
        entry.silent = True
        self._hearing.know_silence(entry)
        self._items.shed_audio()

    # --- turns -----------------------------------------------------------------------------------------------------

    def _turn_event(self, event: TurnEvent, now: float) -> None:
        match event:
            case SpeechStarted():
                self._speech_started(event)
            case SpeechStopped():
                self._speech_stopped(event, now)
            case SpeechPaused():
                pass

    @property
    def _pause(self) -> Pause | None:
        """The silence at the end of the turn that is being spoken."""
        utterance, heard = self._buffer.utterance, self._buffer.heard
        if utterance is None or not heard.silence_samples:
            return None
        return Pause(utterance.item_id, utterance.start_sample, heard.voiced_to, heard.heard_to)

    def _goes_on_pausing(self, pause: Pause, now: float) -> None:
        if pause.silence_ms < PAUSE_MS:
            return
        self._paused = True
        self._drafts.paused(pause.item_id, pause.start_sample, pause.voiced_to, pause.silence_ms)
        self._pauses.look(pause, self._buffer.read)
        self._judge(pause, now)

    def _spoke_on(self) -> None:
        utterance = self._buffer.utterance
        if self._paused and utterance is not None:
            self._drafts.resumed(utterance.item_id)
        self._paused = False

    def _judge(self, pause: Pause, now: float) -> None:
        if self._pauses.is_over(pause):
            stopped = self._buffer.stop()
            if stopped is not None:
                self._speech_stopped(stopped, now)

    def _speech_started(self, event: SpeechStarted) -> None:
        utterance = self._buffer.begin(self._effects.new_id("item"), event.from_sample)
        self._effects.emit(
            InputAudioBufferSpeechStarted(
                event_id=self._effects.event_id(),
                audio_start_ms=_ms(utterance.start_sample),
                item_id=utterance.item_id,
            )
        )
        self._responses.speech_started(self._settings.input.turn_detection)
        self._hearing.begin_utterance(utterance.item_id, self._buffer.read(utterance.start_sample))
        self._drafts.turn_began(utterance.item_id)
        self._paused = False

    def _drop(self, utterance: Utterance) -> None:
        """It becomes no item."""
        self._hearing.forget(utterance.item_id)
        self._responses.user_speaks = False
        self._drafts.dropped(utterance.item_id)

    def _speech_stopped(self, event: SpeechStopped, now: float) -> None:
        utterance = self._buffer.utterance
        detection = self._settings.input.turn_detection
        if utterance is None or detection is None:
            return
        self._effects.emit(
            InputAudioBufferSpeechStopped(
                event_id=self._effects.event_id(), audio_end_ms=_ms(event.at_sample), item_id=utterance.item_id
            )
        )
        speech_samples = self._buffer.heard.voiced_to - utterance.start_sample
        entry = self._commit(event.at_sample, now, speech_samples)
        self._effects.order(TurnClosed(entry.id, _ms(self._buffer.end_sample - self._buffer.heard.voiced_to)))
        if self._settings.realtime is not None:
            self._responses.turn_ended(entry, detection)
        self._drafts.turn_over(entry.id)

    def _commit(self, end_sample: int | None, now: float, speech_samples: int | None = None) -> Entry:
        """The turn's audio becomes a user item, and is heard; ``speech_samples`` of it are more than silence."""
        utterance = self._buffer.utterance
        item_id = utterance.item_id if utterance else self._effects.new_id("item")
        pcm = self._buffer.take(end_sample)
        entry = self._commit_item(item_id, pcm)
        faint = self._buffer.heard.faint
        self._hearing.end_utterance(entry, pcm, now, voiced_samples=speech_samples, faint=faint)
        self._items.shed_audio()
        return entry

    def _commit_item(self, item_id: str, pcm: bytes) -> Entry:
        item = Message(id=item_id, status="completed", role="user", content=[InputAudio()])
        entry = Entry(item, item_id, {0: "pending"})
        entry.keep_audio(0, pcm, "audio/pcm")
        self._effects.emit(
            InputAudioBufferCommitted(
                event_id=self._effects.event_id(), previous_item_id=self._conversation.last_id, item_id=item_id
            )
        )
        self._items.add(entry)
        return entry


def _ms(samples: int) -> int:
    return samples_to_ms(samples, INPUT_HZ)
