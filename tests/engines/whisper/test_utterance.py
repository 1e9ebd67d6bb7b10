"""Marks, partials and the final transcript of one utterance; decodes are futures that the test answers."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from antiphon.audio.pcm import samples_to_pcm
from antiphon.engines.base import Samples
from antiphon.engines.errors import EngineError
from antiphon.engines.whisper.decoding import Decoded
from antiphon.engines.whisper.languages import Route
from antiphon.engines.whisper.live import Job, Partials
from antiphon.engines.whisper.utterance import Utterance
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import Transcript, WordLogprob

RATE_HZ = 16_000
NOISE = np.random.default_rng(0).normal(0.0, 0.1, 60 * RATE_HZ).astype(np.float32)
PAUSE = bytes(RATE_HZ)  # half a second


def loud(duration_s: float) -> bytes:
    return samples_to_pcm(NOISE[: int(duration_s * RATE_HZ)])


class Bench:
    def __init__(self, *, partials: bool = False, longest_s: float = 28.0, busy: bool = False) -> None:
        self.now_s = 0.0
        self.decodes: list[tuple[float, Job, asyncio.Future[Decoded]]] = []
        self.urgent = 0
        self._busy = busy
        job = Job(Route("tiny.en", "en"), hints="", window="fast")
        self.utterance = Utterance(
            job,
            longest_samples=int(longest_s * RATE_HZ),
            decode=self._start,
            partials=Partials(job, start=self._start, idle=lambda: True, clock=lambda: self.now_s, interval_s=0.4)
            if partials
            else None,
            before=self._before,
        )

    def _before(self) -> None:
        self.urgent += 1
        self.utterance.stop_partial()

    def _start(self, samples: Samples, job: Job) -> "asyncio.Future[Decoded]":
        if self._busy:
            raise EngineError(EngineErrorKind.OVERLOADED, "busy")
        future: asyncio.Future[Decoded] = asyncio.get_running_loop().create_future()
        self.decodes.append((round(len(samples) / RATE_HZ, 2), job, future))
        return future

    def hear(self, pcm: bytes) -> list[Transcript]:
        self.now_s += len(pcm) / 2 / RATE_HZ
        self.utterance.add(pcm)
        return self.news()

    def mark(self) -> list[Transcript]:
        self.utterance.mark()
        return self.news()

    def answer(self, text: str, which: int = -1) -> list[Transcript]:
        logprobs = (WordLogprob(text, -0.1),)
        self.decodes[which][2].set_result(Decoded(text, language="en", logprobs=logprobs))
        return self.news()

    def news(self) -> list[Transcript]:
        return list(self.utterance.news())

    @property
    def lengths_s(self) -> list[float]:
        return [length_s for length_s, _, _ in self.decodes]

    async def final(self, text: str | None = None) -> Transcript:
        """The end; with ``text`` a decode is begun for it, and says that."""
        begun = len(self.decodes)
        async with asyncio.TaskGroup() as tasks:
            final = tasks.create_task(self.utterance.final())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(self.decodes) == begun + (text is not None)
            if text is not None:
                self.answer(text)
        return final.result()


def run(test: Callable[[], object]) -> None:
    async def main() -> None:
        result = test()
        if asyncio.iscoroutine(result):
            await result

    asyncio.run(main())


def test_a_mark_is_answered_with_a_thorough_hypothesis_of_all_audio() -> None:
    def test() -> None:
        bench = Bench()
        assert bench.hear(loud(2)) == []
        assert bench.mark() == []
        assert bench.utterance.decoding is bench.decodes[0][2]
        (said,) = bench.answer("Hello you.")
        assert said == Transcript(
            "",
            is_final=False,
            language="en",
            logprobs=(WordLogprob("Hello you.", -0.1),),
            hypothesis="Hello you.",
            audio_s=2.0,
            thorough=True,
        )
        assert not bench.decodes[0][1].partial
        assert bench.utterance.decoding is None
        assert bench.news() == []

    run(test)


def test_where_only_silence_follows_the_answer_is_the_final_transcript() -> None:
    async def test() -> None:
        bench = Bench()
        bench.hear(loud(2))
        bench.mark()
        bench.answer("Hello you.")
        bench.hear(PAUSE)
        assert (await bench.final()).text == "Hello you."

    run(test)


def test_a_decode_that_still_runs_at_the_end_is_waited_for() -> None:
    async def test() -> None:
        bench = Bench()
        bench.hear(loud(2))
        bench.mark()
        bench.hear(PAUSE)
        async with asyncio.TaskGroup() as tasks:
            final = tasks.create_task(bench.utterance.final())
            await asyncio.sleep(0)
            bench.decodes[0][2].set_result(Decoded("Hello.", language="en"))
        assert final.result().text == "Hello."
        assert bench.lengths_s == [2.0]

    run(test)


def test_after_more_speech_the_final_transcript_is_decoded_anew() -> None:
    async def test() -> None:
        bench = Bench()
        bench.hear(loud(2))
        bench.mark()
        bench.answer("Hello.")
        bench.hear(loud(1))
        assert (await bench.final("Hello you.")).text == "Hello you."
        assert bench.lengths_s == [2.0, 3.0]

    run(test)


def test_a_failed_answer_is_no_answer_and_no_final_transcript() -> None:
    async def test() -> None:
        bench = Bench()
        bench.hear(loud(2))
        bench.mark()
        bench.decodes[0][2].set_exception(EngineError(EngineErrorKind.FAILED, "x"))
        assert bench.news() == []
        assert (await bench.final("Hello.")).text == "Hello."

    run(test)


def test_a_mark_behind_silence_is_answered_by_the_decode_that_is_there() -> None:
    def test() -> None:
        bench = Bench()
        bench.hear(loud(2))
        bench.mark()
        bench.hear(PAUSE)
        assert bench.mark() == []
        first = bench.answer("Hello.")
        bench.hear(PAUSE)
        second = bench.mark()
        assert [(said.hypothesis, said.audio_s) for said in first + second] == [("Hello.", 2.5), ("Hello.", 3.0)]
        assert bench.lengths_s == [2.0]

    run(test)


def test_a_mark_behind_more_speech_abandons_the_decode_before_it() -> None:
    def test() -> None:
        bench = Bench()
        bench.hear(loud(2))
        bench.mark()
        bench.hear(loud(1))
        bench.mark()
        _, job, first = bench.decodes[0]
        assert job.abandoned.is_set()
        assert first.cancelled()
        assert [said.hypothesis for said in bench.answer("Hello you.")] == ["Hello you."]
        assert bench.lengths_s == [2.0, 3.0]

    run(test)


def test_a_mark_goes_before_partials() -> None:
    def test() -> None:
        bench = Bench(partials=True)
        bench.hear(loud(1))
        bench.hear(loud(0.1))
        assert [job.partial for _, job, _ in bench.decodes] == [True]
        bench.mark()
        _, partial, running = bench.decodes[0]
        assert bench.urgent == 1
        assert partial.abandoned.is_set()
        assert running.cancelled()
        bench.hear(loud(1))
        assert [job.partial for _, job, _ in bench.decodes] == [True, False]
        bench.answer("Hello.")
        bench.hear(loud(1))
        assert [job.partial for _, job, _ in bench.decodes] == [True, False, True]

    run(test)


@pytest.mark.parametrize("after", [b"", PAUSE[:6400]])
def test_a_partial_decode_that_heard_all_but_silence_answers_the_mark_and_the_end(after: bytes) -> None:
    async def test() -> None:
        bench = Bench(partials=True)
        bench.hear(loud(1))
        bench.hear(after)
        assert bench.mark() == []
        (said,) = bench.answer("Hello you.")
        covered_s = 1 + len(after) / 2 / RATE_HZ
        assert (said.text, said.hypothesis, said.audio_s, said.thorough) == ("", "Hello you.", covered_s, True)
        bench.hear(PAUSE)
        assert (await bench.final()).text == "Hello you."
        assert (bench.lengths_s, bench.urgent) == ([1.0], 1)

    run(test)


@pytest.mark.parametrize(
    "decoded",
    [Decoded("Hello.", logprob=-0.9), Decoded("Hello.", capped=True), Decoded("")],
    ids=["improbable", "cut short", "nothing"],
)
def test_a_partial_decode_that_is_doubtful_is_followed_by_a_thorough_one(decoded: Decoded) -> None:
    def test() -> None:
        bench = Bench(partials=True)
        bench.hear(loud(1))
        bench.mark()
        bench.decodes[0][2].set_result(decoded)
        assert not any(said.thorough for said in bench.news())
        assert [job.partial for _, job, _ in bench.decodes] == [True, False]
        (said,) = bench.answer("Hello you.")
        assert (said.hypothesis, said.thorough) == ("Hello you.", True)

    run(test)


def test_a_partial_decode_that_others_stop_is_followed_by_a_thorough_one() -> None:
    def test() -> None:
        bench = Bench(partials=True)
        bench.hear(loud(1))
        bench.mark()
        bench.utterance.stop_partial()
        assert bench.news() == []
        assert [said.thorough for said in bench.answer("Hello.")] == [True]

    run(test)


def test_the_thorough_decode_makes_words_stable_and_partials_tell_all_that_was_heard() -> None:
    def test() -> None:
        bench = Bench(partials=True)
        bench.hear(loud(1))
        (partial,) = bench.answer("one two three")
        bench.mark()
        (thorough,) = bench.answer("one two four")
        assert (partial.text, partial.hypothesis, partial.audio_s, partial.thorough) == (
            "",
            "one two three",
            1.0,
            False,
        )
        assert (thorough.text, thorough.hypothesis, thorough.thorough) == ("one two", "one two four", True)

    run(test)


def test_where_a_piece_is_finished_meanwhile_the_mark_is_answered_behind_it() -> None:
    async def test() -> None:
        bench = Bench(partials=True, longest_s=4.0)
        bench.hear(loud(2.8) + PAUSE)
        bench.mark()
        bench.hear(loud(1))
        assert bench.utterance.is_long
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bench.utterance.settle())
            await asyncio.sleep(0)
            bench.decodes[-1][2].set_result(Decoded("One two.", language="en"))
        (settled,) = bench.news()
        assert (settled.text, settled.hypothesis, settled.thorough) == ("One two.", "One two.", False)
        assert 2.8 <= settled.audio_s <= 3.3
        (said,) = bench.answer("Three.")
        assert (said.hypothesis, said.audio_s, said.thorough) == ("One two. Three.", 4.3, True)
        assert (await bench.final()).text == "One two. Three."

    run(test)


def test_an_engine_that_is_too_busy_gives_no_answer_and_goes_on() -> None:
    def test() -> None:
        bench = Bench(busy=True)
        bench.hear(loud(1))
        assert bench.mark() == []
        assert bench.utterance.decoding is None
        bench.utterance.abandon()

    run(test)


def test_an_abandoned_utterance_stops_what_runs() -> None:
    def test() -> None:
        bench = Bench()
        bench.hear(loud(1))
        bench.mark()
        bench.utterance.abandon()
        assert bench.decodes[0][2].cancelled()
        assert bench.decodes[0][1].abandoned.is_set()

    run(test)
