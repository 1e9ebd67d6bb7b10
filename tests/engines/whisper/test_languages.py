import pytest

from antiphon.engines.whisper.languages import LANGUAGES, ModelChoice, Route, join_texts, route

ENGLISH = Route("tiny.en", "en")


@pytest.mark.parametrize(
    ("choice", "requested", "detect", "expected"),
    [
        ("auto", None, False, ENGLISH),
        ("auto", "", False, ENGLISH),
        ("auto", "en", False, ENGLISH),
        ("auto", "EN-us", False, ENGLISH),
        ("auto", " en_GB ", False, ENGLISH),
        ("auto", "en", True, ENGLISH),
        ("auto", "de", False, Route("base", "de")),
        ("auto", "pt-BR", False, Route("base", "pt")),
        ("auto", "zh-Hant-TW", False, Route("base", "zh")),
        ("auto", "nb", False, Route("base", "no")),
        ("auto", "tlh", False, Route("base", None)),
        ("auto", "???", False, Route("base", None)),
        ("auto", None, True, Route("base", None)),
        ("tiny.en", None, False, ENGLISH),
        ("tiny.en", "de", True, ENGLISH),
        ("base", None, False, Route("base", None)),
        ("base", "en", False, Route("base", "en")),
        ("base", "fr", True, Route("base", "fr")),
        ("own", None, False, Route("own", None)),
        ("own", "fr", False, Route("own", "fr")),
    ],
)
def test_the_language_chooses_the_model(
    choice: ModelChoice, requested: str | None, detect: bool, expected: Route
) -> None:
    assert route(requested, choice=choice, detect=detect) == expected


@pytest.mark.parametrize(
    ("choice", "requested", "expected", "found"),
    [
        ("auto", None, ["de", "fr"], Route("base", None, ("de", "fr"))),
        ("auto", None, ["de-CH", "en", "xx", "de"], Route("base", None, ("de", "en"))),
        ("auto", None, ["de", "xx"], Route("base", "de")),
        ("auto", None, ["en-GB", "en-US"], ENGLISH),
        ("auto", None, ["xx", "yy"], ENGLISH),
        ("auto", "it", ["de", "fr"], Route("base", "it")),
        ("tiny.en", None, ["de", "fr"], ENGLISH),
        ("own", None, ["de", "fr"], Route("own", None, ("de", "fr"))),
    ],
)
def test_of_several_languages_one_is_detected(
    choice: ModelChoice, requested: str | None, expected: list[str], found: Route
) -> None:
    assert route(requested, choice=choice, detect=False, expected=expected) == found


def test_whisper_knows_99_languages() -> None:
    assert len(LANGUAGES) == 99


@pytest.mark.parametrize(
    ("texts", "language", "joined"),
    [
        (["One.", "", "Two."], "en", "One. Two."),
        (["一。", "二。"], "zh", "一。二。"),
        ([], None, ""),
        (["", ""], "en", ""),
    ],
)
def test_pieces_are_joined_as_the_language_is_written(texts: list[str], language: str | None, joined: str) -> None:
    assert join_texts(texts, language) == joined
