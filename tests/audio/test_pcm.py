import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.pcm import (
    S16LE,
    ms_to_samples,
    pcm_samples,
    pcm_to_samples,
    samples_to_ms,
    samples_to_pcm,
    silence,
)


def test_every_16_bit_value_survives_the_way_to_samples_and_back() -> None:
    pcm = np.arange(-32768, 32768).astype(S16LE).tobytes()
    samples = pcm_to_samples(pcm)
    assert samples.dtype == np.float32
    assert samples[0] == -1.0
    assert samples[32768] == 0.0
    assert samples_to_pcm(samples) == pcm


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        (0.0, 0),
        (1.0, 32767),
        (7.5, 32767),
        (-1.0, -32768),
        (-1.0001, -32768),
        (float("inf"), 32767),
        (float("-inf"), -32768),
        (float("nan"), 0),
        (0.6 / 32768, 1),
        (-0.6 / 32768, -1),
        (0.4 / 32768, 0),
    ],
)
def test_samples_are_rounded_and_clipped(sample: float, value: int) -> None:
    for dtype in (np.float32, np.float64):
        assert np.frombuffer(samples_to_pcm(np.array([sample], dtype)), S16LE).tolist() == [value]


def test_conversion_does_not_change_its_input() -> None:
    samples = np.array([2.0, float("nan"), 0.25], np.float32)
    before = samples.copy()
    samples_to_pcm(samples)
    np.testing.assert_array_equal(samples, before)


def test_pcm_is_little_endian() -> None:
    assert pcm_to_samples(b"\x00\x40").tolist() == [0.5]
    assert samples_to_pcm(np.array([0.5], np.float32)) == b"\x00\x40"


@pytest.mark.parametrize("size", [1, 3, 961])
def test_half_a_sample_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        pcm_to_samples(bytes(size))
    with pytest.raises(ValueError, match=str(size)):
        pcm_samples(bytes(size))


@pytest.mark.parametrize(
    ("ms", "rate_hz", "samples"),
    [(20, 24000, 480), (100, 8000, 800), (0, 24000, 0), (1, 22050, 22), (3600000, 24000, 86400000)],
)
def test_durations_are_whole_samples(ms: int, rate_hz: int, samples: int) -> None:
    assert ms_to_samples(ms, rate_hz) == samples
    assert len(silence(samples)) == 2 * samples


@given(st.integers(0, 10**9), st.sampled_from([8000, 16000, 24000, 48000]))
def test_milliseconds_survive_the_way_through_samples(ms: int, rate_hz: int) -> None:
    assert samples_to_ms(ms_to_samples(ms, rate_hz), rate_hz) == ms
