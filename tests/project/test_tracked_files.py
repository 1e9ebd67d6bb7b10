"""What may never be in a tracked file: addresses that packages were downloaded from, more lines than can be read."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
_LONGEST_FILE = 500
_DATA_TYPES = {"src/antiphon/protocol/server_events.py", "src/antiphon/protocol/session_config.py"}
_ADDRESS = re.compile(r"https?://[^\s\"']*(?:\.whl|\.tgz|/simple/|/-/)")


def tracked(*patterns: str) -> list[str]:
    run = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.split()


@pytest.mark.parametrize("path", tracked("*.txt", "*.json", "*.toml", "*.lock", "*.cfg", ".npmrc"))
def test_no_lock_file_records_a_download_address(path: str) -> None:
    assert not _ADDRESS.search((ROOT / path).read_text())


@pytest.mark.parametrize("path", [path for path in tracked("*.py", "*.ts", "*.tsx") if path not in _DATA_TYPES])
def test_a_file_can_be_read_at_a_sitting(path: str) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= _LONGEST_FILE
