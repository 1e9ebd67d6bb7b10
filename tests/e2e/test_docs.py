"""What the documentation tells people to type works."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
DEFAULT_ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, content) of every fenced block of a language."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(page.name, block) for page in PAGES for block in pattern.findall(page.read_text())]


def commands() -> set[str]:
    lines = [line for _, block in blocks("bash") for line in block.splitlines()]
    return {command for line in lines if (command := re.sub(r"\s+#.*$", "", line).strip())}


RUN_AS_THEY_STAND = {"antiphon config show", "antiphon models list --verify"}
RUN_BY_CI = {
    "make test",
    "make test-clients",
    "make lint",
    "make type",
    "make format",
    "make serve",
    "make bench",
    "make bench-rtc",
    "make bench-turns",
    "make bench-voice",
    "make test-browsers",
}
"""``make test`` runs lint, types and the clients; ``make serve`` and the benchmark have tests of their own."""
RUN_ELSEWHERE = {
    "antiphon models fetch": "tests/cli/test_models.py",
    "antiphon doctor": "tests/cli/test_main.py",
    "antiphon replay SESSION_ID.jsonl": "tests/cli/test_replay.py",
    "python ask.py": "the block it holds, below",
    "antiphon broker --upstream http://127.0.0.1:8000/v1 --pages examples": "tests/e2e/test_examples.py",
    "python examples/session_endpoint.py": "tests/e2e/test_examples.py",
    "python examples/ask_wav.py question.wav answer.wav": "tests/e2e/test_examples.py",
}
_OTHER_MODEL = (
    "ANTIPHON_LLM__ENGINE=openai ANTIPHON_LLM__BASE_URL=http://127.0.0.1:11434/v1 "
    "ANTIPHON_LLM__MODEL=qwen3:8b make serve"
)
_OTHER_MACHINES = (
    "ANTIPHON_API_KEYS=first-long-random-key,second-long-random-key "
    "antiphon serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem"
)
_BEHIND_NAT = "ANTIPHON_API_KEYS=first-long-random-key antiphon serve --host 0.0.0.0 --public-address 203.0.113.7"
_CONFORM = f"antiphon conform --url {DEFAULT_ADDRESS.replace('http', 'ws')}/v1/realtime --scripted"
CONFORM = {f"{_CONFORM} --only 'items.*' --only errors.event-id"}
"""Run against a server of the test's own."""
RUN_ELSEWHERE |= {_CONFORM: "tests/e2e/test_conform.py", f"{_CONFORM} --json": "tests/e2e/test_conform.py"}
_RECORDED = "ANTIPHON_RECORD_DIR=. antiphon serve"
_TRACED = "ANTIPHON_OTEL__ENDPOINT=http://127.0.0.1:4318 antiphon serve"
SERVED = {_OTHER_MODEL, _OTHER_MACHINES, _BEHIND_NAT, _RECORDED, _TRACED}
"""Their settings are read as they stand; the servers behind them are the reader's."""

ASKED = {f"curl -s {DEFAULT_ADDRESS}/metrics"}
"""Run against a server of the test's own."""


def test_every_command_in_the_docs_is_run_somewhere() -> None:
    assert commands() == RUN_AS_THEY_STAND | RUN_BY_CI | set(RUN_ELSEWHERE) | SERVED | CONFORM | ASKED


@pytest.mark.parametrize("page", sorted({page for page in RUN_ELSEWHERE.values() if page.startswith("tests/")}))
def test_the_named_test_exists(page: str) -> None:
    assert (ROOT / page).exists()


def run(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("command", sorted(RUN_AS_THEY_STAND))
def test_the_command_works(command: str) -> None:
    program, *arguments = command.split()
    assert run([str(Path(sys.executable).parent / program), *arguments])


@pytest.mark.parametrize("command", sorted(CONFORM))
def test_the_command_finds_a_server_that_conforms(command: str, scripted_server: ServerProcess) -> None:
    address = scripted_server.base_url.removesuffix("/v1").replace("http", "ws")
    _, *arguments = shlex.split(command.replace(DEFAULT_ADDRESS.replace("http", "ws"), address))
    assert " 0 failed" in run([str(Path(sys.executable).parent / "antiphon"), *arguments])


@pytest.mark.parametrize("command", sorted(ASKED))
def test_the_command_gets_an_answer(command: str, scripted_server: ServerProcess) -> None:
    address = scripted_server.base_url.removesuffix("/v1")
    assert "antiphon_turn_seconds_bucket" in run(shlex.split(command.replace(DEFAULT_ADDRESS, address)))


@pytest.mark.parametrize("command", sorted(SERVED))
def test_the_settings_of_the_command_are_valid(command: str) -> None:
    environment = dict(pair.split("=", 1) for pair in command.split() if re.match(r"ANTIPHON_\w+=", pair))
    assert run([str(Path(sys.executable).parent / "antiphon"), "config", "show"], **environment)


@pytest.mark.parametrize(("page", "block"), blocks("python"))
def test_the_python_block_runs(page: str, block: str, scripted_server: ServerProcess) -> None:
    if DEFAULT_ADDRESS not in block:
        compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return
    address = scripted_server.base_url.removesuffix("/v1")
    shown = run([sys.executable, "-c", block.replace(DEFAULT_ADDRESS, address)])
    assert bool(shown) == ("print(" in block)


def test_make_serve_serves_and_honours_its_arguments() -> None:
    with running_server(["--engine", "scripted"], command=("make", "--no-print-directory", "serve")) as server:
        assert server.base_url.startswith("http://127.0.0.1:")
