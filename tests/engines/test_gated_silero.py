"""Speech begins where the detector alone finds it, or sooner, with the gate before it."""

import numpy as np
import pytest

from antiphon.audio.pcm import pcm_to_samples, samples_to_pcm
from antiphon.core.inputs import SpeechProbability
from antiphon.engines import registry
from antiphon.engines.base import VoiceActivityDetector
from antiphon.engines.registry import EngineKind
from antiphon.runtime.listener import Listener
from antiphon.turns import energy_gate
from antiphon.turns.endpointer import Endpointer, EndpointerSettings
from antiphon.turns.types import SpeechStarted
from tests.support.audio import recording, silence_ms

pytestmark = pytest.mark.engines

_QUIET_MS = 3072
_WINDOW = 768


@pytest.fixture(scope="module")
def silero() -> VoiceActivityDetector:
    detector: VoiceActivityDetector = registry.create(EngineKind.VAD, "silero", {})  # type: ignore[assignment]
    return detector


def _spoken_twice(name: str, speech_dbfs: float, noise_dbfs: float, *, pink: bool) -> bytes:
    """Three seconds of noise before each time."""
    samples = pcm_to_samples(recording(name)[:144_000])
    loud = samples[np.abs(samples) > 0.01]
    speech = samples * 10 ** (speech_dbfs / 20) / np.sqrt(np.mean(np.square(loud)))
    quiet = pcm_to_samples(silence_ms(_QUIET_MS))
    signal = np.concatenate((quiet, speech, quiet, speech))
    noise = np.random.default_rng(3).standard_normal(len(signal))
    if pink:
        hz = np.maximum(np.fft.rfftfreq(len(noise), 1 / 24_000), 20.0)
        noise = np.fft.irfft(np.fft.rfft(noise) / np.sqrt(hz), len(noise))
    return samples_to_pcm(signal + noise / np.sqrt(np.mean(np.square(noise))) * 10 ** (noise_dbfs / 20))


def _starts(detector: VoiceActivityDetector, pcm: bytes) -> tuple[list[int], int]:
    """Where speech starts, and how often the detector was asked."""
    endpointer = Endpointer(EndpointerSettings(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500))
    starts: list[int] = []
    asked = 0

    def heard(fact: SpeechProbability) -> None:
        events = endpointer.push(fact.first_sample, fact.window_samples, fact.value, fact.level_dbfs)
        starts.extend(event.at_sample for event in events if isinstance(event, SpeechStarted))

    listener = Listener(detector, lambda _: None, heard, lambda _: None)
    listener.push(pcm)
    while (window := listener.next_window()) is not None:
        (probability,) = detector.detect(window[np.newaxis], [listener.state])
        listener.deliver(float(probability))
        asked += 1
    return starts, asked


@pytest.mark.parametrize("name", ["go_forward.wav", "austen_0920.wav", "austen_0870.wav"])
@pytest.mark.parametrize(
    ("speech_dbfs", "noise_dbfs", "pink"),
    [(-20, -55, False), (-20, -45, True), (-40, -60, True), (-50, -60, False), (-50, -75, True)],
)
def test_no_start_of_speech_is_lost_or_late_for_the_gate(
    silero: VoiceActivityDetector,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    speech_dbfs: float,
    noise_dbfs: float,
    pink: bool,
) -> None:
    pcm = _spoken_twice(name, speech_dbfs, noise_dbfs, pink=pink)
    gated, asked = _starts(silero, pcm)
    with monkeypatch.context() as patched:
        patched.setattr(energy_gate.EnergyGate, "passes", lambda *_: True)
        plain, all_windows = _starts(silero, pcm)
    # In noise the detector grows deaf with time, and with the gate it has heard less of it.
    assert len(gated) == len(plain)
    assert all(with_gate <= without for with_gate, without in zip(gated, plain, strict=True))
    assert min(gated) >= _QUIET_MS * 24 - _WINDOW
    assert asked < 0.9 * all_windows
