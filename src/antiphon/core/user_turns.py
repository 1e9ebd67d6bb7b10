"""The user's turns: input audio, who speaks when, and the commit that makes a turn an item.

``UserTurns`` only puts together what others decide: ``turns.Endpointer`` where speech begins and how long a silence
lasts, ``Pauses`` whether a pause ends the turn, ``BargeIn`` what speech over the assistant's is, ``Resumption`` whether
it goes on with a turn that was ended too soon.
"""

from dataclasses import dataclass

from antiphon.audio.pcm import samples_to_ms
from antiphon.core.barge_in import BargeIn, HeldSpeech, Nothing
from antiphon.core.config import TurnPolicy
from antiphon.core.conversation import Conversation, Entry
from antiphon.core.drafts import Drafts
from antiphon.core.effects import Effects
from antiphon.core.hearing import Hearing
from antiphon.core.idle import IdleTimer
from antiphon.core.input_buffer import InputBuffer, Utterance
from antiphon.core.inputs import INPUT_HZ, SpeechProbability, TurnJudged
from antiphon.core.items import Items
from antiphon.core.lately_said import LATELY_S
from antiphon.core.limits import Limits
from antiphon.core.output_audio import OutputAudio
from antiphon.core.outputs import DuckPlayout, TurnClosed
from antiphon.core.pauses import Pause, Pauses
from antiphon.core.responses import Responses
from antiphon.core.resumption import Resumption
from antiphon.core.settings import Settings
from antiphon.core.turn_items import TurnItems
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.server_events import InputAudioBufferCleared
from antiphon.turns.endpointer import PAUSE_MS
from antiphon.turns.types import SpeechPaused, SpeechStarted, SpeechStopped, TurnEvent

__all__ = ["UserTurns"]

_MIN_COMMIT_MS = 100


