from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.turns.endpointer import Endpointer
from antiphon.turns.types import EndpointerSettings, SpeechPaused, SpeechStarted, SpeechStopped, TurnEvent

WINDOW = 768  # 32 ms at 24 kHz
SILENCE_500_MS = 12_000
PADDING_300_MS = 7_200
LOUD_DBFS = -25.0

# One letter a window: its probability at the threshold 0.5.
PROBABILITY = {"S": 0.95, "5": 0.6, "=": 0.4, ".": 0.05}


def listen(
    windows: str, endpointer: Endpointer | None = None, *, start: int = 0, window_samples: int = WINDOW
) -> list[TurnEvent]:
    endpointer = endpointer or Endpointer(EndpointerSettings())
    events: list[TurnEvent] = []
    for number, letter in enumerate(windows):
        first_sample = start + number * window_samples
        events += endpointer.push(first_sample, window_samples, PROBABILITY[letter], LOUD_DBFS)
    return events


def names(events: Sequence[TurnEvent]) -> list[str]:
    return [type(event).__name__.removeprefix("Speech").lower() for event in events]


@pytest.mark.parametrize(
    ("rule", "windows", "expected"),
    [
        ("silence is nothing", "." * 50, []),
        ("one voiced window is a click", "..S.." * 10, []),
        ("two voiced windows start a turn", "..SS", [SpeechStarted(2 * WINDOW, 0)]),
        ("a long turn starts once", ".SSSSSSSS", [SpeechStarted(WINDOW, 0)]),
        ("windows below the threshold do not start a turn", "====" * 10, []),
        ("windows a little below the threshold go on with speech", "SS" + "=" * 12, [SpeechStarted(0, 0)]),
        (
            "they do not keep a turn open for ever: after 400 ms they are noise",
            "SS" + "=" * 28,
            [SpeechStarted(0, 0), SpeechPaused(14 * WINDOW), SpeechStopped(14 * WINDOW + SILENCE_500_MS)],
        ),
        ("they do not interrupt an onset, nor make one", "=S=S", [SpeechStarted(WINDOW, 0)]),
        ("nor hold one for longer than a plosive", "S====SS", [SpeechStarted(5 * WINDOW, 0)]),
        ("a gap in an onset makes it begin anew", "S.SS", [SpeechStarted(2 * WINDOW, 0)]),
        (
            "speech that is hardly sure needs a window more",
            "55.....555",
            [SpeechStarted(7 * WINDOW, 0)],
        ),
        ("one sure window is enough for the shorter onset", "5S", [SpeechStarted(0, 0)]),
        (
            "the weak burst of a plosive after its silence belongs to the word",
            "SSSS..=" + "." * 16,
            [
                SpeechStarted(0, 0),
                SpeechPaused(4 * WINDOW),
                SpeechPaused(7 * WINDOW),
                SpeechStopped(7 * WINDOW + SILENCE_500_MS),
            ],
        ),
        ("a weak last phoneme does not end a word", "SSS===.SS===.SS", [SpeechStarted(0, 0)]),
        ("coughs of two unsure windows are nobody's turn", ("55" + "." * 10) * 5, []),
        ("breaths below the threshold are nobody's turn", ("===" + "." * 10) * 5, []),
        ("a gap of one window is no pause", "SS.SS.SS.SS", [SpeechStarted(0, 0)]),
        ("64 ms of silence are a pause", "SS..SS", [SpeechStarted(0, 0), SpeechPaused(2 * WINDOW)]),
        (
            "each pause is reported once",
            "SS.....SS.....SS",
            [SpeechStarted(0, 0), SpeechPaused(2 * WINDOW), SpeechPaused(9 * WINDOW)],
        ),
        (
            "within a pause windows below the threshold do not count as speech",
            "SS...==============",
            [SpeechStarted(0, 0), SpeechPaused(2 * WINDOW), SpeechStopped(2 * WINDOW + SILENCE_500_MS)],
        ),
        (
            "silence ends a turn, 500 ms after the last voiced window",
            "SS" + "." * 16,
            [SpeechStarted(0, 0), SpeechPaused(2 * WINDOW), SpeechStopped(2 * WINDOW + SILENCE_500_MS)],
        ),
        ("15 windows are 480 ms and do not", "SS" + "." * 15, [SpeechStarted(0, 0), SpeechPaused(2 * WINDOW)]),
        (
            "speech begins the silence anew",
            "SS" + "." * 15 + "S" + "." * 15,
            [SpeechStarted(0, 0), SpeechPaused(2 * WINDOW), SpeechPaused(18 * WINDOW)],
        ),
    ],
)
def test_endpointing(rule: str, windows: str, expected: list[TurnEvent]) -> None:
    assert listen(windows) == expected, rule


