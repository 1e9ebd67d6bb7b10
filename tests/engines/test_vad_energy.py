import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.level import rms_dbfs
from antiphon.audio.pcm import pcm_to_samples
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.vad_energy import EnergyVad, create
from antiphon.vocabulary.errors import EngineErrorKind

RECORDINGS = sorted((Path(__file__).parents[1] / "data" / "speech").glob("*.wav"))
RATE_HZ = 16_000
WINDOW = 512

Signal = NDArray[np.float32]


def recording(path: Path) -> Signal:
    with wave.open(str(path)) as file:
        return pcm_to_samples(file.readframes(file.getnframes()))


def noise(seconds: float, level_dbfs: float) -> Signal:
    values = np.random.default_rng(3).standard_normal(int(seconds * RATE_HZ))
    return (values * 10 ** (level_dbfs / 20)).astype(np.float32)


def hum(seconds: float, level_dbfs: float) -> Signal:
    phase = 2 * np.pi * 50 * np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return ((np.sin(phase) + 0.3 * np.sin(3 * phase)) * 10 ** (level_dbfs / 20)).astype(np.float32)


def voiced(signal: Signal, vad: EnergyVad | None = None) -> NDArray[np.bool_]:
    vad = vad or EnergyVad()
    state = vad.new_state()
    windows = signal[: len(signal) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return np.array([vad.detect(window[np.newaxis], [state])[0] >= 0.5 for window in windows])


def loud(signal: Signal) -> NDArray[np.bool_]:
    windows = signal[: len(signal) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return np.array([rms_dbfs(window) > -32 for window in windows])


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
@pytest.mark.parametrize(("snr_db", "least_share"), [(None, 0.8), (20, 0.7), (10, 0.5)])
def test_loud_speech_is_found_in_silence_and_in_steady_noise(
    path: Path, snr_db: int | None, least_share: float
) -> None:
    speech = np.concatenate((np.zeros(RATE_HZ, np.float32), recording(path)))
    audio = speech if snr_db is None else speech + noise(len(speech) / RATE_HZ, -23 - snr_db)
    assert voiced(audio)[loud(speech)].mean() >= least_share


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_silence_before_and_after_speech_is_silence(path: Path) -> None:
    pause = np.zeros(RATE_HZ, np.float32)
    found = voiced(np.concatenate((pause, recording(path), pause)))
    assert not found[: RATE_HZ // WINDOW - 1].any()
    assert not found[-(RATE_HZ // WINDOW - 2) :].any()


@pytest.mark.parametrize("level_dbfs", [-80, -60, -40, -25])
def test_steady_noise_and_hum_are_not_speech_from_the_first_window_on(level_dbfs: int) -> None:
    assert not voiced(noise(10, level_dbfs)).any()
    assert not voiced(hum(10, level_dbfs)).any()


def test_louder_noise_becomes_the_background_within_four_seconds() -> None:
    found = voiced(np.concatenate((noise(4, -60), noise(6, -30))))
    assert found[130:150].all()
    assert not found[-50:].any()


def test_speech_from_the_first_sample_on_is_found() -> None:
    speech = recording(next(path for path in RECORDINGS if path.stem == "austen_0870"))[10_000:]
    assert voiced(speech)[:20][loud(speech)[:20]].mean() > 0.8


def test_a_smaller_margin_finds_more() -> None:
    speech = recording(RECORDINGS[0])
    assert voiced(speech, EnergyVad(3.0)).sum() > voiced(speech, EnergyVad(20.0)).sum()


@pytest.mark.parametrize(("shape", "states"), [((1, 511), 1), ((2, WINDOW), 1), ((WINDOW,), 1)])
def test_windows_of_a_wrong_shape_are_refused(shape: tuple[int, ...], states: int) -> None:
    vad = EnergyVad()
    with pytest.raises(EngineError) as refused:
        vad.detect(np.zeros(shape, np.float32), [vad.new_state() for _ in range(states)])
    assert refused.value.kind is EngineErrorKind.BAD_INPUT


@pytest.mark.parametrize("options", [{"margin": 3}, {"margin_db": "loud"}])
def test_wrong_options_are_refused_by_name(options: dict[str, object]) -> None:
    with pytest.raises(EngineSettingsError, match=r"energy: .*margin_db"):
        create(options)