@dataclass(frozen=True, slots=True)
class _Aside:
    """Held speech that is over, until its words are known."""

    utterance: Utterance
    pcm: bytes
    voiced_to: int
    end_sample: int

    @property
    def length_s(self) -> float:
        return (self.end_sample - self.utterance.start_sample) / INPUT_HZ


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
        output_audio: OutputAudio,
        policy: TurnPolicy,
        *,
        paced: bool,
    ) -> None:
        """``paced``: whether the transport plays the assistant's audio, and so can turn it down."""
        self._effects = effects
        self._items = items
        self._hearing = hearing
        self._responses = responses
        self._idle = idle
        self._settings = settings
        self._drafts = drafts
        self._output_audio = output_audio
        self._paced = paced
        self._buffer = InputBuffer(settings.input.turn_detection, limits)
        self._turn_items = TurnItems(effects, conversation, items, hearing)
        self._pauses = Pauses(effects, hearing, settings, judges=policy.judges)
        self._barge_in = BargeIn(effects, hearing, output_audio, settings, policy)
        self._resumption = Resumption(conversation)
        self._conversation = conversation
        self._paused = False
        """Whether a pause of the turn has been told."""
        self._aside: _Aside | None = None
        self._ducked = False

    @property
    def audio_bytes(self) -> int:
        return self._buffer.audio_bytes + self._aside_bytes

    @property
    def _aside_bytes(self) -> int:
        return len(self._aside.pcm) if self._aside is not None else 0

    @property
    def announced_id(self) -> str | None:
        """The id of the item that the turn being spoken will become."""
        return self._buffer.utterance.item_id if self._buffer.utterance else None

    def configure(self) -> None:
        """Apply changed settings at once. With turn detection off nobody would notice the end of the present turn."""
        detection = self._settings.input.turn_detection
        if detection is None:
            self._forget()
        self._buffer.configure(detection)

    # --- audio -----------------------------------------------------------------------------------------------------

    def append(self, pcm: bytes) -> None:
        self._buffer.append(pcm, self._most_bytes)
        self._idle.received(self._buffer.end_sample)
        utterance = self._buffer.utterance
        if utterance is not None:
            self._hearing.feed_utterance(utterance.item_id, pcm)

    def trim(self) -> None:
        self._buffer.trim(self._most_bytes)

    @property
    def _most_bytes(self) -> int:
        return self._items.audio_share_bytes - self._aside_bytes

    def hear(self, window: SpeechProbability) -> None:
        self._buffer.guard(self._barge_in.wary)
        for event in self._buffer.hear(window.first_sample, window.window_samples, window.value, window.level_dbfs):
            self._turn_event(event)
        utterance = self._buffer.utterance
        if utterance is not None and utterance.held:
            self._look_at_held(utterance)
        pause = self._pause
        if pause is None:
            self._spoke_on()
        else:
            self._goes_on_pausing(pause)

    def judged(self, fact: TurnJudged) -> None:
        """The judge's word on a pause; of another turn it changes nothing."""
        pause = self._pause
        if pause is not None and pause.item_id == fact.item_id:
            self._pauses.judged(fact, pause)
            self._judge(pause)

    def words_changed(self, item_id: str) -> None:
        """More is known of the words of an utterance or an item, or it is known that there will be none."""
        utterance, aside, pause = self._buffer.utterance, self._aside, self._pause
        if aside is not None and aside.utterance.item_id == item_id:
            self._look_back(aside)
        elif pause is not None and pause.item_id == item_id:
            self._judge(pause)
        elif utterance is not None and utterance.held and utterance.item_id == item_id:
            self._look_at_held(utterance)
        elif (entry := self._conversation.get(item_id)) is not None and entry.is_echo:
            self._barge_in.echoed()

    def clear(self) -> None:
        self._forget()
        self._buffer.clear()
        self._responses.user_speaks = False
        self._effects.emit(InputAudioBufferCleared(event_id=self._effects.event_id()))

    def commit(self) -> None:
        """The client's commit. Raises ``ProtocolError`` where there is too little audio.

        Speech that is held becomes the item, though nobody was told of its start, and interrupts nobody.
        """
        if self._buffer.held_ms < _MIN_COMMIT_MS:
            raise ProtocolError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {self._buffer.held_ms:.2f}ms of audio.",
            )
        self._hearing.check_room(self._buffer.audio_bytes, None)
        utterance = self._buffer.utterance
        item_id = utterance.item_id if utterance is not None else self._effects.new_id("item")
        self._turn_items.commit(item_id, self._buffer.take())
        self._drafts.dropped(item_id)
        self._resumption.forget()
        self._duck(False)
        self._responses.user_speaks = False
        self._idle.stop()

    def time_out(self) -> None:
        """Nobody has spoken for long: the silence becomes an item."""
        start, end = self._idle.from_sample, self._buffer.end_sample
        self._turn_items.commit_silence(start, end, self._buffer.take_silence(start))

    # --- turns -----------------------------------------------------------------------------------------------------

    def _turn_event(self, event: TurnEvent) -> None:
        match event:
            case SpeechStarted():
                self._speech_started(event)
            case SpeechStopped():
                self._speech_stopped(event.at_sample)
            case SpeechPaused():
                pass

    def _speech_started(self, event: SpeechStarted) -> None:
        utterance = self._buffer.begin(self._effects.new_id("item"), event.from_sample, event.at_sample)
        utterance.over_assistant = self._output_audio.audible
        utterance.continues = self._resumed(event.at_sample)
        self._paused = False
        held = utterance.continues is None and self._barge_in.holds()
        pcm = self._buffer.read(utterance.start_sample)
        if held:
            self._buffer.hold(True)
            self._duck(True)
            self._hearing.begin_utterance(utterance.item_id, pcm, announced=False)
            return
        self._announce(utterance, held=False)
        self._hearing.begin_utterance(utterance.item_id, pcm)
        self._drafts.turn_began(utterance.item_id, continues=utterance.continues is not None)

    def _resumed(self, voiced_from: int) -> Entry | None:
        """The turn of ours that was ended too soon, where this speech goes on with it; its answer is given up."""
        detection = self._settings.input.turn_detection
        if detection is None or not detection.interrupt_response or self._barge_in.in_grace or self._barge_in.wary:
            return None
        return self._resumption.resumed(voiced_from, self._effects.now)

    def _announce(self, utterance: Utterance, *, held: bool) -> None:
        """Tell everybody that the user speaks: the answer that is running is broken off, where the session says so."""
        if self._aside is not None and self._aside.utterance is not utterance:
            self._confirm_aside(self._aside)  # what was said before is not told after it
        detection = self._settings.input.turn_detection
        interrupts = utterance.over_assistant and detection is not None and detection.interrupt_response
        self._turn_items.show_start(utterance.item_id, utterance.start_sample)
        self._responses.speech_started(detection)
        self._duck(False)
        if interrupts:
            heard_to = self._buffer.heard.heard_to
            self._barge_in.interrupted(utterance.item_id, utterance.voiced_from, heard_to, held=held)

    def _speech_stopped(self, at_sample: int) -> None:
        utterance, heard = self._buffer.utterance, self._buffer.heard
        if utterance is None:
            return
        voiced_to, faint = heard.voiced_to, heard.faint
        self._end_turn(utterance, self._buffer.take(at_sample), voiced_to, at_sample, faint=faint)

    def _end_turn(
        self, utterance: Utterance, pcm: bytes, voiced_to: int, end_sample: int, *, faint: bool = False
    ) -> None:
        detection = self._settings.input.turn_detection
        assert detection is not None
        self._turn_items.show_stop(utterance.item_id, end_sample)
        overheard = ""
        if utterance.over_assistant:
            length_s = (self._buffer.end_sample - utterance.start_sample) / INPUT_HZ
            overheard = self._output_audio.lately_said(self._effects.now, LATELY_S + length_s)
        speech_samples = voiced_to - utterance.start_sample
        entry = self._turn_items.commit(
            utterance.item_id, pcm, speech_samples=speech_samples, faint=faint, overheard=overheard
        )
        entry.continues = utterance.continues is not None
        silence_ms = samples_to_ms(self._buffer.end_sample - voiced_to, INPUT_HZ)
        self._effects.order(TurnClosed(entry.id, silence_ms, self._settings.answers_turns))
        if self._settings.realtime is not None:
            self._responses.turn_ended(entry, detection, utterance.continues)
            self._resumption.turn_ended(entry, end_sample, detection)
        self._drafts.turn_over(entry.id)
        if entry.is_echo:
            self._barge_in.echoed()

    def _forget(self) -> None:
        """What is being spoken, or was set aside, becomes no item."""
        utterance = self._buffer.utterance
        self._drop_aside()
        self._resumption.forget()
        self._duck(False)
        if utterance is not None:
            self._hearing.forget(utterance.item_id)
            self._responses.user_speaks = False
            self._drafts.dropped(utterance.item_id)

    # --- pauses ----------------------------------------------------------------------------------------------------

    @property
    def _pause(self) -> Pause | None:
        """The silence at the end of the turn that is being spoken, where everybody knows of it."""
        utterance, heard = self._buffer.utterance, self._buffer.heard
        if utterance is None or utterance.held or not heard.silence_samples:
            return None
        return Pause(utterance.item_id, utterance.start_sample, heard.voiced_to, heard.heard_to)

    def _goes_on_pausing(self, pause: Pause) -> None:
        if pause.silence_ms < PAUSE_MS:
            return
        self._paused = True
        self._drafts.paused(pause.item_id, pause.start_sample, pause.voiced_to, pause.silence_ms)
        self._pauses.look(pause, self._buffer.read)
        self._judge(pause)

    def _spoke_on(self) -> None:
        utterance = self._buffer.utterance
        if self._paused and utterance is not None:
            self._drafts.resumed(utterance.item_id)
        self._paused = False

    def _judge(self, pause: Pause) -> None:
        if self._pauses.is_over(pause) and (stopped := self._buffer.stop()) is not None:
            self._speech_stopped(stopped.at_sample)

    # --- speech over the assistant's -------------------------------------------------------------------------------

    def _look_at_held(self, utterance: Utterance) -> None:
        heard = self._buffer.heard
        speech = HeldSpeech(
            utterance.item_id,
            utterance.start_sample,
            utterance.voiced_from,
            heard.voiced_to,
            heard.heard_to,
            heard.voiced_samples,
        )
        verdict = self._barge_in.look(speech)
        if verdict == "interrupts":
            self._confirm(utterance, speech)
        elif verdict == "unclear":
            self._set_aside(utterance)
        elif verdict != "wait":
            self._let_go(utterance, verdict)

    def _confirm(self, utterance: Utterance, speech: HeldSpeech) -> None:
        """It is an interruption: told now, with its true beginning."""
        self._buffer.hold(False)
        self._announce(utterance, held=True)
        self._hearing.announce(utterance.item_id)
        self._drafts.turn_began(utterance.item_id)
        if speech.is_over and (stopped := self._buffer.stop()) is not None:
            self._speech_stopped(stopped.at_sample)

    def _set_aside(self, utterance: Utterance) -> None:
        """It is over, and what it says is not known yet: it is heard out, and nobody waits for that."""
        stopped = self._buffer.stop()
        if stopped is None:
            return
        if self._aside is not None:
            self._confirm_aside(self._aside)
        voiced_to = self._buffer.heard.voiced_to
        pcm = self._buffer.take(stopped.at_sample)
        self._duck(False)
        self._aside = _Aside(utterance, pcm, voiced_to, stopped.at_sample)
        self._hearing.hear_out(utterance.item_id, pcm, self._effects.now)

    def _look_back(self, aside: _Aside) -> None:
        verdict = self._barge_in.look_back(aside.utterance.item_id, aside.length_s)
        if verdict == "interrupts":
            self._confirm_aside(aside)
        elif verdict != "wait" and verdict != "unclear":
            self._drop_aside()
            self._report_nothing(aside.utterance, verdict)

    def _confirm_aside(self, aside: _Aside) -> None:
        """It was an interruption, and is over already."""
        self._aside = None
        speaking = self._responses.user_speaks
        self._announce(aside.utterance, held=True)
        self._hearing.announce(aside.utterance.item_id)
        self._end_turn(aside.utterance, aside.pcm, aside.voiced_to, aside.end_sample)
        self._responses.user_speaks = speaking

    def _drop_aside(self) -> None:
        if self._aside is not None:
            self._hearing.forget(self._aside.utterance.item_id)
            self._aside = None

    def _let_go(self, utterance: Utterance, kind: Nothing) -> None:
        """Nothing has happened: no event, no item."""
        self._buffer.let_go()
        self._duck(False)
        self._hearing.forget(utterance.item_id)
        self._report_nothing(utterance, kind)

    def _report_nothing(self, utterance: Utterance, kind: Nothing) -> None:
        self._barge_in.came_to_nothing(utterance.item_id, utterance.voiced_from, self._buffer.heard.heard_to, kind)

    def _duck(self, on: bool) -> None:
        """Turn the assistant's voice down while somebody may be about to interrupt."""
        if self._paced and on != self._ducked:
            self._ducked = on
            self._effects.order(DuckPlayout(on))
