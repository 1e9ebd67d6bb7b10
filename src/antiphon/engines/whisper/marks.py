"""What the recogniser is asked for while the speaker pauses: all that was said, as if the utterance had ended."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

from antiphon.audio.logmel import SAMPLE_RATE_HZ
from antiphon.engines.base import Samples
from antiphon.engines.errors import EngineError
from antiphon.engines.loudness import goes_on_quietly
from antiphon.engines.whisper.decoding import Decoded
from antiphon.engines.whisper.live import Heard, Job

__all__ = ["Thorough"]


class Thorough:
    """Decodes the current piece as the final transcript is decoded, at each mark that needs it.

    One decode at a time: a mark behind more speech abandons the decode before it, one behind silence is answered by it.
    """

    def __init__(self, job: Job, *, start: Callable[[Samples, Job], "asyncio.Future[Decoded]"]) -> None:
        self._job = job
        self._start = start
        self._abandoned = threading.Event()
        self._decoding: asyncio.Future[Decoded] | None = None
        self._piece = -1
        self._samples = 0
        self._asked = False
        self.audio_s = 0.0
        """What the newest decode covers, from the beginning of the utterance."""

    @property
    def running(self) -> "asyncio.Future[Decoded] | None":
        """The decode that somebody waits for, done or not."""
        return self._decoding if self._asked else None

    def mark(self, heard: Heard) -> None:
        """Somebody wants to know now."""
        self._asked = True
        if self.covers(heard):
            self.audio_s = heard.total_s
            return
        self.stop()
        samples = heard.samples()
        job = replace(self._job, abandoned=threading.Event())
        try:
            self._decoding = self._start(samples, job)
        except EngineError:  # too busy: there is no answer, and the final transcript may come all the same
            self._asked = False
            return
        self._abandoned = job.abandoned
        self._piece, self._samples, self.audio_s = heard.cuts, len(samples), heard.total_s
        self._asked = True

    def know(self, decoded: Decoded, heard: Heard, audio_s: float) -> None:
        """What a decode would find is known, of all that is not silence in the current piece."""
        self.stop()
        self._decoding = asyncio.get_running_loop().create_future()
        self._decoding.set_result(decoded)
        self._piece, self._samples, self.audio_s = heard.cuts, round((audio_s - heard.cut_s) * SAMPLE_RATE_HZ), audio_s
        self._asked = True

    def collect(self) -> Decoded | None:
        """The answer to the marks since the last one, once it is there."""
        if not self._asked or self._decoding is None or not self._decoding.done():
            return None
        self._asked = False
        try:
            return self._decoding.result()
        except EngineError:  # the worker has logged it, and the final decode will tell
            self._decoding = None
            return None

    def covers(self, heard: Heard) -> bool:
        """Whether a decode was begun that heard all but silence of the current piece."""
        if self._decoding is None or self._piece != heard.cuts:
            return False
        return goes_on_quietly(heard.samples(), self._samples)

    async def result(self) -> Decoded | None:
        """Of the newest decode, which must have been begun; None if it failed."""
        assert self._decoding is not None
        try:
            return await asyncio.shield(self._decoding)
        except EngineError:
            return None

    def stop(self) -> None:
        """Abandon the decode that runs; what was decoded is forgotten."""
        self._asked = False
        self._abandoned.set()
        if self._decoding is not None:
            if not self._decoding.cancel() and not self._decoding.cancelled():
                self._decoding.exception()  # or asyncio would report that nobody had asked for it
            self._decoding = None
