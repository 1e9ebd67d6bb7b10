"""Where fetched weights lie, and the memory of what was verified.

``<cache>/weights/<model>/<file>``, where the cache is ``$ANTIPHON_CACHE_DIR``, else ``antiphon`` in the user's cache
directory. Hashing a gigabyte on every start would cost seconds, so a file that was hashed once is known by its size
and modification time afterwards.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from antiphon.weights.manifest import File, Model

__all__ = ["is_verified", "model_directory", "record", "root"]

_PIECE_BYTES = 1 << 20


def root() -> Path:
    """The directory of all weights; it need not exist."""
    return _cache() / "weights"


def _cache() -> Path:
    if chosen := os.environ.get("ANTIPHON_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "antiphon"
    if sys.platform == "win32" and (chosen := os.environ.get("LOCALAPPDATA")):
        return Path(chosen) / "antiphon" / "Cache"
    return Path.home() / ".cache" / "antiphon"


def model_directory(model: Model) -> Path:
    return root() / model.name


def is_verified(model: Model, file: File, path: Path, *, rehash: bool = False) -> bool:
    """True if ``path`` holds exactly the bytes of ``file``.

    Hashes only what was not verified before, or what changed since in size or time; ``rehash`` hashes in any case.
    """
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_size != file.bytes:
        return False
    if not rehash and _records(model).get(str(path)) == _fingerprint(file, found):
        return True
    if _sha256_of(path) != file.sha256:
        _forget(model, path)
        return False
    record(model, file, path)
    return True


def record(model: Model, file: File, path: Path) -> None:
    """Remember that ``path`` was verified. Where the cache cannot be written, it is hashed again next time."""
    _write(model, {**_records(model), str(path): _fingerprint(file, path.stat())})


def _forget(model: Model, path: Path) -> None:
    records = _records(model)
    if str(path) in records:
        _write(model, {known: records[known] for known in records if known != str(path)})


def _write(model: Model, records: Mapping[str, Any]) -> None:
    marker = _marker(model)
    scratch = marker.with_name(f"{marker.name}.{os.getpid()}")
    with suppress(OSError):
        marker.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(records, indent=1), encoding="utf-8")
        scratch.replace(marker)


def _sha256_of(path: Path) -> str | None:
    """Hash of a file in hexadecimal; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
    except OSError:
        return None
    return digest.hexdigest()


def _marker(model: Model) -> Path:
    return root() / ".verified" / f"{model.name}.json"


def _records(model: Model) -> Mapping[str, Any]:
    try:
        records = json.loads(_marker(model).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return records if isinstance(records, dict) else {}


def _fingerprint(file: File, found: os.stat_result) -> Mapping[str, Any]:
    return {"sha256": file.sha256, "bytes": found.st_size, "mtime_ns": found.st_mtime_ns}
