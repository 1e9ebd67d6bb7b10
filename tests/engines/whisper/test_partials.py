import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.whisper.partials import StablePrefix


@pytest.mark.parametrize(
    ("hypotheses", "stable"),
    [
        (["Hello there"], [""]),
        (["Hello there", "Hello there my"], ["", "Hello there"]),
        (["Hello.", "Hello, there", "Hello, there my friend"], ["", "Hello", "Hello, there"]),
        (["hello world", "Hello world."], ["", "Hello world"]),
        (["one two", "one three", "one three four"], ["", "one", "one three"]),
        (["", "", "one", "one"], ["", "", "", "one"]),
        (["one two", "", "one two"], ["", "", ""]),
        (["Four, five", "Four, five", "4, 5, 6", "4, 5, 6, 7"], ["", "Four, five", "Four, five", "Four, five, 6"]),
        (["It's 3.5", "It's 3.5 metres"], ["", "It's 3.5"]),
        (["“Yes", "“Yes”, he"], ["", "“Yes"]),
        (["今日は", "今日はい", "今日はいい天気"], ["", "今日は", "今日はい"]),
    ],
)
def test_words_are_given_out_when_two_decodes_agree(hypotheses: list[str], stable: list[str]) -> None:
    prefix = StablePrefix()
    assert [prefix.update(hypothesis) for hypothesis in hypotheses] == stable


def test_a_word_found_later_before_the_given_ones_repeats_nothing() -> None:
    prefix = StablePrefix()
    for hypothesis in (
        "Mr. Dashwood had",
        "Mr. Dashwood had",
        "And Mr. Dashwood had then",
        "And Mr. Dashwood had then",
    ):
        text = prefix.update(hypothesis)
    assert text == "Mr. Dashwood had then"


@pytest.mark.parametrize(
    ("partials", "final", "settled"),
    [
        (["one two", "one two"], "One two three.", "one two three."),
        ([], "All of it.", "All of it."),
        (["one two", "one two"], "one two", "one two"),
        (["one two three", "one two three"], "one", "one two three"),
        (["one two", "one two"], "", "one two"),
    ],
)
def test_the_final_text_of_a_piece_is_appended_behind_what_was_given(
    partials: list[str], final: str, settled: str
) -> None:
    prefix = StablePrefix()
    for hypothesis in partials:
        prefix.update(hypothesis)
    assert prefix.settle(final) == settled


def test_the_next_piece_begins_behind_a_separator() -> None:
    prefix = StablePrefix()
    prefix.settle("One.")
    assert prefix.update("Two") == "One."
    assert prefix.update("Two three") == "One. Two"
    assert prefix.settle("Two, three.", "") == "One. Two, three."
    assert prefix.settle("四。") == "One. Two, three.四。"


WORDS = st.lists(st.sampled_from(["a", "B", "b,", "c.", "no", "-", "今", "?!", "it's"]), max_size=8).map(" ".join)


@given(st.lists(st.tuples(st.booleans(), WORDS), max_size=12))
def test_stable_text_is_only_ever_extended(steps: list[tuple[bool, str]]) -> None:
    prefix = StablePrefix()
    before = ""
    for ends, text in steps:
        after = prefix.settle(text) if ends else prefix.update(text)
        assert after.startswith(before)
        before = after
