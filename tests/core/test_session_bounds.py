"""What a session keeps, and to whom it speaks: what the scenario tables cannot show."""

import base64
import gc
import tracemalloc
from typing import Any

import pytest

from antiphon.core.inputs import AudioBudgetChanged, AudioProduced, ClientEventReceived, TransportOpened
from antiphon.core.limits import Limits
from antiphon.core.outputs import Emit, MeasureItem, StartTranscription
from antiphon.protocol.client_events import InputAudioBufferAppend
from antiphon.protocol.server_events import Error, SessionCreated
from antiphon.vocabulary.llm import LlmCapabilities
from tests.support.session import Driver, config, pcm_ms

BLOCK = 256 * 1024
"""Audio of a running response is looked at in steps of this size."""


def driver_with(session: dict[str, Any] | None = None, *, audio_in: bool = False, **limits: Any) -> Driver:
    driver = Driver(config(session=session, capabilities=LlmCapabilities(audio_in=audio_in)), Limits(**limits))
    driver.open()
    driver.take()
    return driver


def respond(driver: Driver, **response: Any) -> str:
    driver.send("response.create", response=response)
    (start,) = driver.started()
    driver.take()
    return start.response_id


def speak(driver: Driver, response_id: str, seconds: int) -> None:
    driver.text(response_id, "A very long answer.")
    for _ in range(seconds * 5):
        driver.do(AudioProduced(response_id, bytes(9_600), 4_800, 0, 19))


def own_audio(ms: int, transcript: str | None = None) -> dict[str, Any]:
    part = {"type": "input_audio", "audio": base64.b64encode(pcm_ms(ms)).decode()}
    return {
        "type": "message",
        "role": "user",
        "content": [part if transcript is None else part | {"transcript": transcript}],
    }


def test_an_answer_longer_than_the_budget_does_not_outgrow_it() -> None:
    driver = driver_with(audio_bytes=2_000_000)
    speak(driver, respond(driver), 60)
    assert driver.session.audio_bytes <= 1_000_000 + BLOCK


def test_answers_alone_stay_within_the_budget_newest_first() -> None:
    driver = driver_with(audio_bytes=2_000_000)
    items = []
    for _ in range(5):
        response_id = respond(driver)
        speak(driver, response_id, 8)
        driver.ended(response_id)
        done = next(event for event in driver.take_events() if event["type"] == "response.done")
        items += [item["id"] for item in done["response"]["output"]]
    assert driver.session.audio_bytes <= 1_000_000 + BLOCK
    driver.send("conversation.item.retrieve", item_id=items[-1])
    driver.send("conversation.item.retrieve", item_id=items[0])
    newest, oldest = driver.take_events()
    assert "audio" in newest["item"]["content"][0]
    assert "audio" not in oldest["item"]["content"][0]


def test_a_smaller_budget_holds_at_once_for_the_input_buffer_too() -> None:
    driver = driver_with({"audio": {"input": {"turn_detection": None}}})
    driver.audio(2_000)
    driver.do(AudioBudgetChanged(48_000))
    assert driver.session.audio_bytes == 24_000
    driver.do(AudioBudgetChanged(1 << 40))
    driver.audio(2_000)
    assert driver.session.audio_bytes == 24_000 + 96_000


def test_a_truncated_item_is_measured_again() -> None:
    driver = driver_with()
    response_id = respond(driver)
    speak(driver, response_id, 1)
    driver.ended(response_id)
    item_id = next(event for event in driver.take_events() if event["type"] == "conversation.item.added")["item"]["id"]
    driver.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
    assert [output for output in driver.take() if isinstance(output, MeasureItem)] == [MeasureItem(item_id, "")]


@pytest.mark.parametrize(("audio_in", "kept_bytes"), [(False, 0), (True, 4_800)])
def test_own_audio_of_a_response_is_dropped_once_only_its_words_are_needed(audio_in: bool, kept_bytes: int) -> None:
    driver = driver_with(audio_in=audio_in)
    driver.send("response.create", response={"conversation": "none", "input": [own_audio(100)]})
    assert driver.session.audio_bytes == 4_800
    driver.transcript("item_1", "Hello")
    (start,) = driver.started()
    assert driver.session.audio_bytes == kept_bytes
    driver.ended(start.response_id)
    assert driver.session.audio_bytes == 0


def test_own_audio_of_all_responses_together_is_bounded() -> None:
    driver = driver_with(audio_in=True, audio_bytes=20_000)
    for _ in range(4):
        driver.send("response.create", response={"conversation": "none", "input": [own_audio(100, "Known")]})
    driver.take()
    driver.send("response.create", response={"conversation": "none", "input": [own_audio(100, "Known")]})
    (refused,) = driver.take_events()
    assert refused["error"]["code"] == "rate_limit_exceeded"


def test_own_items_count_together() -> None:
    driver = driver_with(text_bytes=300)
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 100}]}
    driver.send("response.create", response={"conversation": "none", "input": [message, message]})
    (refused,) = driver.take_events()
    assert refused["error"]["param"] == "response.input[1]"


