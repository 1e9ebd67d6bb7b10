import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.logmel import log_mel

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "log_mel_reference.json").read_text())


def _signal(n_samples: int = 16_000) -> NDArray[np.float32]:
    """Sweep, tone and noise, loud and soft by turns; made of integers so that every machine makes the same one."""
    i = np.arange(n_samples)
    t = i / 16_000
    noise = ((i * i * 7919 + i * 104_729) % 65_537) / 65_537 - 0.5
    envelope = np.where((i // 3200) % 2 == 0, 1.0, 0.01)
    tones = 0.3 * np.sin(2 * np.pi * (200 + 1500 * t) * t) + 0.2 * np.sin(2 * np.pi * 3100 * t)
    return (envelope * (tones + 0.05 * noise)).astype(np.float32)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_values_equal_the_reference_implementation(n_mels: int) -> None:
    reference = REFERENCE[str(n_mels)]
    features = log_mel(_signal(), n_mels=n_mels)
    assert list(features.shape) == reference["shape"]
    assert features.dtype == np.float32
    assert float(features.mean()) == pytest.approx(reference["mean"], abs=2e-4)
    for frame, values in reference["frames"].items():
        np.testing.assert_allclose(features[:, int(frame)], values, atol=2e-3)


@pytest.mark.parametrize(
    ("n_samples", "frames"),
    [(0, 0), (1, 0), (159, 0), (160, 1), (201, 1), (1_000, 6), (128_000, 800), (480_000, 3_000)],
)
def test_one_frame_for_each_whole_hop(n_samples: int, frames: int) -> None:
    features = log_mel(np.full(n_samples, 0.1, np.float32))
    assert features.shape == (80, frames)
    assert np.isfinite(features).all()


def test_silence_is_the_power_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(1_600, np.float32)), -1.5, atol=1e-6)


def test_nothing_lies_more_than_eight_decades_below_the_loudest() -> None:
    features = log_mel(_signal())
    assert float(features.max() - features.min()) == pytest.approx(2.0, abs=1e-6)


def test_the_input_is_left_as_it_was() -> None:
    samples = _signal()
    before = samples.copy()
    log_mel(samples)
    np.testing.assert_array_equal(samples, before)
