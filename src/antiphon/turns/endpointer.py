"""Endpointing: from the speech probability of each window to speech started, paused and stopped.

Pure: the same windows give the same events. All durations are counted in samples, never in wall time.

A window is *voiced* from the threshold on. Two things keep short sounds from making or breaking a turn:

- A turn begins with voiced audio that lasts: 60 ms where the detector is sure, 90 ms where it barely is. A click, a
  breath and most coughs end before that. Nothing is lost by it: the turn begins where that audio did.
- Speech fades: a window a little below the threshold goes on with the speech before it, so a weak last phoneme, or the
  burst of a plosive after its silence, belongs to the word. It never begins speech, and it does not go on for long:
  noise of that kind would keep a turn open for ever.
"""

from dataclasses import dataclass

from antiphon.audio.pcm import ms_to_samples
from antiphon.turns.types import EndpointerSettings, SpeechPaused, SpeechStarted, SpeechStopped, TurnEvent

__all__ = ["FAINT_PROBABILITY", "INAUDIBLE_DBFS", "PAUSE_MS", "Endpointer", "EndpointerSettings"]

_ONSET_MS = 60
"""Voiced audio that starts a turn, in two windows at least: a click, which fills one window or two halves, does not."""
_UNSURE_ONSET_MS = 90
_SURE = 0.2
"""How far above the threshold one window of an onset must be for the shorter one."""
_SUREST = 0.95
"""No more is asked of a detector than that, unless the threshold is above it."""
_GUARDED_ONSET_MS = 180
_GUARDED = 0.2
"""While ``guarded``: how long the onset, and how far above the threshold all of it is."""
PAUSE_MS = 64
"""Silence that is reported as a pause."""
_HYSTERESIS = 0.15
"""How far below the threshold a window still goes on with speech; the detector's authors use the same."""
_BURST_MS = 96
"""So long a silence, a plosive's at most, is bridged by such a window."""
_FADING_MS = 400
"""So long after the last voiced window such windows count."""
_LOWEST_END_THRESHOLD = 0.01
FAINT_PROBABILITY = 0.2
"""From here on a window of a pause may hold the rest of a word."""
INAUDIBLE_DBFS = -70.0
"""Below this level nothing is speech, whatever the detector says."""


@dataclass(slots=True)
class _Onset:
    """Voiced windows that do not make a turn yet."""

    first_sample: int
    heard_to: int
    voiced_to: int
    voiced_samples: int
    peak: float


@dataclass(slots=True)
class _Speech:
    """A turn under way."""

    from_sample: int
    voiced_to: int
    """The end of the last window that was speech."""
    clear_to: int
    """The end of the last window above the threshold itself."""
    voiced_samples: int
    paused: bool = False
    """Whether the current pause has been reported."""
    faint: bool = False
    """Whether a window of the current pause may hold the rest of a word."""


