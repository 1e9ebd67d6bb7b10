"""Engines made resilient: silence and foreign exceptions become engine errors, and nothing is said twice."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from antiphon.engines.base import CallContext, Engine, EngineInfo
from antiphon.engines.errors import EngineError
from antiphon.engines.registry import EngineKind
from antiphon.engines.resilient import Patience, ResilientStt, ResilientTts, resilient_llm
from antiphon.testing import conformance
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, ScriptedTts, engines
from antiphon.testing.scripted.steps import Trouble, undergo
from antiphon.testing.signals import tone
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import Clause, SpokenAudio, SttOptions, Transcript
from tests.engines.attempts import BAD_INPUT, CONTEXT, OVERFLOW, OVERLOADED, PATIENCE, Given, outcome


@pytest.mark.parametrize("kind", [EngineKind.STT, EngineKind.LLM, EngineKind.TTS])
def test_a_resilient_engine_keeps_the_engine_contract(kind: EngineKind) -> None:
    engine: Any = engines()[kind]
    wrappers: dict[EngineKind, Callable[[Any, Patience], Engine]] = {
        EngineKind.STT: ResilientStt,
        EngineKind.LLM: resilient_llm,
        EngineKind.TTS: ResilientTts,
    }
    assert run_virtual(conformance.failures(kind, wrappers[kind](engine, PATIENCE))) == {}
    assert engine.warmed_up
    assert engine.closed


# --- speech to text ------------------------------------------------------------------------------------------------


class Stt:
    """Reads all its audio, goes through a trouble for each attempt, then says how much it heard."""

    info = EngineInfo("stt under test")
    sample_rate_hz = 16_000

    def __init__(self, *troubles: Trouble | None, reads: bool = True, partials: Sequence[str] = ()) -> None:
        self.troubles = list(troubles)
        self.reads = reads
        self.partials = partials
        self.contexts: list[CallContext] = []
        self.open = 0

    async def warm_up(self) -> None: ...
    async def aclose(self) -> None: ...

    async def transcribe(
        self, audio: AsyncIterable[bytes], *, context: CallContext, options: SttOptions
    ) -> AsyncGenerator[Transcript, None]:
        self.contexts.append(context)
        self.open += 1
        try:
            if self.partials:
                yield Transcript(self.partials[context.attempt], is_final=False)
            heard = b"".join([chunk async for chunk in audio]) if self.reads else b""
            trouble = self.troubles.pop(0) if self.troubles else None
            if trouble is not None:
                await undergo(trouble)
            yield Transcript(f"{len(heard)} bytes", is_final=True)
        finally:
            self.open -= 1


def transcribed(
    stt: Stt, audio: AsyncIterable[bytes], patience: Patience = PATIENCE
) -> tuple[list[Transcript], EngineError | None, float]:
    stream = ResilientStt(stt, patience).transcribe(audio, context=CONTEXT, options=SttOptions())
    found = run_virtual(outcome(stream))
    assert stt.open == 0
    return found


def test_silence_after_the_end_of_the_audio_is_a_timeout() -> None:
    once = Patience(20, 20, retries=0)
    _, error, at = transcribed(Stt(HANG), Given([b"12"] * 6, pause_s=10), once)
    assert error is not None
    assert (error.kind, error.retryable) == (EngineErrorKind.TIMEOUT, True)
    assert error.message == "stt under test: no result for 20 s"
    assert at == pytest.approx(7 * 10 + 20)


def test_the_time_in_which_somebody_speaks_does_not_count() -> None:
    transcripts, error, at = transcribed(Stt(), Given([b"12"] * 100, pause_s=15))
    assert error is None
    assert transcripts == [Transcript("200 bytes", is_final=True)]
    assert at == pytest.approx(101 * 15)


def test_an_engine_that_never_reads_its_audio_is_a_timeout() -> None:
    _, error, at = transcribed(Stt(HANG, reads=False), Given([b"12"], pause_s=10), Patience(20, 20, retries=0))
    assert error is not None
    assert error.kind is EngineErrorKind.TIMEOUT
    assert at == pytest.approx(20)


@pytest.mark.parametrize(("trouble", "delay_s"), [(OVERLOADED, 0.25), (HANG, 20.25)])
def test_the_second_attempt_hears_the_whole_utterance(trouble: Trouble, delay_s: float) -> None:
    stt = Stt(trouble)
    transcripts, error, at = transcribed(stt, Given([b"1234", b"56", b"78"]))
    assert error is None
    assert [transcript.text for transcript in transcripts] == ["8 bytes"]
    assert [context.attempt for context in stt.contexts] == [0, 1]
    assert at == pytest.approx(delay_s)


def test_the_call_says_for_how_long_its_result_is_waited_for() -> None:
    stt = Stt()
    transcribed(stt, Given([b"12"]))
    assert (stt.contexts[0].deadline_s, stt.contexts[0].item_id) == (20, "item_1")


def test_what_a_repeat_would_fail_at_again_is_not_repeated() -> None:
    stt = Stt(BAD_INPUT)
    _, error, _ = transcribed(stt, Given([b"12"]))
    assert error is BAD_INPUT
    assert len(stt.contexts) == 1


def test_the_last_attempt_s_error_is_told() -> None:
    again = EngineError(EngineErrorKind.UNAVAILABLE, "gone")
    stt = Stt(OVERLOADED, again)
    _, error, _ = transcribed(stt, Given([b"12"]))
    assert error is again
    assert len(stt.contexts) == 2


def test_each_further_attempt_waits_twice_as_long() -> None:
    stt = Stt(OVERLOADED, OVERLOADED, OVERLOADED)
    _, error, at = transcribed(stt, Given([b"12"]), Patience(20, 20, retries=3, back_off_s=0.25))
    assert error is None
    assert at == pytest.approx(0.25 + 0.5 + 1.0)


@pytest.mark.parametrize(("seconds", "attempts"), [(120, 2), (121, 1)])
def test_an_utterance_too_long_to_be_kept_is_not_heard_again(seconds: int, attempts: int) -> None:
    stt = Stt(OVERLOADED)
    _, error, _ = transcribed(stt, Given([bytes(32_000)] * seconds))
    assert (error is None) == (attempts == 2)
    assert len(stt.contexts) == attempts


def test_partial_transcripts_of_two_attempts_extend_each_other() -> None:
    transcripts, _, _ = transcribed(Stt(OVERLOADED, partials=["one two", "one"]), Given([b"12"]))
    assert [transcript.text for transcript in transcripts] == ["one two", "2 bytes"]


class Marked:
    """Answers each mark with what it heard until then; the first attempt fails at the end."""

    info = EngineInfo("stt under test")
    sample_rate_hz = 16_000

    async def warm_up(self) -> None: ...
    async def aclose(self) -> None: ...

    async def transcribe(
        self, audio: AsyncIterable[bytes], *, context: CallContext, options: SttOptions
    ) -> AsyncGenerator[Transcript, None]:
        heard = b""
        stable = ("good day", "well")[context.attempt]
        async for chunk in audio:
            heard += chunk
            if not chunk:
                yield Transcript(stable, is_final=False, hypothesis=heard.decode(), thorough=True)
        if not context.attempt:
            raise OVERLOADED
        yield Transcript(heard.decode(), is_final=True)


def test_marks_and_hypotheses_pass_through_and_an_old_mark_is_not_answered_again() -> None:
    stream = ResilientStt(Marked(), PATIENCE).transcribe(
        Given([b"ab", b"", b"cd", b""]), context=CONTEXT, options=SttOptions()
    )
    values, error, _ = run_virtual(outcome(stream))
    assert error is None
    assert [(said.text, said.hypothesis, said.thorough) for said in values] == [
        ("good day", "ab", True),
        ("good day", "abcd", True),
        ("good day", "abcd", True),
        ("abcd", "", False),
    ]


def test_a_foreign_exception_is_a_failure_without_details(caplog: pytest.LogCaptureFixture) -> None:
    _, error, _ = transcribed(Stt(ValueError("/secret/path")), Given([b"12"]))
    assert error is not None
    assert (error.kind, error.retryable) == (EngineErrorKind.FAILED, False)
    assert error.message == "stt under test: the call failed"
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]


@pytest.mark.parametrize(("error", "lines"), [(BAD_INPUT, 1), (OVERLOADED, 2), (OVERFLOW, 0)], ids=str)
def test_why_a_call_failed_is_logged_for_whoever_is_to_mend_it(
    caplog: pytest.LogCaptureFixture, error: EngineError, lines: int
) -> None:
    """But not that a prompt is too long: that is tried again with a shorter one."""
    transcribed(Stt(error, error), Given([b"12"]))
    assert len(caplog.records) == lines
    if lines:
        assert caplog.messages[-1] == f"stt under test: the call failed ({error.kind}): {error.message}"


def test_an_engine_s_own_timeout_error_is_a_failure_too() -> None:
    _, error, _ = transcribed(Stt(TimeoutError("a socket")), Given([b"12"]))
    assert error is not None
    assert error.kind is EngineErrorKind.FAILED


@pytest.mark.parametrize("answer", [None, 7])
def test_an_engine_that_gives_no_stream_is_a_failure(answer: object) -> None:
    class Broken(Stt):
        def transcribe(self, *_: Any, **__: Any) -> Any:
            return answer

    _, error, _ = transcribed(Broken(), Given([b"12"]))
    assert error is not None
    assert error.kind is EngineErrorKind.FAILED


def test_closing_the_stream_closes_the_engine_s_at_once() -> None:
    stt = Stt(HANG, partials=["one"])

    async def main() -> None:
        stream = ResilientStt(stt, PATIENCE).transcribe(Given([b"12"]), context=CONTEXT, options=SttOptions())
        async with aclosing(stream):
            assert (await anext(stream)).text == "one"
        assert stt.open == 0
        assert asyncio.get_running_loop().time() == 0

    run_virtual(main())


def test_cancelling_the_consumer_closes_the_engine_s_stream_in_the_same_step() -> None:
    stt = Stt(HANG)

    async def main() -> None:
        stream = ResilientStt(stt, PATIENCE).transcribe(Given([b"12"]), context=CONTEXT, options=SttOptions())
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(outcome(stream))
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.sleep(0)
            assert stt.open == 0

    run_virtual(main())


def test_an_exception_while_a_call_is_closed_is_logged_and_no_result(caplog: pytest.LogCaptureFixture) -> None:
    class Careless(Stt):
        async def transcribe(self, *_: Any, **__: Any) -> AsyncGenerator[Transcript, None]:
            try:
                yield Transcript("done", is_final=True)
                yield Transcript("more", is_final=True)
            finally:
                raise OSError("at the end")

    async def main() -> None:
        stream = ResilientStt(Careless(), PATIENCE).transcribe(Given([b"12"]), context=CONTEXT, options=SttOptions())
        async with aclosing(stream):
            assert (await anext(stream)).text == "done"

    run_virtual(main())
    assert "closing a call failed" in caplog.text


# --- text to speech ------------------------------------------------------------------------------------------------

CLAUSES = [Clause("One two. ", "One two."), Clause("Three four. ", "Three four."), Clause("Five.", "Five.")]
TEXT = "".join(clause.text for clause in CLAUSES)


class ClauseTts(ScriptedTts):
    """Every piece carries its whole clause's span, as an engine does that knows no more; sounds tell clauses apart.

    ``fails``: the attempt, the clause of the whole text and the pieces delivered of it after which ``trouble`` comes.
    """

    def __init__(self, fails: dict[int, tuple[str, int]], trouble: Trouble = OVERLOADED) -> None:
        super().__init__()
        self._fails = fails
        self._trouble = trouble
        self.asked: list[tuple[int, str]] = []

    async def synthesize(
        self, clauses: AsyncIterable[Clause], *, voice: str, speed: float, context: CallContext
    ) -> AsyncGenerator[SpokenAudio, None]:
        with self.counted():
            offset = 0
            async for clause in clauses:
                self.asked.append((context.attempt, clause.text))
                for index, piece in enumerate(_pieces(clause)):
                    if self._fails.get(context.attempt) == (clause.text, index):
                        await undergo(self._trouble)
                    yield SpokenAudio(piece, offset, offset + len(clause.text))
                if self._fails.get(context.attempt) == (clause.text, -1):
                    await undergo(self._trouble)
                offset += len(clause.text)


def _pieces(clause: Clause) -> list[bytes]:
    speech = tone(len(clause.spoken) * 10, frequency_hz=100 * len(clause.spoken))
    return [speech[start : start + 960] for start in range(0, len(speech), 960)]


WHOLE = b"".join(piece for clause in CLAUSES for piece in _pieces(clause))


def spoken(
    tts: ScriptedTts, clauses: AsyncIterable[Clause], patience: Patience = PATIENCE
) -> tuple[list[SpokenAudio], EngineError | None, float]:
    stream = ResilientTts(tts, patience).synthesize(clauses, voice="low", speed=1.0, context=CONTEXT)
    found = run_virtual(outcome(stream))
    assert tts.running == 0
    return found


def _heard_of(pieces: Iterable[SpokenAudio]) -> dict[str, bytes]:
    heard: dict[str, bytes] = {}
    for piece in pieces:
        text = TEXT[piece.text_start : piece.text_end]
        heard[text] = heard.get(text, b"") + piece.pcm
    return heard


@pytest.mark.parametrize("trouble", [OVERLOADED, HANG])
@pytest.mark.parametrize(
    ("fails", "begins_again_with"),
    [
        ({0: ("One two. ", 0)}, "One two. "),
        ({0: ("One two. ", 2)}, "One two. "),
        ({0: ("One two. ", -1)}, "One two. "),
        ({0: ("Three four. ", 0)}, "One two. "),
        ({0: ("Three four. ", 1)}, "Three four. "),
        ({0: ("Five.", 1)}, "Five."),
        ({0: ("Five.", -1)}, "Five."),
    ],
)
def test_speech_that_breaks_off_goes_on_where_it_broke_off(
    fails: dict[int, tuple[str, int]], begins_again_with: str, trouble: Trouble
) -> None:
    tts = ClauseTts(fails, trouble)
    pieces, error, _ = spoken(tts, Given(CLAUSES))
    assert error is None
    assert b"".join(piece.pcm for piece in pieces) == WHOLE
    assert _heard_of(pieces) == {clause.text: b"".join(_pieces(clause)) for clause in CLAUSES}
    assert next(text for attempt, text in tts.asked if attempt == 1) == begins_again_with


def test_speech_that_breaks_off_twice_goes_on_twice() -> None:
    tts = ClauseTts({0: ("Three four. ", 2), 1: ("Three four. ", 3)})
    pieces, error, at = spoken(tts, Given(CLAUSES), Patience(20, 10, retries=2, back_off_s=0.25))
    assert error is None
    assert b"".join(piece.pcm for piece in pieces) == WHOLE
    assert at == pytest.approx(0.25 + 0.5)


def test_pieces_with_spans_of_their_own_keep_them_after_a_break() -> None:
    calls = 0

    def trouble(call: int, clause: int) -> list[Trouble]:
        nonlocal calls
        calls += 1
        return [OVERLOADED] if (call, clause) == (0, 2) else []

    broken = ScriptedTts(trouble=trouble, chunk_ms=40)
    pieces, error, _ = spoken(broken, Given(CLAUSES))
    whole, _, _ = spoken(ScriptedTts(chunk_ms=40), Given(CLAUSES))
    assert error is None
    assert calls > 3
    assert pieces == whole


def test_waiting_for_words_does_not_count() -> None:
    pieces, error, at = spoken(ClauseTts({}), Given(CLAUSES, pause_s=60))
    assert error is None
    assert b"".join(piece.pcm for piece in pieces) == WHOLE
    assert at == pytest.approx(240)


@pytest.mark.parametrize(("fails", "at_s"), [(("One two. ", 0), 20), (("One two. ", 1), 10)])
def test_silence_with_words_to_say_is_a_timeout(fails: tuple[str, int], at_s: float) -> None:
    _, error, at = spoken(ClauseTts({0: fails}, HANG), Given(CLAUSES), Patience(20, 10, retries=0))
    assert error is not None
    assert error.kind is EngineErrorKind.TIMEOUT
    assert at == pytest.approx(at_s)
