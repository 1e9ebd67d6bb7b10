from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.runtime.speakable import PLAIN
from antiphon.runtime.text_split import ClauseSplitter
from antiphon.vocabulary.speech import Clause

FRAGMENTS = st.sampled_from(
    ["Hello", " world", ".", ",", " 3", ".5", "1,000", " Dr.", " e.g.", "\n", "\n\n", "- ", "1. ", "# ", "```", "`",
     "| a ", "**", "[x](", "http://a.b/c?d", ")", "!", "?", "…", " — ", "。", "你好", "😊", " the", "\t", '"', "\u2028",
     "word " * 9, "x" * 300]
)  # fmt: skip
TEXTS = st.lists(st.one_of(FRAGMENTS, st.text(max_size=8)), max_size=40).map("".join)


def split(*pieces: str) -> list[Clause]:
    splitter = ClauseSplitter(first_words=8)
    return [clause for piece in pieces for clause in splitter.push(piece)] + splitter.finish()


def texts(*pieces: str) -> list[str]:
    return [clause.text for clause in split(*pieces)]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Sure! I can do that.", ["Sure!", " I can do that."]),
        ("Sure, I can do that for you.", ["Sure, I can do that for you."]),
        ("Well you know, I can do that.", ["Well you know,", " I can do that."]),
        (
            "The weather in Berlin tomorrow afternoon is expected to be cloudy",
            ["The weather in Berlin tomorrow afternoon is expected", " to be cloudy"],
        ),
        (
            "It will happen at some point around the old town square",
            ["It will happen at some point around the old", " town square"],
        ),
        (
            "It was about ten past five when 25 people came in",
            ["It was about ten past five when 25 people", " came in"],
        ),
    ],
)
def test_the_first_clause_is_short(text: str, clauses: list[str]) -> None:
    assert texts(text) == clauses


def test_later_clauses_grow_to_sentences() -> None:
    first, *rest = texts(
        "Yes. The first of these comes quite early, because it is needed. This one, though, which is the second, is "
        "much longer than the first one, and so it runs on, with commas, for quite some time, until its end. And the "
        "third, as long as it stays below the limit, with all its commas, is whole."
    )
    assert first == "Yes."
    assert rest == [
        " The first of these comes quite early,",
        " because it is needed.",
        " This one, though, which is the second, is much longer than the first one, and so it runs on, with commas,",
        " for quite some time, until its end.",
        " And the third, as long as it stays below the limit, with all its commas, is whole.",
    ]


@pytest.mark.parametrize(
    ("first_words", "first"),
    [
        (3, "The weather in Berlin"),
        (5, "The weather in Berlin tomorrow"),
        (9, "The weather in Berlin tomorrow afternoon is expected to be cloudy"),
    ],
)
def test_the_first_clause_is_as_short_as_is_asked_for(first_words: int, first: str) -> None:
    splitter = ClauseSplitter(first_words=first_words)
    clause, *_ = splitter.push("The weather in Berlin tomorrow afternoon is expected to be cloudy all day")
    assert clause.text == first


PLAIN_WORDS = st.lists(st.sampled_from(["word"] * 12 + ["comma,", "stop.", "the", "25"]), min_size=1, max_size=150)


@given(PLAIN_WORDS)
@settings(deadline=None)
def test_each_clause_is_written_before_the_speech_of_those_before_it_ends(words: list[str]) -> None:
    """At the pace of the embedded model, 28 tokens a second, and of speech, 3.3 words a second."""
    written_per_s, spoken_per_s, voice_s = 28 / 1.25, 3.3, 0.08
    written_s = spoken_until_s = 0.0
    for number, clause in enumerate(split(" ".join(words))):
        count = len(clause.text.split())
        written_s += count / written_per_s
        starts_s = written_s + voice_s
        assert not number or starts_s <= spoken_until_s, clause
        spoken_until_s = max(spoken_until_s, starts_s) + (count + 1) / spoken_per_s


def test_the_first_clause_does_not_part_a_unit_of_two_words() -> None:
    clause, *_ = ClauseSplitter(first_words=5).push("The room has 20 sq ft of space in all.")
    assert clause.text == "The room has 20 sq ft"


