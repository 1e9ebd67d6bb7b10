"""A file that a fetch is after, and the account of what has arrived."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from antiphon.weights import cache
from antiphon.weights.manifest import File, Model
from antiphon.weights.part_file import PartFile
from antiphon.weights.progress import Progress

__all__ = ["Tally", "Target"]


@dataclass(eq=False, slots=True)
class Target:
    """One missing file of one model."""

    model: Model
    file: File
    failures: list[str] = field(default_factory=list)
    """What each source that was tried said."""
    done: bool = False

    @property
    def final(self) -> Path:
        return cache.model_directory(self.model) / self.file.name

    @property
    def part(self) -> Path:
        # The hash in the name keeps what was left of another version apart.
        return self.final.with_name(f"{self.file.name}.{self.file.sha256[:8]}.part")

    def present_bytes(self) -> int:
        """What an earlier fetch left of it."""
        return min(self.part.stat().st_size, self.file.bytes) if self.part.exists() else 0

    def land(self, part: PartFile) -> None:
        """Verify, move into place, remember. Raises ``WeightsError`` if it is not the file."""
        part.finish(self.final, self.file.bytes, self.file.sha256)
        cache.record(self.model, self.file, self.final)
        self.done = True


class Tally:
    """Adds up the bytes of each model's files for the watcher; what it tells never goes back."""

    def __init__(self, targets: Iterable[Target], progress: Progress) -> None:
        self._progress = progress
        self._present: dict[str, dict[str, int]] = {}
        self._told: dict[str, int] = {}
        wanted = list(targets)
        for target in wanted:
            # Files that are in place already count as done.
            self._present[target.model.name] = {file.name: file.bytes for file in target.model.files}
        for target in wanted:
            self._present[target.model.name][target.file.name] = 0

    def note(self, text: str) -> None:
        self._progress.note(text)

    def arrived(self, target: Target, present_bytes: int, source: str) -> None:
        """``present_bytes`` of the target's file are here now."""
        files = self._present[target.model.name]
        files[target.file.name] = min(present_bytes, target.file.bytes)
        total_bytes = target.model.bytes
        done_bytes = sum(files.values())
        told_bytes = self._told.get(target.model.name, -1)
        if done_bytes > told_bytes:
            self._told[target.model.name] = done_bytes
            self._progress.advance(target.model.name, done_bytes, total_bytes, source)
