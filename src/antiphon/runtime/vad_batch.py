"""Voice activity of all sessions: one batch per tick, on the loop thread, in slices that keep the loop responsive."""

import asyncio
import time
from collections.abc import Callable
from itertools import islice
from typing import Protocol

import numpy as np

from antiphon.core.inputs import AudioReceived, SpeechProbability
from antiphon.engines.base import VoiceActivityDetector
from antiphon.runtime.listener import Listener

__all__ = ["VadBatcher"]

_TICK_S = 0.010
_BATCH = 16
"""Windows a batch: about 2 ms of computation for the slowest detector."""
_AT_ONCE = 4
"""With so few listeners there is nothing to gain by waiting for each other."""
_STEPS = 8
"""Windows of one listener that are heard without a pause for others."""


class _Observed(Protocol):
    def vad_batch(self, seconds: float, windows: int) -> None: ...
    def vad_failed(self, error: BaseException) -> None: ...


class VadBatcher:
    """The ear of the process. ``run`` it in a task for as long as there are sessions."""

    def __init__(self, detector: VoiceActivityDetector, observer: _Observed) -> None:
        self._detector = detector
        self._observer = observer
        self._listeners = 0
        self._due: dict[Listener, None] = {}
        self._awake = asyncio.Event()
        self._failing = False

    def listen(
        self,
        received: Callable[[AudioReceived], None],
        heard: Callable[[SpeechProbability], None],
        failed: Callable[[BaseException], None],
    ) -> Listener:
        """A new session's ear, until it leaves; see ``Listener``."""
        listener = Listener(self._detector, received, heard, failed)
        self._listeners += 1
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners -= 1
        self._due.pop(listener, None)

    def wake(self, listener: Listener) -> None:
        """It was given audio: hear it soon."""
        if self._listeners <= _AT_ONCE:
            while listener.next_window() is not None:
                self._detect([listener])
        elif listener.next_window() is not None:
            self._due[listener] = None
            self._awake.set()

    async def flush(self, listener: Listener) -> None:
        """Hear everything that waits, now."""
        done = 0
        while listener.next_window() is not None:
            self._detect([listener])
            done += 1
            if done % _STEPS == 0:
                await asyncio.sleep(0)

    async def run(self) -> None:
        while True:
            await self._awake.wait()
            await asyncio.sleep(_TICK_S)
            self._awake.clear()
            while self._due:
                self._hear_some()
                await asyncio.sleep(0)

    def _hear_some(self) -> None:
        """One window of the listeners that have waited longest."""
        batch = []
        for listener in list(islice(self._due, _BATCH)):
            del self._due[listener]
            if listener.next_window() is not None:
                batch.append(listener)
        if batch:
            self._detect(batch)
        for listener in batch:
            if listener.behind:
                self._due[listener] = None

    def _detect(self, batch: list[Listener]) -> None:
        """One window of each listener, which all have one."""
        started = time.perf_counter()
        try:
            windows = np.stack([window for listener in batch if (window := listener.next_window()) is not None])
            answer = self._detector.detect(windows, [listener.state for listener in batch])
            probabilities = [float(value) for _, value in zip(batch, answer, strict=True)]
        except Exception as error:
            self._lose(batch, error)
            return
        self._failing = False
        self._observer.vad_batch(time.perf_counter() - started, len(batch))
        for listener, probability in zip(batch, probabilities, strict=True):
            listener.deliver(probability)

    def _lose(self, batch: list[Listener], error: BaseException) -> None:
        # A detector that fails does so many times a second: told once until it works again.
        if not self._failing:
            self._failing = True
            self._observer.vad_failed(error)
        for listener in batch:
            listener.lose(error)
