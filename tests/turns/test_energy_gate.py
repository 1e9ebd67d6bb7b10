"""The detector is asked about what changes, and not about what goes on as it was."""

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.level import rms_dbfs
from antiphon.turns.energy_gate import EnergyGate

Windows = NDArray[np.float32]
_WINDOW = 512
_SECOND = 31


def _noise(dbfs: float, windows: int = 10 * _SECOND, *, pink: bool = False, seed: int = 5) -> Windows:
    white = np.random.default_rng(seed).standard_normal(windows * _WINDOW)
    if pink:
        hz = np.maximum(np.fft.rfftfreq(len(white), 1 / 16_000), 20.0)
        white = np.fft.irfft(np.fft.rfft(white) / np.sqrt(hz), len(white))
    scaled: NDArray[np.float64] = white / np.sqrt(np.mean(np.square(white))) * 10 ** (dbfs / 20)
    return scaled.astype(np.float32).reshape(windows, _WINDOW)


def _asked(gate: EnergyGate, windows: Windows, probability: float = 0.02) -> list[int]:
    """Which windows the detector is asked about, if it always says the same."""
    asked = []
    for number, window in enumerate(windows):
        level_dbfs = rms_dbfs(window)
        if gate.passes(window, level_dbfs):
            asked.append(number)
            gate.heard(window, level_dbfs, probability)
    return asked


@pytest.mark.parametrize("dbfs", [-100, -75, -60, -45, -30])
@pytest.mark.parametrize("pink", [False, True])
def test_steady_noise_closes_the_gate_after_a_second_and_hardly_opens_it(dbfs: float, pink: bool) -> None:
    gate = EnergyGate()
    windows = _noise(dbfs, 60 * _SECOND, pink=pink)
    asked = _asked(gate, windows)
    assert asked[:32] == list(range(32))
    assert len(asked) < 0.12 * len(windows)


def test_digital_silence_closes_it_and_anything_audible_opens_it() -> None:
    gate = EnergyGate()
    assert len(_asked(gate, np.zeros((100, _WINDOW), np.float32))) == 32
    assert _asked(gate, _noise(-65, 1)) == [0]


def test_a_detector_that_suspects_speech_keeps_it_open() -> None:
    assert len(_asked(EnergyGate(), _noise(-50, 200), probability=0.15)) == 200


@pytest.mark.parametrize("change_db", [-4.5, 4.5, 20])
@pytest.mark.parametrize("pink", [False, True])
def test_a_change_of_level_up_or_down_opens_it_with_the_first_window(change_db: float, pink: bool) -> None:
    gate = EnergyGate()
    _asked(gate, _noise(-50, 2 * _SECOND, pink=pink))
    asked = _asked(gate, _noise(-50 + change_db, 50, pink=pink, seed=6))
    assert asked == list(range(32))


def test_a_faint_sibilant_opens_it_though_the_level_hardly_changes() -> None:
    gate = EnergyGate()
    rumble = _noise(-45, 4 * _SECOND, pink=True)
    _asked(gate, rumble)
    hiss = rumble[-3:] + np.diff(_noise(-54, 3, seed=8), append=0).astype(np.float32)
    assert abs(rms_dbfs(hiss[0]) - rms_dbfs(rumble[-3])) < 1.0
    assert _asked(gate, hiss)


def test_noise_that_swells_slowly_is_followed() -> None:
    gate = EnergyGate()
    windows = _noise(-50, 60 * _SECOND)
    swelling = windows * 10 ** (np.linspace(0, 10, len(windows)) / 20)[:, np.newaxis].astype(np.float32)
    assert len(_asked(gate, swelling)) < 0.1 * len(windows)


def test_a_pause_of_digital_silence_in_the_noise_changes_nothing() -> None:
    gate = EnergyGate()
    noise = _noise(-50, 8 * _SECOND)
    _asked(gate, noise[: 4 * _SECOND])
    assert _asked(gate, np.zeros((50, _WINDOW), np.float32)) == []
    assert _asked(gate, noise[4 * _SECOND :]) == []
