"""Utterances on their way to the recogniser: at its rate, whole, bounded, and gone once nobody wants them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from antiphon.audio.resample import resample
from antiphon.core.inputs import TranscriptFailed, TranscriptProduced
from antiphon.core.outputs import (
    AskHypothesis,
    EndTranscription,
    FeedTranscription,
    StartTranscription,
    StopTranscription,
)
from antiphon.engines.base import CallContext, SpeechToText
from antiphon.runtime.transcribing import Transcribing
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, ScriptedStt
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import SttOptions, Transcript
from tests.support.audio import silence_ms, tone_ms

Fact = TranscriptProduced | TranscriptFailed


class Bench:
    """``Transcribing`` with a task group of its own, and the facts that it reports."""

    def __init__(self, stt: SpeechToText, tasks: asyncio.TaskGroup, max_bytes: int) -> None:
        self.facts: list[Fact] = []
        self.tasks: list[asyncio.Task[None]] = []

        def spawn(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
            self.tasks.append(tasks.create_task(work(), name=name))
            return self.tasks[-1]

        self.transcribing = Transcribing(stt, spawn, self.facts.append, "sess_1", max_bytes)

    def start(self, item: str) -> None:
        self.transcribing.start(StartTranscription(item, 0, SttOptions()))

    def feed(self, item: str, pcm: bytes) -> None:
        self.transcribing.feed(FeedTranscription(item, 0, pcm))

    def ask(self, item: str) -> None:
        self.transcribing.ask(AskHypothesis(item, 0))

    def end(self, item: str) -> None:
        self.transcribing.end(EndTranscription(item, 0))

    def stop(self, item: str) -> None:
        self.transcribing.stop(StopTranscription(item, 0))

    def hear(self, item: str, pcm: bytes) -> None:
        self.start(item)
        self.feed(item, pcm)
        self.end(item)


def _with(stt: SpeechToText, use: Callable[[Bench], Coroutine[Any, Any, None]], *, max_bytes: int = 1 << 25) -> Bench:
    async def main() -> Bench:
        async with asyncio.TaskGroup() as tasks:
            bench = Bench(stt, tasks, max_bytes)
            await use(bench)
        return bench

    return run_virtual(main())


@pytest.mark.parametrize("pieces", [1, 7, 1000])
@pytest.mark.parametrize("hz", [16_000, 24_000, 8_000])
def test_the_recogniser_hears_the_whole_utterance_at_its_own_rate(hz: int, pieces: int) -> None:
    stt = ScriptedStt(["hello"], sample_rate_hz=hz)
    pcm = np.random.default_rng(1).integers(-9000, 9000, 24_000 * 5, np.int16).tobytes()

    async def use(bench: Bench) -> None:
        bench.start("item_1")
        size = -(-len(pcm) // 2 // pieces) * 2
        for start in range(0, len(pcm), size):
            bench.feed("item_1", pcm[start : start + size])
            await asyncio.sleep(0.001)
        bench.end("item_1")

    bench = _with(stt, use)
    assert list(stt.heard) == [resample(pcm, 24_000, hz)]
    assert bench.facts == [TranscriptProduced("item_1", 0, Transcript("hello", is_final=True))]


def test_a_long_utterance_leaves_turns_to_others_while_it_is_converted() -> None:
    turns = 0

    async def use(bench: Bench) -> None:
        nonlocal turns
        bench.hear("item_1", silence_ms(60_000))
        while not bench.facts:
            turns += 1
            await asyncio.sleep(0)

    _with(ScriptedStt(["hello"]), use)
    assert turns > 50


def test_a_stopped_transcription_says_nothing_and_a_late_stop_does_nothing() -> None:
    stt = ScriptedStt(["hello"], delay_s=1)

    async def use(bench: Bench) -> None:
        bench.hear("item_1", tone_ms(100))
        await asyncio.sleep(0.5)
        bench.stop("item_1")
        await asyncio.sleep(0)
        assert stt.running == 0
        bench.hear("item_2", tone_ms(100))
        await asyncio.sleep(2)
        for order in (bench.stop, bench.end, bench.stop):
            order("item_2")
        bench.feed("item_2", b"12")

    bench = _with(stt, use)
    assert [fact.item_id for fact in bench.facts] == ["item_2"]


def test_a_transcription_that_is_started_again_is_the_new_one() -> None:
    stt = ScriptedStt(["old", "new"], delay_s=1)

    async def use(bench: Bench) -> None:
        bench.hear("item_1", tone_ms(100))
        await asyncio.sleep(0.5)
        bench.stop("item_1")
        bench.hear("item_1", tone_ms(200))

    bench = _with(stt, use)
    assert bench.facts == [TranscriptProduced("item_1", 0, Transcript("new", is_final=True))]


def test_nothing_is_reported_behind_the_final_transcript() -> None:
    stt = ScriptedStt([[Transcript("one", is_final=True), HANG]])

    async def use(bench: Bench) -> None:
        bench.hear("item_1", tone_ms(100))

    bench = _with(stt, use)
    assert len(bench.facts) == 1
    assert stt.running == 0


def test_four_utterances_of_a_session_are_heard_at_a_time_and_the_others_in_turn() -> None:
    stt = ScriptedStt(["hello"], delay_s=1)

    async def use(bench: Bench) -> None:
        for number in range(10):
            bench.hear(f"item_{number}", tone_ms(100))
        await asyncio.sleep(0.5)
        bench.stop("item_0")
        bench.stop("item_9")

    bench = _with(stt, use)
    assert stt.most_running == 4
    assert sorted(fact.item_id for fact in bench.facts) == [f"item_{number}" for number in range(1, 9)]
    assert [fact.item_id for fact in bench.facts][-1] == "item_8"


def test_audio_that_nobody_takes_is_bounded_and_what_goes_beyond_fails() -> None:
    stt = ScriptedStt([[HANG]])
    second = len(silence_ms(1000))

    async def use(bench: Bench) -> None:
        for number in range(4):
            bench.hear(f"item_{number}", tone_ms(100))
        await asyncio.sleep(1)
        for number in range(4, 16):
            bench.hear(f"item_{number}", silence_ms(1000))
        assert bench.facts == [], "the core is not told from within its own order"
        await asyncio.sleep(1)
        failed = [fact for fact in bench.facts if isinstance(fact, TranscriptFailed)]
        assert [fact.item_id for fact in failed] == ["item_14", "item_15"]
        assert failed[0].fault.kind is EngineErrorKind.OVERLOADED
        # What a live utterance brings counts as well.
        bench.stop("item_4")
        bench.start("item_live")
        for _ in range(40):
            bench.feed("item_live", silence_ms(50))
        await asyncio.sleep(0)
        assert bench.facts[-1].item_id == "item_live"
        bench.transcribing.stop_all()

    bench = _with(stt, use, max_bytes=10 * second)
    assert len(bench.facts) == 3
    assert stt.running == 0


def test_more_than_256_utterances_of_a_session_do_not_wait() -> None:
    async def use(bench: Bench) -> None:
        for number in range(300):
            bench.hear(f"item_{number}", b"12")
        await asyncio.sleep(1)
        assert [fact.item_id for fact in bench.facts] == [f"item_{number}" for number in range(256, 300)]
        bench.transcribing.stop_all()

    _with(ScriptedStt([[HANG]]), use)


# --- marks ---------------------------------------------------------------------------------------------------------


class Noting(ScriptedStt):
    """Notes what it is given: the length of the audio between two marks, in ms."""

    def __init__(self, *, pause_s: float = 0.0) -> None:
        super().__init__(["hello"], sample_rate_hz=24_000)
        self.given: list[int] = []
        self.pause_s = pause_s

    async def transcribe(
        self, audio: AsyncIterable[bytes], *, context: CallContext, options: SttOptions
    ) -> AsyncGenerator[Transcript, None]:
        samples = 0
        await asyncio.sleep(self.pause_s)
        async for chunk in audio:
            samples += len(chunk) // 2
            if not chunk:
                self.given.append(samples // 24)
                yield Transcript("", is_final=False, hypothesis="hel", audio_s=samples / 24_000, thorough=True)
        yield Transcript("hello", is_final=True)


def test_a_mark_comes_behind_the_audio_that_was_there_and_before_what_follows() -> None:
    stt = Noting()

    async def use(bench: Bench) -> None:
        bench.start("item_1")
        for length_ms in (300, 1700, 500):
            bench.feed("item_1", tone_ms(length_ms))
            bench.ask("item_1")
            await asyncio.sleep(0.01)
        bench.feed("item_1", tone_ms(40))
        bench.end("item_1")

    bench = _with(stt, use)
    assert stt.given == [300, 2000, 2500]
    hypotheses = [fact.transcript.audio_s for fact in bench.facts if isinstance(fact, TranscriptProduced)][:-1]
    assert hypotheses == [0.3, 2.0, 2.5]


def test_of_marks_that_the_recogniser_has_not_come_to_the_last_says_all() -> None:
    stt = Noting(pause_s=1)

    async def use(bench: Bench) -> None:
        bench.start("item_1")
        await asyncio.sleep(0.5)
        for _ in range(300):
            bench.feed("item_1", tone_ms(10))
            bench.ask("item_1")
        bench.end("item_1")

    _with(stt, use)
    assert stt.given == [3000]


def test_nobody_is_asked_about_an_utterance_that_has_ended_or_is_not_there() -> None:
    stt = Noting()

    async def use(bench: Bench) -> None:
        bench.ask("item_1")
        bench.hear("item_1", tone_ms(100))
        bench.ask("item_1")
        await asyncio.sleep(1)
        bench.ask("item_1")

    bench = _with(stt, use)
    assert stt.given == []
    assert len(bench.facts) == 1