def test_while_guarded_a_turn_needs_clearer_and_longer_speech() -> None:
    endpointer = Endpointer(EndpointerSettings())
    endpointer.guarded = True
    assert listen("55555555", endpointer) == []
    assert listen("SSSSS", endpointer, start=8 * WINDOW) == []
    assert listen("S", endpointer, start=13 * WINDOW) == [SpeechStarted(8 * WINDOW, 0)]


def test_a_guard_does_not_ask_for_more_than_the_threshold_where_that_is_high() -> None:
    endpointer = Endpointer(EndpointerSettings(threshold=1.0))
    endpointer.guarded = True
    for number in range(6):
        endpointer.push(number * WINDOW, WINDOW, 1.0, LOUD_DBFS)
    assert endpointer.speaking


def test_a_turn_that_is_stopped_by_judgement_ends_with_what_was_heard() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("SSSS..", endpointer)
    assert endpointer.stop() == SpeechStopped(6 * WINDOW)
    assert not endpointer.speaking
    assert endpointer.voiced_to == 4 * WINDOW
    assert listen("SS", endpointer, start=6 * WINDOW) == [SpeechStarted(6 * WINDOW, 6 * WINDOW)]


def test_how_much_of_a_turn_is_speech_is_counted_without_its_pauses() -> None:
    endpointer = Endpointer(EndpointerSettings())
    counts = []
    for number, letter in enumerate(".SS=..S.."):
        listen(letter, endpointer, start=number * WINDOW)
        counts.append(endpointer.voiced_samples // WINDOW)
    assert counts == [0, 0, 2, 3, 3, 3, 4, 4, 4]


@pytest.mark.parametrize(
    ("windows", "faint"),
    [
        ("SS....", False),
        ("SS=...", False),
        ("SS...3", True),
        ("SS3...", False),
        ("SS...3S.", False),
        ("SS...3..", True),
    ],
)
def test_a_pause_is_faint_where_something_may_be_said_behind_its_first_moment(windows: str, faint: bool) -> None:
    endpointer = Endpointer(EndpointerSettings())
    for number, letter in enumerate(windows):
        probability = 0.3 if letter == "3" else PROBABILITY[letter]
        endpointer.push(number * WINDOW, WINDOW, probability, LOUD_DBFS)
    assert endpointer.faint is faint
    endpointer.reset()
    assert endpointer.faint is faint


def test_a_second_turn_begins_after_the_first() -> None:
    events = listen("SS" + "." * 30 + "SSS" + "." * 30)
    assert names(events) == ["started", "paused", "stopped"] * 2
    assert events[3] == SpeechStarted(32 * WINDOW, 32 * WINDOW - PADDING_300_MS)


def test_prefix_padding_never_reaches_into_the_turn_before() -> None:
    stopped, started = listen("SS" + "." * 17 + "SS")[2:]
    assert stopped == SpeechStopped(2 * WINDOW + SILENCE_500_MS)
    assert started == SpeechStarted(19 * WINDOW, 2 * WINDOW + SILENCE_500_MS)


@pytest.mark.parametrize(
    ("window_samples", "onset_windows"), [(240, 6), (480, 3), (720, 2), (768, 2), (1440, 2), (2400, 2)]
)
def test_a_turn_needs_60_ms_of_speech_in_two_windows_at_least(window_samples: int, onset_windows: int) -> None:
    assert listen("S" * (onset_windows - 1), window_samples=window_samples) == []
    assert listen("S" * onset_windows, window_samples=window_samples) == [SpeechStarted(0, 0)]


@pytest.mark.parametrize(
    ("threshold", "probability", "voiced"),
    [(0.5, 0.5, True), (0.5, 0.49, False), (0.9, 0.89, False), (0.1, 0.1, True), (0.0, 0.0, True), (1.0, 1.0, True)],
)
def test_the_threshold_itself_is_voiced(threshold: float, probability: float, voiced: bool) -> None:
    endpointer = Endpointer(EndpointerSettings(threshold=threshold))
    for number in range(3):
        endpointer.push(number * WINDOW, WINDOW, probability, LOUD_DBFS)
    assert endpointer.speaking is voiced


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 1.0])
def test_a_turn_ends_at_every_threshold(threshold: float) -> None:
    endpointer = Endpointer(EndpointerSettings(threshold=threshold))
    events = [
        *endpointer.push(0, WINDOW, 1.0, LOUD_DBFS),
        *endpointer.push(WINDOW, WINDOW, 1.0, LOUD_DBFS),
        *endpointer.push(2 * WINDOW, SILENCE_500_MS, 0.0, -80.0),
    ]
    assert names(events) == ["started", "stopped"]


