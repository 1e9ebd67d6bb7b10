"""Weights inside packages that are installed anyway: found through their metadata, never imported."""

from importlib import metadata
from pathlib import Path

from antiphon.weights.manifest import File, Model

__all__ = ["directory", "version"]


def directory(model: Model) -> Path | None:
    """A directory of an installed package that has all files of the model by name; their bytes are not checked."""
    candidates: dict[Path, None] = {}
    for place in _places(model.files[0]):
        if place.name == model.files[0].name:
            candidates[place.parent] = None
    for candidate in candidates:
        if all((candidate / file.name).is_file() for file in model.files):
            return candidate
    return None


def version(distribution: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _places(file: File) -> list[Path]:
    """Where installed packages would have the file, if they carry it whole."""
    places: list[Path] = []
    for mirror in file.mirrors:
        if len(mirror) != 1:
            continue
        try:
            found = metadata.distribution(mirror[0].wheel.distribution)
        except metadata.PackageNotFoundError:
            continue
        places.append(Path(str(found.locate_file(mirror[0].member))))
    return places
