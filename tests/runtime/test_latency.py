"""When the stages of a turn happened, from the last voiced sample."""

from antiphon.runtime.latency import TurnClock
from antiphon.runtime.observer import TurnLatencies


def test_a_spoken_turn_counts_from_the_last_voiced_sample() -> None:
    clock = TurnClock("sess_1")
    clock.turn_closed(10.0, silence_ms=500)
    clock.transcript(10.2)
    clock.response_started("resp_1", 10.25)
    clock.text("resp_1", 10.5)
    clock.text("resp_1", 11.0)
    clock.audio("resp_1", 10.75)
    clock.audio("resp_1", 12.0)
    assert clock.done("resp_1", "completed", 13.0, 42) == TurnLatencies(
        "sess_1", "resp_1", "completed", 500, 700, 1000, 1250, 3500, 42
    )
    assert clock.turns == 1


def test_an_asked_for_response_counts_from_when_it_began() -> None:
    clock = TurnClock("sess_1")
    clock.response_started("resp_1", 10.0)
    clock.text("resp_1", 10.125)
    assert clock.done("resp_1", "cancelled", 10.25, 0) == TurnLatencies(
        "sess_1", "resp_1", "cancelled", first_text_ms=125, done_ms=250
    )


def test_a_response_that_is_started_again_still_counts_from_its_turn() -> None:
    clock = TurnClock("sess_1")
    clock.turn_closed(10.0, silence_ms=500)
    clock.response_started("resp_1", 10.0)
    clock.response_started("resp_1", 11.0)
    latencies = clock.done("resp_1", "completed", 12.0, 0)
    assert latencies is not None
    assert latencies.done_ms == 2500


def test_two_responses_at_the_same_time_are_told_apart() -> None:
    clock = TurnClock("sess_1")
    clock.response_started("resp_1", 1.0)
    clock.response_started("resp_2", 2.0)
    clock.text("resp_2", 2.5)
    first, second = clock.done("resp_1", "completed", 3.0, 0), clock.done("resp_2", "completed", 3.0, 0)
    assert first is not None
    assert second is not None
    assert (first.first_text_ms, first.done_ms) == (None, 2000)
    assert (second.first_text_ms, second.done_ms) == (500, 1000)


def test_a_turn_whose_words_could_not_be_heard_counts_though_its_response_never_began() -> None:
    clock = TurnClock("sess_1")
    clock.turn_closed(2.0, 500)
    failed = clock.done("resp_1", "failed", 3.0, 0)
    assert failed is not None
    assert (failed.status, failed.committed_ms, failed.done_ms) == ("failed", 500, 1500)
    assert clock.turns == 1


# --- where playout is paced ----------------------------------------------------------------------------------------


def test_a_response_that_is_done_before_it_is_heard_is_told_once_its_first_packet_left() -> None:
    clock = TurnClock("sess_1")
    clock.response_started("resp_1", 1.0)
    clock.played("resp_1")
    assert clock.done("resp_1", "completed", 2.0, 7) is None
    heard = clock.audio("resp_1", 2.5)
    assert heard == TurnLatencies("sess_1", "resp_1", "completed", first_audio_ms=1500, done_ms=1000, output_tokens=7)
    assert clock.audio("resp_1", 3.0) is None
    assert clock.rest() == []
    assert clock.turns == 1


def test_a_response_that_is_heard_before_it_is_done_is_told_when_it_is_done() -> None:
    clock = TurnClock("sess_1")
    clock.response_started("resp_1", 1.0)
    clock.played("resp_1")
    assert clock.audio("resp_1", 1.25) is None
    done = clock.done("resp_1", "completed", 2.0, 0)
    assert done is not None
    assert (done.first_audio_ms, done.done_ms) == (250, 1000)


def test_a_response_that_is_never_heard_is_told_when_its_playout_is_given_up() -> None:
    clock = TurnClock("sess_1")
    for response_id in ("resp_1", "resp_2", "resp_3"):
        clock.response_started(response_id, 1.0)
        clock.played(response_id)
    assert clock.unheard("resp_1") is None, "it is not done"
    cleared = clock.done("resp_1", "cancelled", 2.0, 0)
    assert cleared is not None
    assert cleared.first_audio_ms is None
    assert clock.done("resp_2", "completed", 2.0, 0) is None
    dropped = clock.unheard("resp_2")
    assert dropped is not None
    assert (dropped.first_audio_ms, dropped.done_ms) == (None, 1000)
    assert clock.done("resp_3", "completed", 2.0, 0) is None
    assert [latencies.response_id for latencies in clock.rest()] == ["resp_3"]
