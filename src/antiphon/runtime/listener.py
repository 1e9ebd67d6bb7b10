"""One session's ear: cuts its audio into windows, and hands on audio and probabilities in lockstep."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from antiphon.audio.level import SILENCE_DBFS, rms_dbfs
from antiphon.audio.pcm import BYTES_PER_SAMPLE, pcm_to_samples
from antiphon.audio.rechunk import Rechunker
from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ, AudioReceived, SpeechProbability
from antiphon.engines.base import Samples, VadState, VoiceActivityDetector
from antiphon.turns.energy_gate import WARMING_WINDOWS, EnergyGate

__all__ = ["Listener"]

_DEAF_S = 5.0
"""Speech that goes unheard for longer than this is worse than the end of the session."""


@dataclass(slots=True)
class _Piece:
    pcm: bytes
    """The audio up to the end of the window, since the piece before."""
    sound: Samples | None = None
    """What the gate judges by; None where the piece does not complete a window."""
    level_dbfs: float = SILENCE_DBFS
    window: Samples | None = None
    """What the detector is asked about."""
    passed: bool = False
    """Whether it is asked, whatever the gate says."""


class Listener:
    """Hands on each piece of audio together with what the detector says of it.

    The core so gets the same facts in the same order however the audio was cut on its way: only a client's event
    between two chunks makes a difference. Audio is kept back for less than one window.
    """

    def __init__(
        self,
        detector: VoiceActivityDetector,
        received: Callable[[AudioReceived], None],
        heard: Callable[[SpeechProbability], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """The callbacks must not raise. ``failed`` is told when the detector does not recover."""
        self._detector = detector
        self._received = received
        self._heard = heard
        self._failed = failed
        self._window_samples = detector.window_samples * INPUT_HZ // detector.sample_rate_hz
        self._due: deque[_Piece] = deque()
        self._cutter: _Blocks | _Windows | None = None
        self._gate = EnergyGate()
        self._pushed_samples = 0
        self._early_bytes = 0
        """What the core was given of audio that is still to be handed on."""
        self._next_sample = 0
        self._lost_samples = 0
        self.state: VadState = None
        """The detector's memory of this session."""

    @property
    def behind(self) -> int:
        """Pieces that wait for the detector."""
        return len(self._due)

    # --- audio in --------------------------------------------------------------------------------------------------

    def push(self, pcm: bytes) -> None:
        """Audio at ``INPUT_HZ`` while turns are detected."""
        if self._cutter is None:
            self._cutter = _cutter(self._detector)
            self.state = self._detector.new_state()
            self._gate = EnergyGate()
            self._next_sample = self._pushed_samples
        self._pushed_samples += len(pcm) // BYTES_PER_SAMPLE
        self._due.extend(self._cutter.push(pcm))

    def pass_on(self, pcm: bytes) -> None:
        """Audio at ``INPUT_HZ`` while nobody asks about speech."""
        if self._cutter is not None:
            while self._due:
                self._hand_on(self._due.popleft(), None)
            self._give(self._cutter.held)
            self._cutter = None
        self._pushed_samples += len(pcm) // BYTES_PER_SAMPLE
        self._give(pcm)

    def give_rest(self, following: bytes = b"") -> None:
        """Give the core all there is: what does not fill a window yet, and ``following``, which is on its way here.

        Nothing may wait for the detector. When that audio comes, in whatever form, the core is not given it again.
        """
        rest = (self._cutter.held if self._cutter is not None else b"") + following
        self._give(rest)
        self._early_bytes += len(rest)

    def _give(self, pcm: bytes) -> None:
        """Audio of the core's, in its order, less what it was given early."""
        early = min(self._early_bytes, len(pcm))
        self._early_bytes -= early
        if early < len(pcm):
            self._received(AudioReceived(pcm[early:]))

    def skip(self, most: int) -> int:
        """Hand on the oldest pieces without asking the detector, until no more than ``most`` wait for it: no sample is
        lost, but what was said there goes unnoticed. How many windows it is spared."""
        spared = 0
        while len(self._due) > most:
            piece = self._due.popleft()
            spared += piece.sound is not None or piece.passed
            if self._cutter is not None and not piece.passed:
                self._cutter.drop(piece)
            self._hand_on(piece, None)
        return spared

    # --- the detector's side ---------------------------------------------------------------------------------------

    def next_window(self) -> Samples | None:
        """What the detector is to be asked next; hands on everything before it."""
        while self._due:
            piece = self._due[0]
            if piece.passed or self._pass(piece):
                return self._due[0].window
            self._due.popleft()
            self._hand_on(piece, 0.0)
        return None

    def _pass(self, piece: _Piece) -> bool:
        """Whether the detector is asked about the piece, and if so about what came before it first."""
        if piece.sound is None or self._cutter is None:
            return False
        if not self._gate.passes(piece.sound, piece.level_dbfs):
            self._cutter.pass_over(piece)
            return False
        *before, piece.window = self._cutter.windows(piece)
        piece.passed = True
        self._due.extendleft(_Piece(b"", window=window, passed=True) for window in reversed(before))
        return True

    def deliver(self, probability: float) -> None:
        """The detector's answer to ``next_window``."""
        self._lost_samples = 0
        piece = self._due.popleft()
        if piece.sound is not None:
            self._gate.heard(piece.sound, piece.level_dbfs, probability)
        self._hand_on(piece, probability)

    def lose(self, error: BaseException) -> None:
        """The detector failed: its window counts as a gap, and it begins anew."""
        self._hand_on(self._due.popleft(), None)
        self.state = self._detector.new_state()
        self._lost_samples += self._window_samples
        if self._lost_samples >= _DEAF_S * INPUT_HZ:
            self._failed(error)

    def _hand_on(self, piece: _Piece, probability: float | None) -> None:
        self._give(piece.pcm)
        if piece.sound is None:
            return
        first = self._next_sample
        self._next_sample += self._window_samples
        if probability is not None:
            level_dbfs = piece.level_dbfs if piece.window is None else rms_dbfs(piece.window)
            self._heard(SpeechProbability(first, self._window_samples, probability, level_dbfs))


