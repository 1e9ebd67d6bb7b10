"""The scripted ears and voice."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import TypeVar

import numpy as np
import pytest

from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError
from antiphon.engines.registry import EngineKind, available
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import (
    HANG,
    Delay,
    ScriptedStt,
    ScriptedTts,
    ScriptedTurnJudge,
    ScriptedVad,
    SttScript,
    engines,
)
from antiphon.testing.signals import silence, tone
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import Clause, SpokenAudio, SttOptions, Transcript

CONTEXT = CallContext("sess_1", "item_1")
FAILURE = EngineError(EngineErrorKind.UNAVAILABLE, "gone")


_T = TypeVar("_T")


async def _each(values: Iterable[_T]) -> AsyncGenerator[_T, None]:
    for value in values:
        yield value


async def transcribe(stt: ScriptedStt, audio: Sequence[bytes], options: SttOptions) -> list[Transcript]:
    chunks = _each(audio)
    async with aclosing(stt.transcribe(chunks, context=CONTEXT, options=options)) as transcripts:
        return [transcript async for transcript in transcripts]


def hear(
    audio: bytes, *scripts: SttScript, prompt: str = "", partials: bool = False, chunk_bytes: int = 6400
) -> list[tuple[str, bool]]:
    chunks = [audio[start : start + chunk_bytes] for start in range(0, len(audio), chunk_bytes)]
    options = SttOptions(prompt=prompt, partials=partials)
    transcripts = run_virtual(transcribe(ScriptedStt(scripts), chunks, options))
    return [(transcript.text, transcript.is_final) for transcript in transcripts]


def test_tones_are_speech_and_silence_is_not() -> None:
    vad = ScriptedVad()
    tones = np.frombuffer(tone(32, sample_rate_hz=16_000), "<i2").astype(np.float32) / 32768
    windows = np.stack([tones, np.zeros(512, np.float32)])
    states = [vad.new_state(), vad.new_state()]
    probabilities = vad.detect(windows, states)
    assert probabilities.tolist() == [1.0, 0.0]
    assert probabilities.dtype == np.float32
    assert [state.windows for state in states] == [1, 1]


def test_detection_fails_while_an_error_is_set() -> None:
    vad = ScriptedVad()
    vad.error = FAILURE
    with pytest.raises(EngineError):
        vad.detect(np.zeros((1, 512), np.float32), [vad.new_state()])
    vad.error = None
    assert vad.detect(np.zeros((1, 512), np.float32), [vad.new_state()]).tolist() == [0.0]


SECOND = tone(1000, sample_rate_hz=16_000)


@pytest.mark.parametrize(
    ("audio", "prompt", "partials", "transcripts"),
    [
        (SECOND, "", False, [("I heard 1000 milliseconds.", True)]),
        (silence(500, sample_rate_hz=16_000) + SECOND, "", True, [("I heard 1500 milliseconds.", True)]),
        (silence(500, sample_rate_hz=16_000), "", False, [("", True)]),
        (b"", "", False, [("", True)]),
        (SECOND, "Words: Bern, Thun", False, [("I heard 1000 milliseconds.", True)]),
        (SECOND, "say good morning", False, [("good morning", True)]),
        (
            SECOND,
            "say good morning to you",
            True,
            [("good", False), ("good morning", False), ("good morning to you", True)],
        ),
        (SECOND, "say good\nwait 50\nsay day", True, [("good", False), ("good day", False), ("good day", True)]),
        (SECOND, "say good\nwait 50\nsay day", False, [("good day", True)]),
        (SECOND, "wait 50", False, [("", True)]),
    ],
)
def test_the_transcript_follows_from_the_audio_or_the_steering_prompt(
    audio: bytes, prompt: str, partials: bool, transcripts: list[tuple[str, bool]]
) -> None:
    assert hear(audio, prompt=prompt, partials=partials) == transcripts


@pytest.mark.parametrize("chunk_bytes", [1, 333, 6400, 100_000])
def test_chunks_may_have_any_size(chunk_bytes: int) -> None:
    heard = [("one", False), ("one two", False), ("one two three four", True)]
    assert hear(SECOND, "one two three four", partials=True, chunk_bytes=chunk_bytes) == heard


@pytest.mark.parametrize(
    ("prompt", "error"), [("fail timeout", EngineError), ("say a\nfail", EngineError), ("crash", RuntimeError)]
)
def test_a_transcription_fails_as_its_prompt_says(prompt: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="as told"):
        hear(SECOND, prompt=prompt)


MARK = b""
QUIET = silence(1000, sample_rate_hz=16_000)


def asked(stt: ScriptedStt, audio: Sequence[bytes], *, partials: bool = False) -> list[tuple[str, str, float, bool]]:
    transcripts = run_virtual(transcribe(stt, audio, SttOptions(partials=partials)))
    return [(one.text, one.hypothesis, one.audio_s, one.thorough) for one in transcripts]


@pytest.mark.parametrize(
    ("stt", "audio", "partials", "transcripts"),
    [
        (
            ScriptedStt(),
            [SECOND, MARK, SECOND],
            False,
            [("", "I heard 1000 milliseconds.", 1.0, True), ("I heard 2000 milliseconds.", "", 0.0, False)],
        ),
        (
            ScriptedStt(),
            [SECOND, QUIET, MARK, QUIET],
            False,
            [("", "I heard 1000 milliseconds.", 2.0, True), ("I heard 1000 milliseconds.", "", 0.0, False)],
        ),
        (
            ScriptedStt(["one two three four five"], partial_every_ms=600),
            [SECOND, MARK, SECOND],
            True,
            [
                ("one", "one two", 1.0, False),
                ("one", "one two three four five", 1.0, True),
                ("one two", "one two three", 2.0, False),
                ("one two three", "one two three four", 2.0, False),
                ("one two three four five", "", 0.0, False),
            ],
        ),
        (
            ScriptedStt(["one two"], hypotheses=lambda call, mark: ["one", None, "one two"][mark]),
            [SECOND, MARK, SECOND, MARK, MARK],
            False,
            [("", "one", 1.0, True), ("", "one two", 2.0, True), ("one two", "", 0.0, False)],
        ),
        (ScriptedStt([[Transcript("one", is_final=True)]]), [SECOND, MARK], False, [("one", "", 0.0, False)]),
    ],
)
def test_a_mark_is_answered_with_a_thorough_hypothesis(
    stt: ScriptedStt, audio: Sequence[bytes], partials: bool, transcripts: list[tuple[str, str, float, bool]]
) -> None:
    assert asked(stt, audio, partials=partials) == transcripts


@pytest.mark.parametrize(("after", "ends_s"), [(QUIET, 3.0), (SECOND, 5.0)])
def test_the_final_takes_no_time_of_its_own_where_nothing_audible_followed_the_answer(
    after: bytes, ends_s: float
) -> None:
    stt = ScriptedStt(delay_s=2.0, hypothesis_delay_s=3.0)

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        chunks = _each([SECOND, MARK, after])
        async with aclosing(stt.transcribe(chunks, context=CONTEXT, options=SttOptions())) as transcripts:
            return [loop.time() async for _ in transcripts]

    assert run_virtual(main()) == [3.0, ends_s]
    assert list(stt.marks) == [("item_1", 1000)]


def test_half_a_sample_is_bad_input() -> None:
    with pytest.raises(EngineError) as caught:
        hear(b"\0\0\0")
    assert caught.value.kind is EngineErrorKind.BAD_INPUT


def test_scripts_are_played_in_their_order_and_the_last_one_repeats() -> None:
    stt = ScriptedStt(["one", [Delay(2.0), Transcript("two", is_final=True, language="en")]], delay_s=1.0)

    async def main() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        return [((await transcribe(stt, [], SttOptions()))[0].text, loop.time()) for _ in range(3)]

    assert run_virtual(main()) == [("one", 1.0), ("two", 4.0), ("two", 7.0)]
    assert list(stt.heard) == [b"", b"", b""]


def test_a_script_may_depend_on_the_call() -> None:
    stt = ScriptedStt(lambda call: f"call {call}" if call else [FAILURE])
    with pytest.raises(EngineError, match="gone"):
        run_virtual(transcribe(stt, [], SttOptions()))
    assert run_virtual(transcribe(stt, [], SttOptions())) == [Transcript("call 1", is_final=True)]
    assert (stt.started, stt.failed, stt.finished) == (2, 1, 1)


async def speak(
    tts: ScriptedTts, clauses: Sequence[Clause], *, voice: str = "low", speed: float = 1.0
) -> list[SpokenAudio]:
    source = _each(clauses)
    async with aclosing(tts.synthesize(source, voice=voice, speed=speed, context=CONTEXT)) as pieces:
        return [piece async for piece in pieces]


def test_every_piece_carries_exactly_the_text_that_it_speaks() -> None:
    clauses = [Clause("Hello ", "Hello "), Clause("**you**.", "you.")]
    pieces = run_virtual(speak(ScriptedTts(ms_per_character=50, chunk_ms=100), clauses))
    assert [(piece.text_start, piece.text_end, len(piece.pcm)) for piece in pieces] == [
        (0, 2, 4800),
        (2, 4, 4800),
        (4, 6, 4800),
        (6, 10, 4800),
        (10, 14, 4800),
    ]


def test_a_clause_without_spoken_form_is_silent() -> None:
    clauses = [Clause("```code```", ""), Clause("Hi", "Hi")]
    pieces = run_virtual(speak(ScriptedTts(), clauses))
    assert [(piece.text_start, piece.text_end) for piece in pieces] == [(10, 12)]


@pytest.mark.parametrize(("speed", "size_bytes"), [(0.5, 3840), (1.0, 1920), (2.0, 960)])
def test_speed_divides_the_duration(speed: float, size_bytes: int) -> None:
    assert [len(piece.pcm) for piece in run_virtual(speak(ScriptedTts(), [Clause("Hi", "Hi")], speed=speed))] == [
        size_bytes
    ]


def test_voices_differ_and_an_unknown_one_is_the_first() -> None:
    def pcm(voice: str) -> bytes:
        return b"".join(piece.pcm for piece in run_virtual(speak(ScriptedTts(), [Clause("Hi", "Hi")], voice=voice)))

    assert pcm("low") != pcm("high")
    assert pcm("no such voice") == pcm("low")


def test_trouble_befalls_the_clause_that_it_is_meant_for() -> None:
    tts = ScriptedTts(trouble=lambda call, clause: [Delay(3.0), FAILURE] if (call, clause) == (1, 1) else [])
    clauses = [Clause("a", "a"), Clause("b", "b")]

    async def main() -> float:
        assert len(await speak(tts, clauses)) == 2
        with pytest.raises(EngineError):
            await speak(tts, clauses)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 3.0
    assert [clause.text for clause in tts.spoken] == ["a", "b", "a"]


def test_a_clause_can_ask_for_failure() -> None:
    with pytest.raises(EngineError, match="as told"):
        run_virtual(speak(ScriptedTts(), [Clause("x", "Now speech fails here.")]))


def test_a_clause_can_ask_for_a_hang() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await speak(ScriptedTts(), [Clause("x", "Speech hangs here")])

    run_virtual(main())


@pytest.mark.parametrize(
    ("text", "complete"), [("", True), ("Fine.", True), ("Well...", False), ("I want a,", False), ("This and", False)]
)
def test_the_turn_is_judged_by_its_text(text: str, complete: bool) -> None:
    probability = run_virtual(ScriptedTurnJudge().judge(np.zeros(0, np.float32), text=text, context=CONTEXT))
    assert (probability > 0.5) is complete


def test_judgements_are_given_in_their_order_and_then_by_the_text() -> None:
    judge = ScriptedTurnJudge([0.25, FAILURE, Delay(1.0), HANG], delay_s=1.0)

    async def one(text: str) -> float:
        return await judge.judge(np.zeros(0, np.float32), text=text, context=CONTEXT)

    async def main() -> tuple[float, float, float]:
        first = await one("a,")
        with pytest.raises(EngineError):
            await one("b,")
        third = await one("c.")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await one("d,")
        return first, third, await one("e,")

    assert run_virtual(main()) == (0.25, 0.9, 0.1)
    assert list(judge.judged) == ["a,", "b,", "c.", "d,", "e,"]


def test_the_judge_notes_how_much_audio_it_was_given() -> None:
    judge = ScriptedTurnJudge()
    run_virtual(judge.judge(np.zeros(24_000, np.float32), text="Yes.", context=CONTEXT))
    assert list(judge.judged_ms) == [1500]


def test_there_is_one_engine_of_each_kind_and_none_is_registered() -> None:
    assert set(engines()) == set(EngineKind)
    assert all("scripted" not in name for kind in EngineKind for name in available(kind))
