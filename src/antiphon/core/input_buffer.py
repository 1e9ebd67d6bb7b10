"""The input audio buffer: audio by absolute sample, the endpointer over it, and the turn being spoken.

Samples are counted from the first audio of the session and never start again, so that ``audio_start_ms`` stays true
whatever is dropped. Audio that is too old for its bound goes first, without an event.
"""

from dataclasses import dataclass, replace

from antiphon.audio.pcm import BYTES_PER_SAMPLE
from antiphon.core.conversation import Entry
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.limits import Limits
from antiphon.protocol.session_config import SemanticVad, ServerVad, TurnDetection
from antiphon.turns.endpointer import Endpointer, EndpointerSettings
from antiphon.turns.semantic import maximum_silence_ms
from antiphon.turns.types import SpeechStopped, TurnEvent

__all__ = ["InputBuffer", "Utterance"]

_HELD_MS = 60_000
"""No turn that is held comes to so much silence."""
_NOTHING_HEARD = Endpointer(EndpointerSettings())
"""Of a session whose turns are not detected."""


@dataclass(slots=True)
class Utterance:
    """The turn being spoken: announced by ``speech_started`` or held, not yet committed."""

    item_id: str
    start_sample: int
    """Prefix padding included."""
    voiced_from: int
    """Where speech was first heard in it."""
    held: bool = False
    """Nobody was told of it, and perhaps nobody ever will be."""
    over_assistant: bool = False
    """It began while the assistant was audible."""
    continues: Entry | None = None
    """The turn before it, where that was ended too soon."""


