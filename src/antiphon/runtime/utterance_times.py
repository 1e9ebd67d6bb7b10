"""When things happened to what a user says: the pauses in it, the judge's words on them, its end, its words."""

from collections import deque
from dataclasses import dataclass, field

from antiphon.runtime.work import Work
from antiphon.vocabulary.speech import Transcript

__all__ = ["UtteranceTimes", "Utterances"]

_KEPT = 16
"""Utterances whose times are remembered: a session has one that is spoken and few that wait for their words."""
_MARKS = 48
"""Of an utterance, the newest: more than the last pause of a turn can have."""
_GRAIN_S = 0.002
"""The end of speech is known to a millisecond."""


@dataclass(slots=True)
class _Judging:
    at_sample: int
    began: float
    ended: float | None = None
    probability: float | None = None


@dataclass(slots=True)
class UtteranceTimes:
    """Seconds on the session's clock; None where it has not happened."""

    asked: deque[float] = field(default_factory=lambda: deque(maxlen=_MARKS))
    """When something was wanted to be known because of a pause."""
    judgings: deque[_Judging] = field(default_factory=lambda: deque(maxlen=_MARKS))
    thorough: float | None = None
    """When it was last known what the words would be if no more was said."""
    final: float | None = None
    settled: bool = False
    """Nothing more will be known of its words."""
    has_words: bool = True
    """Or may have, as far as is known."""
    origin: float | None = None
    """The last voiced sample."""
    committed: float | None = None
    error: str | None = None
    words: str = ""

    @property
    def transcript(self) -> float | None:
        return self.final if self.final is not None else self.thorough

    @property
    def pause(self) -> float | None:
        """When the pause that ended it was first taken up."""
        return next((at for at in self.asked if self._is_after_speech(at)), None)

    @property
    def judged(self) -> float | None:
        """When the last word came on the pause that ended it, before it did."""
        if self.committed is None:
            return None
        words = [one.ended for one in self.judgings if one.ended is not None and one.probability is not None]
        return max((at for at in words if self._is_after_speech(at) and at <= self.committed), default=None)

    def work(self, *, words: bool) -> list[Work]:
        """What was done after the last voiced sample. ``words``: whether it is to hold what was said."""
        done = [
            Work("judging", one.began, one.ended, probability=one.probability)
            for one in self.judgings
            if one.ended is not None and self._is_after_speech(one.began)
        ]
        if self.transcript is not None and self.committed is not None:
            began = min(self.committed if self.pause is None else self.pause, self.transcript)
            said = self.words if words else ""
            done.append(Work("transcription", began, self.transcript, error=self.error, words=said))
        return done

    def _is_after_speech(self, at: float) -> bool:
        return self.origin is not None and at >= self.origin - _GRAIN_S


class Utterances:
    """Those of a session, and which of them wait for an answer."""

    def __init__(self) -> None:
        self._by_item: dict[str, UtteranceTimes] = {}
        self._unanswered: deque[UtteranceTimes] = deque(maxlen=_KEPT)
        self._present = UtteranceTimes()
        """The one that a draft would answer."""
        self._last_final: float | None = None

    @property
    def present(self) -> UtteranceTimes:
        return self._present

    def begun(self, item_id: str) -> None:
        """A recogniser begins to listen, perhaps once more."""
        utterance = self._of(item_id)
        utterance.settled, utterance.final, utterance.error = False, None, None

    def paused(self, item_id: str, now: float) -> None:
        self._present = utterance = self._of(item_id)
        utterance.asked.append(now)

    def judging(self, item_id: str, at_sample: int, now: float) -> None:
        self.paused(item_id, now)
        self._present.judgings.append(_Judging(at_sample, now))

    def judged(self, item_id: str, at_sample: int, probability: float | None, now: float) -> float | None:
        """How long the judge took; None for a word that nobody has asked for."""
        if (utterance := self._by_item.get(item_id)) is None:
            return None
        for judging in reversed(utterance.judgings):
            if judging.at_sample == at_sample and judging.ended is None:
                judging.ended, judging.probability = now, probability
                return now - judging.began
        return None

    def heard(self, item_id: str, transcript: Transcript, now: float) -> None:
        if transcript.is_final:
            utterance = self._of(item_id)
            utterance.final = self._last_final = now
            self._heard(utterance, transcript.text)
            self.settled(item_id)
        elif transcript.thorough:
            utterance = self._of(item_id)
            utterance.thorough = now
            self._heard(utterance, transcript.hypothesis)

    def failed(self, item_id: str, error: str, now: float) -> None:
        utterance = self._of(item_id)
        utterance.final, utterance.error, utterance.has_words = now, error, True
        self.settled(item_id)

    def settled(self, item_id: str) -> None:
        """All is known of its words that will ever be."""
        if utterance := self._by_item.get(item_id):
            utterance.settled = True
            self._forget_wordless()

    def closed(self, item_id: str, now: float, silence_ms: int, *, is_answered: bool) -> None:
        """It is a turn. ``is_answered``: by itself, as soon as its words are known."""
        utterance = self._of(item_id)
        utterance.origin, utterance.committed = now - silence_ms / 1000, now
        if is_answered:
            self._unanswered.append(utterance)
            self._forget_wordless()

    def take_answered(self) -> UtteranceTimes | None:
        """The last of those that an answer that begins now is for; None where it is for none of them."""
        if not self._unanswered or not all(utterance.settled for utterance in self._unanswered):
            return None
        last = self._unanswered[-1]
        self._unanswered.clear()
        return last

    def heard_since(self, at: float) -> float | None:
        """When the newest words came, if that was after ``at``."""
        return self._last_final if self._last_final is not None and self._last_final > at else None

    def _of(self, item_id: str) -> UtteranceTimes:
        utterance = self._by_item.get(item_id)
        if utterance is None:
            utterance = self._by_item[item_id] = UtteranceTimes()
            if len(self._by_item) > _KEPT:
                del self._by_item[next(iter(self._by_item))]
        return utterance

    def _heard(self, utterance: UtteranceTimes, text: str) -> None:
        utterance.words = text
        utterance.has_words = bool(text.strip())

    def _forget_wordless(self) -> None:
        """Where nobody has said a word nothing is answered."""
        if all(utterance.settled and not utterance.has_words for utterance in self._unanswered):
            self._unanswered.clear()
