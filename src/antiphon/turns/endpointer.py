"""Endpointing: from the speech probability of each window to speech started, paused and stopped.

Pure: the same windows give the same events. All durations are counted in samples, never in wall time.
"""

from dataclasses import dataclass

from antiphon.audio.pcm import ms_to_samples
from antiphon.turns.types import EndpointerSettings, SpeechPaused, SpeechStarted, SpeechStopped, TurnEvent

__all__ = ["INAUDIBLE_DBFS", "Endpointer", "EndpointerSettings"]

_ONSET_MS = 60
"""Voiced audio that starts a turn, in two windows at least: a click, which fills one window or two halves, does not."""
_PAUSE_MS = 64
_HYSTERESIS = 0.15
"""How far the probability must fall below the threshold before a voiced stretch ends; the detector's authors use the
same."""
_LOWEST_END_THRESHOLD = 0.01
INAUDIBLE_DBFS = -70.0
"""Below this level nothing is speech, whatever the detector says."""


@dataclass(slots=True)
class _Onset:
    """Voiced windows without a gap that do not make a turn yet."""

    first_sample: int
    end_sample: int


@dataclass(slots=True)
class _Speech:
    """A turn under way."""

    from_sample: int
    voiced_to: int
    """The end of the last voiced window."""
    voiced: bool = True
    """Whether the last window was voiced; a pause ends with a window above the threshold itself."""
    paused: bool = False
    """Whether the current pause has been reported."""


class Endpointer:
    """The endpointing of one session. Windows come in order; a gap between two counts as silence."""

    def __init__(self, settings: EndpointerSettings, sample_rate_hz: int = 24_000) -> None:
        self._rate_hz = sample_rate_hz
        self._settings = settings
        self._floor = 0
        self._heard_to = 0
        self._onset: _Onset | None = None
        self._speech: _Speech | None = None

    @property
    def settings(self) -> EndpointerSettings:
        return self._settings

    @property
    def speaking(self) -> bool:
        """Whether a turn has started and not yet stopped."""
        return self._speech is not None

    @property
    def silence_samples(self) -> int:
        """How long the current pause has lasted; 0 outside a turn and while somebody speaks."""
        if self._speech is None or self._speech.voiced:
            return 0
        return self._heard_to - self._speech.voiced_to

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
        audible = level_dbfs >= INAUDIBLE_DBFS
        self._heard_to = end_sample
        if self._speech is None:
            return self._listen(first_sample, end_sample, audible and probability >= self._settings.threshold)
        return self._follow(self._speech, end_sample, audible and probability >= self._threshold_in(self._speech))

    def update(self, settings: EndpointerSettings) -> None:
        """Change the settings; they hold from the next window on, also for a turn or a pause under way."""
        self._settings = settings

    def reset(self, from_sample: int | None = None) -> None:
        """Forget the turn and everything before ``from_sample`` (without it: before the end of the last window).

        To be called when the input buffer is committed or cleared there.
        """
        self._floor = max(self._floor, self._heard_to if from_sample is None else from_sample)
        self._onset = None
        self._speech = None

    def _listen(self, first_sample: int, end_sample: int, voiced: bool) -> list[TurnEvent]:
        if not voiced:
            self._onset = None
            return []
        if self._onset is None or self._onset.end_sample != first_sample:
            self._onset = _Onset(first_sample, end_sample)
            return []
        self._onset.end_sample = end_sample
        started = self._onset.first_sample
        if end_sample - started < self._samples(_ONSET_MS):
            return []
        self._onset = None
        self._speech = _Speech(self._padded(started), end_sample)
        return [SpeechStarted(started, self._speech.from_sample)]

    def _follow(self, speech: _Speech, end_sample: int, voiced: bool) -> list[TurnEvent]:
        speech.voiced = voiced
        if voiced:
            speech.voiced_to = end_sample
            speech.paused = False
            return []
        silence = end_sample - speech.voiced_to
        wanted = self._samples(self._settings.silence_duration_ms)
        if silence >= wanted:
            self.reset(speech.voiced_to + wanted)
            return [SpeechStopped(speech.voiced_to + wanted)]
        if silence >= self._samples(_PAUSE_MS) and not speech.paused:
            speech.paused = True
            return [SpeechPaused(speech.voiced_to)]
        return []

    def _threshold_in(self, speech: _Speech) -> float:
        threshold = self._settings.threshold
        return max(threshold - _HYSTERESIS, _LOWEST_END_THRESHOLD) if speech.voiced else threshold

    def _padded(self, sample: int) -> int:
        return max(self._floor, sample - self._samples(self._settings.prefix_padding_ms))

    def _samples(self, duration_ms: int) -> int:
        return ms_to_samples(duration_ms, self._rate_hz)