class Endpointer:
    """The endpointing of one session. Windows come in order; a gap between two counts as silence."""

    def __init__(self, settings: EndpointerSettings, sample_rate_hz: int = 24_000) -> None:
        self._rate_hz = sample_rate_hz
        self._settings = settings
        self._floor = 0
        self._heard_to = 0
        self._voiced_to = 0
        self._faint = False
        self._onset: _Onset | None = None
        self._speech: _Speech | None = None
        self.guarded = False
        """Whether a turn begins only with speech that is clearer and longer than usual: while sounds of the assistant's
        own are about."""

    @property
    def settings(self) -> EndpointerSettings:
        return self._settings

    @property
    def speaking(self) -> bool:
        """Whether a turn has started and not yet stopped."""
        return self._speech is not None

    @property
    def heard_to(self) -> int:
        """The end of the last window."""
        return self._heard_to

    @property
    def voiced_to(self) -> int:
        """Where speech was last heard in the current turn, or in the last one."""
        return self._speech.voiced_to if self._speech is not None else self._voiced_to

    @property
    def voiced_samples(self) -> int:
        """How much speech the current turn has held so far, without its pauses."""
        return self._speech.voiced_samples if self._speech is not None else 0

    @property
    def silence_samples(self) -> int:
        """How long the current pause has lasted; 0 outside a turn and while somebody speaks."""
        return 0 if self._speech is None else self._heard_to - self._speech.voiced_to

    @property
    def faint(self) -> bool:
        """Whether something that may be the rest of a word was heard after the first moment of the current pause, or of
        the one that ended the last turn."""
        return self._speech.faint if self._speech is not None else self._faint

    @property
    def needed_from_sample(self) -> int:
        """The earliest sample that the current turn, or one that may yet start, can begin with.

        The input buffer may forget what lies before it.
        """
        if self._speech is not None:
            return self._speech.from_sample
        return self._padded(self._onset.first_sample if self._onset else self._heard_to)

    def push(self, first_sample: int, window_samples: int, probability: float, level_dbfs: float) -> list[TurnEvent]:
        """Take the next window; a window that begins before the last reset or was already heard changes nothing."""
        if first_sample < max(self._floor, self._heard_to):
            return []
        end_sample = first_sample + window_samples
        self._heard_to = end_sample
        if level_dbfs < INAUDIBLE_DBFS:
            probability = -1.0
        if self._speech is None:
            return self._listen(first_sample, end_sample, probability)
        return self._follow(self._speech, first_sample, end_sample, probability)

    def update(self, settings: EndpointerSettings) -> None:
        """Change the settings; they hold from the next window on, also for a turn or a pause under way."""
        self._settings = settings

    def stop(self) -> SpeechStopped:
        """The turn under way is over by the caller's judgement: it ends with what has been heard."""
        self.reset(self._heard_to)
        return SpeechStopped(self._heard_to)

    def reset(self, from_sample: int | None = None) -> None:
        """Forget the turn and everything before ``from_sample`` (without it: before the end of the last window).

        To be called when the input buffer is committed or cleared there.
        """
        self._floor = max(self._floor, self._heard_to if from_sample is None else from_sample)
        self._voiced_to, self._faint = self.voiced_to, self.faint
        self._onset = None
        self._speech = None

    # --- steps -----------------------------------------------------------------------------------------------------

    def _listen(self, first_sample: int, end_sample: int, probability: float) -> list[TurnEvent]:
        onset, self._onset = self._onset, None
        if onset is not None and onset.heard_to != first_sample:
            onset = None
        threshold = self._onset_threshold
        if probability < threshold:
            goes_on = onset is not None and end_sample - onset.voiced_to <= self._samples(_BURST_MS)
            if onset is not None and goes_on and probability >= self._fading_threshold(threshold):
                onset.heard_to = end_sample
                self._onset = onset
            return []
        if onset is None:
            self._onset = _Onset(first_sample, end_sample, end_sample, end_sample - first_sample, probability)
            return []
        onset.voiced_samples += end_sample - first_sample
        onset.heard_to = onset.voiced_to = end_sample
        onset.peak = max(onset.peak, probability)
        if onset.voiced_samples < self._samples(self._onset_ms(onset.peak)):
            self._onset = onset
            return []
        self._speech = _Speech(self._padded(onset.first_sample), end_sample, end_sample, onset.voiced_samples)
        return [SpeechStarted(onset.first_sample, self._speech.from_sample)]

    @property
    def _onset_threshold(self) -> float:
        threshold = self._settings.threshold
        return max(threshold, min(threshold + _GUARDED, _SUREST)) if self.guarded else threshold

    def _onset_ms(self, peak: float) -> int:
        if self.guarded:
            return _GUARDED_ONSET_MS
        sure = peak >= min(self._settings.threshold + _SURE, _SUREST)
        return _ONSET_MS if sure else _UNSURE_ONSET_MS

    def _follow(self, speech: _Speech, first_sample: int, end_sample: int, probability: float) -> list[TurnEvent]:
        if self._is_voiced(speech, end_sample, probability):
            speech.voiced_samples += end_sample - max(first_sample, speech.voiced_to)
            speech.voiced_to = end_sample
            speech.paused = speech.faint = False
            return []
        silence = end_sample - speech.voiced_to
        wanted = self._samples(self._settings.silence_duration_ms)
        if first_sample - speech.voiced_to >= self._samples(PAUSE_MS) and probability >= FAINT_PROBABILITY:
            speech.faint = True
        if silence >= wanted:
            self.reset(speech.voiced_to + wanted)
            return [SpeechStopped(speech.voiced_to + wanted)]
        if silence >= self._samples(PAUSE_MS) and not speech.paused:
            speech.paused = True
            return [SpeechPaused(speech.voiced_to)]
        return []

    def _is_voiced(self, speech: _Speech, end_sample: int, probability: float) -> bool:
        if probability >= self._settings.threshold:
            speech.clear_to = end_sample
            return True
        bridged = end_sample - speech.voiced_to <= self._samples(_BURST_MS)
        fading = end_sample - speech.clear_to <= self._samples(_FADING_MS)
        return bridged and fading and probability >= self._fading_threshold(self._settings.threshold)

    def _fading_threshold(self, threshold: float) -> float:
        return max(threshold - _HYSTERESIS, _LOWEST_END_THRESHOLD)

    def _padded(self, sample: int) -> int:
        return max(self._floor, sample - self._samples(self._settings.prefix_padding_ms))

    def _samples(self, duration_ms: int) -> int:
        return ms_to_samples(duration_ms, self._rate_hz)
