"""From a response's order to words and speech: what is reported, in which order, and how it stops."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any

import pytest

from antiphon.core.inputs import AudioProduced, GenerationEnded, TextProduced, ToolCallProduced
from antiphon.core.outputs import SpeechOrder, StartResponse
from antiphon.engines.base import CallContext, LanguageModel, TextToSpeech
from antiphon.engines.errors import EngineError
from antiphon.protocol.session_config import FormatName
from antiphon.runtime.speaking import Fact, Speaking
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, Delay, ScriptedLlm, ScriptedTts
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmRequest, TextChunk, TokenUsage, ToolCallChunk
from antiphon.vocabulary.speech import Clause, SpokenAudio

WORDS = "One two three. Four five six, seven eight. Nine."


def _order(format: FormatName | None = "audio/pcm") -> StartResponse:
    speech = None if format is None else SpeechOrder("item_1", "low", 1.0, format)
    return StartResponse("resp_1", LlmRequest(messages=()), speech)


async def _room() -> None:
    pass


def _speaking(
    llm: LanguageModel,
    tts: TextToSpeech,
    report: Callable[[Fact], None],
    format: FormatName | None = "audio/pcm",
    room: Callable[[], Any] = _room,
) -> Speaking:
    return Speaking(_order(format), llm, tts, report=report, room=room, session_id="sess_1")


def _facts(llm: LanguageModel, tts: TextToSpeech, format: FormatName | None = "audio/pcm") -> list[Fact]:
    facts: list[Fact] = []
    run_virtual(_run(_speaking(llm, tts, facts.append, format)))
    return facts


async def _run(speaking: Speaking) -> None:
    await speaking.run()


def _audio(facts: list[Fact]) -> list[AudioProduced]:
    return [fact for fact in facts if isinstance(fact, AudioProduced)]


def test_words_come_before_the_speech_that_says_them_and_the_end_last() -> None:
    llm, tts = ScriptedLlm([WORDS]), ScriptedTts()
    facts = _facts(llm, tts)
    said = 0
    for fact in facts:
        if isinstance(fact, TextProduced):
            said += len(fact.text)
        elif isinstance(fact, AudioProduced):
            assert fact.text_end <= said
    assert "".join(fact.text for fact in facts if isinstance(fact, TextProduced)) == WORDS
    assert facts[-1] == GenerationEnded("resp_1", "stop", TokenUsage(output_tokens=9))
    assert tts.contexts[0] == CallContext("sess_1", item_id="item_1")
    assert llm.contexts[0] == CallContext("sess_1")


def test_a_text_response_has_no_use_for_a_voice() -> None:
    tts = ScriptedTts()
    facts = _facts(ScriptedLlm([WORDS]), tts, None)
    assert {type(fact) for fact in facts} == {TextProduced, GenerationEnded}
    assert tts.started == 0


def test_tool_calls_are_reported_as_they_come() -> None:
    llm = ScriptedLlm([[ToolCallChunk(0, "look", '{"a"'), ToolCallChunk(0, "", ": 1}")]])
    assert _facts(llm, ScriptedTts())[:2] == [
        ToolCallProduced("resp_1", 0, "look", '{"a"'),
        ToolCallProduced("resp_1", 0, "", ": 1}"),
    ]


@pytest.mark.parametrize(
    ("format", "bytes_per_ms", "engine_hz"),
    [("audio/pcm", 48, 24_000), ("audio/pcm", 48, 22_050), ("audio/pcmu", 8, 24_000), ("audio/pcma", 8, 8_000)],
)
def test_speech_comes_in_the_response_s_format_in_pieces_of_40_to_200_ms(
    format: FormatName, bytes_per_ms: int, engine_hz: int
) -> None:
    class OneClause(ScriptedTts):
        """Every piece carries its clause's whole span, and comes in engine frames of 7 ms."""

        async def synthesize(self, clauses: AsyncIterable[Clause], **_: Any) -> AsyncGenerator[SpokenAudio, None]:
            end = 0
            async for clause in clauses:
                start, end = end, end + len(clause.text)
                for _frame in range(len(clause.text) * 4):
                    yield SpokenAudio(bytes(engine_hz * 7 // 1000 * 2), start, end)

    audio = _audio(_facts(ScriptedLlm([WORDS]), OneClause(sample_rate_hz=engine_hz), format))
    lengths_ms = [len(fact.audio) / bytes_per_ms for fact in audio]
    assert lengths_ms[:3] == [40, 100, 200]
    assert max(lengths_ms) == 200
    assert [fact.samples for fact in audio] == [len(fact.audio) * 24 // bytes_per_ms for fact in audio]
    assert sum(lengths_ms) == pytest.approx(len(WORDS) * 28, rel=0.01)
    # A piece never holds the speech of two spans.
    assert sorted({(fact.text_start, fact.text_end) for fact in audio}) == [(0, 14), (14, 42), (42, 48)]


@pytest.mark.parametrize("engine", ["llm", "tts"])
def test_an_engine_s_error_ends_the_other_and_is_reported_once(engine: str) -> None:
    error = EngineError(EngineErrorKind.FAILED, "no")
    if engine == "llm":
        llm, tts = ScriptedLlm([[TextChunk(WORDS), error]]), ScriptedTts(trouble=lambda *_: [HANG])
    else:
        llm, tts = ScriptedLlm([[TextChunk(WORDS), HANG]]), ScriptedTts(trouble=lambda *_: [error])
    facts = _facts(llm, tts)
    assert [fact.fault for fact in facts if isinstance(fact, GenerationEnded)] == [error.fault]
    assert (llm.running, tts.running) == (0, 0)


def test_stopping_ends_both_engines_in_the_next_step_of_the_loop() -> None:
    llm, tts = ScriptedLlm([[TextChunk(WORDS), HANG]]), ScriptedTts(delay_s=1)
    facts: list[Fact] = []

    async def main() -> None:
        speaking = _speaking(llm, tts, facts.append)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(speaking.run())
            await asyncio.sleep(1.5)
            assert (llm.running, tts.running) == (1, 1)
            before = len(facts)
            speaking.stop()
            task.cancel()
            await asyncio.sleep(0)
            assert (llm.running, tts.running) == (0, 0)
            await asyncio.sleep(10)
            assert len(facts) == before
            assert task.cancelled()

    run_virtual(main())


def test_stopping_before_the_beginning_leaves_the_engines_alone() -> None:
    llm, tts = ScriptedLlm([WORDS]), ScriptedTts()

    async def main() -> None:
        speaking = _speaking(llm, tts, lambda _: None)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(speaking.run())
            speaking.stop()
            task.cancel()

    run_virtual(main())
    assert (llm.started, tts.started) == (0, 0)


def test_speech_waits_for_room_and_the_model_for_speech() -> None:
    llm = ScriptedLlm([" ".join(f"This is the sentence with number {number}." for number in range(2000))])
    facts: list[Fact] = []
    opened = asyncio.Event()

    async def main() -> None:
        speaking = _speaking(llm, ScriptedTts(), facts.append, room=opened.wait)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speaking.run())
            await asyncio.sleep(1)
            assert len(_audio(facts)) <= 3
            words = sum(isinstance(fact, TextProduced) for fact in facts)
            assert words < 7 * 300
            opened.set()
        assert sum(isinstance(fact, TextProduced) for fact in facts) == 7 * 2000

    run_virtual(main())


@pytest.mark.parametrize("words", [4, 9])
def test_the_first_clause_has_as_many_words_as_it_is_told(words: int) -> None:
    tts = ScriptedTts()
    llm = ScriptedLlm(["blue red green yellow black white brown pink grey orange purple silver."])
    speaking = Speaking(_order(), llm, tts, report=lambda _: None, room=_room, session_id="sess_1", first_words=words)
    run_virtual(_run(speaking))
    assert len(tts.spoken[0].text.split()) == words


def test_what_was_spoken_does_not_wait_for_a_clause_that_is_not_written_yet() -> None:
    facts: list[Fact] = []
    llm = ScriptedLlm([[TextChunk("One two three. "), TextChunk("Four. "), Delay(5), TextChunk("Five six.")]])

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_speaking(llm, ScriptedTts(), facts.append).run())
            await asyncio.sleep(1)
            heard_ms = sum(fact.samples for fact in _audio(facts)) // 24
            assert heard_ms == 20 * len("One two three." + "Four.")

    run_virtual(main())
