"""WebRTC's noise reduction on recorded speech: noise falls, speech stays, and nothing is understood worse."""

import asyncio

import pytest

from antiphon.engines.errors import EngineSettingsError
from antiphon.engines.noise_webrtc import create
from antiphon.engines.registry import EngineKind, requirements
from antiphon.engines.stt_whisper import create as create_whisper
from antiphon.vocabulary.speech import NoiseKind
from tests.support.noise import RECORDINGS, levels, noisy, reduced, wrong_words

LONGEST = "austen_0870.wav"


@pytest.mark.engines
@pytest.mark.parametrize(
    ("kind", "strength", "noise_falls_db", "speech_changes_db"),
    [
        ("near_field", 0.0, (0, 0), (0, 0)),
        ("near_field", 0.5, (5, 9), (-3, 0)),
        ("near_field", 1.0, (10, 18), (-4, 0)),
        ("far_field", 0.5, (4, 9), (-3, 5)),
        ("far_field", 1.0, (8, 24), (-4, 8)),
    ],
)
def test_steady_noise_falls_and_speech_is_kept(
    kind: NoiseKind,
    strength: float,
    noise_falls_db: tuple[float, float],
    speech_changes_db: tuple[float, float],
) -> None:
    before = noisy(LONGEST, 10)
    was, now = levels(LONGEST, before), levels(LONGEST, reduced(before, kind, strength))
    assert noise_falls_db[0] - 0.01 <= was.noise - now.noise <= noise_falls_db[1] + 0.01
    assert speech_changes_db[0] - 0.01 <= now.speech - was.speech <= speech_changes_db[1] + 0.01


@pytest.mark.engines
def test_a_distant_voice_is_raised() -> None:
    quiet = (
        reduced(noisy(LONGEST, 20, gain_db=-25), "near_field"),
        reduced(noisy(LONGEST, 20, gain_db=-25), "far_field"),
    )
    near, far = (levels(LONGEST, pcm) for pcm in quiet)
    assert far.speech - near.speech >= 10


@pytest.mark.engines
def test_no_more_words_are_wrong() -> None:
    stt = create_whisper({"model": "tiny.en", "window": "full"})

    async def main() -> dict[NoiseKind | None, int]:
        kinds: tuple[NoiseKind | None, ...] = (None, "near_field", "far_field")
        wrong = dict.fromkeys(kinds, 0)
        for kind in kinds:
            for name in RECORDINGS[:4]:
                for below_db in (20, 5):
                    wrong[kind] += await wrong_words(stt, name, reduced(noisy(name, below_db), kind))
        await stt.aclose()
        return wrong

    wrong = asyncio.run(main())
    # One or two fall either way with the noise that was drawn.
    assert wrong["near_field"] <= wrong[None] + 1
    assert wrong["far_field"] <= wrong[None] + 2


def test_it_needs_its_library_and_judges_its_options() -> None:
    assert requirements(EngineKind.NOISE_REDUCER, "webrtc").modules == ("pywebrtc_audio",)
    with pytest.raises(EngineSettingsError, match="near_level"):
        create({"near_level": 4})
