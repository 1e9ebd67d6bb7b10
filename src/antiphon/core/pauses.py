"""The pauses of a turn that is taken with ``semantic_vad``: each is judged, again and again while it lasts.

The judge hears the end of the turn's audio, and a rule looks at its last words; the less complete the thought sounds,
the more silence it takes to end the turn (``turns.semantic``). What was judged of one pause is void once speech goes
on.
"""

from collections.abc import Callable
from dataclasses import dataclass

from antiphon.audio.pcm import ms_to_samples, samples_to_ms
from antiphon.core.effects import Effects
from antiphon.core.hearing import Hearing
from antiphon.core.inputs import INPUT_HZ, TurnJudged
from antiphon.core.outputs import JudgeTurn
from antiphon.core.settings import Settings
from antiphon.protocol.session_config import SemanticVad
from antiphon.turns.endpointer import PAUSE_MS
from antiphon.turns.semantic import text_is_incomplete, turn_is_over

__all__ = ["Pause", "Pauses"]

_AGAIN_MS = 200
"""After so much more silence the judge is asked again."""
_ASK_MS = 128
"""After so much silence the last words are asked for, where nobody has done so: a pause between two words is over."""
_NO_WORD_MS = 100
"""No word is so short: words that cover all of a turn's speech but this are all its words."""
_JUDGED_S = 8
"""What the judge is given: the end of the turn."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The silence at the end of what has been heard of a turn."""

    item_id: str
    start_sample: int
    """Where the turn's audio begins."""
    voiced_to: int
    """Where the silence begins."""
    heard_to: int

    @property
    def silence_ms(self) -> int:
        return samples_to_ms(self.heard_to - self.voiced_to, INPUT_HZ)

    @property
    def speech_samples(self) -> int:
        """The turn's audio up to the silence."""
        return self.voiced_to - self.start_sample

    def ends_words(self, covered_samples: int) -> bool:
        """Whether words that cover so much of the turn's audio go up to this pause."""
        return covered_samples >= self.speech_samples - ms_to_samples(_NO_WORD_MS, INPUT_HZ)


class Pauses:
    def __init__(self, effects: Effects, hearing: Hearing, settings: Settings, *, judges: bool) -> None:
        """``judges``: whether there is a judge; without one silence and words decide."""
        self._effects = effects
        self._hearing = hearing
        self._settings = settings
        self._judges = judges
        self._voiced_to = -1
        """Where the silence of the present pause begins."""
        self._judge_at_ms = PAUSE_MS
        self._asked = False
        """Whether the recogniser was asked for the last words before the pause."""
        self._probability: float | None = None

    def look(self, pause: Pause, read: Callable[[int, int], bytes]) -> None:
        """One more window of a turn was silent: judge and recogniser are asked where that is due.

        ``read``: the turn's audio between two samples.
        """
        self._turn_to(pause)
        if not self._judges or not isinstance(self._settings.input.turn_detection, SemanticVad):
            return
        if not self._asked and pause.silence_ms >= _ASK_MS:
            self._asked = True
            if self._last_words(pause) is None:
                self._hearing.ask(pause.item_id)
        if pause.silence_ms >= self._judge_at_ms:
            self._judge_at_ms = pause.silence_ms + _AGAIN_MS
            start = max(pause.start_sample, pause.heard_to - _JUDGED_S * INPUT_HZ)
            pcm = read(start, pause.heard_to)
            words = self._hearing.words(pause.item_id)
            text = words.text if words is not None else ""
            self._effects.order(JudgeTurn(pause.item_id, pause.heard_to, pcm, text))

    def judged(self, fact: TurnJudged, pause: Pause) -> None:
        """The judge's word on the turn of this pause. It counts only if it heard the pause; none at all changes
        nothing of what it said before."""
        self._turn_to(pause)
        if pause.voiced_to <= fact.at_sample <= pause.heard_to and fact.probability is not None:
            self._probability = fact.probability

    def is_over(self, pause: Pause) -> bool:
        """Whether the pause ends the turn. With ``server_vad`` only the endpointer says so."""
        self._turn_to(pause)
        detection, transcription = self._settings.input.turn_detection, self._settings.input.transcription
        if not isinstance(detection, SemanticVad):
            return False
        language = transcription.language if transcription is not None else None
        return turn_is_over(
            pause.silence_ms,
            probability=self._probability,
            eagerness=detection.eagerness,
            text_incomplete=text_is_incomplete(self._last_words(pause) or "", language),
        )

    def _last_words(self, pause: Pause) -> str | None:
        """What is known of the turn's words, where that goes up to the pause."""
        words = self._hearing.words(pause.item_id)
        return words.text if words is not None and pause.ends_words(words.covers_samples) else None

    def _turn_to(self, pause: Pause) -> None:
        """Forget another pause."""
        if pause.voiced_to != self._voiced_to:
            self._voiced_to = pause.voiced_to
            self._judge_at_ms = PAUSE_MS
            self._asked = False
            self._probability = None
