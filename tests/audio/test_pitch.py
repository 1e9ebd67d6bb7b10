import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from antiphon.audio.level import rms_dbfs
from antiphon.audio.pitch import PitchMarks, change_pitch, change_size, pitch_marks

RATE_HZ = 24_000
HOP_SAMPLES = 300
RESONANCE_HZ = 1_000

Signal = NDArray[np.float32]


def curve(f0_hz: float, seconds: float = 1.0) -> Signal:
    return np.full(int(seconds * RATE_HZ / HOP_SAMPLES), f0_hz, np.float32)


def marks_of(f0_hz: Signal) -> PitchMarks:
    return pitch_marks(f0_hz, hop_samples=HOP_SAMPLES, sample_rate_hz=RATE_HZ)


def voice(f0_hz: float, seconds: float = 1.0) -> Signal:
    """A pulse at each mark, heard through one resonance."""
    length = int(seconds * RATE_HZ / HOP_SAMPLES) * HOP_SAMPLES
    pulses = np.zeros(length)
    marks = marks_of(curve(f0_hz, seconds))
    pulses[marks.positions] = 1.0
    time_s = np.arange(600) / RATE_HZ
    ring = np.exp(-400 * time_s) * np.sin(2 * np.pi * RESONANCE_HZ * time_s)
    return (0.2 * np.convolve(pulses, ring)[:length]).astype(np.float32)


def fundamental_hz(samples: Signal) -> float:
    part = samples[RATE_HZ // 4 : RATE_HZ // 4 + 8192].astype(np.float64)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(part, 16384)) ** 2)
    shortest, longest = RATE_HZ // 400, RATE_HZ // 60
    return RATE_HZ / (shortest + int(np.argmax(correlation[shortest:longest])))


def strongest_hz(samples: Signal) -> float:
    """Of the envelope: averaged over 300 Hz."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    width = int(300 * len(samples) / RATE_HZ)
    smooth = np.convolve(power, np.ones(width), "same")
    return float(np.argmax(smooth)) * RATE_HZ / len(samples)


def test_voiced_speech_has_one_mark_a_period_and_the_rest_one_every_5_ms() -> None:
    f0_hz = np.concatenate((curve(0.0, 0.5), curve(200.0, 0.5)))
    marks = marks_of(f0_hz)

    voiced = marks.positions[marks.voiced]
    assert voiced[0] == pytest.approx(0.5 * RATE_HZ, abs=200)
    assert np.median(np.diff(voiced)) == 120
    unvoiced = marks.positions[~marks.voiced]
    assert set(np.diff(unvoiced).tolist()) == {120}
    assert (np.diff(marks.positions) > 0).all()


def test_with_nothing_to_change_the_signal_stays() -> None:
    samples = voice(180.0)
    marks = marks_of(curve(180.0))
    inside = slice(marks.positions[0], marks.positions[-1])
    np.testing.assert_allclose(change_pitch(samples, marks)[inside], samples[inside], atol=1e-6)


@pytest.mark.parametrize("pitch", [0.64, 0.8, 1.1, 1.5])
def test_pitch_moves_while_duration_level_and_formant_stay(pitch: float) -> None:
    samples = voice(180.0)
    changed = change_pitch(samples, marks_of(curve(180.0)), pitch=pitch)
    assert len(changed) == len(samples)
    assert fundamental_hz(changed) == pytest.approx(180.0 * pitch, rel=0.02)
    assert strongest_hz(changed) == pytest.approx(strongest_hz(samples), abs=120)
    assert rms_dbfs(changed) == pytest.approx(rms_dbfs(samples), abs=2.5)


@pytest.mark.parametrize("stretch", [0.7, 1.3, 2.0])
def test_duration_moves_while_pitch_and_level_stay(stretch: float) -> None:
    samples = voice(180.0)
    changed = change_pitch(samples, marks_of(curve(180.0)), stretch=stretch)
    assert len(changed) == round(len(samples) * stretch)
    assert fundamental_hz(changed) == pytest.approx(180.0, rel=0.02)
    assert rms_dbfs(changed) == pytest.approx(rms_dbfs(samples), abs=1.5)


def test_noise_keeps_its_level_and_gets_no_pitch() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE_HZ).astype(np.float32)
    changed = change_pitch(noise, marks_of(curve(0.0)), pitch=0.7, stretch=2.0)
    assert rms_dbfs(changed) == pytest.approx(rms_dbfs(noise), abs=1.5)
    part = changed[:16384].astype(np.float64)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(part, 32768)) ** 2)
    assert correlation[60:400].max() < 0.4 * correlation[0]


@pytest.mark.parametrize("size", [0.83, 1.0, 1.08])
def test_size_moves_all_frequencies_and_the_duration(size: float) -> None:
    samples = voice(180.0)
    changed = change_size(samples, size)
    assert len(changed) == pytest.approx(len(samples) / size, abs=2)
    assert fundamental_hz(changed) == pytest.approx(180.0 * size, rel=0.02)
    assert strongest_hz(changed) == pytest.approx(strongest_hz(samples) * size, abs=120)


@given(
    st.lists(st.sampled_from([-3.0, 0.0, 39.0, 41.0, 90.0, 200.0, 450.0]), max_size=40),
    st.floats(0.6, 1.6),
    st.floats(0.5, 2.0),
)
@settings(deadline=None)
def test_any_curve_and_any_factors_give_finite_samples_of_the_right_number(
    f0_hz: list[float], pitch: float, stretch: float
) -> None:
    curve_hz = np.array(f0_hz, np.float32)
    samples = np.random.default_rng(0).normal(0, 0.1, len(f0_hz) * HOP_SAMPLES).astype(np.float32)
    marks = marks_of(curve_hz)
    assert (np.diff(marks.positions) > 0).all()
    changed = change_pitch(samples, marks, pitch=pitch, stretch=stretch)
    assert len(changed) == round(len(samples) * stretch)
    assert np.isfinite(changed).all()
    assert np.abs(changed).max(initial=0.0) < 2.0