def test_what_cannot_be_heard_is_not_speech() -> None:
    endpointer = Endpointer(EndpointerSettings())
    for number in range(10):
        assert endpointer.push(number * WINDOW, WINDOW, 0.99, -75.0) == []


@pytest.mark.parametrize("silence_ms", [0, 1, 200, 500, 2000])
def test_a_turn_ends_exactly_after_the_configured_silence(silence_ms: int) -> None:
    events = listen("SSSS" + "." * 100, Endpointer(EndpointerSettings(silence_duration_ms=silence_ms)))
    assert events[-1] == SpeechStopped(4 * WINDOW + silence_ms * 24)
    assert names(events).count("stopped") == 1


@pytest.mark.parametrize("padding_ms", [0, 20, 300, 100_000])
def test_the_turn_includes_its_prefix_padding_as_far_as_there_is_audio(padding_ms: int) -> None:
    (started,) = listen("." * 20 + "SS", Endpointer(EndpointerSettings(prefix_padding_ms=padding_ms)))
    assert started == SpeechStarted(20 * WINDOW, max(0, 20 * WINDOW - padding_ms * 24))


def test_an_update_holds_at_once_for_a_pause_under_way() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("SS" + "." * 8, endpointer)
    endpointer.update(replace(endpointer.settings, silence_duration_ms=200))
    assert listen(".", endpointer, start=10 * WINDOW) == [SpeechStopped(2 * WINDOW + 4_800)]


def test_an_update_can_prolong_a_pause_under_way() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("SS" + "." * 15, endpointer)
    endpointer.update(replace(endpointer.settings, silence_duration_ms=5_000))
    assert listen("." * 50, endpointer, start=17 * WINDOW) == []


def test_an_update_of_the_threshold_holds_for_the_next_window() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("====", endpointer)
    endpointer.update(replace(endpointer.settings, threshold=0.3))
    assert listen("===", endpointer, start=4 * WINDOW) == [SpeechStarted(4 * WINDOW, 0)]


@pytest.mark.parametrize("windows", ["SSSS", "SS...", "S", "..."])
def test_a_reset_forgets_the_turn_without_an_event(windows: str) -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen(windows, endpointer)
    endpointer.reset()
    assert not endpointer.speaking
    assert endpointer.silence_samples == 0
    assert listen("." * 40, endpointer, start=len(windows) * WINDOW) == []


def test_speech_that_goes_on_after_a_reset_is_a_new_turn_that_begins_there() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("SSSS", endpointer)
    endpointer.reset()
    assert listen("SS", endpointer, start=4 * WINDOW) == [SpeechStarted(4 * WINDOW, 4 * WINDOW)]


def test_windows_from_before_a_reset_are_ignored() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("..", endpointer)
    endpointer.reset(from_sample=5 * WINDOW + 1)
    assert listen("SSSS", endpointer, start=2 * WINDOW) == []
    assert endpointer.needed_from_sample == 5 * WINDOW + 1
    assert listen("SS", endpointer, start=6 * WINDOW) == [SpeechStarted(6 * WINDOW, 5 * WINDOW + 1)]


