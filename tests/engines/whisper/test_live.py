import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from antiphon.audio.pcm import samples_to_pcm
from antiphon.engines.base import Samples
from antiphon.engines.errors import EngineError
from antiphon.engines.whisper.decoding import Decoded
from antiphon.engines.whisper.languages import Route
from antiphon.engines.whisper.live import Heard, Hypothesis, Job, Partials
from antiphon.vocabulary.errors import EngineErrorKind

RATE_HZ = 16_000
NOISE = np.random.default_rng(0).normal(0.0, 0.1, 60 * RATE_HZ).astype(np.float32)
CHUNK_S = 0.1


def pcm(duration_s: float) -> bytes:
    return samples_to_pcm(NOISE[: int(duration_s * RATE_HZ)])


def test_chunks_of_any_size_make_whole_samples() -> None:
    whole = pcm(1)
    heard = Heard(longest_samples=RATE_HZ)
    for start in range(0, len(whole), 333):
        heard.add(whole[start : start + 333])
    heard.add(b"\x01")
    assert samples_to_pcm(heard.samples()) == whole
    assert heard.total_s == 1.0
    assert not heard.is_long


def test_cutting_takes_the_audio_up_to_a_pause_and_leaves_the_rest() -> None:
    whole = pcm(2) + bytes(RATE_HZ) + pcm(2)
    heard = Heard(longest_samples=4 * RATE_HZ)
    heard.add(whole)
    assert heard.is_long
    first = heard.cut()
    assert len(first) == pytest.approx(2.25 * RATE_HZ, abs=1_600)
    assert not heard.is_long
    assert samples_to_pcm(first) + samples_to_pcm(heard.samples()) == whole
    assert heard.total_s == 4.5


class Bench:
    """Partials on a clock of their own; decodes are futures to be answered by the test."""

    def __init__(self, *, speed: float = 1.0, idle: Callable[[], bool] = lambda: True) -> None:
        self.now_s = 100.0
        self.decodes: list[tuple[float, Job, asyncio.Future[Decoded]]] = []
        self.heard = Heard(longest_samples=28 * RATE_HZ)
        self.found: list[Hypothesis] = []
        self._speed = speed
        self.partials = Partials(
            Job(Route("tiny.en", "en"), hints="", window="fast"),
            start=self._start,
            idle=idle,
            clock=lambda: self.now_s,
            interval_s=0.6,
        )

    def _start(self, samples: Samples, job: Job) -> "asyncio.Future[Decoded]":
        future: asyncio.Future[Decoded] = asyncio.get_running_loop().create_future()
        self.decodes.append((len(samples) / RATE_HZ, job, future))
        return future

    def hear(self, audio: bytes) -> list[str]:
        """Feed audio in chunks; what came out."""
        step = int(CHUNK_S * RATE_HZ) * 2
        texts = []
        for start in range(0, len(audio), step):
            self.now_s += CHUNK_S / self._speed
            self.heard.add(audio[start : start + step])
            if found := self.partials.poll(self.heard):
                self.found.append(found)
                texts.append(found.stable)
        return texts

    def answer(self, text: str) -> None:
        self.decodes[-1][2].set_result(Decoded(text))

    @property
    def lengths_s(self) -> list[float]:
        return [round(length_s, 1) for length_s, _, _ in self.decodes]


def run(test: Callable[[], None]) -> None:
    async def main() -> None:
        test()

    asyncio.run(main())


def test_the_piece_is_decoded_again_after_each_interval() -> None:
    def test() -> None:
        bench = Bench()
        for text in ("one", "one two", "one two three"):
            bench.hear(pcm(0.6))
            bench.answer(text)
        assert bench.lengths_s == [0.6, 1.2, 1.8]
        assert all(job.partial for _, job, _ in bench.decodes)
        assert bench.hear(pcm(0.1)) == ["one two"]

    run(test)


def test_one_decode_runs_at_a_time_and_slow_ones_are_followed_by_a_rest() -> None:
    def test() -> None:
        bench = Bench()
        bench.hear(pcm(1.5))
        assert bench.lengths_s == [0.6]
        bench.answer("one")
        bench.hear(pcm(1.6))
        assert bench.lengths_s == [0.6, 1.6 + 1.5]

    run(test)


def test_no_decode_begins_while_the_worker_is_busy() -> None:
    def test() -> None:
        busy = Bench(idle=lambda: False)
        busy.hear(pcm(3))
        assert busy.decodes == []

    run(test)


@pytest.mark.parametrize(("speed", "begun"), [(1.0, True), (1.9, True), (2.2, False), (1000.0, False)])
def test_audio_that_comes_faster_than_speech_gets_no_partials(speed: float, begun: bool) -> None:
    def test() -> None:
        bench = Bench(speed=speed)
        bench.hear(pcm(3))
        assert bool(bench.decodes) is begun

    run(test)


def test_no_decode_begins_in_a_pause() -> None:
    def test() -> None:
        bench = Bench()
        bench.hear(pcm(0.4) + bytes(2 * RATE_HZ))
        assert bench.decodes == []
        bench.hear(pcm(0.5))
        assert len(bench.decodes) == 1

    run(test)


def test_silence_is_not_decoded() -> None:
    def test() -> None:
        bench = Bench()
        bench.hear(bytes(6 * RATE_HZ))
        assert bench.decodes == []

    run(test)


def test_stopping_abandons_the_running_decode_only() -> None:
    def test() -> None:
        bench = Bench()
        bench.hear(pcm(0.6))
        _, first, running = bench.decodes[0]
        bench.partials.stop()
        assert running.cancelled()
        assert first.abandoned.is_set()
        bench.hear(pcm(0.6))
        assert not bench.decodes[1][1].abandoned.is_set()

    run(test)


def test_a_failed_partial_is_left_to_the_final_decode() -> None:
    def test() -> None:
        bench = Bench()
        bench.hear(pcm(0.6))
        bench.decodes[0][2].set_exception(EngineError(EngineErrorKind.FAILED, "x"))
        assert bench.hear(pcm(0.6)) == []
        bench.decodes[1][2].set_exception(EngineError(EngineErrorKind.FAILED, "x"))
        bench.partials.stop()

    run(test)


def test_a_finished_piece_comes_out_whole_and_the_next_begins_behind_it() -> None:
    def test() -> None:
        bench = Bench()
        assert bench.partials.settle(Decoded("One two.", language="en")) == "One two."
        bench.hear(pcm(0.6))
        bench.answer("three four")
        bench.hear(pcm(0.6))
        bench.answer("three four five")
        assert bench.hear(pcm(0.1)) == ["One two. three four"]
        assert bench.partials.settle(Decoded("")) == ""

    run(test)
