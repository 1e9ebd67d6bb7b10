"""The input buffer: bounded, by absolute samples, and never out of step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.input_buffer import InputBuffer
from antiphon.core.limits import Limits
from antiphon.protocol.session_config import SemanticVad, ServerVad, TurnDetection
from antiphon.turns.types import SpeechStarted, SpeechStopped
from tests.support.properties import bounded
from tests.support.session import pcm_ms

HZ = 24_000
PLENTY = 1 << 30
WINDOW = 768


def numbered(samples: int, first: int = 0) -> bytes:
    """Audio whose every sample is its position."""
    return b"".join(((first + n) & 0x7FFF).to_bytes(2, "little") for n in range(samples))


def buffer_with(
    seconds: float, detection: TurnDetection | None = None, limits: Limits | None = None, max_bytes: int = PLENTY
) -> InputBuffer:
    buffer = InputBuffer(detection, limits or Limits())
    for _ in range(round(seconds * 10)):
        buffer.append(bytes(HZ // 10 * 2), max_bytes)
    return buffer


@pytest.mark.parametrize(
    ("rule", "detection", "limits", "max_bytes", "kept_ms"),
    [
        ("manual: the newest five minutes", None, Limits(manual_buffer_s=5), PLENTY, 5_000),
        ("manual: what the budget allows", None, Limits(manual_buffer_s=5), 48_000, 1_000),
        ("nobody speaks: padding and a second", ServerVad(), Limits(), PLENTY, 1_300),
        ("nobody speaks: more padding", ServerVad(prefix_padding_ms=2_000), Limits(), PLENTY, 3_000),
        ("nobody speaks: semantic", SemanticVad(), Limits(), PLENTY, 1_300),
        ("nobody speaks: little budget", ServerVad(), Limits(), 24_000, 500),
        ("no budget at all", ServerVad(), Limits(), 0, 0),
        ("an odd budget keeps whole samples", None, Limits(), 4_801, 100),
    ],
)
def test_the_oldest_audio_goes_first(
    rule: str, detection: TurnDetection | None, limits: Limits, max_bytes: int, kept_ms: int
) -> None:
    buffer = buffer_with(10, detection, limits, max_bytes)
    assert buffer.held_ms == kept_ms, rule
    assert buffer.end_sample == 10 * HZ
    assert buffer.start_sample == 10 * HZ - kept_ms * HZ // 1000


def test_a_turn_is_kept_whole_however_long() -> None:
    buffer = buffer_with(5, ServerVad())
    buffer.begin("item_1", 4 * HZ)
    for _ in range(100):
        buffer.append(pcm_ms(100), PLENTY)
    assert len(buffer.take()) == 2 * 11 * HZ


def test_a_turn_that_begins_before_what_is_held_begins_with_what_is_held() -> None:
    buffer = buffer_with(10, ServerVad())
    assert buffer.begin("item_1", 0).start_sample == buffer.start_sample


def test_a_commit_takes_the_turn_and_leaves_what_comes_after_it() -> None:
    buffer = InputBuffer(ServerVad(), Limits())
    buffer.append(numbered(HZ), PLENTY)
    buffer.begin("item_1", 1_000)
    assert buffer.take(20_000) == numbered(19_000, first=1_000)
    assert (buffer.start_sample, buffer.end_sample, buffer.utterance) == (20_000, HZ, None)
    assert buffer.take() == numbered(4_000, first=20_000)


def test_of_a_turn_that_was_trimmed_past_its_end_nothing_is_left() -> None:
    buffer = InputBuffer(ServerVad(), Limits())
    buffer.append(bytes(2 * HZ), PLENTY)
    buffer.begin("item_1", 0)
    buffer.append(bytes(2 * HZ), 2 * HZ)
    assert buffer.take(HZ // 2) == b""
    assert buffer.held_ms == 1000


def test_positions_never_start_again() -> None:
    buffer = buffer_with(1)
    buffer.clear()
    assert (buffer.start_sample, buffer.end_sample, buffer.held_ms) == (HZ, HZ, 0)
    buffer.append(pcm_ms(100), PLENTY)
    buffer.take()
    assert buffer.start_sample == HZ + 2_400


def hear(buffer: InputBuffer, windows: str, first_window: int = 0) -> list[str]:
    """One letter a window: S is speech."""
    names: list[str] = []
    for number, letter in enumerate(windows, first_window):
        for event in buffer.hear(number * WINDOW, WINDOW, 0.9 if letter == "S" else 0.1, -20.0):
            names.append(type(event).__name__)
            if isinstance(event, SpeechStarted):
                buffer.begin("item_1", event.from_sample)
            elif isinstance(event, SpeechStopped):
                buffer.take(event.at_sample)
    return names


def test_what_lies_before_a_commit_or_clear_is_not_heard() -> None:
    buffer = InputBuffer(ServerVad(), Limits())
    buffer.append(bytes(2 * 10 * WINDOW), PLENTY)
    buffer.clear()
    assert hear(buffer, "S" * 10) == []
    assert hear(buffer, "SS", first_window=10) == ["SpeechStarted"]


def test_turn_detection_that_is_switched_on_hears_only_what_is_held() -> None:
    buffer = InputBuffer(None, Limits())
    buffer.append(bytes(2 * 4 * WINDOW), PLENTY)
    buffer.take()
    buffer.configure(ServerVad())
    assert hear(buffer, "SSSS") == []
    assert hear(buffer, "SS", first_window=4) == ["SpeechStarted"]
    assert buffer.utterance is not None
    assert buffer.utterance.start_sample == 4 * WINDOW


@pytest.mark.parametrize(("eagerness", "windows"), [("high", 63), ("auto", 125), ("medium", 125), ("low", 250)])
def test_semantic_turns_end_after_the_maximum_of_the_eagerness_at_the_latest(eagerness: str, windows: int) -> None:
    buffer = InputBuffer(SemanticVad(eagerness=eagerness), Limits())  # type: ignore[arg-type]
    buffer.append(bytes(2 * 300 * WINDOW), PLENTY)
    assert hear(buffer, "SS" + "." * (windows - 1)) == ["SpeechStarted", "SpeechPaused"]
    assert hear(buffer, ".", first_window=windows + 1) == ["SpeechStopped"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 5_000)),
        st.tuples(st.just("begin"), st.integers(0, 50_000)),
        st.tuples(st.just("take"), st.integers(0, 50_000) | st.none()),
        st.tuples(st.just("clear"), st.none()),
        st.tuples(st.just("trim"), st.integers(0, 20_000)),
        st.tuples(st.just("off"), st.none()),
        st.tuples(st.just("on"), st.none()),
    ),
    max_size=30,
)


@bounded(200)
@given(STEPS)
def test_every_sample_is_given_out_at_most_once_and_in_order(steps: list[tuple[str, int | None]]) -> None:
    buffer = InputBuffer(ServerVad(), Limits(idle_buffer_s=0.2))
    end = given_to = 0
    for step, number in steps:
        match step:
            case "append":
                buffer.append(numbered(number or 0, first=end), 20_000)
                end += number or 0
            case "begin":
                buffer.begin("item_1", number or 0)
            case "take":
                pcm = buffer.take(number)
                start = buffer.start_sample - len(pcm) // 2
                assert start >= given_to
                assert pcm == numbered(len(pcm) // 2, first=start)
                given_to = buffer.start_sample
            case "clear":
                buffer.clear()
            case "trim":
                buffer.trim(number or 0)
            case _:
                buffer.configure(ServerVad() if step == "on" else None)
        assert buffer.end_sample == end
        assert len(buffer.read(0)) % 2 == 0
        assert 0 <= buffer.audio_bytes <= 20_000
