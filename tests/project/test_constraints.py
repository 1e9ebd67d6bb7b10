"""The pins can be installed on the oldest and the newest Python that is supported."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    local = [name for name in extras["local"] if not name.startswith("antiphon[")]
    return [*project["dependencies"], *local, *extras["webrtc"]]


@pytest.mark.network
@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_the_pins_resolve_for(version: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--target"]
    command += [str(tmp_path), "--python-version", version, "--only-binary=:all:", "-c", str(ROOT / "constraints.txt")]
    run = subprocess.run([*command, *requirements()], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


def test_every_requirement_is_pinned() -> None:
    pins = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split("\n")
    }
    names = {"".join(letter for letter in name.split("==")[0].split(">")[0]).lower() for name in requirements()}
    assert names <= pins
