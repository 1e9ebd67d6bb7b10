"""Audio and what the detector says of it reach the core in lockstep, however the audio was cut."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio.level import rms_dbfs
from antiphon.core.inputs import AudioReceived, SpeechProbability
from antiphon.engines.base import EngineInfo, Samples
from antiphon.engines.errors import EngineError
from antiphon.runtime.listener import Listener
from antiphon.runtime.observer import NullObserver
from antiphon.runtime.vad_batch import VadBatcher
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedVad
from antiphon.vocabulary.errors import EngineErrorKind
from tests.support.audio import silence_ms, tone_ms
from tests.support.runtime import Noted

Fact = AudioReceived | SpeechProbability
WINDOW = 768
PCM = silence_ms(100) + tone_ms(300) + silence_ms(250)


class Vad(ScriptedVad):
    """Counts what it is asked."""

    def __init__(self, *, sample_rate_hz: int = 16_000, window_samples: int = 512) -> None:
        super().__init__()
        self.info = EngineInfo("vad under test")
        self.sample_rate_hz = sample_rate_hz
        self.window_samples = window_samples
        self.batches: list[int] = []
        self.states = 0
        self.error: EngineError | None = None

    def new_state(self) -> Any:
        self.states += 1
        return super().new_state()

    def detect(self, windows: Samples, states: Sequence[Any]) -> Samples:
        self.batches.append(len(windows))
        return super().detect(windows, states)


class Ear:
    """A listener alone with its detector, and the facts that it hands on."""

    def __init__(self, vad: Vad | None = None) -> None:
        self.vad = vad or Vad()
        self.facts: list[Fact] = []
        self.failures: list[BaseException] = []
        self.listener = Listener(self.vad, self.facts.append, self.facts.append, self.failures.append)

    def push(self, pcm: bytes) -> None:
        self.listener.push(pcm)
        while (window := self.listener.next_window()) is not None:
            (probability,) = self.vad.detect(window[np.newaxis], [self.listener.state])
            self.listener.deliver(float(probability))

    @property
    def audio(self) -> bytes:
        return b"".join(fact.pcm for fact in self.facts if isinstance(fact, AudioReceived))

    @property
    def heard(self) -> list[SpeechProbability]:
        return [fact for fact in self.facts if isinstance(fact, SpeechProbability)]


def _facts_of(pcm: bytes, cuts: Sequence[int]) -> list[Fact]:
    ear = Ear()
    for start, end in zip([0, *cuts], [*cuts, len(pcm) // 2], strict=True):
        ear.push(pcm[2 * start : 2 * end])
    return ear.facts


def test_each_window_s_audio_comes_right_before_what_is_said_of_it() -> None:
    facts = _facts_of(PCM, [])
    assert [type(fact) for fact in facts] == [AudioReceived, SpeechProbability] * (len(facts) // 2)
    ends = np.cumsum([len(fact.pcm) // 2 for fact in facts if isinstance(fact, AudioReceived)])
    for end, fact in zip(ends, facts[1::2], strict=True):
        assert isinstance(fact, SpeechProbability)
        # The resampler looks 2 ms ahead.
        assert 0 <= end - (fact.first_sample + fact.window_samples) <= 48


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, len(PCM) // 2), max_size=30))
def test_the_facts_are_the_same_however_the_audio_was_cut(cuts: set[int]) -> None:
    assert _facts_of(PCM, sorted(cuts)) == _facts_of(PCM, [])


def test_windows_follow_each_other_without_gap_and_tell_speech_by_its_sample() -> None:
    ear = Ear()
    ear.push(PCM)
    assert [fact.first_sample for fact in ear.heard] == list(range(0, WINDOW * len(ear.heard), WINDOW))
    voiced = [fact.first_sample for fact in ear.heard if fact.value > 0.5]
    # A tone from 2400 to 9600.
    assert (voiced[0], voiced[-1]) == (2400 // WINDOW * WINDOW, 9599 // WINDOW * WINDOW)


def test_the_rest_of_the_audio_is_there_when_it_is_asked_for_and_not_twice() -> None:
    ear = Ear()
    ear.push(PCM[:1000])
    assert ear.audio == b""
    ear.listener.give_rest()
    ear.listener.give_rest()
    assert ear.audio == PCM[:1000]
    ear.push(PCM[1000:])
    ear.listener.give_rest()
    assert ear.audio == PCM
    whole = Ear()
    whole.push(PCM)
    assert ear.heard == whole.heard


def test_while_nobody_asks_about_speech_audio_passes_as_it_comes() -> None:
    ear = Ear()
    ear.push(PCM[:5000])
    ear.listener.pass_on(PCM[5000:5010])
    ear.listener.pass_on(PCM[5010:])
    assert ear.audio == PCM
    before = len(ear.heard)
    ear.push(PCM)
    ear.listener.give_rest()
    assert ear.audio == PCM * 2
    # Counted from the first audio of all, from a new state.
    assert ear.heard[before].first_sample == len(PCM) // 2
    assert ear.vad.states == 2


@pytest.mark.parametrize(
    ("sample_rate_hz", "window_samples"), [(16_000, 512), (8_000, 256), (24_000, 480), (48_000, 1024), (22_050, 700)]
)
def test_a_detector_may_have_any_rate_and_window(sample_rate_hz: int, window_samples: int) -> None:
    ear = Ear(Vad(sample_rate_hz=sample_rate_hz, window_samples=window_samples))
    for start in range(0, len(PCM), 960):
        ear.push(PCM[start : start + 960])
    ear.listener.give_rest()
    assert ear.audio == PCM
    heard_ms = sum(fact.window_samples for fact in ear.heard) / 24
    assert heard_ms == pytest.approx(len(PCM) / 48, abs=150 if sample_rate_hz == 22_050 else 70)
    assert any(fact.value > 0.5 for fact in ear.heard)


# --- silence -------------------------------------------------------------------------------------------------------


def _noise(ms: int, level_dbfs: float) -> bytes:
    scale = 32768 * 10 ** (level_dbfs / 20)
    return np.random.default_rng(7).normal(0, scale, ms * 24).astype("<i2").tobytes()


@pytest.mark.parametrize(
    "quiet",
    [silence_ms, partial(_noise, level_dbfs=-75), partial(_noise, level_dbfs=-50)],
    ids=["zeros", "faint", "noise"],
)
def test_after_a_second_of_the_same_the_detector_is_asked_no_more_and_every_window_is_told(quiet: Any) -> None:
    ear = Ear()
    ear.push(quiet(5000))
    assert [fact.first_sample for fact in ear.heard] == list(range(0, WINDOW * len(ear.heard), WINDOW))
    assert len(ear.heard) >= 155
    assert len(ear.vad.batches) == 32
    assert all(fact.value < 0.5 for fact in ear.heard)


def test_sound_that_never_stays_the_same_is_judged_window_by_window() -> None:
    ear = Ear()
    ear.push(b"".join(_noise(64, -60 + 6 * (number % 2)) for number in range(80)))
    assert len(ear.vad.batches) == len(ear.heard) > 155


class _Listening(Vad):
    """Keeps the windows that it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[Samples] = []

    def detect(self, windows: Samples, states: Sequence[Any]) -> Samples:
        self.windows += list(windows)
        return super().detect(windows, states)


