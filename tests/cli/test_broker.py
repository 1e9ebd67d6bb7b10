"""``antiphon broker`` starts nothing that would answer strangers by mistake."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from antiphon.cli.main import main

UPSTREAM = ["--upstream", "http://127.0.0.1:8000/v1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--upstream"),
        ([*UPSTREAM, "--host", "0.0.0.0"], "add --allow-anonymous"),
        ([*UPSTREAM, "--host", "192.0.2.1"], "add --allow-anonymous"),
        ([*UPSTREAM, "--host", "192.0.2.1", "--allow-anonymous"], "not an address of this machine"),
        (["--upstream", "127.0.0.1:8000"], "upstream must look like"),
        ([*UPSTREAM, "--api-key-env", "ANTIPHON_TEST_ABSENT"], "ANTIPHON_TEST_ABSENT"),
        ([*UPSTREAM, "--allow-origin", "*"], "allowed_origins"),
        ([*UPSTREAM, "--path", "api"], "--path"),
        ([*UPSTREAM, "--session", "session.json"], "session.json"),
        ([*UPSTREAM, "--pages", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_status_2(
    arguments: Sequence[str],
    words: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("session.json").write_text("[]")
    assert main(["broker", *arguments]) == 2
    output = capfd.readouterr()
    assert words in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
