"""The examples run as they stand, against a server with scripted engines."""

import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from tests.support.audio import tone_ms
from tests.support.server import ServerProcess

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def write_wav(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(pcm)


def test_the_wav_example_asks_and_writes_the_answer(scripted_server: ServerProcess, tmp_path: Path) -> None:
    question, answer = tmp_path / "question.wav", tmp_path / "answer.wav"
    write_wav(question, tone_ms(1500))
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / "ask_wav.py"), str(question), str(answer)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENAI_BASE_URL": scripted_server.base_url},
    )
    assert run.returncode == 0, run.stderr
    assert "question: I heard 1500 milliseconds." in run.stdout
    with wave.open(str(answer)) as file:
        assert file.getframerate() == 24_000
        assert file.getnframes() > 12_000