@pytest.mark.parametrize("quiet", [silence_ms, partial(_noise, level_dbfs=-50)], ids=["zeros", "noise"])
def test_before_sound_that_changes_the_detector_is_given_the_second_before_it_of_which_nothing_is_told(
    quiet: Any,
) -> None:
    vad, all_ = _Listening(), _Listening()
    ear, plain = Ear(vad), Ear(all_)
    pcm = quiet(5024) + tone_ms(200)
    plain.push(pcm[2 * WINDOW * 132 :])
    ear.push(pcm)
    told = [fact.value for fact in ear.heard]
    assert told[:157] == [0.0] * 157
    assert told[157] == 1.0
    # 32 while it was new, 32 again and then the tone, in the order in which they came.
    tone_windows = len(told) - 157
    # The window before the tone may be asked about too: the gate sees as far ahead as the resampler does.
    assert len(vad.windows) - tone_windows in (64, 65)
    assert all(rms_dbfs(window) < -40 for window in vad.windows[:64])
    assert np.array_equal(vad.windows[-tone_windows - 20 :], all_.windows[-tone_windows - 20 :])
    assert ear.audio == pcm[: len(ear.audio)]


@pytest.mark.parametrize("silence", [5000, 5007, 60_000])
def test_speech_after_long_silence_is_heard_from_its_first_window(silence: int) -> None:
    ear = Ear()
    ear.push(silence_ms(silence) + tone_ms(200) + silence_ms(50))
    voiced = [fact.first_sample for fact in ear.heard if fact.value > 0.5]
    assert voiced[0] == silence * 24 // WINDOW * WINDOW
    short = Ear()
    short.push(silence_ms(silence % 32) + tone_ms(200) + silence_ms(50))
    assert [fact.level_dbfs for fact in ear.heard if fact.value > 0.5] == pytest.approx(
        [fact.level_dbfs for fact in short.heard if fact.value > 0.5]
    )


# --- a detector that fails -----------------------------------------------------------------------------------------

ERROR = EngineError(EngineErrorKind.FAILED, "no")


def test_a_window_that_is_lost_is_a_gap_and_its_audio_is_not() -> None:
    ear = Ear()
    ear.listener.push(PCM)
    assert ear.listener.next_window() is not None
    ear.listener.lose(ERROR)
    ear.push(b"")
    ear.listener.give_rest()
    assert ear.audio == PCM
    assert ear.heard[0].first_sample == WINDOW
    assert ear.vad.states == 2
    assert ear.failures == []


