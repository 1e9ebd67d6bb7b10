"""The page on writing engines is true: its example runs, and its rules are those of the suite."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from antiphon.engines.registry import EngineKind
from antiphon.testing import conformance

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "engines.md").read_text()
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))

SERVER_CHOOSES = """
from antiphon.engines.errors import EngineSettingsError
from antiphon.engines.registry import EngineKind, available, choose, create

assert "parrot" in available(EngineKind.LLM)
assert choose(EngineKind.LLM, "parrot") == ("parrot", ())
assert create(EngineKind.LLM, "parrot", {"context_tokens": "99"}).capabilities.context_tokens == 99
try:
    create(EngineKind.LLM, "parrot", {"greting": "Hi"})
except EngineSettingsError as error:
    print(error)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The example's files, and the metadata that installing it would leave."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def _python(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(directory)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=directory, env=environment, capture_output=True, text=True, timeout=60
    )


def test_the_example_passes_its_own_test(installed: Path) -> None:
    run = _python(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_parrot.py")
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(conformance.checks_for(EngineKind.LLM))} passed" in run.stdout


def test_the_example_is_chosen_by_name_and_its_options_are_checked(installed: Path) -> None:
    run = _python(installed, "-c", SERVER_CHOOSES)
    assert run.returncode == 0, run.stderr
    assert "greting" in run.stdout
    assert "its options are: greeting, context_tokens" in run.stdout


def test_the_page_lists_exactly_the_rules_of_the_suite() -> None:
    rules: dict[str, list[str]] = {}
    for kind in EngineKind:
        for check in conformance.checks_for(kind):
            rules.setdefault(f"`{check.name}` | {check.rule} |", []).append(kind.value)
    kinds = {rule: "all" if len(names) == len(EngineKind) else ", ".join(names) for rule, names in rules.items()}
    rows = [line for line in PAGE.splitlines() if re.match(r"\| [a-z_, ]+ \| `\w+` \| .*\. \|$", line)]
    assert rows == [f"| {names} | {rule}" for rule, names in kinds.items()]
