import pytest

from antiphon.engines.hibari.model import pace
from antiphon.engines.hibari.voices import DEFAULT_VOICE, VOICES, voice_named

OPENAI_VOICES = {"alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"}


def test_there_is_a_voice_of_its_own_for_each_name_of_the_api() -> None:
    assert set(VOICES) == OPENAI_VOICES
    assert len(set(VOICES.values())) == len(OPENAI_VOICES)


@pytest.mark.parametrize(
    ("name", "voice"),
    [
        ("cedar", "cedar"),
        (" Cedar ", "cedar"),
        ("heart", "marin"),
        ("fenrir", "ash"),
        ("no-such-voice", DEFAULT_VOICE),
        ("", DEFAULT_VOICE),
    ],
)
def test_any_name_finds_a_voice(name: str, voice: str) -> None:
    assert voice_named(name) is VOICES[voice]


def test_unknown_names_get_the_default_that_was_chosen() -> None:
    assert voice_named("no-such-voice", "echo") is VOICES["echo"]
    assert voice_named("sage", "echo") is VOICES["sage"]


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("speed", [0.25, 0.5, 1.0, 1.25, 1.5, 2.0])
def test_every_speed_is_reached_within_the_paces_that_the_model_speaks_well(voice: str, speed: float) -> None:
    chosen = pace(VOICES[voice], speed)
    assert 0.5 <= chosen.model <= 1.25
    duration = chosen.stretch / chosen.model / VOICES[voice].size
    assert duration == pytest.approx(1 / (speed * VOICES[voice].tempo), rel=0.1)
