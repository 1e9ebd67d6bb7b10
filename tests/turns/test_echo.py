import pytest

from antiphon.turns.echo import is_echo
from antiphon.turns.words import spoken_words

SAID = "The weather in Berlin tomorrow afternoon is expected to be partly cloudy. Take a coat, it's cold."


@pytest.mark.parametrize(
    ("rule", "text", "echo"),
    [
        ("all words in their order", "Tomorrow afternoon is expected", True),
        ("two words are enough", "partly cloudy", True),
        ("one word proves nothing: people ask back", "Berlin?", False),
        ("across sentences", "cloudy take a coat", True),
        ("written in another way", "IT’S COLD!", True),
        ("a recogniser may get one word in four wrong", "tomorrow afternoon as expected to be", True),
        ("or leave one out", "tomorrow afternoon expected to be partly", True),
        ("of three words all must be right", "tomorrow afternoon as", False),
        ("in another order it is somebody else", "cloudy is Berlin the weather", False),
        ("scattered words are no echo", "the in is to a cold", False),
        ("other words are no echo", "what about Hamburg then", False),
        ("an echo and then the user's own words", "partly cloudy no stop that please", False),
        ("nothing is no echo", "", False),
        ("punctuation alone is none", "...", False),
    ],
)
def test_echo_is_recognised_by_its_words(rule: str, text: str, echo: bool) -> None:
    assert is_echo(text, SAID) is echo, rule


def test_of_a_silent_assistant_there_is_no_echo() -> None:
    assert not is_echo("partly cloudy", "")


@pytest.mark.parametrize(("least", "echo"), [(1, True), (2, True), (3, False)])
def test_how_many_words_it_takes_is_said_by_the_caller(least: int, echo: bool) -> None:
    assert is_echo("partly cloudy", SAID, least_words=least) is echo


def test_words_have_no_case_and_no_punctuation() -> None:
    assert spoken_words("It’s 7 o'clock, uh-huh_— «Ça» va?") == ["it's", "7", "o'clock", "uh-huh", "ça", "va"]
