import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.level import rms_dbfs
from antiphon.audio.pcm import pcm_to_samples, samples_to_pcm
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.registry import EngineKind, requirements
from antiphon.engines.vad_silero import SileroVad, create
from antiphon.turns.endpointer import Endpointer
from antiphon.turns.types import EndpointerSettings, SpeechStarted, SpeechStopped, TurnEvent
from antiphon.vocabulary.errors import EngineErrorKind

SPEECH = Path(__file__).parents[1] / "data" / "speech"
RECORDINGS = sorted(SPEECH.glob("*.wav"))
RATE_HZ = 16_000
WINDOW = 512

Signal = NDArray[np.float32]


def recording(path: Path) -> Signal:
    with wave.open(str(path)) as file:
        return pcm_to_samples(file.readframes(file.getnframes()))


def in_windows(signal: Signal) -> Signal:
    return signal[: len(signal) // WINDOW * WINDOW].reshape(-1, WINDOW)


def probabilities(vad: SileroVad, signal: Signal) -> Signal:
    state = vad.new_state()
    return np.array([vad.detect(window[np.newaxis], [state])[0] for window in in_windows(signal)])


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return create({})


@pytest.mark.engines
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_one_sentence_is_one_turn_between_its_first_and_its_last_sound(vad: SileroVad, path: Path) -> None:
    quiet = np.zeros(RATE_HZ, np.float32)
    speech = np.concatenate((quiet, recording(path), quiet))
    endpointer = Endpointer(EndpointerSettings(silence_duration_ms=700), sample_rate_hz=RATE_HZ)
    events: list[TurnEvent] = []
    for number, (window, probability) in enumerate(zip(in_windows(speech), probabilities(vad, speech), strict=True)):
        events += endpointer.push(number * WINDOW, WINDOW, float(probability), rms_dbfs(window))
    ends = [event for event in events if isinstance(event, SpeechStarted | SpeechStopped)]
    loud = np.flatnonzero(np.abs(speech) > 0.05)
    assert [type(event) for event in ends] == [SpeechStarted, SpeechStopped]
    assert abs(ends[0].at_sample - loud[0]) < 0.3 * RATE_HZ
    assert abs(ends[1].at_sample - 0.7 * RATE_HZ - loud[-1]) < 0.3 * RATE_HZ


@pytest.mark.engines
def test_silence_noise_and_tones_are_not_speech(vad: SileroVad) -> None:
    time = np.arange(10 * RATE_HZ) / RATE_HZ
    noise = np.random.default_rng(5).standard_normal(len(time)).astype(np.float32)
    for signal in (np.zeros_like(noise), 0.001 * noise, 0.1 * noise, 0.3 * np.sin(2 * np.pi * 50 * time)):
        assert np.mean(probabilities(vad, signal.astype(np.float32)) >= 0.5) < 0.01


@pytest.mark.engines
def test_each_window_is_seen_with_the_end_of_the_one_before_it(vad: SileroVad) -> None:
    # From the model run by hand with its documented interface; without the 64 samples of context the fourth is 0.74.
    onset = probabilities(vad, recording(SPEECH / "austen_0870.wav"))[7:14]
    np.testing.assert_allclose(onset, [0.273, 0.254, 0.235, 0.392, 0.677, 0.850, 0.973], atol=0.02)


@pytest.mark.engines
def test_a_batch_gives_the_values_of_its_windows_one_by_one(vad: SileroVad) -> None:
    streams = [in_windows(recording(path))[:80] for path in RECORDINGS]
    states = [vad.new_state() for _ in streams]
    together = np.array([vad.detect(np.stack(windows), states) for windows in zip(*streams, strict=True)]).T
    alone = [probabilities(vad, stream.ravel()) for stream in streams]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert together.max() > 0.9


@pytest.mark.engines
def test_quantisation_to_16_bit_and_float_windows_agree(vad: SileroVad) -> None:
    speech = recording(RECORDINGS[0])
    again = pcm_to_samples(samples_to_pcm(speech.astype(np.float64)))
    np.testing.assert_array_equal(probabilities(vad, speech), probabilities(vad, again))


@pytest.mark.engines
@pytest.mark.skipif(sys.platform != "linux", reason="counts threads by the process file system")
def test_the_engine_takes_no_thread_of_its_own() -> None:
    tasks = Path("/proc/self/task")
    before = len(list(tasks.iterdir()))
    vad = create({})
    vad.detect(np.zeros((8, WINDOW), np.float32), [vad.new_state() for _ in range(8)])
    assert len(list(tasks.iterdir())) == before


@pytest.mark.engines
@pytest.mark.parametrize(("shape", "states"), [((1, 480), 1), ((2, WINDOW), 1), ((WINDOW,), 1), ((1, WINDOW), 0)])
def test_a_refused_batch_changes_no_state(vad: SileroVad, shape: tuple[int, ...], states: int) -> None:
    held = [vad.new_state() for _ in range(states)]
    with pytest.raises(EngineError) as refused:
        vad.detect(np.full(shape, 0.5, np.float32), held)
    assert refused.value.kind is EngineErrorKind.BAD_INPUT
    assert not any(state.recurrent.any() or state.context.any() for state in held)


@pytest.mark.engines
def test_a_state_may_stand_in_a_batch_once(vad: SileroVad) -> None:
    state = vad.new_state()
    with pytest.raises(EngineError):
        vad.detect(np.zeros((2, WINDOW), np.float32), [state, state])


@pytest.mark.engines
def test_an_empty_batch_is_no_error(vad: SileroVad) -> None:
    assert vad.detect(np.zeros((0, WINDOW), np.float32), []).shape == (0,)


def test_weights_are_required_unless_a_path_is_configured() -> None:
    needed = requirements(EngineKind.VAD, "silero")
    assert needed.modules == ("onnxruntime",)
    assert list(needed.weights({})) == ["silero-vad"]
    assert list(needed.weights({"path": "/models/vad.onnx"})) == []


def test_a_missing_or_damaged_model_is_a_settings_error_in_one_line(tmp_path: Path) -> None:
    damaged = tmp_path / "silero_vad.onnx"
    damaged.write_bytes(b"not a model")
    for options in ({"path": str(tmp_path / "nowhere")}, {"path": str(damaged)}, {"modelpath": "x"}):
        with pytest.raises(EngineSettingsError, match=r"^silero: [^\n]+$"):
            create(options)
