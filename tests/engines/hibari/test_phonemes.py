import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engines.hibari.phonemes import Phonemes, phonemize, segments


def sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", text) if sentence.strip()]


def pieces(text: str, longest: int = 200) -> list[str]:
    found = phonemize(text, to_sentences=sentences, to_phonemes=str, longest=longest)
    return [piece.symbols for piece in found]


def no_digits(text: str) -> str:
    if re.search(r"\d{4}", text) or "&" in text:
        raise IndexError(text)
    return text


@given(st.text(max_size=1500))
@settings(deadline=None)
def test_segments_hold_all_of_the_text_in_short_parts(text: str) -> None:
    found = segments(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(0 < len(segment) <= 341 for segment in found)
    assert all(len(word) <= 40 for segment in found for word in segment.split())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("plain words stay", ["plain words stay"]),
        ("", []),
        (" \n ", []),
        ("1,000,000.00 192.168.1.100 +1-555-123-4567", ["1,000,000.00 192.168.1.100 +1-555-123-4567"]),
        ("a-" * 10, ["a-a-a-a-a-a-a-a- a-a-"]),
        ("x" * 50, ["x" * 40 + " " + "x" * 10]),
        ("word " * 100, ["word " * 59 + "word", "word " * 39 + "word"]),
    ],
)
def test_words_are_cut_only_where_they_would_cost_seconds(text: str, parts: list[str]) -> None:
    assert segments(text) == parts


def test_each_sentence_is_a_piece_with_its_end() -> None:
    found = phonemize("wˈʌn. tˈu, θɹˈi", to_sentences=sentences, to_phonemes=str, longest=200)
    assert found == [Phonemes("wˈʌn.", "."), Phonemes("tˈu, θɹˈi", "")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("aa bb, cc dd ee ff", ["aa bb,", "cc dd ee", "ff"]),
        ("aaaaaaaaaaaaaaa", ["aaaaaaaaaa", "aaaaa"]),
        ("aa bb cc dd", ["aa bb cc", "dd"]),
    ],
)
def test_long_sentences_are_cut_at_a_clause_else_at_a_space_else_anywhere(text: str, found: list[str]) -> None:
    assert pieces(text, longest=10) == found


def test_punctuation_alone_is_not_spoken() -> None:
    assert pieces("... ! — yes. ?") == ["— yes."]
    assert pieces("?! ...") == []


def test_a_word_that_cannot_be_converted_is_spelled_and_then_left_out() -> None:
    found = phonemize("call 5551 or & me", to_sentences=sentences, to_phonemes=no_digits, longest=200)
    assert [piece.symbols for piece in found] == ["call 5 5 5 1 or me"]


def test_phonemes_cannot_be_given_in_the_text() -> None:
    assert pieces("[word](/wˈɜɹd/)") == ["[word] (/wˈɜɹd/)"]


@given(st.text(max_size=400), st.integers(50, 200))
@settings(deadline=None)
def test_no_piece_is_longer_than_allowed(text: str, longest: int) -> None:
    for piece in pieces(text, longest=longest):
        assert 0 < len(piece) <= longest
