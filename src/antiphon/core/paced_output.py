"""The output audio of a session whose transport plays it in real time, and tells what left.

The audio of all responses is one queue, played in the order in which it was given. A response is *in the buffer* from
its first audio until its end: ``output_audio_buffer.stopped``, once it is done and all its audio has left, or
``output_audio_buffer.cleared``, where it is cut.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from antiphon.audio.pcm import pcm_samples, samples_to_ms
from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Cause, Effects
from antiphon.core.inputs import INPUT_HZ, AudioProduced, PlayoutCleared, PlayoutEnded, PlayoutStarted
from antiphon.core.lately_said import LATELY_S, LatelySaid
from antiphon.core.output_audio import PlayoutFact, cut_item, past_the_end
from antiphon.core.outputs import ClearPlayout, PlayAudio
from antiphon.core.response_items import OpenMessage
from antiphon.protocol.server_events import (
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
)
from antiphon.protocol.session_config import FormatName

__all__ = ["PacedOutput"]


@dataclass(slots=True)
class _Track:
    """The audio of one item."""

    entry: Entry
    has_left: bool = False
    """Nothing of what was given is still to leave."""


@dataclass(slots=True)
class _Buffered:
    """A response in the buffer."""

    id: str
    in_conversation: bool
    tracks: dict[str, _Track] = field(default_factory=dict)
    """By item."""
    started: bool = False
    done: bool = False

    @property
    def has_left(self) -> bool:
        return all(track.has_left for track in self.tracks.values())


@dataclass(frozen=True, slots=True)
class _Asked:
    """A client's truncation that waits for the transport's word."""

    audio_end_ms: int
    cause: Cause | None


@dataclass(slots=True)
class _Cut:
    """An item that was taken out of the queue, until the transport says how far it was."""

    entry: Entry
    asked: _Asked | None = None


class PacedOutput:
    def __init__(self, effects: Effects, conversation: Conversation) -> None:
        self._effects = effects
        self._conversation = conversation
        self._buffered: dict[str, _Buffered] = {}
        """By response, in the order of their first audio."""
        self._cut: dict[tuple[str, str], _Cut] = {}
        """By response and item."""
        self._unfinished: dict[str, list[Entry]] = {}
        """By response that was cut before it was done: its items of which all that was given had left."""
        self._drained_s = 0.0
        self._lately = LatelySaid()
        self._first_played_s: float | None = None

    @property
    def ends_s(self) -> float:
        return math.inf if self._buffered else self._drained_s

    @property
    def audible(self) -> bool:
        return any(buffered.started for buffered in self._buffered.values())

    @property
    def first_played_s(self) -> float | None:
        return self._first_played_s

    def lately_said(self, now: float, back_s: float = LATELY_S) -> str:
        return self._lately.words(now, back_s)

    def format_of(self, asked: FormatName) -> FormatName:
        return "audio/pcm"

    # --- what responses give ---------------------------------------------------------------------------------------

    def play(self, message: OpenMessage, spoken: AudioProduced, start: int, end: int, *, in_conversation: bool) -> None:
        samples, response_id, entry = pcm_samples(spoken.audio), message.response_id, message.entry
        if not samples:
            return
        buffered = self._buffered.setdefault(response_id, _Buffered(response_id, in_conversation))
        track = buffered.tracks.setdefault(entry.id, _Track(entry))
        assert entry.playout is not None
        # Behind a gap it goes on at once; before its first packet nobody knows when that will leave.
        goes_on_s = self._effects.now if track.has_left else None
        entry.playout.sent(samples, start, end, goes_on_s)
        track.has_left = False
        self._lately.note(message)
        self._effects.order(PlayAudio(response_id, entry.id, spoken.audio))

    def finished(self, response_id: str) -> None:
        for entry in self._unfinished.pop(response_id, ()):
            if entry.playout is not None and not entry.playout.whole:
                # What it would have gone on to say was not heard.
                self._truncate(entry, samples_to_ms(entry.playout.sent_samples, INPUT_HZ))
        if (buffered := self._buffered.get(response_id)) is not None:
            buffered.done = True
            self._stop_if_drained(buffered)

    # --- cuts ------------------------------------------------------------------------------------------------------

    def break_off(self) -> None:
        self._clear(lambda buffered: buffered.in_conversation)

    def clear(self) -> list[str]:
        return self._clear(lambda _: True)

    def truncates(self, entry: Entry, audio_end_ms: int) -> bool:
        playing = self._playing(entry)
        if playing is None:
            return False
        self._clear(lambda buffered: buffered is playing)
        self._cut[playing.id, entry.id].asked = _Asked(audio_end_ms, self._effects.cause)
        return True

    def _playing(self, entry: Entry) -> _Buffered | None:
        """The response whose audio of the item has not all left."""
        for buffered in self._buffered.values():
            track = buffered.tracks.get(entry.id)
            if track is not None and track.entry is entry and not track.has_left:
                return buffered
        return None

    def _clear(self, is_cut: Callable[[_Buffered], bool]) -> list[str]:
        cut = [buffered for buffered in self._buffered.values() if is_cut(buffered)]
        ids = [buffered.id for buffered in cut]
        if not cut:
            return ids
        self._effects.order(ClearPlayout(tuple(ids)))
        for buffered in cut:
            del self._buffered[buffered.id]
            self._take_out(buffered)
            self._effects.emit(OutputAudioBufferCleared(event_id=self._effects.event_id(), response_id=buffered.id))
        self._drained_s = self._effects.now
        return ids

    def _take_out(self, buffered: _Buffered) -> None:
        for item_id, track in buffered.tracks.items():
            if not track.has_left:
                assert track.entry.playout is not None
                track.entry.playout.stopped_s = self._effects.now
                self._cut[buffered.id, item_id] = _Cut(track.entry)
        if buffered.in_conversation and not buffered.done:
            whole = [track.entry for track in buffered.tracks.values() if track.has_left]
            self._unfinished[buffered.id] = whole

    # --- what the transport tells ----------------------------------------------------------------------------------

    def learn(self, fact: PlayoutFact) -> None:
        if isinstance(fact, PlayoutCleared):
            self._cleared(fact)
            return
        buffered = self._buffered.get(fact.response_id)
        track = None if buffered is None else buffered.tracks.get(fact.item_id)
        if buffered is None or track is None:
            return
        if not buffered.started:
            buffered.started = True
            if self._first_played_s is None:
                self._first_played_s = self._effects.now
            self._effects.emit(OutputAudioBufferStarted(event_id=self._effects.event_id(), response_id=buffered.id))
        if isinstance(fact, PlayoutStarted):
            self._started(track)
        else:
            self._ended(fact, track)
            self._stop_if_drained(buffered)

    def _started(self, track: _Track) -> None:
        assert track.entry.playout is not None
        track.entry.playout.began(self._effects.now)

    def _ended(self, fact: PlayoutEnded, track: _Track) -> None:
        assert track.entry.playout is not None
        if fact.sent_samples >= track.entry.playout.sent_samples:
            track.has_left = True
            track.entry.playout.ended(self._effects.now)

    def _stop_if_drained(self, buffered: _Buffered) -> None:
        if not buffered.done or not buffered.has_left:
            return
        del self._buffered[buffered.id]
        self._drained_s = self._effects.now
        self._effects.emit(OutputAudioBufferStopped(event_id=self._effects.event_id(), response_id=buffered.id))

    def _cleared(self, fact: PlayoutCleared) -> None:
        cut = self._cut.pop((fact.response_id, fact.item_id), None)
        if cut is None:
            return
        assert cut.entry.playout is not None
        sent_ms = samples_to_ms(min(fact.sent_samples, cut.entry.playout.sent_samples), INPUT_HZ)
        if cut.asked is None:
            self._truncate(cut.entry, min(max(0, fact.heard_ms), sent_ms))
            return
        end_ms = self._truncate(cut.entry, min(cut.asked.audio_end_ms, sent_ms))
        error = None if end_ms is None else past_the_end(cut.asked.audio_end_ms, end_ms)
        if error is not None and cut.asked.cause is not None:
            error.event_id = cut.asked.cause.event_id
            self._effects.emit(error.as_event(self._effects.event_id()), cut.asked.cause.origin)

    def _truncate(self, entry: Entry, ms: int) -> int | None:
        """None where it is not, or no longer, in the conversation: then nobody knows it."""
        if self._conversation.get(entry.id) is not entry:
            return None
        self._conversation.revision += 1
        return cut_item(entry, ms, self._effects)
