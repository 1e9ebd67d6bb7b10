"""The conformance suite against our own server: every rule is followed, recommendations too."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

_KEY = "a-key-that-is-never-shown"


@pytest.fixture(scope="module")
def server_with_a_key() -> Iterator[ServerProcess]:
    with running_server(["--engine", "scripted"], environment={"ANTIPHON_API_KEYS": _KEY}) as server:
        yield server


def conform(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "antiphon.cli.main", "conform", *arguments]
    kept = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**kept, **environment})


def test_our_server_follows_every_rule(server_with_a_key: ServerProcess) -> None:
    done = conform("--url", server_with_a_key.websocket_url, "--scripted", "--json", OPENAI_API_KEY=_KEY)
    report: dict[str, Any] = json.loads(done.stdout)
    broken = [
        (check["id"], check.get("expected"), check.get("got", check.get("reason")))
        for check in report["checks"]
        if check["outcome"] in ("failed", "blocked")
    ]
    assert (broken, done.returncode) == ([], 0)
    skipped = {check["id"] for check in report["checks"] if check["outcome"] == "skipped"}
    assert all(check.startswith("wire.fields.") for check in skipped)
    assert report["seconds"] < 60
    assert _KEY not in done.stdout + done.stderr


def test_a_certificate_that_nobody_vouches_for_is_accepted_on_demand_only(tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": str(tmp_path)}
    with running_server(["--engine", "scripted", "--tls-self-signed"], environment=environment) as server:
        only = ("--url", server.websocket_url, "--only", "handshake.bearer", "--only", "http.models")
        refused = conform(*only)
        assert (refused.returncode, "--insecure" in refused.stderr) == (2, True)
        without_tls = conform("--url", server.websocket_url.replace("wss", "ws", 1))
        assert (without_tls.returncode, "wss://" in without_tls.stderr) == (2, True)
        assert conform(*only, "--insecure").returncode == 0


def test_a_server_that_wants_another_key_is_out_of_reach(server_with_a_key: ServerProcess) -> None:
    done = conform("--url", server_with_a_key.websocket_url, "--key", "another-key")
    assert (done.returncode, done.stdout) == (2, "")
    assert "HTTP 401: give the key with --key or OPENAI_API_KEY" in done.stderr
    assert "another-key" not in done.stderr
