"""Drafts as the engines' work: how far they go before they are adopted, and how fast everything stops."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

import pytest

from antiphon.core.inputs import AudioProduced, GenerationEnded, TextProduced, ToolCallProduced
from antiphon.core.outputs import (
    AdoptDraft,
    AskHypothesis,
    DiscardDraft,
    EndDraft,
    FeedTranscription,
    JudgeTurn,
    SeekDraft,
    StartTranscription,
    StopResponse,
)
from antiphon.runtime.draft_places import DraftPlaces
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedTurnJudge
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import TextChunk, ToolCallChunk
from antiphon.vocabulary.speech import Clause, SpokenAudio, SttOptions
from tests.support.audio import tone_ms
from tests.support.runtime import engines_of
from tests.support.work import Work, respond, turns_passed, working

FIRST = "One two three."
REST = " Four five six seven eight nine ten eleven. Twelve thirteen. Fourteen fifteen."


class Voice(ScriptedTts):
    """Notes the clauses that it asked for and got."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.given: list[str] = []

    async def synthesize(self, clauses: AsyncIterable[Clause], **options: Any) -> AsyncGenerator[SpokenAudio, None]:
        async def noted() -> AsyncGenerator[Clause, None]:
            async for clause in clauses:
                self.given.append(clause.text)
                yield clause

        async for piece in super().synthesize(noted(), **options):
            yield piece


def _text(work: Work) -> str:
    return "".join(fact.text for fact in work.of(TextProduced))


def _spoken_ms(work: Work) -> int:
    return len(b"".join(fact.audio for fact in work.of(AudioProduced))) // 48


async def _drafting(work: Work, response_id: str = "resp_1", *, aloud: bool = True) -> None:
    work.order(SeekDraft("item_1"))
    await turns_passed()
    assert work.granted
    work.order(respond(response_id, draft=True, aloud=aloud))
    await asyncio.sleep(10)


# --- held ----------------------------------------------------------------------------------------------------------


def test_a_draft_speaks_its_first_clause_and_writes_eight_tokens_more() -> None:
    llm, tts = ScriptedLlm([FIRST + REST]), Voice()

    async def main() -> None:
        async with working(engines_of(llm=llm, tts=tts), DraftPlaces(1)) as (work,):
            await _drafting(work)
            assert _text(work).startswith(FIRST)
            assert len(_text(work).split()) == 3 + 8
            assert [clause.strip() for clause in tts.given] == [FIRST]
            assert _spoken_ms(work) == len(FIRST) * 20, "nothing of the clause waits for the next one"
            draft = llm.contexts[0].draft
            assert draft is tts.contexts[0].draft
            assert draft is not None
            assert not draft.adopted

    run_virtual(main())


def test_an_adopted_draft_goes_on_where_it_was_held_as_if_it_had_never_been() -> None:
    llm, tts = ScriptedLlm([FIRST + REST, FIRST + REST]), ScriptedTts()

    async def main() -> None:
        async with working(engines_of(llm=llm, tts=tts), DraftPlaces(1)) as (work,):
            await _drafting(work)
            work.order(AdoptDraft("resp_1"), EndDraft("item_1"))
            draft = llm.contexts[0].draft
            assert draft is not None
            assert draft.adopted
            await asyncio.sleep(0.001)
            adopted = list(work.facts[1:])
            work.facts.clear()
            work.order(respond("resp_1"))
            await asyncio.sleep(0.001)
            assert [fact for fact in adopted if isinstance(fact, TextProduced)] == work.of(TextProduced)
            assert b"".join(fact.audio for fact in adopted if isinstance(fact, AudioProduced)) == b"".join(
                fact.audio for fact in work.of(AudioProduced)
            )
            assert adopted[-1] == work.facts[-1]
            assert llm.contexts[1].draft is None

    run_virtual(main())


def test_a_draft_that_is_adopted_early_is_never_held() -> None:
    tts = ScriptedTts(delay_s=0.1)

    async def main() -> None:
        async with working(engines_of(llm=ScriptedLlm([FIRST + REST]), tts=tts), DraftPlaces(1)) as (work,):
            work.order(SeekDraft("item_1"))
            await turns_passed()
            work.order(respond("resp_1", draft=True), AdoptDraft("resp_1"))
            await asyncio.sleep(10)
            assert work.of(GenerationEnded)[0].fault is None
            assert _text(work) == FIRST + REST

    run_virtual(main())


def test_a_short_answer_is_drafted_to_its_end() -> None:
    async def main() -> None:
        async with working(engines_of(llm=ScriptedLlm([FIRST])), DraftPlaces(1)) as (work,):
            await _drafting(work)
            assert work.of(GenerationEnded)[0].reason == "stop"
            assert _spoken_ms(work) == len(FIRST) * 20
            work.order(AdoptDraft("resp_1"), DiscardDraft("resp_1", "changed"))

    run_virtual(main())


