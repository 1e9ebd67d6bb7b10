"""The labelled set: who measures with it needs no command before."""

from pathlib import Path

import pytest

from bench import voice
from bench.turn_set import at_hand
from bench.turn_set.clips import Clip, save
from bench.turn_set.voices import Voices
from tests.support.audio import silence_ms

ONE = Clip("one", "question", "somebody", "words", ((0, 10),), pcm=silence_ms(20))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TURN_SET", str(tmp_path / "set"))
    return tmp_path / "set"


def test_a_set_that_is_there_is_read_in_silence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save([ONE], folder)
    assert [clip.name for clip in at_hand()] == ["one"]
    assert capsys.readouterr() == ("", "")


def test_where_there_is_no_set_it_is_made_and_said_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.turn_set.making.made", lambda voices: iter([ONE]))
    assert [clip.name for clip in at_hand(kinds=("question",))] == ["one"]
    assert str(folder) in capsys.readouterr().err.splitlines()[0]


def test_each_sort_of_voice_that_is_missing_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.turn_set.voices.shutil.which", lambda command: None)
    said = list(Voices(None).missing())
    assert sum("espeak-ng" in line for line in said) == 1
    assert sum("Kokoro" in line for line in said) == 1


@pytest.mark.parametrize(("word", "value"), [("on", True), ("true", True), ("off", False), ("False", False)])
def test_drafts_are_switched_on_and_off_in_the_words_of_either(word: str, value: bool) -> None:
    assert voice.arguments(["--drafts", word]).drafts == [value]


@pytest.mark.parametrize(
    "wrong", [["--drafts", "maybe"], ["--detections", "eager"], ["--drafts"], ["--models"], ["--questions", "0"]]
)
def test_arguments_that_measure_nothing_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        voice.arguments(wrong)
    assert refused.value.code == 2
    assert wrong[0] in capsys.readouterr().err