def test_a_reset_never_goes_back() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("....", endpointer)
    endpointer.reset()
    endpointer.reset(from_sample=WINDOW)
    assert listen("SS", endpointer, start=4 * WINDOW) == [SpeechStarted(4 * WINDOW, 4 * WINDOW)]


def test_a_window_heard_twice_counts_once() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("S", endpointer)
    assert listen("S", endpointer) == []
    assert not endpointer.speaking


def test_lost_windows_do_not_make_a_turn_and_count_as_silence() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("S", endpointer)
    assert listen("S", endpointer, start=3 * WINDOW) == []
    assert listen("S", endpointer, start=4 * WINDOW) == [SpeechStarted(3 * WINDOW, 0)]
    assert listen(".", endpointer, start=30 * WINDOW) == [SpeechStopped(5 * WINDOW + SILENCE_500_MS)]


def test_silence_is_told_while_a_pause_lasts() -> None:
    endpointer = Endpointer(EndpointerSettings())
    silences = []
    for number, letter in enumerate(".SS...S." + "." * 20):
        listen(letter, endpointer, start=number * WINDOW)
        silences.append(endpointer.silence_samples // WINDOW)
    assert silences == [0, 0, 0, 1, 2, 3, 0, *range(1, 16), 0, 0, 0, 0, 0, 0]


def test_needed_audio_is_the_padding_while_idle_and_the_turn_while_speaking() -> None:
    endpointer = Endpointer(EndpointerSettings())
    listen("." * 20, endpointer)
    assert endpointer.needed_from_sample == 20 * WINDOW - PADDING_300_MS
    listen("SSSS", endpointer, start=20 * WINDOW)
    assert endpointer.needed_from_sample == 20 * WINDOW - PADDING_300_MS
    listen("." * 16, endpointer, start=24 * WINDOW)
    assert endpointer.needed_from_sample == max(24 * WINDOW + SILENCE_500_MS, 40 * WINDOW - PADDING_300_MS)


WINDOWS = st.lists(st.tuples(st.sampled_from("SSSS=..."), st.integers(1, 25)), max_size=25).map(
    lambda runs: "".join(letter * length for letter, length in runs)
)
SETTINGS = st.builds(
    EndpointerSettings,
    threshold=st.sampled_from([0.3, 0.5, 0.9]),
    prefix_padding_ms=st.integers(0, 1000),
    silence_duration_ms=st.integers(0, 1500),
)


@given(WINDOWS, SETTINGS)
def test_events_alternate_and_lie_in_order(windows: str, settings: EndpointerSettings) -> None:
    endpointer = Endpointer(settings)
    turn_began: int | None = None
    boundary = 0
    for number, letter in enumerate(windows):
        needed = endpointer.needed_from_sample
        for event in listen(letter, endpointer, start=number * WINDOW):
            match event:
                case SpeechStarted():
                    assert turn_began is None
                    assert boundary <= event.from_sample <= event.at_sample
                    assert event.from_sample >= needed
                    assert event.at_sample - event.from_sample <= settings.prefix_padding_ms * 24
                    turn_began = boundary = event.at_sample
                case SpeechPaused():
                    assert turn_began is not None
                    assert boundary <= event.at_sample <= number * WINDOW
                    boundary = event.at_sample
                case SpeechStopped():
                    assert turn_began is not None
                    assert boundary <= event.at_sample <= (number + 1) * WINDOW
                    boundary, turn_began = event.at_sample, None
        assert endpointer.speaking is (turn_began is not None)


@given(WINDOWS, SETTINGS, SETTINGS, st.integers(0, 100))
def test_an_update_is_the_same_as_having_had_the_settings_while_nobody_speaks(
    windows: str, before: EndpointerSettings, after: EndpointerSettings, quiet: int
) -> None:
    changed, fresh = Endpointer(before), Endpointer(after)
    for endpointer in (changed, fresh):
        assert listen("." * quiet, endpointer) == []
    changed.update(after)
    assert listen(windows, changed, start=quiet * WINDOW) == listen(windows, fresh, start=quiet * WINDOW)
