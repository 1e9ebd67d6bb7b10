"""Puts the packets of one stream in order. Nothing waits unless one is missing."""

from collections import deque
from collections.abc import Sequence

from antiphon.rtc.rtp import RtpPacket

__all__ = ["JitterBuffer", "Ordered"]

_HELD_S = 0.05
"""No packet waits longer for those before it."""
_LARGEST_GAP = 3000
"""Sequence numbers further ahead or behind are those of a stream that began anew."""
_REMEMBERED_MISSING = 64

Ordered = tuple[RtpPacket, int]
"""A packet, and how many just before it have been given up."""


class JitterBuffer:
    """Packets that come in order pass at once. One that comes too early waits until those before it are there, until
    more than ``window`` packets wait, or for 50 ms; then the missing ones are given up.

    Packets that come twice, or after they were given up, are dropped and counted.
    """

    def __init__(self, window: int = 2) -> None:
        self._window = window
        self._next = -1
        self._held: dict[int, tuple[RtpPacket, float]] = {}
        self._strayed = -1
        self._missing: deque[int] = deque(maxlen=_REMEMBERED_MISSING)
        self.duplicates = 0
        self.late = 0

    @property
    def waiting(self) -> int:
        """How many packets wait for those before them."""
        return len(self._held)

    @property
    def dropped(self) -> int:
        return self.duplicates + self.late

    def push(self, packet: RtpPacket, now_s: float) -> Sequence[Ordered]:
        """Take a packet; return those whose turn it is."""
        sequence = packet.sequence
        if sequence == self._next and not self._held:
            self._next = (sequence + 1) & 0xFFFF
            return ((packet, 0),)
        if self._next < 0:
            self._next = sequence
        ahead = (sequence - self._next) & 0xFFFF
        if ahead >= 0x10000 - _LARGEST_GAP:
            self._count_old(sequence)
            return ()
        if ahead > _LARGEST_GAP:
            return self._begin_anew(packet)
        if sequence in self._held:
            self.duplicates += 1
            return ()
        self._held[sequence] = packet, now_s
        return self.due(now_s)

    def due(self, now_s: float) -> Sequence[Ordered]:
        """Those that have waited long enough, and what follows them."""
        if not self._held:
            return ()
        ordered: list[Ordered] = []
        while self._held and (next_ := self._release(now_s)) is not None:
            ordered.append(next_)
        return ordered

    def _release(self, now_s: float) -> Ordered | None:
        start = self._next
        first = min(self._held, key=lambda sequence: (sequence - start) & 0xFFFF)
        packet, since_s = self._held[first]
        missing = (first - start) & 0xFFFF
        if missing:
            if len(self._held) <= self._window and now_s - since_s < _HELD_S:
                return None
            remembered = range(max(0, missing - _REMEMBERED_MISSING), missing)
            self._missing.extend((start + number) & 0xFFFF for number in remembered)
        del self._held[first]
        self._next = (first + 1) & 0xFFFF
        return packet, missing

    def _begin_anew(self, packet: RtpPacket) -> Sequence[Ordered]:
        """A single stray number is dropped; with the second in a row the stream goes on there."""
        sequence = packet.sequence
        if sequence != self._strayed:
            self._strayed = (sequence + 1) & 0xFFFF
            self.late += 1
            return ()
        self._strayed = -1
        self._missing.clear()
        self._held.clear()
        self._next = (sequence + 1) & 0xFFFF
        return ((packet, 0),)

    def _count_old(self, sequence: int) -> None:
        if sequence in self._missing:
            self._missing.remove(sequence)
            self.late += 1
        else:
            self.duplicates += 1
