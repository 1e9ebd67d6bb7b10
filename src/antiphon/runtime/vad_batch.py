"""Voice activity of all sessions: one batch per tick, on the loop thread, in slices that keep the loop responsive."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np

from antiphon.audio.level import rms_dbfs
from antiphon.audio.pcm import pcm_to_samples
from antiphon.audio.rechunk import Rechunker
from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ, SpeechProbability
from antiphon.engines.base import Samples, VadState, VoiceActivityDetector

__all__ = ["Listener", "VadBatcher"]

_TICK_S = 0.010
_BATCH = 16
"""Windows a batch: about 2 ms of computation for the slowest detector."""
_AT_ONCE = 4
"""With so few listeners there is nothing to gain by waiting for each other."""


class _Observed(Protocol):
    def vad_batch(self, seconds: float, windows: int) -> None: ...


class Listener:
    """One session's ear: cuts its audio into windows and hands on what the detector says of each, in order."""

    def __init__(
        self,
        batcher: "VadBatcher",
        heard: Callable[[SpeechProbability], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._batcher = batcher
        self._heard = heard
        self.failed = failed
        self._detector = batcher.detector
        self._window = self._detector.window_samples * INPUT_HZ // self._detector.sample_rate_hz
        self._restart(0)

    @property
    def behind(self) -> int:
        """Windows that wait."""
        return len(self._due)

    def push(self, pcm: bytes, end_sample: int) -> None:
        """Audio at ``INPUT_HZ`` that ends at ``end_sample``."""
        start = end_sample - len(pcm) // 2
        if start != self._pushed:
            self._restart(start)
        self._pushed = end_sample
        for window in self._windows.push(self._resampler.push(pcm)):
            self._due.append(pcm_to_samples(window))
        if self._due:
            self._batcher.wake(self)

    async def flush(self) -> None:
        """Hear everything that waits, now."""
        done = 0
        while self._due:
            self._batcher.detect([self])
            done += 1
            if done % _BATCH == 0:
                await asyncio.sleep(0)

    def forget(self) -> None:
        """Drop what waits: it is not wanted any more."""
        self._due.clear()

    def take(self) -> Samples:
        return self._due[0]

    def deliver(self, probability: float) -> None:
        samples = self._due.popleft()
        first = self._next
        self._next += self._window
        self._heard(SpeechProbability(first, self._window, probability, rms_dbfs(samples)))

    def _restart(self, at_sample: int) -> None:
        self.state: VadState = self._detector.new_state()
        self._resampler = Resampler(INPUT_HZ, self._detector.sample_rate_hz)
        self._windows = Rechunker(self._detector.window_samples * 2)
        self._due: deque[Samples] = deque()
        self._next: int = at_sample
        self._pushed: int = at_sample


class VadBatcher:
    """The ear of the process. ``run`` it in a task for as long as there are sessions."""

    def __init__(self, detector: VoiceActivityDetector, observer: _Observed) -> None:
        self.detector = detector
        self._observer = observer
        self._listeners = 0
        self._due: dict[Listener, None] = {}
        self._awake = asyncio.Event()

    def listen(self, heard: Callable[[SpeechProbability], None], failed: Callable[[BaseException], None]) -> Listener:
        """A new session's ear. ``heard`` must not raise; ``failed`` is told if the detector does."""
        self._listeners += 1
        return Listener(self, heard, failed)

    def leave(self, listener: Listener) -> None:
        self._listeners -= 1
        listener.forget()
        self._due.pop(listener, None)

    def wake(self, listener: Listener) -> None:
        self._due[listener] = None
        self._awake.set()

    async def run(self) -> None:
        while True:
            await self._awake.wait()
            if self._listeners > _AT_ONCE:
                await asyncio.sleep(_TICK_S)
            self._awake.clear()
            while batch := [listener for listener in list(self._due) if listener.behind][:_BATCH]:
                try:
                    self.detect(batch)
                except Exception as error:
                    for listener in batch:
                        listener.forget()
                        listener.failed(error)
                await asyncio.sleep(0)
            self._due.clear()

    def detect(self, batch: list[Listener]) -> None:
        """One window of each listener."""
        started = time.perf_counter()
        windows = np.stack([listener.take() for listener in batch])
        probabilities = self.detector.detect(windows, [listener.state for listener in batch])
        self._observer.vad_batch(time.perf_counter() - started, len(batch))
        for listener, probability in zip(batch, probabilities, strict=True):
            listener.deliver(float(probability))
