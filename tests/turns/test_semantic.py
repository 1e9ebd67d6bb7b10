import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.turns.semantic import maximum_silence_ms, text_is_incomplete, turn_is_over
from antiphon.turns.types import Eagerness

EAGERNESS: tuple[Eagerness, ...] = ("low", "medium", "high", "auto")


@pytest.mark.parametrize(("eagerness", "maximum_ms"), [("low", 8000), ("medium", 4000), ("auto", 4000), ("high", 2000)])
def test_the_maximum_ends_every_turn(eagerness: Eagerness, maximum_ms: int) -> None:
    assert maximum_silence_ms(eagerness) == maximum_ms
    assert turn_is_over(maximum_ms, probability=0.0, eagerness=eagerness, text_incomplete=True)
    assert not turn_is_over(maximum_ms - 1, probability=0.0, eagerness=eagerness)


@pytest.mark.parametrize(
    ("eagerness", "probability", "ends_at_ms"),
    [
        ("medium", 0.99, 200),
        ("medium", 0.98, 200),
        ("medium", 0.97, 600),
        ("medium", 0.5, 600),
        ("medium", 0.49, 700),
        ("medium", 0.3, 700),
        ("medium", 0.29, 1200),
        ("medium", 0.1, 1200),
        ("medium", 0.04, 2000),
        ("medium", 0.01, 4000),
        ("medium", None, 700),
        ("auto", 0.49, 700),
        ("low", 0.99, 400),
        ("low", 0.49, 1400),
        ("low", 0.1, 2400),
        ("low", None, 1400),
        ("high", 0.99, 200),
        ("high", 0.49, 350),
        ("high", 0.1, 600),
        ("high", 0.04, 1000),
        ("high", None, 350),
    ],
)
def test_the_less_complete_a_thought_the_longer_the_wait(
    eagerness: Eagerness, probability: float | None, ends_at_ms: int
) -> None:
    assert turn_is_over(ends_at_ms, probability=probability, eagerness=eagerness)
    assert not turn_is_over(ends_at_ms - 1, probability=probability, eagerness=eagerness)


@pytest.mark.parametrize(
    ("eagerness", "probability", "ends_at_ms"),
    [("medium", 0.99, 600), ("medium", 0.4, 1100), ("high", 0.99, 300), ("low", 0.99, 1200), ("medium", 0.04, 2400)],
)
def test_a_text_that_breaks_off_only_adds_time(eagerness: Eagerness, probability: float, ends_at_ms: int) -> None:
    assert turn_is_over(ends_at_ms, probability=probability, eagerness=eagerness, text_incomplete=True)
    assert not turn_is_over(ends_at_ms - 1, probability=probability, eagerness=eagerness, text_incomplete=True)


@given(
    st.integers(0, 10_000),
    st.integers(0, 3_000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from(EAGERNESS),
    st.booleans(),
)
def test_more_silence_and_more_completeness_never_turn_an_end_into_a_wait(
    silence_ms: int, more_ms: int, probability: float, other: float, eagerness: Eagerness, incomplete: bool
) -> None:
    if turn_is_over(silence_ms, probability=probability, eagerness=eagerness, text_incomplete=incomplete):
        assert turn_is_over(
            silence_ms + more_ms, probability=probability, eagerness=eagerness, text_incomplete=incomplete
        )
        assert turn_is_over(
            silence_ms, probability=max(probability, other), eagerness=eagerness, text_incomplete=incomplete
        )
        assert turn_is_over(silence_ms, probability=probability, eagerness=eagerness)


@given(st.integers(0, 10_000), st.floats(0, 1), st.booleans())
def test_eagerness_is_ordered(silence_ms: int, probability: float, incomplete: bool) -> None:
    low, medium, high = (
        turn_is_over(silence_ms, probability=probability, eagerness=eagerness, text_incomplete=incomplete)
        for eagerness in ("low", "medium", "high")
    )
    assert low <= medium <= high


@pytest.mark.parametrize(
    ("text", "incomplete"),
    [
        ("What time is it?", False),
        ("I would like to book a table for", True),
        ("I want the", True),
        ("I want the.", True),
        ("Well, um", True),
        ("Turn it on, and", True),
        ("First,", True),
        ("So I thought...", True),
        ("So I thought…", True),
        ("Give me my", True),
        ("Turn it off", False),
        ("What is that", False),
        ("He won't", False),
        ("Is it the 4", False),
        ("", False),
        ("   ", False),
        ("?!", False),
        ("Das ist gut", False),
    ],
)
def test_a_text_breaks_off_at_words_that_need_another(text: str, incomplete: bool) -> None:
    assert text_is_incomplete(text) is incomplete


@pytest.mark.parametrize(
    ("language", "text", "incomplete"),
    [
        ("de", "Ich möchte einen Tisch für", True),
        ("de-AT", "Und dann ähm", True),
        ("de", "Das ist gut", False),
        ("es", "Quiero una mesa para", True),
        ("es", "Quiero una mesa", False),
        ("fr", "Je voudrais une table pour", True),
        ("fr", "C'est bon", False),
        ("it", "Vorrei un tavolo per", True),
        ("it", "Va bene", False),
        ("pt", "Eu queria uma mesa para", True),
        ("pt", "Está bem", False),
        ("nl", "Ik wil een tafel voor", True),
        ("nl", "Dat is goed", False),
        ("en", "Let the die", False),
        ("de", "Turn on the", False),
        ("ja", "Turn on the", False),
        ("ja", "えっと...", True),
    ],
)
def test_which_words_need_another_is_a_matter_of_the_language(language: str, text: str, incomplete: bool) -> None:
    assert text_is_incomplete(text, language) is incomplete
