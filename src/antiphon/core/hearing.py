"""Hearing: every user audio part that can reach a prompt is transcribed, whether or not the client wants the events."""

from dataclasses import dataclass, replace

from antiphon.core.config import TurnPolicy
from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Effects, sendable
from antiphon.core.limits import Limits
from antiphon.core.outputs import MeasureItem
from antiphon.core.prompt import item_text
from antiphon.core.settings import Settings
from antiphon.core.transcription import Place, Transcriptions, Wanted, Words
from antiphon.protocol.errors import ProtocolError
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.speech import Transcript

__all__ = ["Hearing", "Unheard", "Words"]

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
        self,
        effects: Effects,
        conversation: Conversation,
        settings: Settings,
        limits: Limits,
        policy: TurnPolicy,
        *,
        partials: bool,
    ) -> None:
        """``partials``: whether the recogniser gives words while somebody speaks."""
        self._effects = effects
        self._conversation = conversation
        self._settings = settings
        self._limits = limits
        self._policy = policy
        self._partials = partials
        self._transcriptions = Transcriptions(effects, limits)
        self._private: dict[str, Entry] = {}
        """Items of a response's own ``input`` that are being heard: the client knows no ids of them."""

    @property
    def deadline(self) -> float | None:
        return self._transcriptions.deadline

    # --- utterances ------------------------------------------------------------------------------------------------

    def begin_utterance(self, item_id: str, pcm: bytes, *, announced: bool = True) -> None:
        """Listen while somebody speaks: the rest of the audio is fed as it comes. Of an utterance that is not
        ``announced`` the client sees nothing."""
        asked_for = self._settings.input.transcription is not None or self._policy.prefills
        wanted = self._wanted(partials=self._partials and asked_for)
        self._transcriptions.begin((item_id, 0), wanted, held=not announced)
        self._transcriptions.feed((item_id, 0), pcm)

    def announce(self, item_id: str) -> None:
        """The utterance is one: from now on the client sees its words; those that are known come as a delta."""
        self._transcriptions.announce((item_id, 0))

    def feed_utterance(self, item_id: str, pcm: bytes) -> None:
        self._transcriptions.feed((item_id, 0), pcm)

    def ask(self, item_id: str) -> None:
        """Have the recogniser say what it has heard of an utterance so far; once, until it has or somebody speaks on.

        It may never answer.
        """
        self._transcriptions.ask((item_id, 0))

    def answers(self, item_id: str) -> bool:
        """Whether the recogniser was asked for an utterance's words, and has not said them yet."""
        return self._transcriptions.answers((item_id, 0))

    def spoke_on(self, item_id: str) -> None:
        """An answer that is still to come lacks words."""
        self._transcriptions.spoke_on((item_id, 0))

    def words(self, item_id: str) -> Words | None:
        """The newest that is known of an utterance's words, while it is no item."""
        return self._transcriptions.words((item_id, 0))

    def hear_out(self, item_id: str, pcm: bytes, now: float) -> None:
        """An utterance that was not announced is over: have all its words, ``pcm`` whole, before it is known whether it
        becomes an item. ``heard_out`` once they are there or will never be."""
        self._transcriptions.hear_out((item_id, 0), pcm, now)

    def heard_out(self, item_id: str) -> bool:
        return self._transcriptions.is_over((item_id, 0))

    def end_utterance(
        self, entry: Entry, pcm: bytes, now: float, *, voiced_samples: int | None = None, faint: bool = False
    ) -> None:
        """The utterance became an item; ``pcm``: what is left of its audio, for a recogniser that has not heard it.

        ``voiced_samples``: how much of it, from its beginning, is more than silence; words that cover so much are all
        its words. ``faint``: what came after may be more than silence too, so the recogniser hears it all first.
        """
        place = (entry.id, 0)
        fault = None if pcm or self._transcriptions.listens(place) else _LOST
        if not self._transcriptions.begun(place) and not self._has_room(len(pcm)):
            fault = _TOO_MUCH
        if fault is None:
            certain = None if faint else voiced_samples
            known = self._transcriptions.finish(place, pcm, self._wanted(), now, voiced_samples=certain)
            if known is not None:
                self._settle(place, known.text, None)
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
        said = replace(transcript, text=sendable(transcript.text), hypothesis=sendable(transcript.hypothesis))
        if (final := self._transcriptions.heard(place, said)) is not None:
            self._settle(place, final.text, None)

    def failed(self, place: Place, fault: EngineFault) -> Unheard | None:
        """Somebody may have waited for these words: who did cannot go on."""
        return self._settle(place, "", fault) if self._transcriptions.failed(place, fault) else None

    def overdue(self, now: float) -> list[Place]:
        """What takes too long, and is to be given up."""
        return self._transcriptions.overdue(now)

    def give_up(self, place: Place) -> Unheard | None:
        """Nothing more is expected of these words: ``Unheard`` where they are of an item."""
        return self._settle(place, "", _LATE) if self._transcriptions.abandon(place, _LATE) else None

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