@pytest.mark.parametrize(("recovers", "failures"), [(True, 0), (False, 1)])
def test_five_seconds_without_a_working_detector_are_a_failure(recovers: bool, failures: int) -> None:
    ear = Ear()
    for number in range(157):
        ear.listener.push(tone_ms(34))
        while ear.listener.next_window() is not None and not ear.failures:
            if recovers and number == 80:
                ear.listener.deliver(0.0)
            else:
                ear.listener.lose(ERROR)
    assert len(ear.failures) == failures


# --- batches -------------------------------------------------------------------------------------------------------


def _batched(vad: Vad, observer: Any, listeners: int) -> tuple[VadBatcher, list[Listener], list[list[Fact]]]:
    batcher = VadBatcher(vad, observer)
    facts: list[list[Fact]] = [[] for _ in range(listeners)]
    return batcher, [batcher.listen(each.append, each.append, lambda _: None) for each in facts], facts


def test_few_listeners_are_heard_at_once() -> None:
    vad = Vad()

    async def main() -> None:
        batcher, listeners, facts = _batched(vad, NullObserver(), 4)
        for listener in listeners:
            listener.push(PCM)
            batcher.wake(listener)
        assert all(len(each) == len(facts[0]) > 20 for each in facts)

    run_virtual(main())
    assert set(vad.batches) == {1}


@pytest.mark.parametrize("listeners", [5, 16, 40])
def test_many_listeners_are_heard_together(listeners: int) -> None:
    vad = Vad()

    async def main() -> None:
        batcher, ears, facts = _batched(vad, NullObserver(), listeners)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(batcher.run())
            for ear in ears:
                ear.push(PCM)
                batcher.wake(ear)
            assert not any(facts)
            await asyncio.sleep(0.1)
            alone = Ear()
            alone.push(PCM)
            assert all(each == alone.facts for each in facts)
            running.cancel()

    run_virtual(main())
    assert max(vad.batches) == min(listeners, 16)
    assert len(vad.batches) <= 20 * -(-listeners // 16)


def _noting(order: list[int], number: int) -> Callable[[SpeechProbability], None]:
    return lambda _: order.append(number)


def test_a_listener_that_is_far_behind_does_not_keep_others_waiting() -> None:
    async def main() -> None:
        batcher = VadBatcher(Vad(), NullObserver())
        order: list[int] = []
        ears = [batcher.listen(lambda _: None, _noting(order, number), lambda _: None) for number in range(20)]
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(batcher.run())
            for ear in ears[:16]:
                ear.push(tone_ms(10_000))
                batcher.wake(ear)
            for ear in ears[16:]:
                ear.push(tone_ms(34))
                batcher.wake(ear)
            await asyncio.sleep(1)
            assert len(order) == 16 * 312 + 4
            # Everybody has had a turn before anybody has a third.
            assert max(order[: order.index(19)].count(number) for number in range(20)) <= 2
            running.cancel()

    run_virtual(main())


def test_a_listener_that_leaves_is_not_heard_any_more() -> None:
    vad = Vad()

    async def main() -> None:
        batcher, ears, facts = _batched(vad, NullObserver(), 6)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(batcher.run())
            for ear in ears:
                ear.push(PCM)
                batcher.wake(ear)
            batcher.leave(ears[2])
            await asyncio.sleep(0.1)
            assert [bool(each) for each in facts] == [True, True, False, True, True, True]
            running.cancel()

    run_virtual(main())


def test_a_flush_and_the_batch_together_hear_each_window_once_in_order() -> None:
    async def main() -> None:
        batcher, ears, facts = _batched(Vad(), NullObserver(), 6)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(batcher.run())
            for number in range(40):
                for ear in ears:
                    ear.push(PCM)
                    batcher.wake(ear)
                await asyncio.sleep(0.0025 * (number % 5))
                await batcher.flush(ears[number % 6])
                assert ears[number % 6].behind == 0
            await asyncio.sleep(1)
            running.cancel()
        alone = Ear()
        alone.push(PCM * 40)
        assert all(each == alone.facts for each in facts)

    run_virtual(main())


@pytest.mark.parametrize("answer", [ValueError("a bug"), np.zeros(3, np.float32), None, [[1], [2]]])
def test_a_detector_s_fault_is_told_once_until_it_works_again(answer: Any) -> None:
    class Broken(Vad):
        broken = True

        def detect(self, windows: Samples, states: Sequence[Any]) -> Any:
            if self.broken and isinstance(answer, Exception):
                raise answer
            return answer if self.broken else super().detect(windows, states)

    vad, observer = Broken(), Noted()

    async def main() -> None:
        batcher, ears, facts = _batched(vad, observer, 2)
        for broken in (True, False, True):
            vad.broken = broken
            for ear in ears:
                ear.push(tone_ms(400))
                batcher.wake(ear)
        assert len(observer.vad_failures) == 2
        assert observer.windows == sum(isinstance(fact, SpeechProbability) for each in facts for fact in each) > 20

    run_virtual(main())
