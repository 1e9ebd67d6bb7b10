"""The comparison with others: what it is told wrongly is refused before anything runs."""

import sys

import pytest

from bench import peers


@pytest.mark.parametrize(
    "wrong", [["--pipecat", "no/such/python"], ["--s2s", "no/such/python"], ["--only", "Pipecat"], ["--only", "nobody"]]
)
def test_peers_that_are_not_there_are_refused_in_a_line(
    wrong: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["peers", *wrong])
    with pytest.raises(SystemExit) as refused:
        peers.main()
    assert refused.value.code == 2
    assert wrong[1] in capsys.readouterr().err.splitlines()[-1]