class InputBuffer:
    def __init__(self, turn_detection: TurnDetection | None, limits: Limits) -> None:
        self._limits = limits
        self._audio = bytearray()
        self._end = 0
        self._detection: TurnDetection | None = None
        self._settings = _settings(ServerVad())
        self._endpointer: Endpointer | None = None
        self.utterance: Utterance | None = None
        self.configure(turn_detection)

    # --- configuration ---------------------------------------------------------------------------------------------

    def configure(self, turn_detection: TurnDetection | None) -> None:
        """Apply at once, also to speech that is being heard."""
        if turn_detection == self._detection:
            return
        self._detection = turn_detection
        if turn_detection is None:
            # The turn that was being spoken loses its start; its audio stays, for the client to commit.
            self._endpointer = None
            self.utterance = None
            return
        self._settings = _settings(turn_detection)
        if self._endpointer is None:
            self._endpointer = Endpointer(self._settings, sample_rate_hz=INPUT_HZ)
            self._endpointer.reset(self.start_sample)
        self._apply()

    # --- audio -----------------------------------------------------------------------------------------------------

    @property
    def end_sample(self) -> int:
        """All audio ever received."""
        return self._end

    @property
    def start_sample(self) -> int:
        """The first sample still held."""
        return self._end - len(self._audio) // BYTES_PER_SAMPLE

    @property
    def held_ms(self) -> float:
        return len(self._audio) / BYTES_PER_SAMPLE / INPUT_HZ * 1000

    @property
    def heard(self) -> Endpointer:
        """What is known of the speech in it; to be looked at only."""
        return self._endpointer or _NOTHING_HEARD

    @property
    def audio_bytes(self) -> int:
        return len(self._audio)

    def append(self, pcm: bytes, max_bytes: int) -> None:
        self._audio += pcm
        self._end += len(pcm) // BYTES_PER_SAMPLE
        self.trim(max_bytes)

    def trim(self, max_bytes: int) -> None:
        """Drop what is older than the present mode keeps, and what exceeds ``max_bytes``."""
        keep = max_bytes
        if self._detection is None:
            keep = min(keep, int(self._limits.manual_buffer_s * INPUT_HZ) * BYTES_PER_SAMPLE)
        elif self.utterance is None:
            keep_s = self._limits.idle_buffer_s + self._settings.prefix_padding_ms / 1000 + _idle_s(self._detection)
            keep = min(keep, int(keep_s * INPUT_HZ) * BYTES_PER_SAMPLE)
        surplus = len(self._audio) - max(0, keep)
        if surplus > 0:
            surplus += surplus % BYTES_PER_SAMPLE
            del self._audio[:surplus]

    def read(self, start_sample: int, end_sample: int | None = None) -> bytes:
        """The held audio between two absolute samples."""
        base = self.start_sample
        start = max(0, start_sample - base) * BYTES_PER_SAMPLE
        end = len(self._audio) if end_sample is None else max(0, end_sample - base) * BYTES_PER_SAMPLE
        return bytes(self._audio[start:end])

    # --- turns -----------------------------------------------------------------------------------------------------

    def hear(self, first_sample: int, window_samples: int, value: float, level_dbfs: float) -> list[TurnEvent]:
        """The endpointer's word on one window; nothing while turn detection is off."""
        if self._endpointer is None:
            return []
        return self._endpointer.push(first_sample, window_samples, value, level_dbfs)

    def stop(self) -> SpeechStopped | None:
        """The turn under way is over by judgement: it ends with what has been heard. None where there is none."""
        return self._endpointer.stop() if self._endpointer is not None and self._endpointer.speaking else None

    def begin(self, item_id: str, from_sample: int, voiced_from: int | None = None) -> Utterance:
        """A turn began; its audio starts at ``from_sample``, prefix padding included."""
        start = max(self.start_sample, from_sample)
        self.utterance = Utterance(item_id, start, start if voiced_from is None else voiced_from)
        return self.utterance

    def hold(self, on: bool) -> None:
        """Whether the present turn goes on however long the silence, until it is stopped by judgement."""
        if self.utterance is not None:
            self.utterance.held = on
        self._apply()

    def let_go(self) -> None:
        """The turn under way was none: its audio stays, as any in which nobody spoke."""
        self._forget_turn(self.heard.heard_to)

    def guard(self, on: bool) -> None:
        """Whether a turn begins only with speech that is clearer and longer than usual."""
        if self._endpointer is not None:
            self._endpointer.guarded = on

    def _apply(self) -> None:
        held = self.utterance is not None and self.utterance.held
        if self._endpointer is not None:
            settings = replace(self._settings, silence_duration_ms=_HELD_MS) if held else self._settings
            self._endpointer.update(settings)

    def take(self, end_sample: int | None = None) -> bytes:
        """Commit: the turn's audio up to ``end_sample`` (None: all), which leaves the buffer."""
        start = self.utterance.start_sample if self.utterance else self.start_sample
        start = max(start, self.start_sample)
        pcm = self.read(start, end_sample)
        end = start + len(pcm) // BYTES_PER_SAMPLE
        del self._audio[: max(0, end - self.start_sample) * BYTES_PER_SAMPLE]
        self._forget_turn(end)
        return pcm

    def take_silence(self, start_sample: int) -> bytes:
        """The audio from ``start_sample`` on, in which nobody was found to speak.

        What a turn that is just beginning would need stays in the buffer.
        """
        pcm = self.read(start_sample)
        if self._endpointer is not None:
            needed = min(self._end, self._endpointer.needed_from_sample)
            del self._audio[: max(0, needed - self.start_sample) * BYTES_PER_SAMPLE]
        return pcm

    def clear(self) -> None:
        self._audio.clear()
        self._forget_turn(self._end)

    def _forget_turn(self, from_sample: int) -> None:
        self.utterance = None
        if self._endpointer:
            self._endpointer.reset(from_sample)
        self._apply()


def _idle_s(detection: TurnDetection) -> float:
    """The silence that may become an item."""
    return (detection.idle_timeout_ms or 0) / 1000 if isinstance(detection, ServerVad) else 0.0


def _settings(detection: TurnDetection) -> EndpointerSettings:
    match detection:
        case ServerVad():
            return EndpointerSettings(
                threshold=detection.threshold,
                prefix_padding_ms=detection.prefix_padding_ms,
                silence_duration_ms=detection.silence_duration_ms,
            )
        case SemanticVad():
            return EndpointerSettings(
                threshold=0.5, prefix_padding_ms=300, silence_duration_ms=maximum_silence_ms(detection.eagerness)
            )
