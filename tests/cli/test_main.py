"""The command line: exit statuses, one-line errors, and what is shown."""

import os
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from antiphon import __version__
from antiphon.cli.main import main
from tests.support.rtc_audio import without_libopus

Run = Callable[[Sequence[str]], tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    for name in list(os.environ):
        if name.upper().startswith(("ANTIPHON_", "OPENAI_")) and name != "ANTIPHON_CACHE_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run_command(arguments: Sequence[str]) -> tuple[int, str, str]:
        status = main(arguments)
        output = capfd.readouterr()
        return status, output.out, output.err

    return run_command


def test_the_version_is_the_packages(run: Run) -> None:
    assert run(["--version"]) == (0, f"antiphon {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["srv"], "No such command 'srv'"),
        (["serve", "--prot", "1"], "--port"),
        (["serve", "--port", "many"], "'many' is not a valid integer"),
        (["serve", "--set", "port"], "--set takes NAME=VALUE, not 'port'"),
        (["serve", "--set", "prot=1"], "flags: prot is not a setting; did you mean port?"),
        (["serve", "--set", "port=1", "--set", "port.x=1"], "port is no section"),
        (["serve", "--set", "limits.itmes=1"], "did you mean limits.items?"),
        (["serve", "--engine", "whisper"], "--engine takes STAGE=NAME"),
        (["serve", "--engine", "llm=nonsense"], "there is no llm engine 'nonsense'"),
        (["serve", "--engine", "llm=scripted"], "there is no llm engine 'scripted'"),
        (["serve", "--host", "0.0.0.0", "--engine", "scripted"], "keys are required"),
        (["serve", "--host", "192.0.2.1", "--set", "api_keys=k", "--engine", "scripted"], "not an address of this"),
        (["serve", "--host", "nowhere.invalid", "--set", "api_keys=k", "--engine", "scripted"], "has no address"),
        (["serve", "--config", "missing.toml"], "missing.toml: cannot be read"),
        (["serve", "--tls-cert", "a.pem", "--tls-key", "b.pem"], "tls_cert: there is no file"),
        (["config", "show", "--port", "99999"], "port: Input should be less than or equal to 65535"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(run: Run, arguments: Sequence[str], words: str) -> None:
    status, _, errors = run(arguments)
    assert status == 2
    assert words in errors
    assert errors.count("\n") == 1


def test_a_mistyped_variable_stops_the_server_before_it_opens_a_port(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_PROT", "1")
    status, output, errors = run(["serve", "--engine", "scripted"])
    assert (status, output) == (2, "")
    assert "did you mean ANTIPHON_PORT?" in errors


def test_a_taken_port_is_told_before_anything_is_loaded(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output, errors = run(["serve", "--engine", "scripted", "--port", str(port)])
    assert (status, output) == (2, "")
    assert f"port {port} on 127.0.0.1 is taken by another program: choose another with --port" in errors


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_taken_port_of_calls_is_told_before_anything_is_loaded(run: Run, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        arguments = ["--engine", "scripted", "--port", "0", "--rtc-port", str(port)]
        status, output, errors = run(["serve", *arguments])
        found, examined, _ = run(["doctor", *arguments])
    assert (status, output) == (2, "")
    assert f"port {port} for calls over WebRTC is taken by another program: choose another with --rtc-port" in errors
    assert found == 1
    assert f"fail  calls     port {port} for calls over WebRTC is taken" in examined


def test_a_missing_libopus_is_told_before_anything_is_loaded(run: Run) -> None:
    arguments = ["--engine", "scripted", "--port", "0"]
    with without_libopus():
        status, output, errors = run(["serve", *arguments])
        found, examined, _ = run(["doctor", *arguments])
    assert (status, output) == (2, "")
    assert "libopus is missing: install the package av" in errors
    assert "or turn calls off with --no-rtc" in errors
    assert found == 1
    assert "fail  calls     libopus is missing" in examined


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    status, output, errors = run([])
    assert status == 2
    assert all(command in output + errors for command in ("serve", "doctor", "config", "models"))


@pytest.mark.parametrize("command", ["serve", "doctor", "config", "models", "conform"])
def test_every_command_has_help(run: Run, command: str) -> None:
    status, output, _ = run([command, "--help"])
    assert status == 0
    assert f"antiphon {command}" in output


def test_the_shown_settings_are_those_in_force(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEYS", "hush")
    arguments = ["--port", "9000", "--engine", "llm=openai", "--set", "llm.api_key=hush", "--strict"]
    status, output, _ = run(["config", "show", *arguments])
    shown = tomllib.loads(output)
    assert status == 0
    assert (shown["port"], shown["strict"], shown["llm"]["engine"]) == (9000, True, "openai")
    assert "hush" not in output


def test_an_engine_that_is_chosen_by_itself_is_named(run: Run) -> None:
    _, output, _ = run(["config", "show", "--engine", "stt=openai"])
    sections = {block.partition("]")[0]: block for block in output.split("\n[")}
    assert 'engine = "auto"  # silero\n' in sections["vad"] + "\n"
    assert 'engine = "openai"\n' in sections["stt"] + "\n"


def test_the_reference_lists_every_setting(run: Run) -> None:
    status, output, _ = run(["config", "reference"])
    assert status == 0
    assert "| `limits.items` | `ANTIPHON_LIMITS__ITEMS` |" in output


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--engine", "scripted", "--port", "0"], 0, "ok    engines   scripted"),
        (["--engine", "scripted", "--port", "0", "--tls-self-signed"], 0, "a certificate of our own"),
        (["--engine", "scripted", "--port", "0"], 0, "ok    calls     UDP and TCP port of its own choice on 127.0.0.1"),
        (["--engine", "scripted", "--port", "0", "--no-rtc"], 0, "ok    calls     off"),
        (
            ["--engine", "scripted", "--port", "0", "--public-address", "203.0.113.7"],
            0,
            "warn  calls     calls cannot come in from 203.0.113.7: the server listens on 127.0.0.1 only",
        ),
        (["--set", "prot=1"], 1, "did you mean port?"),
        (["--engine", "llm=nonsense", "--port", "0"], 1, "there is no llm engine 'nonsense'"),
        (
            ["--engine", "scripted", "--port", "0", "--host", "0.0.0.0", "--set", "api_keys=short"],
            0,
            "they can be guessed",
        ),
    ],
)
def test_the_doctor_says_what_to_mend(run: Run, arguments: Sequence[str], status: int, words: str) -> None:
    found, output, errors = run(["doctor", *arguments])
    assert (found, errors) == (status, "")
    assert words in output


def test_the_doctor_finds_a_cache_that_cannot_be_made(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANTIPHON_CACHE_DIR", str(tmp_path / "file" / "cache"))
    status, output, _ = run(["doctor", "--port", "0"])
    assert status == 1
    assert "cannot be made: " + str(tmp_path / "file") + " is no folder" in output
    assert "-> set ANTIPHON_CACHE_DIR to a folder of yours" in output


def test_the_doctor_finds_a_taken_port(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, output, _ = run(["doctor", "--engine", "scripted", "--port", str(taken.getsockname()[1])])
    assert status == 1
    assert "fail  port" in output
    assert "-> choose another with --port" in output


def test_the_doctor_knows_a_server_of_ours_from_another_program(run: Run) -> None:
    class Ours(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.send_header("X-Request-Id", "req_1")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Ours) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            status, output, _ = run(["doctor", "--engine", "scripted", "--port", str(server.server_port)])
        finally:
            server.shutdown()
    assert status == 0
    assert f"warn  port      antiphon runs already: it answers on port {server.server_port} of 127.0.0.1" in output


def test_the_version_loads_no_server() -> None:
    program = (
        "import sys\n"
        "from antiphon.cli.main import main\n"
        "main(['--version'])\n"
        "print([name for name in ('starlette', 'uvicorn', 'numpy', 'pydantic', 'msgspec') if name in sys.modules])\n"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert output.splitlines()[-1] == "[]"
