"""Puts the fragments that SCTP carries together again (RFC 9260 section 6.9). Pure, bounded whatever a peer sends.

A sender numbers all fragments of all its messages in one row (the TSN) and never mixes two messages, so they are taken
in that row: whatever comes early waits, nothing is kept per stream. Unordered messages wait for earlier losses, too.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["Fragment", "Message", "Oversized", "Reassembly", "tsn_after"]

_TSN_MODULO: Final = 1 << 32
_MAX_DUPLICATES_TOLD: Final = 16


def tsn_after(tsn: int, count: int = 1) -> int:
    return (tsn + count) % _TSN_MODULO


@dataclass(frozen=True, slots=True)
class Fragment:
    tsn: int
    stream_id: int
    protocol: int
    first: bool
    last: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Message:
    stream_id: int
    protocol: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Oversized:
    """A message that was thrown away while it came."""

    stream_id: int
    size_bytes: int


class Reassembly:
    """What has been received of one association, beginning after ``tsn``."""

    def __init__(self, tsn: int, *, max_message_bytes: int, window_bytes: int, max_early: int) -> None:
        self.tsn = tsn
        """The last one up to which all were received."""
        self._max_message_bytes = max_message_bytes
        self._window_bytes = window_bytes
        self._max_early = max_early
        self._early: dict[int, Fragment] = {}
        self._early_bytes = 0
        self._open: Fragment | None = None
        self._parts = bytearray()
        self._size_bytes = 0
        self._duplicates: list[int] = []

    @property
    def held_bytes(self) -> int:
        return self._early_bytes + len(self._parts)

    @property
    def free_bytes(self) -> int:
        """What the sender may send beyond what it was told to be received."""
        return max(0, self._window_bytes - self.held_bytes)

    def push(self, fragment: Fragment) -> list[Message | Oversized]:
        """What this fragment completes. One that finds no room is forgotten: its sender sends it again."""
        ahead = self._ahead(fragment.tsn)
        if ahead == 0 or fragment.tsn in self._early:
            if len(self._duplicates) < _MAX_DUPLICATES_TOLD:
                self._duplicates.append(fragment.tsn)
            return []
        if ahead > 1:
            if ahead <= self._max_early and len(fragment.data) <= self.free_bytes:
                self._early[fragment.tsn] = fragment
                self._early_bytes += len(fragment.data)
            return []
        done = self._take(fragment)
        return done + self._take_early()

    def skip_to(self, tsn: int) -> list[Message | Oversized]:
        """The sender gave up what is missing up to ``tsn``; what that completes."""
        if not self._ahead(tsn):
            return []
        done: list[Message | Oversized] = []
        for early in sorted(self._early, key=self._ahead):
            if self._ahead(early) > self._ahead(tsn):
                break
            if early != tsn_after(self.tsn):
                self._abandon()
            done += self._take(self._pop(early))
        if self.tsn != tsn:
            self._abandon()
            self.tsn = tsn
        return done + self._take_early()

    def gaps(self, limit: int) -> list[tuple[int, int]]:
        """The first blocks received beyond ``tsn``, as distances from it."""
        blocks: list[tuple[int, int]] = []
        for ahead in sorted(map(self._ahead, self._early)):
            if blocks and ahead == blocks[-1][1] + 1:
                blocks[-1] = blocks[-1][0], ahead
            elif len(blocks) == limit:
                break
            else:
                blocks.append((ahead, ahead))
        return blocks

    def take_duplicates(self) -> list[int]:
        """Those that came twice since the call before (only the first few)."""
        duplicates, self._duplicates = self._duplicates, []
        return duplicates

    def _ahead(self, tsn: int) -> int:
        """How far ``tsn`` lies beyond all that was received; 0 if it does not."""
        distance = (tsn - self.tsn) % _TSN_MODULO
        return distance if distance < _TSN_MODULO // 2 else 0

    def _pop(self, tsn: int) -> Fragment:
        fragment = self._early.pop(tsn)
        self._early_bytes -= len(fragment.data)
        return fragment

    def _take_early(self) -> list[Message | Oversized]:
        done: list[Message | Oversized] = []
        while (following := tsn_after(self.tsn)) in self._early:
            done += self._take(self._pop(following))
        return done

    def _take(self, fragment: Fragment) -> list[Message | Oversized]:
        self.tsn = fragment.tsn
        if fragment.first:
            self._abandon()
            self._open = fragment
        elif self._open is None or self._open.stream_id != fragment.stream_id:
            self._abandon()
            return []
        self._size_bytes += len(fragment.data)
        if self._size_bytes > self._max_message_bytes:
            self._parts.clear()
        else:
            self._parts += fragment.data
        return [self._finish(self._open)] if fragment.last else []

    def _finish(self, first: Fragment) -> Message | Oversized:
        size_bytes, data = self._size_bytes, bytes(self._parts)
        self._abandon()
        if size_bytes > self._max_message_bytes:
            return Oversized(first.stream_id, size_bytes)
        return Message(first.stream_id, first.protocol, data)

    def _abandon(self) -> None:
        self._open = None
        self._parts.clear()
        self._size_bytes = 0
