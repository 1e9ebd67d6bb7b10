"""Pieces of wanted sizes out of chunks of any size, in time linear in the audio."""

from collections.abc import Sequence

from antiphon.audio.pcm import BYTES_PER_SAMPLE, ms_to_samples

__all__ = ["GrowingRechunker", "Rechunker", "delta_sizes_bytes"]

_DELTA_MS = (40, 100, 200)


class GrowingRechunker:
    """Cuts a stream of bytes into pieces of ``sizes_bytes``, one after the other; the last size repeats for ever.

    What is cut does not depend on the sizes of the chunks.
    """

    def __init__(self, sizes_bytes: Sequence[int]) -> None:
        if not sizes_bytes or min(sizes_bytes) < 1:
            raise ValueError(f"pieces have at least one byte each, not {list(sizes_bytes)}")
        self._sizes_bytes = tuple(sizes_bytes)
        self._cut = 0
        self._pending = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for the rest of their piece."""
        return len(self._pending)

    def push(self, chunk: bytes) -> list[bytes]:
        """Take ``chunk``; return the pieces that are now complete, in order."""
        self._pending += chunk
        pieces: list[bytes] = []
        start = 0
        with memoryview(self._pending) as pending:
            while (end := start + self._wanted_bytes()) <= len(pending):
                pieces.append(bytes(pending[start:end]))
                self._cut += 1
                start = end
        del self._pending[:start]
        return pieces

    def flush(self) -> bytes:
        """The remainder, shorter than a piece; the next chunk begins anew with the first size."""
        remainder = bytes(self._pending)
        self.clear()
        return remainder

    def clear(self) -> None:
        """Forget the remainder; the next chunk begins anew with the first size."""
        self._pending.clear()
        self._cut = 0

    def _wanted_bytes(self) -> int:
        return self._sizes_bytes[min(self._cut, len(self._sizes_bytes) - 1)]


class Rechunker(GrowingRechunker):
    """Cuts a stream of bytes into windows of one size."""

    def __init__(self, window_bytes: int) -> None:
        super().__init__((window_bytes,))


def delta_sizes_bytes(sample_rate_hz: int, bytes_per_sample: int = BYTES_PER_SAMPLE) -> tuple[int, ...]:
    """Sizes of output deltas: a small one first so that speech begins early, then larger ones to save frames."""
    return tuple(ms_to_samples(duration_ms, sample_rate_hz) * bytes_per_sample for duration_ms in _DELTA_MS)
