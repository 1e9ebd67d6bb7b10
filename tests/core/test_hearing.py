"""What the client is told of the recogniser's words."""

import math
from typing import Any

import pytest

from antiphon.core.inputs import TranscriptProduced
from antiphon.core.outputs import StartTranscription
from antiphon.core.transcription import Wanted, options_for
from antiphon.vocabulary.speech import SttOptions, Transcript, WordLogprob
from tests.support.session import Driver, config

LOGPROBS = "item.input_audio_transcription.logprobs"


def test_without_hints_the_recogniser_decides() -> None:
    assert options_for(Wanted(None, announced=False)) == SttOptions()


def heard(transcript: Transcript, **session: Any) -> dict[str, Any]:
    """The ``completed`` event of half a second of audio."""
    session["audio"] = {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}
    driver = Driver(config(session=session))
    driver.audio(500)
    driver.send("input_audio_buffer.commit")
    (start,) = (output for output in driver.take() if isinstance(output, StartTranscription))
    driver.do(TranscriptProduced(start.item_id, 0, transcript))
    return driver.take_events()[-1]


def test_completed_counts_the_audio_and_names_the_language() -> None:
    event = heard(Transcript("Hallo", is_final=True, language="de"))
    assert event["usage"] == {"type": "duration", "seconds": 0.5}
    assert event["languages"] == [{"code": "de"}]
    assert "logprobs" not in event
    assert "languages" not in heard(Transcript("Hallo", is_final=True))


def test_log_probabilities_are_shown_to_those_who_asked_for_them() -> None:
    words = (WordLogprob("Hé", -0.25),)
    event = heard(Transcript("Hé", is_final=True, logprobs=words), include=[LOGPROBS])
    assert event["logprobs"] == [{"token": "Hé", "logprob": -0.25, "bytes": [72, 195, 169]}]
    assert "logprobs" not in heard(Transcript("Hé", is_final=True, logprobs=words))


@pytest.mark.parametrize("audio_s", [60.0, math.inf, math.nan, -1.0])
def test_a_hypothesis_never_stands_for_what_was_said_after_it(audio_s: float) -> None:
    driver = Driver(config(session={"audio": {"input": {"transcription": {"model": "whisper-1"}}}}))
    driver.open()
    driver.speech(640)
    driver.silence(64)
    item_id = next(event["item_id"] for event in driver.take_events() if event["type"].endswith("speech_started"))
    said = Transcript("", is_final=False, hypothesis="Not", audio_s=audio_s, thorough=True)
    driver.do(TranscriptProduced(item_id, 0, said))
    driver.speech(640)
    driver.silence(640)
    driver.transcript(item_id, "Not all")
    ends = [event for event in driver.take_events() if event["type"].endswith("transcription.completed")]
    assert [event["transcript"] for event in ends] == ["Not all"]


def test_words_of_an_item_that_went_with_the_words_before_it_are_awaited_no_longer() -> None:
    driver = Driver(config(session={"audio": {"input": {"turn_detection": None}}}))
    driver.open()
    for _ in range(2):
        driver.audio(500)
        driver.send("input_audio_buffer.commit")
    hearing = driver.session._hearing
    now = driver.now + 10_000
    (first, second) = hearing.overdue(now)
    hearing.forget(second[0])
    assert hearing.give_up(second) is None
    assert hearing.give_up(first) is not None
