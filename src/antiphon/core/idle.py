"""The idle time-out: where the user says nothing for long after an answer, the model speaks again."""

from antiphon.core.effects import Effects
from antiphon.core.output_audio import OutputAudio
from antiphon.core.settings import Settings
from antiphon.protocol.session_config import ServerVad

__all__ = ["IdleTimer"]


class IdleTimer:
    """Runs from the end of an answer's playback (or from a turn without words after it) until anybody speaks.

    Once it has run out it stands still until the next answer.
    """

    def __init__(self, effects: Effects, settings: Settings, output_audio: OutputAudio) -> None:
        self._effects = effects
        self._settings = settings
        self._output_audio = output_audio
        self._started_s: float | None = None
        self._end_sample = 0
        self.from_sample = 0
        """Where in the input audio it began to run."""

    @property
    def deadline(self) -> float | None:
        detection = self._settings.input.turn_detection
        if self._started_s is None or self._settings.realtime is None or not isinstance(detection, ServerVad):
            return None
        # With both flags off the model never answers on its own.
        responds = detection.create_response or detection.interrupt_response
        if detection.idle_timeout_ms is None or not responds:
            return None
        return self._runs_from(self._started_s) + detection.idle_timeout_ms / 1000

    def start(self) -> None:
        self._started_s = self._effects.now
        self.from_sample = self._end_sample

    def stop(self) -> None:
        self._started_s = None

    def received(self, end_sample: int) -> None:
        """Input audio came, up to ``end_sample`` by now."""
        self._end_sample = end_sample
        if self._started_s is not None and self._effects.now <= self._runs_from(self._started_s):
            self.from_sample = end_sample

    def _runs_from(self, started_s: float) -> float:
        return max(started_s, self._output_audio.ends_s)