@pytest.mark.parametrize(("format", "bytes_per_s"), [("audio/pcm", 48_000), ("audio/pcmu", 8_000)])
def test_an_append_that_comes_as_an_event_is_heard_in_its_format(format: str, bytes_per_s: int) -> None:
    driver = driver_with({"audio": {"input": {"format": {"type": format}, "turn_detection": None}}})
    driver.do(ClientEventReceived(InputAudioBufferAppend(audio=bytes(bytes_per_s))))
    assert driver.session.audio_bytes == 48_000


def test_an_append_of_half_a_sample_is_refused_and_changes_nothing() -> None:
    driver = driver_with()
    driver.do(ClientEventReceived(InputAudioBufferAppend(audio=bytes(3), event_id="e1")))
    (refused,) = driver.take_events()
    assert (refused["error"]["param"], refused["error"]["event_id"]) == ("audio", "e1")
    assert driver.session.audio_bytes == 0


def test_an_error_goes_to_the_connection_that_caused_it_and_all_else_to_every_one() -> None:
    driver = driver_with()
    driver.send_text('{"type": "response.cancel"}', origin=2)
    driver.send_text("not JSON", origin=3)
    driver.send_text('{"type": "input_audio_buffer.clear"}', origin=2)
    assert [(type(out.event).__name__, out.origin) for out in driver.take() if isinstance(out, Emit)] == [
        ("Error", 2),
        ("Error", 3),
        ("InputAudioBufferCleared", None),
    ]


def test_the_end_of_the_session_is_told_to_everybody() -> None:
    driver = driver_with()
    driver.now = 3_600
    emitted = [output for output in driver.tick() if isinstance(output, Emit)]
    assert [(type(one.event), one.origin) for one in emitted] == [(Error, None)]


def test_the_deadline_is_that_of_the_words_or_of_the_session_and_none_after_it() -> None:
    driver = driver_with(transcription_deadline_s=10, session_max_s=100)
    assert driver.session.deadline == 100
    driver.now = 50
    driver.audio(1_000)
    driver.send("input_audio_buffer.commit")
    assert driver.session.deadline == 61
    driver.transcript("item_1", "Hi")
    assert driver.session.deadline == 100
    driver.now = 100
    driver.tick()
    assert driver.session.deadline is None
    assert driver.do(TransportOpened()) == []


def test_what_an_engine_says_can_always_be_sent() -> None:
    driver = driver_with({"audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}})
    broken = "a\ud83d \U0001f600"
    response_id = respond(driver)
    driver.text(response_id, broken)
    driver.call(response_id, 0, broken, broken)
    driver.ended(response_id)
    driver.audio(200)
    driver.send("input_audio_buffer.commit")
    committed = next(event for event in driver.take_events() if event["type"] == "input_audio_buffer.committed")
    driver.transcript(committed["item_id"], broken)
    assert driver.take_events()[-1]["transcript"] == "a? \U0001f600"


def test_the_settings_that_the_runtime_reads_follow_the_updates() -> None:
    driver = driver_with()
    assert driver.session.settings.audio.input.turn_detection is not None
    driver.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    assert driver.session.settings.audio.input.turn_detection is None


def test_the_same_configuration_opens_the_same_session() -> None:
    (first,), (second,) = (Driver(config()).open() for _ in range(2))
    assert first == second
    assert isinstance(first, Emit)
    assert isinstance(first.event, SessionCreated)


# --- an hour -------------------------------------------------------------------------------------------------------


def _minute(driver: Driver) -> None:
    """Three turns, each answered in words and speech, and a deletion that is refused. Long silence is not sent."""
    for _ in range(3):
        driver.now += 20
        driver.windows(1_600, 0.95)
        driver.windows(704, 0.02)
        (place,) = {output.item_id for output in driver.outputs if isinstance(output, StartTranscription)}
        driver.transcript(place, "What is the weather going to be like?")
        response_id = driver.started()[-1].response_id
        for word in range(10):
            driver.text(response_id, "word ")
            driver.spoken(response_id, 200, 5 * word, 5 * word + 5)
        driver.ended(response_id)
        driver.send("conversation.item.delete", item_id="nobody")
        driver.tick()
        driver.forget()


@pytest.mark.parametrize(
    ("items", "growth_bytes"), [(40, 20_000), (4_096, 1_000_000)], ids=["oldest items go", "all items stay"]
)
def test_an_hour_of_talk_grows_by_its_items_alone(items: int, growth_bytes: int) -> None:
    driver = Driver(config(), Limits(items=items, audio_bytes=8_000_000, session_max_s=4_000), check_events=False)
    driver.open()
    tracemalloc.start()
    taken = []
    for minute in range(60):
        _minute(driver)
        if minute % 10 == 9:
            gc.collect()
            taken.append(tracemalloc.get_traced_memory()[0])
        assert driver.session.audio_bytes <= 8_000_000
    tracemalloc.stop()
    assert 3_000_000 < taken[0] < 9_000_000, "audio of ten minutes is kept, and no more than may be"
    assert taken[-1] - taken[0] < growth_bytes, [size - taken[0] for size in taken]
