import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import Samples
from antiphon.engines.whisper.pauses import cut_at_pauses, cut_position, ends_quietly, goes_on_quietly, is_silent

RATE_HZ = 16_000


def noise(duration_s: float, level: float = 0.1) -> Samples:
    return np.random.default_rng(1).normal(0.0, level, int(duration_s * RATE_HZ)).astype(np.float32)


def quiet(duration_s: float, level: float = 0.001) -> Samples:
    return noise(duration_s, level)


def speech(*parts: Samples) -> Samples:
    return np.concatenate(parts)


@pytest.mark.parametrize(
    ("samples", "expected_s"),
    [
        (speech(noise(6), quiet(0.4), noise(4)), 6.2),
        (speech(noise(6), quiet(1.0), noise(4)), 6.5),
        (speech(noise(6), quiet(0.4), noise(1), quiet(0.6), noise(3)), 7.7),
        (speech(noise(6), quiet(0.6), noise(1), quiet(0.4), noise(3)), 6.3),
        (speech(noise(2), quiet(1), noise(3), quiet(0.4), noise(4)), 6.2),
        (speech(noise(5.5), quiet(0.4, 0.01), noise(1), quiet(0.4), noise(4)), 7.1),
    ],
    ids=["a pause", "its middle", "the longer", "the longer again", "only behind the earliest", "the quieter"],
)
def test_the_cut_is_in_the_middle_of_the_best_pause(samples: Samples, expected_s: float) -> None:
    cut = cut_position(samples, earliest=5 * RATE_HZ, latest=10 * RATE_HZ)
    assert cut / RATE_HZ == pytest.approx(expected_s, abs=0.1)


def test_without_any_pause_the_cut_is_still_within_bounds() -> None:
    assert 5 * RATE_HZ <= cut_position(noise(10), earliest=5 * RATE_HZ, latest=10 * RATE_HZ) <= 10 * RATE_HZ


def test_digital_silence_is_cut_in_its_middle() -> None:
    samples = np.zeros(10 * RATE_HZ, np.float32)
    assert cut_position(samples, earliest=5 * RATE_HZ, latest=10 * RATE_HZ) == pytest.approx(7.5 * RATE_HZ, abs=160)


@given(st.integers(0, 200_000), st.integers(1_000, 60_000))
def test_pieces_are_short_enough_and_make_up_the_whole(length: int, longest: int) -> None:
    samples = np.random.default_rng(length).normal(0.0, 0.1, length).astype(np.float32)
    pieces = cut_at_pauses(samples, longest_samples=longest)
    assert max(len(piece) for piece in pieces) <= longest
    assert all(len(piece) >= longest // 2 for piece in pieces[:-1])
    np.testing.assert_array_equal(np.concatenate(pieces), samples)


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
