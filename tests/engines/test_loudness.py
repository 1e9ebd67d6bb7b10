import numpy as np
import pytest

from antiphon.engines.base import Samples
from antiphon.engines.loudness import ends_quietly, goes_on_quietly, is_silent
from tests.support.loudness import RATE_HZ, noise, quiet, speech


@pytest.mark.parametrize(
    ("samples", "silent"),
    [
        (np.zeros(0, np.float32), True),
        (np.zeros(20_000, np.float32), True),
        (noise(1, 1e-4), True),
        (noise(1, 0.003), False),
        (speech(np.zeros(100_000, np.float32), noise(0.1, 0.01)), False),
        (noise(0.01, 0.01), False),
    ],
)
def test_silence_is_what_has_no_audible_100_ms(samples: Samples, silent: bool) -> None:
    assert is_silent(samples) is silent


@pytest.mark.parametrize(
    ("samples", "quietly"),
    [
        (noise(1), False),
        (speech(noise(1), quiet(0.2)), True),
        (speech(noise(1), quiet(0.1)), False),
        (speech(noise(1), quiet(0.3), noise(0.05)), False),
        (noise(0.05), False),
    ],
)
def test_a_quiet_end_is_200_ms_far_below_the_loudest(samples: Samples, quietly: bool) -> None:
    assert ends_quietly(samples) is quietly


@pytest.mark.parametrize(
    ("after", "quietly"),
    [
        (noise(0), True),
        (quiet(0.5), True),
        (np.zeros(8_000, np.float32), True),
        (speech(quiet(0.3), noise(0.025), quiet(0.3)), False),
        (quiet(0.5, 0.003), True),
        (quiet(0.5, 0.01), False),
        (noise(0.5), False),
    ],
    ids=["nothing", "faint noise", "silence", "a plosive", "26 dB below", "20 dB below", "speech"],
)
def test_what_goes_on_quietly_holds_no_word(after: Samples, quietly: bool) -> None:
    assert goes_on_quietly(speech(noise(1), after), RATE_HZ) is quietly


def test_nothing_loud_goes_on_quietly_behind_silence() -> None:
    assert not goes_on_quietly(speech(quiet(1, 1e-5), noise(1)), RATE_HZ)
    assert not goes_on_quietly(noise(1), 0)
