"""What a call is about to say: pieces of audio in the order of their playing, cut into frames at the tick."""

import math
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from antiphon.audio.pcm import BYTES_PER_SAMPLE, S16LE, ms_to_samples, pcm_samples
from antiphon.rtc.ducking import Ducking

__all__ = ["FRAME_MS", "FRAME_SAMPLES", "PLAYOUT_HZ", "Cleared", "Frame", "PlayoutQueue"]

PLAYOUT_HZ = 24_000
FRAME_MS = 20
FRAME_SAMPLES = ms_to_samples(FRAME_MS, PLAYOUT_HZ)
_FRAME_BYTES = FRAME_SAMPLES * BYTES_PER_SAMPLE
_FADE_BYTES = ms_to_samples(5, PLAYOUT_HZ) * BYTES_PER_SAMPLE
_REMEMBERED_TAGS = 1024
"""Of so many tags that were played to their end it is known how much was sent, should more of them come. One more
needs 20 ms at least: none is forgotten within 20 s, longer than an engine may pause in the middle of its speech."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was taken out. ``sent_samples``: of that tag, in all frames that have left."""

    tag: Hashable
    sent_samples: int


class Frame(NamedTuple):
    """20 ms to send: ``pcm`` always holds 480 samples, all of one tag (or those with which a cleared tag fades)."""

    pcm: bytes
    tag: Hashable
    started: bool
    """It is the first frame of its tag."""
    ended: bool
    """With it everything has left that was pushed of its tag."""
    sent_samples: int
    """Of its tag, this frame included; what pads a frame is not counted."""


class PlayoutQueue:
    """Plays what is pushed, in order; audio of different tags is never mixed, nor does a frame hold two of them.

    A tag is any hashable value. A frame is taken at every tick of 20 ms. The queue has no bound of its own: whoever
    pushes looks at ``pending_samples``.
    """

    def __init__(self) -> None:
        self._segments: deque[_Segment] = deque()
        self._playing: _Segment | None = None
        self._sent_samples: dict[Hashable, int] = {}
        self._ended_samples: dict[Hashable, int] = {}
        self._pending_bytes = 0
        self._waited = False
        self._fade = b""
        self._ducking = Ducking()
        self._sounding: _Segment | None = None
        """Of whose tag the last sample of the frame before was, if it was heard at all."""

    @property
    def pending_samples(self) -> int:
        """What has been pushed and has not left."""
        return self._pending_bytes // BYTES_PER_SAMPLE

    def push(self, tag: Hashable, pcm: bytes) -> None:
        """Play ``pcm`` (24 kHz) after all that waits. Raises ``ValueError`` on half a sample."""
        if not pcm_samples(pcm):
            return
        if not self._segments or self._segments[-1].tag != tag:
            self._segments.append(_Segment(tag))
        self._segments[-1].push(pcm)
        self._pending_bytes += len(pcm)
        if (sent := self._ended_samples.pop(tag, 0)) > 0:
            self._sent_samples[tag] = sent

    def clear(self, drop: Callable[[Hashable], bool]) -> list[Cleared]:
        """Take out every tag for which ``drop`` is true; they are returned in order, those not begun too.

        What was being played fades to silence within the first 5 ms of the next frame. Ducking is over.
        """
        dropped = [tag for tag in dict.fromkeys(segment.tag for segment in self._segments) if drop(tag)]
        playing, self._playing = self._playing, None
        if playing is not None and playing.tag in dropped:
            self._fade = self._ducking.apply(_faded(playing.take(_FADE_BYTES)), follows=True)
        else:
            self._playing = playing
        self._segments = deque(segment for segment in self._segments if segment.tag not in dropped)
        self._pending_bytes = sum(segment.pending_bytes for segment in self._segments)
        self._waited = False
        self._ducking.on = False
        return [Cleared(tag, self._end(tag)) for tag in dropped]

    def duck(self, on: bool) -> None:
        """Play more quietly from the next frame on, or as loud as before."""
        self._ducking.on = on

    def next_frame(self) -> Frame | None:
        """The frame of this tick; None where there is nothing to play.

        The rest of a tag that does not fill a frame waits one tick for more, unless another tag waits behind it.
        """
        sounding, self._sounding = self._sounding, None
        if self._fade:
            pcm, self._fade = self._fade, b""
            return Frame(pcm, None, False, False, 0)
        if not self._segments:
            return None
        segment = self._segments[0]
        if segment.pending_bytes < _FRAME_BYTES and len(self._segments) == 1 and not self._waited:
            self._waited = True
            return None
        self._waited = False
        frame = self._frame(segment)
        follows = sounding is not None and sounding.tag == segment.tag
        return frame._replace(pcm=self._ducking.apply(frame.pcm, follows=follows))

    def _frame(self, segment: "_Segment") -> Frame:
        tag = segment.tag
        pcm = segment.take(_FRAME_BYTES)
        self._pending_bytes -= len(pcm)
        self._sounding = segment if len(pcm) == _FRAME_BYTES else None
        before = self._sent_samples.get(tag, 0)
        sent = self._sent_samples[tag] = before + len(pcm) // BYTES_PER_SAMPLE
        if segment.pending_bytes:
            self._playing = segment
            return Frame(pcm, tag, not before, False, sent)
        self._playing = None
        self._segments.popleft()
        ended = all(other.tag != tag for other in self._segments)
        if ended:
            self._end(tag)
        return Frame(pcm.ljust(_FRAME_BYTES, b"\0"), tag, not before, ended, sent)

    def _end(self, tag: Hashable) -> int:
        """How much was sent of ``tag``, of which nothing waits any more; it is remembered of the tags ended last."""
        sent = self._sent_samples.pop(tag, 0)
        if sent:
            self._ended_samples[tag] = sent
        if len(self._ended_samples) > _REMEMBERED_TAGS:
            del self._ended_samples[next(iter(self._ended_samples))]
        return sent


class _Segment:
    """Audio of one tag, in the pieces in which it came."""

    __slots__ = ("_pieces", "_taken_bytes", "pending_bytes", "tag")

    def __init__(self, tag: Hashable) -> None:
        self.tag = tag
        self.pending_bytes = 0
        self._pieces: deque[bytes] = deque()
        self._taken_bytes = 0

    def push(self, pcm: bytes) -> None:
        self._pieces.append(pcm)
        self.pending_bytes += len(pcm)

    def take(self, size_bytes: int) -> bytes:
        """The next ``size_bytes``, or what there is."""
        piece = self._pieces[0]
        end = self._taken_bytes + size_bytes
        if end < len(piece):
            pcm = piece[self._taken_bytes : end]
            self._taken_bytes = end
        else:
            pcm = self._take_pieces(size_bytes)
        self.pending_bytes -= len(pcm)
        return pcm

    def _take_pieces(self, size_bytes: int) -> bytes:
        taken = bytearray()
        while self._pieces and len(taken) < size_bytes:
            piece = self._pieces[0]
            end = self._taken_bytes + size_bytes - len(taken)
            taken += piece[self._taken_bytes : end]
            self._taken_bytes = end
            if end >= len(piece):
                self._pieces.popleft()
                self._taken_bytes = 0
        return bytes(taken)


def _faded(pcm: bytes) -> bytes:
    """A frame that begins with ``pcm``, which falls to nothing."""
    samples = np.frombuffer(pcm, S16LE)
    falling = 0.5 + 0.5 * np.cos(np.linspace(0, math.pi, len(samples)))
    return (samples * falling).astype(S16LE).tobytes().ljust(_FRAME_BYTES, b"\0")
