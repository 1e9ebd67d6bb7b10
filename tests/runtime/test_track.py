"""A call's track goes on while events of several connections are handled: no sample is lost, doubled or misplaced."""

import asyncio
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.config import PCM_24K
from antiphon.core.inputs import AudioReceived, SpeechProbability
from antiphon.protocol.session_config import AudioFormat, AudioInput, NoiseReduction, ServerVad
from antiphon.runtime.hearing import Hearing
from antiphon.runtime.vad_batch import VadBatcher
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedNoiseReducer, ScriptedVad
from tests.support.properties import bounded
from tests.support.runtime import Noted

COUNTED = (np.arange(24_000 * 10) % 30_000).astype("<i2").tobytes()
"""It counts up: what is missing, doubled or misplaced shows."""
NEAR = NoiseReduction(type="near_field")

Steps = st.lists(st.tuples(st.integers(1, 3000), st.sampled_from([0.0, 0.001, 0.01, 0.02])), max_size=20)
Pauses = st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.03]), max_size=12)
Changes = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.005, 0.05]),
        st.sampled_from([None, ServerVad()]),
        st.sampled_from([PCM_24K, AudioFormat(type="audio/pcmu")]),
    ),
    max_size=4,
)


class Ear:
    """One session's, beside as many others as make its windows wait for a batch."""

    def __init__(self, noise: NoiseReduction | None) -> None:
        self.facts: list[AudioReceived | SpeechProbability] = []
        self.batcher = VadBatcher(ScriptedVad(), Noted())
        self.input = AudioInput(format=PCM_24K, noise_reduction=noise, turn_detection=ServerVad())
        for _ in range(5):
            self.batcher.listen(self.facts.append, self.facts.append, self._fail)
        listener = self.batcher.listen(self.facts.append, self.facts.append, self._fail)
        self.hearing = Hearing(self.batcher, listener, lambda: self.input, ScriptedNoiseReducer(), Noted())
        self.heard_samples = 0

    @property
    def audio(self) -> bytes:
        return b"".join(fact.pcm for fact in self.facts if isinstance(fact, AudioReceived))

    async def track(self, steps: list[tuple[int, float]]) -> None:
        for samples, pause_s in steps:
            first, self.heard_samples = self.heard_samples, self.heard_samples + samples
            self.hearing.hear(COUNTED[2 * first : 2 * self.heard_samples])
            await asyncio.sleep(pause_s)

    async def events(self, pauses: list[float]) -> None:
        for pause_s in pauses:
            came_before = 2 * self.heard_samples
            await self.hearing.settle()
            assert len(self.audio) >= came_before
            await asyncio.sleep(pause_s)

    async def change(self, changes: list[tuple[float, Any, AudioFormat]]) -> None:
        for pause_s, detection, format in changes:
            await asyncio.sleep(pause_s)
            await self.hearing.settle()
            noise = self.input.noise_reduction
            self.input = AudioInput(format=format, noise_reduction=noise, turn_detection=detection)

    def _fail(self, error: BaseException) -> None:
        raise error


@bounded(60)
@given(Steps, st.lists(Pauses, min_size=1, max_size=3), Changes, st.sampled_from([None, NEAR]))
def test_whoever_says_something_meanwhile(
    steps: list[tuple[int, float]],
    connections: list[list[float]],
    changes: list[tuple[float, Any, AudioFormat]],
    noise: NoiseReduction | None,
) -> None:
    async def main() -> None:
        ear = Ear(noise)
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(ear.batcher.run())
            async with asyncio.TaskGroup() as parties:
                parties.create_task(ear.track(steps))
                parties.create_task(ear.change(changes))
                for pauses in connections:
                    parties.create_task(ear.events(pauses))
            await ear.hearing.settle()
            hearing.cancel()
        assert len(ear.audio) == 2 * ear.heard_samples
        if noise is None:
            assert ear.audio == COUNTED[: 2 * ear.heard_samples]
        windows = [fact.first_sample for fact in ear.facts if isinstance(fact, SpeechProbability)]
        assert windows == sorted(set(windows))

    run_virtual(main())
