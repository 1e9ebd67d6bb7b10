import pytest

from antiphon.turns.backchannels import BACKCHANNELS, is_backchannel, may_become_backchannel


@pytest.mark.parametrize("language", BACKCHANNELS)
def test_every_phrase_of_the_table_is_one_however_it_is_written(language: str) -> None:
    for phrase in BACKCHANNELS[language]:
        assert is_backchannel(phrase)
        assert is_backchannel(f" {phrase.capitalize()}. ")
        assert may_become_backchannel(phrase[: len(phrase) // 2 + 1])


@pytest.mark.parametrize(
    ("text", "backchannel"),
    [
        ("Yeah, yeah, okay.", True),
        ("Mm-hmm... I see!", True),
        ("That’s right.", True),
        ("Ja, genau.", True),
        ("No.", False),
        ("Stop.", False),
        ("Wait", False),
        ("Yeah, but what about tomorrow?", False),
        ("I see a problem", False),
        ("Okay, okay, okay, okay, okay, okay", False),
        ("Nein", False),
        ("", False),
        ("...", False),
        ("12", False),
    ],
)
def test_only_backchannels_are_backchannels(text: str, backchannel: bool) -> None:
    assert is_backchannel(text) is backchannel


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("Ye", True),
        ("O", True),
        ("Yeah I se", True),
        ("Of", True),
        ("Of cou", True),
        ("Sto", False),
        ("Wh", False),
        ("", False),
    ],
)
def test_a_word_that_is_cut_short_may_become_one(text: str, possible: bool) -> None:
    assert may_become_backchannel(text) is possible
