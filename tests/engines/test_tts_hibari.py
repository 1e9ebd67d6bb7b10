"""The real engine; its model is 8 MB and comes with the package."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from antiphon.audio.level import rms_dbfs
from antiphon.audio.pcm import pcm_to_samples
from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.registry import EngineKind, requirements
from antiphon.engines.tts_hibari import HibariTts, create
from antiphon.runtime.text_split import ClauseSplitter
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import Clause, SpokenAudio

pytestmark = pytest.mark.engines

RATE_HZ = 24_000
TEXT = "The weather in Berlin is fine today. We could walk around the lake, or sit by the water for a while."
_T = TypeVar("_T")
Run = Callable[[Coroutine[Any, Any, _T]], _T]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def engine(runner: asyncio.Runner) -> Iterator[HibariTts]:
    engine = create({})
    runner.run(engine.warm_up())
    yield engine
    runner.run(engine.aclose())


async def given_at_once(clauses: Sequence[Clause]) -> AsyncIterator[Clause]:
    for clause in clauses:
        yield clause


def clauses_of(text: str) -> list[Clause]:
    splitter = ClauseSplitter()
    return splitter.push(text) + splitter.finish()


async def speak(
    engine: HibariTts,
    clauses: Sequence[Clause],
    *,
    voice: str = "marin",
    speed: float = 1.0,
    item_id: str = "item_1",
) -> list[SpokenAudio]:
    context = CallContext("sess_1", item_id)
    stream = engine.synthesize(given_at_once(clauses), voice=voice, speed=speed, context=context)
    async with aclosing(stream):
        return [piece async for piece in stream]


def samples_of(pieces: Sequence[SpokenAudio]) -> NDArray[np.float32]:
    return pcm_to_samples(b"".join(piece.pcm for piece in pieces))


def median_pitch_hz(samples: NDArray[np.float32]) -> float:
    """By autocorrelation of the frames that are periodic."""
    found = []
    window = np.hanning(1920)
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 8192)) ** 2)[:400]
    for start in range(0, len(samples) - 1920, 960):
        frame = samples[start : start + 1920] * window
        correlation = np.fft.irfft(np.abs(np.fft.rfft(frame, 8192)) ** 2)[:400] / own
        period = 57 + int(np.argmax(correlation[57:]))
        if correlation[0] > 1e-4 and correlation[period] > 0.6 * correlation[0]:
            found.append(RATE_HZ / period)
    return float(np.median(found))


def active_dbfs(samples: NDArray[np.float32]) -> float:
    """Level of the louder half of the speech."""
    frames = samples[: len(samples) // 480 * 480].reshape(-1, 480)
    levels = sorted(rms_dbfs(frame) for frame in frames)
    return float(np.mean(levels[len(levels) // 2 :]))


def test_it_needs_its_package_and_weights() -> None:
    needs = requirements(EngineKind.TTS, "hibari")
    assert needs.modules == ("hibari", "onnxruntime")
    assert needs.weights({}) == ("hibari",)


@pytest.mark.parametrize("options", [{"default_voice": "nobody"}, {"threads": 0}, {"voice": "marin"}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(EngineSettingsError):
        create(options)


def test_speech_has_a_plausible_length_and_all_of_it_is_heard(runner: asyncio.Runner, engine: HibariTts) -> None:
    pieces = runner.run(speak(engine, clauses_of(TEXT)))
    seconds = len(samples_of(pieces)) / RATE_HZ
    words_a_minute = len(TEXT.split()) / seconds * 60
    assert 150 < words_a_minute < 260
    assert pieces[-1].text_end == len(TEXT)


def test_spans_follow_the_text_of_the_response(runner: asyncio.Runner, engine: HibariTts) -> None:
    clauses = [Clause("**One.**", "One."), Clause("\n```\nx\n```\n", ""), Clause("Two.", "Two."), Clause(" ", " ")]
    pieces = runner.run(speak(engine, clauses))
    assert [(piece.text_start, piece.text_end) for piece in pieces] == [(0, 8), (19, 23)]


def test_the_spans_of_a_long_clause_advance_with_its_speech(runner: asyncio.Runner, engine: HibariTts) -> None:
    text = "and so the story went on and on without an end " * 10
    pieces = runner.run(speak(engine, [Clause(text, text)]))
    assert len(pieces) > 2
    assert (pieces[0].text_start, pieces[-1].text_end) == (0, len(text))
    for before, after in pairwise(pieces):
        assert before.text_end == after.text_start
    share = len(pieces[0].pcm) / sum(len(piece.pcm) for piece in pieces)
    assert pieces[0].text_end / len(text) == pytest.approx(share, abs=0.1)


def test_a_run_repeats_bit_by_bit_and_another_item_differs_in_its_noise(
    runner: asyncio.Runner, engine: HibariTts
) -> None:
    first, again, other = (
        runner.run(speak(engine, clauses_of(TEXT), item_id=item)) for item in ("item_1", "item_1", "item_2")
    )
    assert first == again
    assert first != other
    assert len(samples_of(first)) == pytest.approx(len(samples_of(other)), abs=RATE_HZ // 20)


def test_voices_differ_in_pitch_and_not_in_level(runner: asyncio.Runner, engine: HibariTts) -> None:
    speech = {voice: samples_of(runner.run(speak(engine, clauses_of(TEXT), voice=voice))) for voice in engine.voices}
    pitches = sorted(median_pitch_hz(samples) for samples in speech.values())
    assert pitches[0] < 115
    assert pitches[-1] > 225
    assert all(higher > lower * 1.04 for lower, higher in pairwise(pitches)), pitches
    levels = [active_dbfs(samples) for samples in speech.values()]
    assert max(levels) - min(levels) < 3.0, levels
    assert all(0.3 < np.abs(samples).max() <= 1.0 for samples in speech.values())


@pytest.mark.parametrize("voice", ["marin", "shimmer", "cedar"])
@pytest.mark.parametrize("speed", [0.25, 0.5, 0.8, 1.25, 1.5])
def test_speed_divides_the_duration(runner: asyncio.Runner, engine: HibariTts, voice: str, speed: float) -> None:
    plain, changed = (
        len(samples_of(runner.run(speak(engine, clauses_of(TEXT), voice=voice, speed=pace)))) for pace in (1.0, speed)
    )
    assert plain / changed == pytest.approx(speed, rel=0.12)


@pytest.mark.parametrize("speed", [0.5, 1.5])
def test_speed_keeps_the_pitch(runner: asyncio.Runner, engine: HibariTts, speed: float) -> None:
    plain, changed = (
        median_pitch_hz(samples_of(runner.run(speak(engine, clauses_of(TEXT), speed=pace)))) for pace in (1.0, speed)
    )
    # Played at another rate it would be half or three halves of it.
    assert changed == pytest.approx(plain, rel=0.1)


def test_pieces_join_without_a_click(runner: asyncio.Runner, engine: HibariTts) -> None:
    pieces = runner.run(speak(engine, clauses_of(TEXT + " " + TEXT), voice="ash"))
    assert len(pieces) > 3
    for piece in pieces:
        samples = pcm_to_samples(piece.pcm)
        assert abs(samples[0]) < 1e-3
        assert abs(samples[-1]) < 1e-3


def test_a_sentence_is_followed_by_a_longer_pause_than_a_comma(runner: asyncio.Runner, engine: HibariTts) -> None:
    def leading_silence_s(end: str) -> float:
        clauses = [Clause(f"Yes we can{end}", f"Yes we can{end}"), Clause(" and no.", "and no.")]
        samples = pcm_to_samples(runner.run(speak(engine, clauses))[1].pcm)
        return float(np.flatnonzero(np.abs(samples) > 0.01)[0]) / RATE_HZ

    assert leading_silence_s("") < leading_silence_s(",") - 0.1 < leading_silence_s(".") - 0.2


def silent_s(samples: NDArray[np.float32]) -> list[float]:
    """The silences between sounds."""
    heard = np.flatnonzero(np.abs(samples) > 0.01)
    return [float(gap) / RATE_HZ for gap in np.diff(heard)]


def test_a_phrase_that_was_cut_goes_on_without_a_pause(runner: asyncio.Runner, engine: HibariTts) -> None:
    first, *rest = clauses_of("The weather in Berlin tomorrow morning is expected to be partly cloudy")
    assert first.leads_on
    cut, comma = (
        max(silent_s(samples_of(runner.run(speak(engine, [replace(first, leads_on=leads_on), *rest])))))
        for leads_on in (True, False)
    )
    assert cut < 0.2
    assert 0.25 < comma < 0.4


WEATHER = (
    "The weather in Berlin tomorrow afternoon is expected to be partly cloudy with a high of around twenty degrees and "
    "a light breeze from the west that will calm down in the evening. Enjoy it!"
)
ANSWERS = [
    WEATHER,
    f"Sure! {WEATHER}",
    "Yes. No. It depends on what exactly you would like to do with the machine once it has been delivered, I think.",
    "OK, you can. The first thing that you need is a clean bowl of about two litres that does not leak. Then fill it.",
]


@pytest.mark.parametrize("first_words", [5, 8])
@pytest.mark.parametrize("text", ANSWERS)
def test_each_piece_is_there_before_the_one_before_it_has_been_heard(
    runner: asyncio.Runner, engine: HibariTts, text: str, first_words: int
) -> None:
    """Behind a model that writes 26 tokens a second, 1.25 a word; the voice is given 100 ms for a piece."""
    splitter = ClauseSplitter(first_words=first_words)
    clauses = splitter.push(text) + splitter.finish()
    assert len(clauses) > 2
    pieces = runner.run(speak(engine, clauses))
    assert len(pieces) == len(clauses)
    ready_s = heard_until_s = 0.0
    for number, (clause, piece) in enumerate(zip(clauses, pieces, strict=True)):
        ready_s += len(clause.text.split()) * 1.25 / 26
        begins_s = ready_s + 0.1
        assert not number or begins_s < heard_until_s, clause
        heard_until_s = max(begins_s, heard_until_s) + len(piece.pcm) / 2 / RATE_HZ


def test_the_first_sound_comes_at_once(runner: asyncio.Runner, engine: HibariTts) -> None:
    samples = samples_of(runner.run(speak(engine, clauses_of("Paris."))))
    assert np.flatnonzero(np.abs(samples) > 0.01)[0] < 0.1 * RATE_HZ


@pytest.mark.parametrize(
    "text",
    ["1" * 400, "1e400", "٣٤٥ ½²³", "-.-." * 100, "a1" * 200, "'" * 400, "[x](/y/)", "$" * 50, "25:99 13/45/2019",
     "Привет, мир", "你好世界", "שלום", "नमस्ते", "Grüezi, café, naïve", "\x00\ud800\u202e", "x" * 2000,
     "e.g. U.S. No. 5", "99999999999999999999999999999999999999999999", "ﬁ ǆ ʼn", "A" * 500, "🎉", "- — … ?!"],
)  # fmt: skip
def test_any_text_is_spoken_or_skipped(runner: asyncio.Runner, engine: HibariTts, text: str) -> None:
    runner.run(speak(engine, [Clause(text, text)], voice="echo"))


@given(st.text(st.characters(exclude_categories=()), max_size=60), st.sampled_from([0.25, 1.0, 1.5]))
@settings(max_examples=40, deadline=None)
def test_no_text_raises(runner: asyncio.Runner, engine: HibariTts, text: str, speed: float) -> None:
    pieces = runner.run(speak(engine, [Clause(text, text)], speed=speed))
    assert all(piece.pcm and len(piece.pcm) % 2 == 0 for piece in pieces)


def test_a_call_past_its_deadline_is_a_timeout(runner: asyncio.Runner, engine: HibariTts) -> None:
    async def late() -> None:
        context = CallContext("sess_1", "item_1", deadline_s=0.0)
        stream = engine.synthesize(given_at_once(clauses_of(TEXT)), voice="", speed=1.0, context=context)
        async with aclosing(stream):
            await anext(stream)

    with pytest.raises(EngineError) as caught:
        runner.run(late())
    assert caught.value.kind is EngineErrorKind.TIMEOUT


def test_it_speaks_many_times_faster_than_real_time(runner: asyncio.Runner, engine: HibariTts) -> None:
    before_s = time.process_time()
    pieces = runner.run(speak(engine, clauses_of(TEXT * 3), voice="cedar"))
    cost_s = time.process_time() - before_s
    factor = cost_s / (len(samples_of(pieces)) / RATE_HZ)
    assert factor < 0.1