def test_a_draft_of_text_is_held_as_well() -> None:
    async def main() -> None:
        async with working(engines_of(llm=ScriptedLlm([FIRST + REST])), DraftPlaces(1)) as (work,):
            await _drafting(work, aloud=False)
            assert len(_text(work).split()) == 3 + 8

    run_virtual(main())


def test_a_draft_without_a_clause_is_written_so_far_and_no_further() -> None:
    script = [ToolCallChunk(0, "look" if not number else "", "wwww" * 4) for number in range(100)]

    async def main() -> None:
        async with working(engines_of(llm=ScriptedLlm([script])), DraftPlaces(1)) as (work,):
            await _drafting(work)
            assert len(work.of(ToolCallProduced)) == 48 // 4

    run_virtual(main())


# --- pressure ------------------------------------------------------------------------------------------------------


def test_a_draft_without_a_place_fails_at_once_and_not_within_its_order() -> None:
    llm = ScriptedLlm([FIRST])

    async def main() -> None:
        async with working(engines_of(llm=llm), DraftPlaces(0)) as (work,):
            work.order(SeekDraft("item_1"), respond("resp_1", draft=True))
            assert work.facts == []
            await asyncio.sleep(1)
            assert [fact.fault.kind for fact in work.of(GenerationEnded)] == [EngineErrorKind.OVERLOADED]
            assert len(work.facts) == 1
            assert llm.started == 0

    run_virtual(main())


@pytest.mark.parametrize(("delay_s", "dropped"), [(0.0, False), (60.0, True)])
def test_an_answer_elsewhere_drops_a_draft_that_still_computes_and_keeps_one_that_waits(
    delay_s: float, dropped: bool
) -> None:
    tts = ScriptedTts(delay_s=delay_s)

    async def main() -> None:
        llm = ScriptedLlm([FIRST + REST, [HANG]])
        async with working(engines_of(llm=llm, tts=tts), DraftPlaces(1), sessions=2) as (drafting, answering):
            await _drafting(drafting)
            answering.order(respond("resp_2"))
            await turns_passed()
            assert [fact.fault.kind for fact in drafting.of(GenerationEnded)] == [EngineErrorKind.OVERLOADED] * dropped
            assert (llm.running, tts.running) == ((1, 0) if dropped else (2, 1))
            drafting.order(respond("resp_3", draft=True))
            await turns_passed()
            assert drafting.of(GenerationEnded)[-1].response_id == "resp_3", "there is no room for another"
            drafting.order(AdoptDraft("resp_1"))
            await asyncio.sleep(0.001)
            assert (_text(drafting) == FIRST + REST) is not dropped

    run_virtual(main())


# --- cancelling ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("order", [StopResponse("resp_1"), DiscardDraft("resp_1", "speech")])
def test_stopping_closes_the_streams_of_both_engines_within_one_step_of_the_loop(
    order: StopResponse | DiscardDraft, held: bool
) -> None:
    """Through the engines' resilience, whether they compute or are held back."""
    llm = ScriptedLlm([FIRST + REST] if held else [[TextChunk(FIRST + " "), HANG]])
    tts = ScriptedTts(delay_s=0.0 if held else 60.0)

    async def main() -> None:
        async with working(engines_of(llm=llm, tts=tts), DraftPlaces(1)) as (work,):
            await _drafting(work)
            assert (llm.running, tts.running) == (1, 1)
            before = list(work.facts)
            work.order(order)
            await asyncio.sleep(0)
            assert (llm.running, tts.running) == (0, 0)
            await asyncio.sleep(60)
            assert work.facts == before

    run_virtual(main())


def test_the_end_of_a_session_leaves_no_task_and_no_place_taken() -> None:
    stt, judge = ScriptedStt([[HANG]]), ScriptedTurnJudge([HANG])
    llm, tts = ScriptedLlm([FIRST + REST]), ScriptedTts(delay_s=60)
    places = DraftPlaces(1)

    async def main() -> None:
        engines = engines_of(stt=stt, llm=llm, tts=tts, turn_judge=judge)
        async with working(engines, places) as (work,):
            work.order(StartTranscription("item_1", 0, SttOptions()), FeedTranscription("item_1", 0, tone_ms(100)))
            work.order(AskHypothesis("item_1", 0), JudgeTurn("item_1", 2400, tone_ms(100), ""))
            await _drafting(work)
            assert (stt.running, llm.running, tts.running) == (1, 1, 1)
        assert (stt.running, llm.running, tts.running, judge.running) == (0, 0, 0, 0)
        async with working(engines, places) as (work,):
            await _drafting(work)

    run_virtual(main())
