import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import Samples
from antiphon.engines.whisper.pauses import cut_at_pauses, cut_position
from tests.support.loudness import RATE_HZ, noise, quiet, speech


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
