"""What the recogniser is told of the client's hints."""

import pytest

from antiphon.core.transcription import Wanted, options_for
from antiphon.protocol.base import UNSET
from antiphon.protocol.session_config import InputTranscription


def _options(**config: object) -> tuple[str | None, str]:
    hints = InputTranscription(model="any", **config)  # type: ignore[arg-type]
    options = options_for(Wanted(hints, announced=True))
    return options.language, options.prompt


@pytest.mark.parametrize(
    ("config", "language", "prompt"),
    [
        ({}, None, ""),
        ({"language": "de"}, "de", ""),
        ({"languages": ["de"]}, "de", ""),
        ({"languages": ["de", "de"]}, "de", ""),
        ({"languages": ["de", "fr"]}, None, ""),
        ({"language": "en", "languages": ["de"]}, "en", ""),
        ({"prompt": "about ships"}, None, "about ships"),
        ({"prompt": "about ships", "keywords": ["hull", "keel"]}, None, "about ships, hull, keel"),
        ({"prompt": None, "keywords": UNSET}, None, ""),
    ],
)
def test_language_and_hints_are_passed_on(config: dict[str, object], language: str | None, prompt: str) -> None:
    assert _options(**config) == (language, prompt)


def test_of_several_languages_all_are_told_unless_one_is_said() -> None:
    def expected(**config: object) -> tuple[str, ...]:
        return options_for(Wanted(InputTranscription(model="any", **config), announced=True)).languages  # type: ignore[arg-type]

    assert expected(languages=["de", "fr", "de"]) == ("de", "fr")
    assert expected(language="it", languages=["de", "fr"]) == ()
    assert expected(languages=["de"]) == ()
    assert len(expected(languages=[str(number) for number in range(1000)])) == 128


def test_of_long_hints_the_end_is_heeded() -> None:
    _, prompt = _options(prompt="x" * 1_000_000, keywords=["keel"])
    assert len(prompt) == 4_096
    assert prompt.endswith("x, keel")
