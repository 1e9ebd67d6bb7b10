"""Noise reduction on the way in: as many samples as were sent, each in its place, by the settings of their time."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.g711 import encode_ulaw
from antiphon.audio.level import rms_dbfs
from antiphon.audio.pcm import pcm_to_samples
from antiphon.audio.resample import resample
from antiphon.core.config import PCM_24K
from antiphon.core.inputs import AudioReceived, SpeechProbability
from antiphon.protocol.session_config import AudioFormat, AudioInput, NoiseReduction, ServerVad
from antiphon.runtime.hearing import Hearing
from antiphon.runtime.noise_reducing import NoiseReducing
from antiphon.runtime.vad_batch import VadBatcher
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedNoiseReducer, ScriptedVad
from tests.support.audio import tone_ms
from tests.support.properties import bounded
from tests.support.runtime import Client, Event, Noted, engines_of, serving

SPEECH = tone_ms(700)
NEAR = NoiseReduction(type="near_field")
FAR = NoiseReduction(type="far_field")
HALF_DB = 6.02


def _level(pcm: bytes) -> float:
    return rms_dbfs(pcm_to_samples(pcm))


# --- the stream ----------------------------------------------------------------------------------------------------


def _reduced(cuts: Sequence[int], *, strength: float = 1.0, delay_samples: int = 96) -> tuple[bytes, bytes]:
    reducing = NoiseReducing(ScriptedNoiseReducer(delay_samples=delay_samples), "near_field", strength)
    out = b""
    for start, end in zip([0, *cuts], [*cuts, len(SPEECH) // 2], strict=True):
        out += reducing.push(SPEECH[2 * start : 2 * end])
        assert reducing.rest() == reducing.rest()
        assert len(out) + len(reducing.rest()) == 2 * end
    return out, reducing.rest()


@bounded(40)
@given(st.sets(st.integers(0, len(SPEECH) // 2), max_size=20))
def test_the_result_is_the_same_however_the_audio_was_cut(cuts: set[int]) -> None:
    assert _reduced(sorted(cuts)) == _reduced([])


@pytest.mark.parametrize("delay_samples", [0, 1, 96, 500])
def test_what_comes_out_is_in_the_place_of_what_went_in(delay_samples: int) -> None:
    out, rest = _reduced([], delay_samples=delay_samples)
    # A frame, the filter's delay, and the lag of two resamplers.
    assert len(rest) / 48 <= 10 + delay_samples / 16 + 5
    sent = pcm_to_samples(SPEECH)[: len(out) // 2]
    gap = np.abs(pcm_to_samples(out) - sent / 2)[1200:]
    assert gap.max() < 0.002


@pytest.mark.parametrize(("strength", "falls_db"), [(0.0, 0.0), (0.5, 2.5), (1.0, HALF_DB)])
def test_strength_is_the_share_of_the_filtered_signal(strength: float, falls_db: float) -> None:
    out, rest = _reduced([], strength=strength)
    for part in (out[4800:], rest):
        assert _level(SPEECH) - _level(part) == pytest.approx(falls_db, abs=0.1)


# --- on the way to the core ----------------------------------------------------------------------------------------


class Way:
    """The way of one session's audio, with the settings in the test's hand."""

    def __init__(self, **input: Any) -> None:
        self.reducer = ScriptedNoiseReducer()
        self.observer = Noted()
        self.facts: list[AudioReceived | SpeechProbability] = []
        batcher = VadBatcher(ScriptedVad(), self.observer)
        self.failures: list[BaseException] = []
        listener = batcher.listen(self.facts.append, self.facts.append, self.failures.append)
        self.input = AudioInput(format=PCM_24K, **input)
        self.hearing = Hearing(batcher, listener, lambda: self.input, self.reducer, self.observer)
        self.sent_samples = 0

    async def append(self, pcm: bytes) -> None:
        """Audio at 24 kHz, sent in whichever format the session has."""
        narrow = self.input.format.type == "audio/pcmu"
        self.sent_samples += len(pcm) // 2
        await self.hearing.append(encode_ulaw(resample(pcm, 24_000, 8_000)) if narrow else pcm)

    @property
    def audio(self) -> bytes:
        return b"".join(fact.pcm for fact in self.facts if isinstance(fact, AudioReceived))


INPUTS = st.builds(
    lambda format, noise, detection: AudioInput(format=format, noise_reduction=noise, turn_detection=detection),
    st.sampled_from([PCM_24K, AudioFormat(type="audio/pcmu")]),
    st.sampled_from(
        [None, NEAR, FAR, NoiseReduction(type="near_field", strength=0.3), NoiseReduction(type="far_field", strength=0)]
    ),
    st.sampled_from([None, ServerVad()]),
)


@bounded(60)
@given(st.lists(st.tuples(INPUTS, st.lists(st.integers(1, 300), max_size=6)), max_size=8))
def test_no_sample_is_lost_or_doubled_whatever_is_changed_between_them(
    parts: list[tuple[AudioInput, list[int]]],
) -> None:
    async def main() -> None:
        way = Way()
        for input, sizes in parts:
            await way.hearing.settle()
            assert len(way.audio) // 2 == way.sent_samples
            way.input = input
            for size in sizes:
                await way.append(tone_ms(1000)[: 2 * 3 * size])
        await way.hearing.settle()
        await way.hearing.settle()
        assert len(way.audio) // 2 == way.sent_samples
        windows = [fact.first_sample for fact in way.facts if isinstance(fact, SpeechProbability)]
        assert windows == sorted(set(windows))
        assert way.failures == []

    run_virtual(main())


@bounded(20)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=12), st.sampled_from(["audio/pcm", "audio/pcmu"]))
def test_the_detector_hears_the_same_at_every_chunk_size_and_whenever_an_event_comes(
    sizes: list[int], format: Any
) -> None:
    async def heard(sizes: list[int], *, settle: bool) -> list[SpeechProbability]:
        way = Way(noise_reduction=NEAR, turn_detection=ServerVad())
        way.input = AudioInput(format=AudioFormat(type=format), noise_reduction=NEAR, turn_detection=ServerVad())
        wire = encode_ulaw(resample(SPEECH, 24_000, 8_000)) if format == "audio/pcmu" else SPEECH
        start = 0
        for size in [*sizes, len(wire)]:
            if piece := wire[start : start + 2 * size]:
                await way.hearing.append(piece)
            start += 2 * size
            if settle:
                await way.hearing.settle()
        return [fact for fact in way.facts if isinstance(fact, SpeechProbability)]

    async def main() -> None:
        whole = await heard([], settle=False)
        assert len(whole) >= 20
        assert await heard(sizes, settle=False) == whole
        assert await heard(sizes, settle=True) == whole

    run_virtual(main())


def test_an_update_applies_to_the_next_audio_and_the_filter_goes_on_where_only_its_strength_changes() -> None:
    async def main() -> None:
        way = Way()
        levels = []
        for noise in (None, NEAR, NoiseReduction(type="near_field", strength=0.5), FAR, None):
            way.input = AudioInput(format=PCM_24K, noise_reduction=noise)
            before = len(way.audio)
            await way.append(SPEECH)
            await way.hearing.settle()
            levels.append(_level(SPEECH) - _level(way.audio[before + 4800 :]))
        assert levels == pytest.approx([0, HALF_DB, 2.5, 2 * HALF_DB, 0], abs=0.1)
        assert way.audio.startswith(SPEECH)
        assert way.audio.endswith(SPEECH)

    run_virtual(main())


def test_strength_0_changes_no_bit() -> None:
    async def main() -> None:
        way = Way(noise_reduction=NoiseReduction(type="far_field", strength=0.0))
        await way.append(SPEECH)
        assert way.audio == SPEECH
        assert way.observer.noises_kept == []

    run_virtual(main())


def test_a_filter_that_fails_costs_nothing_but_its_effect() -> None:
    async def main() -> None:
        way = Way(noise_reduction=NEAR)
        await way.append(SPEECH)
        way.reducer.error = ValueError("a bug")
        await way.append(SPEECH)
        await way.append(SPEECH)
        assert way.observer.noises_kept == [way.reducer.error]
        assert len(way.audio) == 3 * len(SPEECH)
        assert way.audio.endswith(SPEECH)

    run_virtual(main())


# --- a session -----------------------------------------------------------------------------------------------------


def _noise_of(event: Event) -> Any:
    return event["session"]["audio"]["input"]["noise_reduction"]


async def _committed_audio(client: Client, number: int = 1) -> bytes:
    client.say("input_audio_buffer.commit")
    item_id = (await client.until("input_audio_buffer.committed", number))["item_id"]
    client.say("conversation.item.retrieve", item_id=item_id)
    item = (await client.until("conversation.item.retrieved", number))["item"]
    return base64.b64decode(item["content"][0]["audio"])


def test_the_buffer_holds_the_filtered_audio_to_its_last_sample() -> None:
    reducer = ScriptedNoiseReducer()

    async def main() -> None:
        async with serving(engines_of(noise_reducer=reducer)) as server:
            client = await server.connect()
            client.update(audio={"input": {"turn_detection": None, "noise_reduction": {"type": "near_field"}}})
            assert _noise_of(await client.until("session.updated")) == {"type": "near_field", "strength": 1.0}
            client.append(SPEECH)
            audio = await _committed_audio(client)
            assert len(audio) == len(SPEECH)
            assert _level(SPEECH) - _level(audio[4800:]) == pytest.approx(HALF_DB, abs=0.1)
            assert len(reducer.filters) == 1
            client.hang_up()
            await server.all_ended()

    run_virtual(main())
    assert not reducer.filters, "the filter outlives its session"


def test_100_ms_of_g711_are_100_ms() -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.update(audio={"input": {"turn_detection": None, "format": {"type": "audio/pcmu"}}})
            sent = encode_ulaw(resample(tone_ms(100), 24_000, 8_000))
            for number in (1, 2):
                client.say("input_audio_buffer.append", audio=base64.b64encode(sent).decode())
                assert len(await _committed_audio(client, number)) == 800
            client.hang_up()

    run_virtual(main())


@pytest.mark.parametrize(("noise", "turns"), [(None, 1), ({"type": "far_field"}, 0)])
def test_the_detector_hears_what_the_filter_left(noise: dict[str, Any] | None, turns: int) -> None:
    async def main() -> None:
        engines = engines_of(vad=ScriptedVad(threshold_rms=0.15), noise_reducer=ScriptedNoiseReducer())
        async with serving(engines) as server:
            client = await server.connect()
            client.update(audio={"input": {"noise_reduction": noise}})
            await client.speak_turn()
            await asyncio.sleep(1)
            assert len(client.of_type("input_audio_buffer.speech_started")) == turns
            client.hang_up()

    run_virtual(main())


def test_without_an_engine_the_setting_is_echoed_and_the_lack_is_told() -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            client = await server.connect()
            client.update(audio={"input": {"turn_detection": None, "noise_reduction": {"type": "near_field"}}})
            client.append(SPEECH)
            assert await _committed_audio(client) == SPEECH
            assert _noise_of(client.of_type("session.updated")[0]) == {"type": "near_field", "strength": 1.0}
            client.hang_up()

    run_virtual(main())
    assert observer.noises_kept == [None]
