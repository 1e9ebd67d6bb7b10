"""A file on its way: what has arrived, on disk, and the running hash of it, kept in step."""

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from antiphon.weights.errors import CacheError, WeightsError

__all__ = ["Mark", "PartFile"]

_PIECE_BYTES = 1 << 20

Mark = tuple[int, "hashlib._Hash"]


class PartFile:
    """The growing ``.part`` of a file.

    What an earlier run left is only taken over by ``keep``; the first ``write`` drops the rest of it. ``bytes``
    counts what was kept and written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._hash = hashlib.sha256()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("r+b" if path.exists() else "w+b")
        except OSError as trouble:
            raise CacheError(f"cannot write {path}: {trouble.strerror}") from trouble
        self._left_bytes = path.stat().st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if self.path.exists() and self.path.stat().st_size == 0:
            self.path.unlink()

    @property
    def left_bytes(self) -> int:
        """What an earlier run left and was not kept yet."""
        return self._left_bytes - self.bytes

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def mark(self) -> Mark:
        return self.bytes, self._hash.copy()

    def keep(self, count_bytes: int, sha256: str | None = None) -> bool:
        """Take over the next ``count_bytes`` of what is left; False, and nothing taken, if they are absent or wrong."""
        if count_bytes > self.left_bytes:
            return False
        before = self.mark()
        own = hashlib.sha256()
        self._stream.seek(self.bytes)
        missing_bytes = count_bytes
        while missing_bytes and (piece := self._stream.read(min(missing_bytes, _PIECE_BYTES))):
            own.update(piece)
            self._hash.update(piece)
            missing_bytes -= len(piece)
        if missing_bytes or sha256 not in (None, own.hexdigest()):
            self.bytes, self._hash = before
            return False
        self.bytes += count_bytes
        return True

    def write(self, data: bytes) -> None:
        """Append; raises ``CacheError`` where the disk will not take it."""
        if self.left_bytes:
            self.rewind(self.mark())
        try:
            self._stream.seek(self.bytes)
            self._stream.write(data)
        except OSError as trouble:
            raise CacheError(f"cannot write {self.path}: {trouble.strerror}") from trouble
        self._hash.update(data)
        self.bytes += len(data)
        self._left_bytes = self.bytes

    def rewind(self, mark: Mark) -> None:
        """Forget all that came after ``mark``, on disk too."""
        self.bytes, self._hash = mark[0], mark[1].copy()
        self._stream.truncate(self.bytes)
        self._left_bytes = self.bytes

    def restart(self) -> None:
        self.rewind((0, hashlib.sha256()))

    def finish(self, final: Path, size_bytes: int, sha256: str) -> None:
        """Move the file into place if it is what it must be; else drop it and raise ``WeightsError``."""
        if self.bytes != size_bytes or self.sha256 != sha256:
            self._stream.close()
            self.path.unlink()
            raise WeightsError(f"what arrived of {final.name} is not the file of the manifest (its sha256 differs)")
        self.rewind(self.mark())
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self.path.replace(final)
