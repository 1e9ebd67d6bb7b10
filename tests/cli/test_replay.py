"""``antiphon replay``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from antiphon.cli.replay import replay
from antiphon.core.session import Session
from antiphon.runtime.recorder import RecordedSession, Recorder
from tests.support.session import Driver, Ids


def _recording(path: Path, *, with_audio: bool = True) -> Path:
    """A short session with a spoken turn and its answer."""
    driver = Driver()
    recorder = Recorder(path, with_audio=with_audio)
    driver.session = RecordedSession(driver.settings, new_id=Ids(), limits=driver.limits, recorder=recorder)
    driver.open()
    driver.now = 1.5
    driver.speech(320)
    driver.silence(512)
    driver.transcript("item_1", "Hello")
    driver.text("resp_1", "Good day.")
    driver.spoken("resp_1", 200, 0, 9)
    driver.ended("resp_1")
    driver.now = 2.5
    driver.tick()
    recorder.close()
    return path


def _replay(*arguments: str | Path) -> Result:
    return CliRunner().invoke(replay, [str(argument) for argument in arguments])


def test_a_recording_that_comes_out_the_same_is_identical(tmp_path: Path) -> None:
    result = _replay(_recording(tmp_path / "log.jsonl"))
    assert (result.exit_code, result.stdout) == (
        0,
        "identical: 58 calls of the core, 2.5 s of a session; all was compared\n",
    )


def test_a_recording_without_audio_is_compared_in_all_else(tmp_path: Path) -> None:
    result = _replay(_recording(tmp_path / "log.jsonl", with_audio=False))
    assert result.exit_code == 0
    assert "all but the bytes of audio, which the recording does not hold, was compared" in result.stdout


def test_what_comes_out_differently_is_shown_with_its_line(tmp_path: Path) -> None:
    path = _recording(tmp_path / "log.jsonl")
    path.write_text(path.read_text().replace("Good day.", "Good bye."))
    result = _replay(path)
    assert result.exit_code == 1
    assert "line 56, at 1.500 s, TextProduced:\n  then: response.output_item.added, " in result.stdout
    assert "\n  now:  response.output_item.added, " in result.stdout
    assert "2 of 58 calls" in result.stderr


def test_a_core_that_makes_other_ids_is_told_as_such(tmp_path: Path) -> None:
    path = _recording(tmp_path / "log.jsonl")
    path.write_text(path.read_text().replace('["resp_1",', '["item_9",'))
    result = _replay(path)
    assert result.exit_code == 1
    assert "the core has changed" in result.stderr


def test_a_fault_is_shown_and_compared_with_what_happened_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _recording(tmp_path / "log.jsonl")

    def broken(*_: object) -> None:
        raise ZeroDivisionError("by a test")

    monkeypatch.setattr(Session, "tick", broken)
    result = _replay(path)
    assert result.exit_code == 1
    assert "line 59, at 2.500 s, tick:\nZeroDivisionError: by a test\n  then: nothing\n" in result.stdout


def test_every_event_is_printed_where_that_is_asked_for(tmp_path: Path) -> None:
    result = _replay(_recording(tmp_path / "log.jsonl"), "--events")
    lines = result.stdout.splitlines()
    events = [json.loads(line.partition(" ")[2]) for line in lines if line[0].isdigit()]
    assert [event["type"] for event in events][:2] == ["session.created", "input_audio_buffer.speech_started"]
    assert {"(12800 characters of audio)"} == {event["delta"] for event in events if "audio.delta" in event["type"]}


def test_a_file_that_is_no_recording_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text("hello")
    result = _replay(tmp_path / "other.jsonl")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: This is not the recording of a session: those are made with the setting record_dir.\n",
    )
