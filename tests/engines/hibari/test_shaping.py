import numpy as np
import pytest

from antiphon.engines.hibari.shaping import limit, trim

RATE_HZ = 24_000
SPEECH = np.sin(np.arange(RATE_HZ) / 5).astype(np.float32) * 0.5


def with_silence(before_s: float, after_s: float) -> np.ndarray:
    floor = np.random.default_rng(0).normal(0, 1e-6, int((before_s + after_s) * RATE_HZ)).astype(np.float32)
    split = int(before_s * RATE_HZ)
    return np.concatenate((floor[:split], SPEECH, floor[split:]))


@pytest.mark.parametrize(("before_s", "after_s"), [(0.3, 0.45), (1.0, 0.1)])
def test_silence_around_speech_is_cut_to_20_and_60_ms(before_s: float, after_s: float) -> None:
    trimmed = trim(with_silence(before_s, after_s), RATE_HZ)
    assert len(trimmed) == pytest.approx(len(SPEECH) + 0.08 * RATE_HZ, abs=240)


def test_the_ends_fade_to_zero_even_without_silence_around() -> None:
    trimmed = trim(np.full(4800, 0.5, np.float32), RATE_HZ)
    assert len(trimmed) == 4800
    assert trimmed[0] == trimmed[-1] == 0.0
    assert np.abs(np.diff(trimmed)).max() < 0.01


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(50), np.zeros(9000), np.full(9000, 1e-5)])
def test_where_nothing_is_heard_nothing_is_left(samples: np.ndarray) -> None:
    assert len(trim(samples.astype(np.float32), RATE_HZ)) == 0


def test_peaks_are_bent_below_full_scale_and_the_rest_stays() -> None:
    ramp = np.linspace(-3, 3, 601, dtype=np.float32)
    limited = limit(ramp)
    assert np.abs(limited).max() <= 1.0
    assert (np.diff(limited) >= 0).all()
    quiet = np.abs(ramp) <= 0.7
    np.testing.assert_array_equal(limited[quiet], ramp[quiet])
    np.testing.assert_array_equal(limit(ramp[quiet]), ramp[quiet])