def _cutter(detector: VoiceActivityDetector) -> "_Blocks | _Windows":
    resampler = Resampler(INPUT_HZ, detector.sample_rate_hz)
    window_samples, rest = divmod(detector.window_samples * INPUT_HZ, detector.sample_rate_hz)
    block_samples = resampler.block_samples
    if block_samples and not rest and not window_samples % block_samples:
        return _Blocks(resampler, window_samples)
    return _Windows(resampler, window_samples, detector.window_samples)


class _Cutter:
    """From audio of any chunk size to pieces."""

    def __init__(self, resampler: Resampler, window_samples: int) -> None:
        self._resampler = resampler
        self._window_bytes = window_samples * BYTES_PER_SAMPLE
        # The first window is complete once the resampler has seen a little more; the later ones follow at its pace.
        self._wanted_bytes = self._window_bytes + resampler.lag_samples * BYTES_PER_SAMPLE
        self._held = bytearray()

    def push(self, pcm: bytes) -> Iterator[_Piece]:
        self._held += pcm
        while len(self._held) >= self._wanted_bytes:
            audio = bytes(self._held[: self._wanted_bytes])
            del self._held[: self._wanted_bytes]
            self._wanted_bytes = self._window_bytes
            yield from self._pieces(audio)

    @property
    def held(self) -> bytes:
        """Audio that does not fill a window yet."""
        return bytes(self._held)

    def _pieces(self, audio: bytes) -> Iterator[_Piece]:
        raise NotImplementedError


class _Blocks(_Cutter):
    """Each piece is a window, which is converted to the detector's rate only if the detector is asked about it."""

    def __init__(self, resampler: Resampler, window_samples: int) -> None:
        super().__init__(resampler, window_samples)
        self._over: deque[bytes] = deque(maxlen=WARMING_WINDOWS + 1)
        """What was passed over since the last conversion, the newest of it."""
        self._gap = False
        """Whether something before that was passed over, too."""

    def _pieces(self, audio: bytes) -> Iterator[_Piece]:
        sound = pcm_to_samples(audio)
        yield _Piece(audio, sound, rms_dbfs(sound))

    def pass_over(self, piece: _Piece) -> None:
        self._gap = self._gap or len(self._over) == self._over.maxlen
        self._over.append(piece.pcm)

    def drop(self, piece: _Piece) -> None:
        """Passed over, and not to be given to the detector later."""
        self._over.clear()
        self._over.append(piece.pcm)
        self._gap = True

    def windows(self, piece: _Piece) -> list[Samples]:
        """Of what was passed over before the piece, and its own."""
        if self._gap:
            self._resampler.resume(self._over.popleft())
        blocks = [*self._over, piece.pcm]
        self._over.clear()
        self._gap = False
        return [pcm_to_samples(self._resampler.push(block)) for block in blocks][-WARMING_WINDOWS - 1 :]


class _Windows(_Cutter):
    """For detectors whose windows are no whole number of the resampler's blocks."""

    def __init__(self, resampler: Resampler, window_samples: int, wanted_samples: int) -> None:
        super().__init__(resampler, window_samples)
        self._windows = Rechunker(wanted_samples * BYTES_PER_SAMPLE)
        self._over: deque[Samples] = deque(maxlen=WARMING_WINDOWS)

    def _pieces(self, audio: bytes) -> Iterator[_Piece]:
        new = audio
        for window in self._windows.push(self._resampler.push(audio)):
            sound = pcm_to_samples(window)
            yield _Piece(new, sound, rms_dbfs(sound))
            new = b""
        if new:
            yield _Piece(new)

    def pass_over(self, piece: _Piece) -> None:
        if piece.sound is not None:
            self._over.append(piece.sound)

    def drop(self, piece: _Piece) -> None:
        self._over.clear()

    def windows(self, piece: _Piece) -> list[Samples]:
        assert piece.sound is not None
        windows = [*self._over, piece.sound]
        self._over.clear()
        return windows
