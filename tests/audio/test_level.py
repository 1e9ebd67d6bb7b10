import numpy as np
import pytest

from antiphon.audio.level import SILENCE_DBFS, rms_dbfs


def sine(amplitude: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (amplitude * np.sin(2 * np.pi * np.arange(2400) / 24)).astype(np.float32)


@pytest.mark.parametrize(
    ("amplitude", "level_dbfs"), [(1.0, -3.01), (0.1, -23.01), (0.001, -63.01), (1e-6, SILENCE_DBFS)]
)
def test_a_sine_is_3_db_below_its_peak(amplitude: float, level_dbfs: float) -> None:
    assert rms_dbfs(sine(amplitude)) == pytest.approx(level_dbfs, abs=0.01)


def test_full_scale_is_0_dbfs_and_silence_the_floor() -> None:
    assert rms_dbfs(np.full(480, -1.0, np.float32)) == pytest.approx(0.0)
    assert rms_dbfs(np.zeros(480, np.float32)) == SILENCE_DBFS
    assert rms_dbfs(np.zeros(0, np.float32)) == SILENCE_DBFS
