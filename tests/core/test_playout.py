"""What can have been heard: text cut at word boundaries, rounded down, never growing backwards."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.playout import Playout

SECOND = 24_000
TEXT = "One two three. Four five six."
FIRST_CLAUSE = 15  # "One two three. "


def spoken(*pieces: tuple[float, int, int], whole: bool = True) -> Playout:
    """Pieces of (seconds, text start, text end)."""
    playout = Playout(whole=whole)
    for seconds, start, end in pieces:
        playout.sent(round(seconds * SECOND), start, end)
    return playout


@pytest.mark.parametrize(
    ("heard_s", "expected"),
    [
        (0.0, ""),
        (0.1, ""),
        (0.3, "One"),
        (0.6, "One two"),
        (0.999, "One two three."),
        (1.0, "One two three."),
        (1.3, "One two three. Four"),
        (1.99, "One two three. Four five"),
        (2.0, TEXT),
        (99.0, TEXT),
    ],
)
def test_a_clause_is_cut_at_the_last_whole_word(heard_s: float, expected: str) -> None:
    playout = spoken((1.0, 0, FIRST_CLAUSE), (1.0, FIRST_CLAUSE, len(TEXT)))
    assert playout.text_until(TEXT, round(heard_s * SECOND)) == expected


def test_pieces_of_one_clause_are_one_span() -> None:
    in_one = spoken((1.0, 0, FIRST_CLAUSE))
    in_pieces = spoken(*[(0.1, 0, FIRST_CLAUSE)] * 10)
    for tenth in range(11):
        assert in_pieces.text_until(TEXT, tenth * 2400) == in_one.text_until(TEXT, tenth * 2400)


def test_what_was_sent_of_a_clause_that_goes_on_is_not_taken_for_the_whole_clause() -> None:
    playout = spoken((0.5, 0, FIRST_CLAUSE), whole=False)
    assert playout.heard_text(TEXT) == "One"
    playout.sent(SECOND // 2, 0, FIRST_CLAUSE)
    assert playout.heard_text(TEXT) == "One two"
    playout.sent(1, FIRST_CLAUSE, len(TEXT))
    assert playout.heard_text(TEXT) == "One two three."


def test_words_that_are_not_spoken_count_once_something_behind_them_is_heard() -> None:
    text = "Look: `code` Good."
    playout = spoken((1.0, 0, 5), (1.0, 13, 18))
    assert playout.text_until(text, SECOND) == "Look: `code`"
    assert playout.text_until(text, 2 * SECOND) == text


def test_truncation_is_clamped_to_what_was_sent_and_never_gives_back() -> None:
    playout = spoken((1.0, 0, len(TEXT)))
    assert playout.truncate(9_999) == 1000
    assert playout.truncate(700) == 700
    assert playout.truncate(900) == 700


def test_without_audio_nothing_was_heard() -> None:
    assert Playout().heard_text(TEXT) == ""
    assert Playout().truncate(100) == 0


PIECES = st.lists(st.tuples(st.floats(0.001, 3), st.integers(1, 12)), min_size=1, max_size=6)
WORDS = st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=12).map(" ".join)


@given(PIECES, WORDS, st.booleans(), st.lists(st.integers(0, 12_000), min_size=2, max_size=6))
def test_the_heard_text_is_a_prefix_that_grows_with_what_was_heard(
    pieces: list[tuple[float, int]], text: str, whole: bool, times_ms: list[int]
) -> None:
    playout = Playout(whole=whole)
    place = 0
    for seconds, length in pieces:
        end = min(len(text), place + length)
        playout.sent(max(1, round(seconds * SECOND)), place, end)
        place = end
    heard = [playout.text_until(text, ms * 24) for ms in sorted(times_ms)]
    for shorter, longer in itertools.pairwise(heard):
        assert longer.startswith(shorter)
    assert text.startswith(heard[-1])


@given(WORDS, st.integers(0, 2_500))
def test_no_word_is_broken(text: str, heard_ms: int) -> None:
    kept = spoken((2.0, 0, len(text))).text_until(text, heard_ms * 24)
    assert kept == "" or text[len(kept) : len(kept) + 1] in ("", " ")
