"""Speech while the assistant is audible: is it an interruption?

With the policy ``exact`` all speech is, at once. With ``considerate`` it is *held*: nobody is told of it until it has
lasted, or says something that is neither a backchannel ("mm-hmm") nor the assistant's own echo. On a call speech that
begins right after the very first sound is held whatever the policy: echo cancellation has still to learn.
"""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from antiphon.audio.pcm import ms_to_samples, samples_to_ms
from antiphon.core.config import TurnPolicy
from antiphon.core.effects import Effects
from antiphon.core.hearing import Hearing
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.lately_said import LATELY_S
from antiphon.core.output_audio import OutputAudio
from antiphon.core.outputs import BargeInJudged
from antiphon.core.settings import Settings
from antiphon.protocol.session_config import SemanticVad
from antiphon.turns.backchannels import is_backchannel, may_become_backchannel
from antiphon.turns.echo import is_echo
from antiphon.turns.endpointer import PAUSE_MS
from antiphon.turns.words import spoken_words

__all__ = ["BargeIn", "HeldSpeech", "Nothing", "Verdict"]

Nothing: TypeAlias = Literal["backchannel", "echo", "noise"]
"""What speech can be that interrupts nobody."""
Verdict: TypeAlias = Literal["wait", "interrupts", "unclear"] | Nothing
"""``unclear``: it is over, and its words are still to come."""
_Kind: TypeAlias = Literal["words", "unknown"] | Nothing

_ASK_MS = 190
"""After so much speech the recogniser can tell its first word, and says it before the speech interrupts by its length.
Of less it makes up words: more backchannels interrupted so."""
_ASK_AGAIN_MS = 200
_ANSWER_MS = 100
_LONGEST_MS = 500
"""While its first words are on their way speech may last ``_ANSWER_MS`` longer, but never longer than this."""
_OVER_MS = 500
"""After so much silence held speech is over."""
_BACKCHANNEL_MS = 1_000
"""Whatever is said, nobody says "mm-hmm" for so long."""
_ECHO_MS = 10_000
_NO_WORD_MS = 50
"""No word is so short."""
_NOT_SAID = re.compile(r"\[[^][]*\]|\([^()]*\)|\*[^*]*\*")
"""How recognisers write what is no word: "(coughing)"."""


@dataclass(frozen=True, slots=True)
class HeldSpeech:
    """What has been heard of speech that nobody was told of."""

    item_id: str
    start_sample: int
    """Where its audio begins."""
    voiced_from: int
    voiced_to: int
    heard_to: int
    voiced_samples: int
    """How much of it is speech, without pauses."""

    @property
    def voiced_ms(self) -> int:
        return samples_to_ms(self.voiced_samples, INPUT_HZ)

    @property
    def silence_ms(self) -> int:
        return samples_to_ms(self.heard_to - self.voiced_to, INPUT_HZ)

    @property
    def is_over(self) -> bool:
        return self.silence_ms >= _OVER_MS

    @property
    def length_s(self) -> float:
        return (self.heard_to - self.start_sample) / INPUT_HZ

    def has_all_words(self, covered_samples: int) -> bool:
        """Whether nothing has been said beyond so much of its audio."""
        said = self.voiced_to - self.start_sample - ms_to_samples(_NO_WORD_MS, INPUT_HZ)
        return self.silence_ms >= PAUSE_MS and covered_samples >= said


