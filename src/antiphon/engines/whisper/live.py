"""Speech while it is still coming in: the audio of the current piece, and its partial transcripts."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from antiphon.audio.logmel import SAMPLE_RATE_HZ
from antiphon.audio.pcm import BYTES_PER_SAMPLE, pcm_to_samples
from antiphon.engines.base import Samples
from antiphon.engines.errors import EngineError
from antiphon.engines.loudness import ends_quietly, goes_on_quietly, is_silent
from antiphon.engines.whisper.decoding import Decoded, WindowChoice
from antiphon.engines.whisper.languages import UNSPACED, Route
from antiphon.engines.whisper.partials import StablePrefix
from antiphon.engines.whisper.pauses import cut_position

__all__ = ["Heard", "Hypothesis", "Job", "Partials"]

_LIVE = 0.5
"""Audio that comes at more than twice the speed of speech is a recording, whose final transcript is near."""
_REST = 1.5
"""Between two partial decodes as much time passes as this many of them take."""
_LOOK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """What the decodes of one utterance have in common."""

    route: Route
    hints: str
    window: WindowChoice
    partial: bool = False
    abandoned: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the current piece is taken to say."""

    stable: str
    """What will not change, of the whole utterance."""
    decoded: Decoded
    """All of it, of this piece alone."""
    audio_s: float
    """The audio that was decoded reaches so far, from the beginning of the utterance."""


class Heard:
    """The audio since the last cut."""

    def __init__(self, *, longest_samples: int) -> None:
        self.cuts = 0
        self._longest_samples = longest_samples
        self._pcm = bytearray()
        self._cut_samples = 0

    def add(self, chunk: bytes) -> None:
        self._pcm += chunk

    @property
    def cut_s(self) -> float:
        """What was cut off."""
        return self._cut_samples / SAMPLE_RATE_HZ

    @property
    def total_s(self) -> float:
        """Since the beginning, what was cut off included."""
        return self.cut_s + len(self._pcm) // BYTES_PER_SAMPLE / SAMPLE_RATE_HZ

    @property
    def is_long(self) -> bool:
        return len(self._pcm) // BYTES_PER_SAMPLE > self._longest_samples

    def samples(self) -> Samples:
        """A copy. Half a sample at the end is left out."""
        whole_bytes = len(self._pcm) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
        return pcm_to_samples(bytes(self._pcm[:whole_bytes]))

    def cut(self) -> Samples:
        """Take the audio up to a pause; ``is_long`` must hold."""
        samples = self.samples()
        cut = cut_position(samples, earliest=self._longest_samples // 2, latest=self._longest_samples)
        del self._pcm[: cut * BYTES_PER_SAMPLE]
        self._cut_samples += cut
        self.cuts += 1
        return samples[:cut]


class Partials:
    """Decodes the current piece again and again as it grows, while no other call needs the worker."""

    def __init__(
        self,
        job: Job,
        *,
        start: Callable[[Samples, Job], "asyncio.Future[Decoded]"],
        idle: Callable[[], bool],
        clock: Callable[[], float],
        interval_s: float,
    ) -> None:
        """``start`` begins a decode, ``idle`` says whether it would begin at once, ``clock`` counts seconds."""
        self._job = job
        self._start = start
        self._idle = idle
        self._clock = clock
        self._interval_s = interval_s
        self._began_s = clock()
        self._next_s = interval_s  # of heard audio
        self._prefix = StablePrefix()
        self.running: asyncio.Future[Decoded] | None = None
        self._abandoned = job.abandoned
        self._started_s = 0.0
        self._audio_s = 0.0
        self._samples = 0
        """Of the current piece, in the newest decode."""

    @property
    def stable(self) -> str:
        """The stable text of the whole utterance."""
        return self._prefix.text

    def poll(self, heard: Heard) -> Hypothesis | None:
        """To be called after every chunk and decode. Returns what the newest decode says, once."""
        found = self._collect(heard)
        if self.running is None and self._is_due(heard):
            self._begin(heard)
        return found

    def decodes_all(self, heard: Heard) -> bool:
        """Whether the decode that runs heard all but silence of the current piece."""
        return self.running is not None and goes_on_quietly(heard.samples(), self._samples)

    def agree(self, decoded: Decoded) -> None:
        """Another decode of the current piece is there."""
        self._prefix.update(decoded.text)

    def settle(self, final: Decoded) -> str:
        """The current piece is finished. Returns the stable text if that has made it grow."""
        before = self._prefix.text
        after = self._prefix.settle(final.text, "" if final.language in UNSPACED else " ")
        return after if after != before else ""

    def stop(self) -> None:
        """Abandon the decode that runs: somebody else needs the worker, or nobody needs a partial transcript."""
        if self.running is None:
            return
        self._abandoned.set()
        if not self.running.cancel():
            self.running.exception()  # or asyncio would report that nobody had asked for it
        self.running = None

    def _collect(self, heard: Heard) -> Hypothesis | None:
        if self.running is None or not self.running.done():
            return None
        running, self.running = self.running, None
        took_s = self._clock() - self._started_s
        self._next_s = max(self._next_s, heard.total_s + _REST * took_s)
        try:
            decoded = running.result()
        except EngineError:  # the worker has logged it, and the final decode will tell
            return None
        stable = self._prefix.update(decoded.text)
        return Hypothesis(stable, decoded, self._audio_s) if decoded.text else None

    def _is_due(self, heard: Heard) -> bool:
        if heard.total_s < self._next_s or self._clock() - self._began_s < _LIVE * heard.total_s or not self._idle():
            return False
        samples = heard.samples()
        if is_silent(samples) or ends_quietly(samples):
            self._next_s = heard.total_s + _LOOK_AGAIN_S
            return False
        return True

    def _begin(self, heard: Heard) -> None:
        partial = replace(self._job, partial=True, abandoned=threading.Event())
        self._abandoned = partial.abandoned
        self._started_s = self._clock()
        self._next_s = heard.total_s + self._interval_s
        self._audio_s = heard.total_s
        samples = heard.samples()
        self._samples = len(samples)
        self.running = self._start(samples, partial)