@pytest.mark.parametrize(
    "sentence",
    [
        "Pi is 3.14159 or 1,000 or 10:30.",
        "Ask Dr. Smith.",
        "Fruit, e.g. apples.",
        "The U.S. army.",
        "At 5 p.m. sharp.",
        "By J. K. Rowling.",
        "In room No. 5 now.",
        "See https://a.example/x.y?z,w;v now.",
        "See [the, one. two](http://a.b/) now.",
        "Run `a, b. c` now.",
        "Wait... what.",
    ],
)
def test_numbers_abbreviations_addresses_and_spans_are_not_split(sentence: str) -> None:
    assert texts("Yes. " + sentence + " Next one.") == ["Yes.", " " + sentence, " Next one."]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ('"Stop." (He did.) **Good.** Yes.', ['"Stop."', " (He did.)", " **Good.**", " Yes."]),
        ("No. 5 is 5.", ["No.", " 5 is 5."]),
        ("你好。今天天气很好！走吧", ["你好。", "今天天气很好！", "走吧"]),
        ("- one\n- two\n1. three. Four\n", ["- one\n", "- two\n", "1. three.", " Four\n"]),
        ("A title\n\nsome text", ["A title\n\n", "some text"]),
        ("soft\nwrapped\nlines. Next", ["soft\nwrapped\nlines.", " Next"]),
        ("Roses are red\nViolets are blue", ["Roses are red\n", "Violets are blue"]),
        ("| a. b | c |\n| d, e | f |\n", ["| a. b | c |\n", "| d, e | f |\n"]),
        ("Code:\n```py a. b\nx = 1. y\n```\nDone.", ["Code:\n", "```py a. b\n", "x = 1. y\n", "```\n", "Done."]),
        ("Hi.  \n", ["Hi.", "  \n"]),
        ("", []),
    ],
)
def test_clauses_end_where_a_reader_would_pause(text: str, clauses: list[str]) -> None:
    assert texts(text) == clauses


def test_a_forced_end_keeps_the_voice_up_and_the_end_of_the_text_lowers_it() -> None:
    first, last = split("The weather in Berlin tomorrow afternoon is expected to be cloudy")
    assert (first.spoken, first.leads_on) == ("The weather in Berlin tomorrow afternoon is expected,", True)
    assert (last.spoken, last.leads_on) == ("to be cloudy.", False)


def test_code_is_a_clause_without_sound() -> None:
    clauses = split("Look:\n```\nx = 1\n```\nDone.")
    assert [(clause.text, clause.spoken) for clause in clauses] == [
        ("Look:\n", "Look:"),
        ("```\n", "Code omitted."),
        ("x = 1\n", ""),
        ("```\n", ""),
        ("Done.", "Done."),
    ]


def test_a_clause_is_ready_one_character_after_its_end() -> None:
    splitter = ClauseSplitter(first_words=8)
    assert splitter.push("It is 3.") == []
    assert splitter.push("5 metres.") == []
    assert splitter.push(" ") == [Clause("It is 3.5 metres.", "It is 3.5 metres.")]
    assert splitter.finish() == [Clause(" ", "")]


def test_a_sentence_that_ends_the_text_waits_for_finish_only() -> None:
    splitter = ClauseSplitter(first_words=8)
    assert splitter.push("Paris.") == []
    assert splitter.finish() == [Clause("Paris.", "Paris.")]


@pytest.mark.parametrize(
    "text", ["x" * 5000, "```\n" + "x" * 5000, "| " + "a " * 3000, "a " * 3000, "`" + "b. " * 2000]
)
def test_nothing_is_held_back_without_limit(text: str) -> None:
    splitter = ClauseSplitter(first_words=8)
    clauses = splitter.push(text)
    assert max(len(clause.text) for clause in clauses) <= 1000
    assert len(text) - sum(len(clause.text) for clause in clauses) < 1000


def test_the_wording_is_that_of_the_splitter() -> None:
    splitter = ClauseSplitter(PLAIN)
    assert splitter.push("Das sind 50 %. ")[0].spoken == "Das sind 50 %."


@given(TEXTS)
@settings(deadline=None)
@example("a\n\n\nb")
@example("\n```")
def test_clauses_joined_are_the_text(text: str) -> None:
    assert "".join(texts(text)) == text


@given(TEXTS, st.lists(st.integers(0, 200)))
@settings(deadline=None)
def test_the_same_text_gives_the_same_clauses_however_it_is_chunked(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    chunks = [text[start:end] for start, end in pairwise(edges)]
    assert split(*chunks) == split(text) == split(*text)


@given(TEXTS)
@settings(deadline=None)
def test_every_clause_but_the_last_holds_something(text: str) -> None:
    assert all(clause.text.strip() for clause in split(text)[:-1])
