"""What can have been heard: text cut at word boundaries, rounded down, never growing backwards."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.playout import Playback, Playout

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


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("One two three", 9, "One two"),
        ("Costs 1234 euros", 8, "Costs"),
        ("नमस्ते दुनिया", 3, ""),
        ("One... two", 6, "One..."),
        ("今日は天気がいい", 4, "今日は天"),
    ],
)
def test_a_piece_that_ends_inside_a_word_does_not_break_it(text: str, place: int, expected: str) -> None:
    playout = spoken((1.0, 0, place), (1.0, place, len(text)))
    assert playout.text_until(text, SECOND) == expected
    assert playout.text_until(text, 2 * SECOND) == text


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


@pytest.mark.parametrize(
    ("text", "share", "expected"),
    [
        # Markup is not spoken, a number takes as long as its words.
        ("The **really important** word", 0.82, "The **really important**"),
        ("Call 5550 123 now please", 0.5, "Call 5550"),
        # A script without spaces is cut behind any of its letters, but not before what belongs to the last one.
        ("今日は天気がいいですね", 0.5, "今日は天気"),
        ("コーヒーをのみます", 0.25, "コー"),
        ("私はBerlinに住んでいます", 0.4, "私はBerlin"),
        # Others without spaces are kept whole or not at all.
        ("สวัสดีครับยินดีที่ได้รู้จัก", 0.9, ""),
        ("안녕하세요 만나서 반갑습니다", 0.5, "안녕하세요"),
    ],
)
def test_where_a_clause_is_cut_in_other_scripts_and_in_marked_up_text(text: str, share: float, expected: str) -> None:
    assert spoken((2.0, 0, len(text))).text_until(text, round(share * 2 * SECOND)) == expected


@pytest.mark.parametrize(("speed", "expected"), [(0.25, ""), (0.5, "One"), (1.0, "One two"), (1.5, "One two three.")])
def test_what_is_missing_of_an_unfinished_clause_is_reckoned_at_the_response_s_speed(
    speed: float, expected: str
) -> None:
    playout = Playout(speed)
    playout.sent(round(0.9 * SECOND), 0, FIRST_CLAUSE)
    assert playout.heard_text(TEXT) == expected


# --- the clock -----------------------------------------------------------------------------------------------------


def test_audio_is_played_in_real_time_from_when_it_was_sent() -> None:
    playback, playout = Playback(), Playout(whole=True)
    for piece in range(10):
        playback.play(playout, SECOND // 10, 0, FIRST_CLAUSE, now=5.0 + piece / 1000)
    playback.play(playout, SECOND, FIRST_CLAUSE, len(TEXT), now=5.5)
    assert playback.ends_s == pytest.approx(7.0)
    heard = {now: playout.text_by(TEXT, now) for now in (4.0, 5.0, 5.6, 6.0, 6.3, 7.0, 99.0)}
    assert list(heard.values()) == ["", "", "One two", "One two three.", "One two three. Four", TEXT, TEXT]


def test_audio_that_comes_too_late_is_played_later() -> None:
    playback, playout = Playback(), Playout(whole=True)
    playback.play(playout, SECOND, 0, FIRST_CLAUSE, now=1.0)
    playback.play(playout, SECOND, FIRST_CLAUSE, len(TEXT), now=4.0)
    assert playback.ends_s == pytest.approx(5.0)
    assert playout.text_by(TEXT, 3.9) == "One two three."
    assert playout.text_by(TEXT, 4.3) == "One two three. Four"


def test_an_item_is_played_after_the_one_before_it() -> None:
    playback, first, second = Playback(), Playout(whole=True), Playout(whole=True)
    playback.play(first, 2 * SECOND, 0, len(TEXT), now=0.0)
    playback.play(second, SECOND, 0, len(TEXT), now=0.1)
    assert (playback.plays(first, 0.5), playback.plays(second, 0.5), playback.plays(first, 2.5)) == (True, True, False)
    assert (first.text_by(TEXT, 1.5), second.text_by(TEXT, 1.5)) == ("One two three. Four", "")
    playback.stop(2.5)
    assert (first.text_by(TEXT, 99), second.text_by(TEXT, 99)) == (TEXT, "One two three.")
    assert playback.ends_s == 2.5


def test_after_a_stop_the_next_audio_is_played_at_once() -> None:
    playback, first, second = Playback(), Playout(), Playout(whole=True)
    playback.play(first, 10 * SECOND, 0, len(TEXT), now=0.0)
    playback.stop(1.0)
    playback.play(second, SECOND, 0, len(TEXT), now=2.0)
    assert playback.ends_s == pytest.approx(3.0)
    assert (first.stopped_s, second.stopped_s) == (1.0, None)


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
