"""Hearing: every user audio part that can reach a prompt is transcribed, whether or not the client wants the events."""

from dataclasses import dataclass, replace

from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Effects, sendable
from antiphon.core.limits import Limits
from antiphon.core.outputs import MeasureItem
from antiphon.core.prompt import item_text
from antiphon.core.settings import Settings
from antiphon.core.transcription import Place, Transcriptions, Wanted
from antiphon.protocol.errors import ProtocolError
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.speech import Transcript

__all__ = ["Hearing", "Unheard"]

_LATE = EngineFault(EngineErrorKind.TIMEOUT, message="Transcription took too long.")
_TOO_MUCH = EngineFault(EngineErrorKind.OVERLOADED, message="Too much audio is waiting to be transcribed.")
_LOST = EngineFault(EngineErrorKind.OVERLOADED, message="The audio was dropped: too much of it is kept.")


@dataclass(frozen=True, slots=True)
class Unheard:
    """Words that will never be known."""

    entry: Entry
    fault: EngineFault


class Hearing:
    """User audio to words: utterances while they are spoken, and whole audio parts of items."""

    def __init__(
        self, effects: Effects, conversation: Conversation, settings: Settings, limits: Limits, *, partials: bool
    ) -> None:
        """``partials``: whether the recogniser gives words while somebody speaks."""
        self._effects = effects
        self._conversation = conversation
        self._settings = settings
        self._limits = limits
        self._partials = partials
        self._transcriptions = Transcriptions(effects, limits)
        self._private: dict[str, Entry] = {}
        """Items of a response's own ``input`` that are being heard: the client knows no ids of them."""

    @property
    def deadline(self) -> float | None:
        return self._transcriptions.deadline

    # --- utterances ------------------------------------------------------------------------------------------------

    def begin_utterance(self, item_id: str, pcm: bytes) -> None:
        """Listen while somebody speaks: the rest of the audio is fed as it comes."""
        partials = self._partials and self._settings.input.transcription is not None
        self._transcriptions.begin((item_id, 0), self._wanted(partials=partials))
        self._transcriptions.feed((item_id, 0), pcm)

    def feed_utterance(self, item_id: str, pcm: bytes) -> None:
        self._transcriptions.feed((item_id, 0), pcm)

    def end_utterance(self, entry: Entry, pcm: bytes, now: float) -> None:
        """The utterance became an item; ``pcm``: what is left of its audio, for a recogniser that has not heard it."""
        place = (entry.id, 0)
        fault = None if pcm or self._transcriptions.listens(place) else _LOST
        if not self._transcriptions.begun(place) and not self._has_room(len(pcm)):
            fault = _TOO_MUCH
        if fault is None:
            self._transcriptions.finish(place, pcm, self._wanted(), now)
            return
        self._transcriptions.stop(place)
        entry.set_transcript(0, "", "failed")
        self._transcriptions.show_failure(place, fault, self._wanted())

    def know_silence(self, entry: Entry) -> None:
        """Nobody spoke in this item: a recogniser would invent words."""
        entry.set_transcript(0, "", "known")
        self._transcriptions.show_silence((entry.id, 0), self._wanted())
        self._effects.order(MeasureItem(entry.id, item_text(entry)))

    # --- items -----------------------------------------------------------------------------------------------------

    def check_room(self, pcm_bytes: int, param: str | None) -> None:
        """Raises ``ProtocolError`` while the recogniser has as much to do as the session may keep."""
        if not self._has_room(pcm_bytes):
            raise ProtocolError("rate_limit_exceeded", f"{_TOO_MUCH.message} Try again later.", param)

    def hear(self, entry: Entry, now: float, *, private: bool = False) -> None:
        """Hear every audio part of an item whose words are not known; of ``private`` items the client sees nothing."""
        if private and entry.pending:
            self._private[entry.id] = entry
        wanted = self._wanted(announced=not private)
        for index, state in entry.transcripts.items():
            if state == "pending":
                self._transcriptions.finish((entry.id, index), bytes(entry.audio[index].data), wanted, now)

    def forget(self, item_id: str) -> None:
        """Nobody wants the words of this item or utterance any more."""
        self._private.pop(item_id, None)
        self._transcriptions.stop_item(item_id)

    def forget_all(self) -> None:
        self._private.clear()
        self._transcriptions.stop_all()

    # --- words -----------------------------------------------------------------------------------------------------

    def produced(self, place: Place, transcript: Transcript) -> None:
        sent = replace(transcript, text=sendable(transcript.text))
        if self._transcriptions.heard(place, sent):
            self._settle(place, sent.text, None)

    def failed(self, place: Place, fault: EngineFault) -> Unheard | None:
        """Somebody may have waited for these words: who did cannot go on."""
        return self._settle(place, "", fault) if self._transcriptions.failed(place, fault) else None

    def overdue(self, now: float) -> list[Unheard]:
        """Give up what takes too long."""
        unheard: list[Unheard | None] = []
        for place in self._transcriptions.overdue(now):
            self._transcriptions.abandon(place, _LATE)
            unheard.append(self._settle(place, "", _LATE))
        return [one for one in unheard if one is not None]

    def _settle(self, place: Place, text: str, fault: EngineFault | None) -> Unheard | None:
        item_id, content_index = place
        private = self._private.get(item_id)
        entry = private or self._conversation.get(item_id)
        if entry is None:
            return None
        entry.set_transcript(content_index, text, "known" if fault is None else "failed")
        if private is not None:
            if not entry.pending:
                del self._private[item_id]
        elif entry.settled:
            self._effects.order(MeasureItem(item_id, item_text(entry)))
        return None if fault is None else Unheard(entry, fault)

    # --- steps -----------------------------------------------------------------------------------------------------

    def _has_room(self, pcm_bytes: int) -> bool:
        return self._transcriptions.waiting_bytes + pcm_bytes <= self._limits.audio_bytes

    def _wanted(self, *, partials: bool = False, announced: bool = True) -> Wanted:
        config = self._settings.input.transcription
        logprobs = bool(self._settings.session.include)
        return Wanted(config, announced and config is not None, logprobs, partials)