class BargeIn:
    def __init__(
        self, effects: Effects, hearing: Hearing, output_audio: OutputAudio, settings: Settings, policy: TurnPolicy
    ) -> None:
        self._effects = effects
        self._hearing = hearing
        self._output_audio = output_audio
        self._settings = settings
        self._policy = policy
        self._echo_proven = False
        self._asked_of = ""
        self._asked_at = 0

    @property
    def wary(self) -> bool:
        """Whether what sounds like speech now may well be the assistant's own, as it was before."""
        return self._echo_proven and self._output_audio.audible

    @property
    def _interrupts(self) -> bool:
        detection = self._settings.input.turn_detection
        return detection is not None and detection.interrupt_response

    @property
    def _considerate(self) -> bool:
        if self._policy.barge_in == "auto":
            return isinstance(self._settings.input.turn_detection, SemanticVad)
        return self._policy.barge_in == "considerate"

    @property
    def in_grace(self) -> bool:
        """Whether the first sound of a call has just been played."""
        first_s = self._output_audio.first_played_s
        return first_s is not None and self._effects.now < first_s + self._policy.echo_grace_ms / 1000

    def holds(self) -> bool:
        """Whether speech that begins now is held."""
        return self.in_grace or (self._considerate and self._interrupts and self._output_audio.audible)

    # --- judging ---------------------------------------------------------------------------------------------------

    def look(self, speech: HeldSpeech) -> Verdict:
        """What is to become of held speech, by what is known now. Asks for its words where that is due."""
        self._ask(speech)
        if self.in_grace:
            return "wait"
        words = self._hearing.words(speech.item_id)
        complete = words is not None and speech.has_all_words(words.covers_samples)
        kind = self._kind(speech.item_id, speech.length_s, complete=complete)
        if kind == "words":
            return "interrupts"
        if speech.is_over:
            return kind if complete and words is not None and words.thorough and kind != "unknown" else "unclear"
        if kind not in ("echo", "noise") and not (self._output_audio.audible and self._interrupts):
            return "interrupts"
        return "interrupts" if speech.voiced_ms >= self._longest_ms(speech.item_id, kind) else "wait"

    def look_back(self, item_id: str, length_s: float) -> Verdict:
        """What is to become of held speech that was heard out."""
        if not self._hearing.heard_out(item_id):
            return "wait"
        kind = self._kind(item_id, length_s, complete=True)
        return "interrupts" if kind == "words" or kind == "unknown" else kind

    def _longest_ms(self, item_id: str, kind: _Kind) -> int:
        """How long speech of this kind may last without interrupting."""
        if kind == "unknown":
            longest_ms = self._policy.barge_in_ms
            answering = self._hearing.answers(item_id)
            return max(longest_ms, min(longest_ms + _ANSWER_MS, _LONGEST_MS)) if answering else longest_ms
        return _ECHO_MS if kind == "echo" else _BACKCHANNEL_MS

    def _ask(self, speech: HeldSpeech) -> None:
        """Its words are asked for again and again, while there are new ones."""
        if speech.item_id != self._asked_of:
            self._asked_of, self._asked_at = speech.item_id, 0
        since_ms = samples_to_ms(speech.voiced_samples - self._asked_at, INPUT_HZ)
        paused = speech.silence_ms >= PAUSE_MS and since_ms > 0
        if paused:
            self._hearing.spoke_on(speech.item_id)  # what was asked before is not all
        due = paused or since_ms >= (_ASK_AGAIN_MS if self._asked_at else _ASK_MS)
        if due and not self._hearing.answers(speech.item_id):
            self._asked_at = speech.voiced_samples
            self._hearing.ask(speech.item_id)

    def _kind(self, item_id: str, length_s: float, *, complete: bool) -> _Kind:
        """What the words are, so far as they are known. Where they may break off, the last one is doubtful."""
        words = self._hearing.words(item_id)
        if words is None:
            return "unknown"
        text = _NOT_SAID.sub(" ", words.text)
        if not spoken_words(text):
            return "noise" if words.thorough else "unknown"
        least = 1 if self._echo_proven or not complete else 2
        if is_echo(text, self._output_audio.lately_said(self._effects.now, LATELY_S + length_s), least_words=least):
            return "echo"
        if is_backchannel(text) or (not complete and may_become_backchannel(text)):
            return "backchannel"
        return "words"

    # --- the report ------------------------------------------------------------------------------------------------

    def interrupted(self, item_id: str, voiced_from: int, heard_to: int, *, held: bool) -> None:
        """Speech was taken for an interruption."""
        after_ms = samples_to_ms(heard_to - voiced_from, INPUT_HZ)
        self._effects.order(BargeInJudged(item_id, "considerate" if held else "exact", "interrupted", after_ms))

    def came_to_nothing(self, item_id: str, voiced_from: int, heard_to: int, kind: Nothing) -> None:
        """Held speech interrupted nobody."""
        self._echo_proven |= kind == "echo"
        after_ms = samples_to_ms(heard_to - voiced_from, INPUT_HZ)
        self._effects.order(BargeInJudged(item_id, "considerate", kind, after_ms))

    def echoed(self) -> None:
        """A turn of which everybody was told has proved an echo."""
        self._echo_proven = True
