"""The whole way from a client's chunks to turn events gives the same at every chunk size."""

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio.level import rms_dbfs
from antiphon.audio.pcm import pcm_to_samples, silence
from antiphon.audio.rechunk import Rechunker
from antiphon.audio.resample import Resampler, resample
from antiphon.engines.vad_energy import EnergyVad
from antiphon.turns.endpointer import Endpointer
from antiphon.turns.types import EndpointerSettings, SpeechStarted, SpeechStopped, TurnEvent

INPUT_HZ = 24_000
WINDOW_AT_INPUT = 768


def two_turns() -> bytes:
    """Two sentences with a second of silence after each, at 24 kHz."""
    parts = []
    for name in ("go_forward", "austen_0880"):
        with wave.open(str(Path(__file__).parents[1] / "data" / "speech" / f"{name}.wav")) as file:
            parts += [resample(file.readframes(file.getnframes()), file.getframerate(), INPUT_HZ), silence(INPUT_HZ)]
    return b"".join(parts)


def events_of(pcm: bytes, chunk_samples: list[int]) -> list[TurnEvent]:
    vad = EnergyVad()
    state = vad.new_state()
    resampler = Resampler(INPUT_HZ, vad.sample_rate_hz)
    windows = Rechunker(vad.window_samples * 2)
    endpointer = Endpointer(EndpointerSettings())
    events: list[TurnEvent] = []
    heard, at, turn = 0, 0, 0
    while at < len(pcm):
        size = 2 * chunk_samples[turn % len(chunk_samples)]
        for window in windows.push(resampler.push(pcm[at : at + size])):
            samples = pcm_to_samples(window)
            probability = float(vad.detect(samples[np.newaxis], [state])[0])
            events += endpointer.push(heard, WINDOW_AT_INPUT, probability, rms_dbfs(samples))
            heard += WINDOW_AT_INPUT
        at, turn = at + size, turn + 1
    return events


PCM = two_turns()
EXPECTED = events_of(PCM, [len(PCM) // 2])


def test_two_sentences_are_two_turns() -> None:
    assert [type(event) for event in EXPECTED if isinstance(event, SpeechStarted | SpeechStopped)] == [
        SpeechStarted,
        SpeechStopped,
    ] * 2


@pytest.mark.parametrize("chunk_ms", [10, 20, 60, 100, 200])
def test_turns_are_the_same_at_every_chunk_size(chunk_ms: int) -> None:
    assert events_of(PCM, [chunk_ms * INPUT_HZ // 1000]) == EXPECTED


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 500))
def test_turns_are_the_same_for_chunks_of_any_sizes(chunk_samples: list[int]) -> None:
    assert events_of(PCM, chunk_samples) == EXPECTED
