"""Prompts read ahead: one at a time, the newest next, and never in anybody's way."""

import asyncio

import pytest

from antiphon.core.inputs import GenerationEnded
from antiphon.core.outputs import DiscardDraft, EndDraft, PrefillPrompt, SeekDraft, StopResponse
from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError
from antiphon.runtime.draft_places import DraftPlaces
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedLlm
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmRequest
from tests.support.runtime import engines_of
from tests.support.work import asked, respond, turns_passed, working

ONE, TWO, THREE = (PrefillPrompt(asked(text)) for text in ("one", "one two", "one two three"))


class Reader(ScriptedLlm):
    """Reads a prompt in a second; notes what it began and what it finished."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.begun: list[LlmRequest] = []
        self.read: list[LlmRequest] = []
        self.reading = self.most_reading = 0

    async def prefill(self, request: LlmRequest, *, context: CallContext) -> None:
        self.begun.append(request)
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        try:
            await asyncio.sleep(1)
            if self.error is not None:
                raise self.error
            self.read.append(request)
        finally:
            self.reading -= 1


def test_the_newest_prompt_follows_the_one_that_is_being_read() -> None:
    llm = Reader()

    async def main() -> None:
        async with working(engines_of(llm=llm), DraftPlaces(1)) as (work,):
            work.order(SeekDraft("item_1"), ONE)
            await turns_passed()
            work.order(TWO, THREE)
            await asyncio.sleep(5)

    run_virtual(main())
    assert llm.read == [ONE.request, THREE.request]
    assert llm.most_reading == 1


def test_two_sessions_never_read_at_the_same_time() -> None:
    llm = Reader()

    async def main() -> None:
        async with working(engines_of(llm=llm), DraftPlaces(2), sessions=2) as works:
            for number, work in enumerate(works):
                work.order(SeekDraft(f"item_{number}"), ONE)
            await asyncio.sleep(5)

    run_virtual(main())
    assert len(llm.read) == 2
    assert llm.most_reading == 1


def test_without_a_place_nothing_is_read_ahead() -> None:
    llm = Reader()

    async def main() -> None:
        async with working(engines_of(llm=llm), DraftPlaces(1), sessions=2) as (first, second):
            first.order(ONE)
            first.order(SeekDraft("item_1"))
            second.order(SeekDraft("item_2"), TWO)
            await asyncio.sleep(5)

    run_virtual(main())
    assert llm.begun == []


@pytest.mark.parametrize("whose", [0, 1])
@pytest.mark.parametrize("draft", [False, True])
def test_whoever_generates_stops_it_at_once_and_nothing_is_read_until_that_is_over(whose: int, draft: bool) -> None:
    llm = Reader()

    async def main() -> None:
        async with working(engines_of(llm=llm), DraftPlaces(2), sessions=2) as works:
            works[0].order(SeekDraft("item_1"), ONE)
            works[1].order(SeekDraft("item_2"))
            await turns_passed()
            assert llm.reading == 1
            works[whose].order(respond("resp_1", "hang", draft=draft))
            await asyncio.sleep(0)
            assert llm.reading == 0
            works[0].order(TWO)
            await turns_passed()
            assert llm.reading == 0
            works[whose].order(DiscardDraft("resp_1", "speech") if draft else StopResponse("resp_1"))
            works[0].order(THREE)
            await asyncio.sleep(5)

    run_virtual(main())
    assert llm.read == [THREE.request]


def test_the_end_of_the_turn_ends_it() -> None:
    llm = Reader()

    async def main() -> None:
        async with working(engines_of(llm=llm), DraftPlaces(1)) as (work,):
            work.order(SeekDraft("item_1"), ONE)
            await turns_passed()
            work.order(TWO, EndDraft("item_1"))
            await asyncio.sleep(0)
            assert llm.reading == 0
            await asyncio.sleep(5)

    run_virtual(main())
    assert llm.begun == [ONE.request]


@pytest.mark.parametrize("error", [EngineError(EngineErrorKind.UNAVAILABLE, "gone"), RuntimeError("a bug")])
def test_a_prompt_that_could_not_be_read_costs_nothing_but_its_time(error: Exception) -> None:
    llm = Reader(error)

    async def main() -> None:
        async with working(engines_of(llm=llm), DraftPlaces(1)) as (work,):
            work.order(SeekDraft("item_1"), ONE)
            await asyncio.sleep(5)
            work.order(TWO)
            await asyncio.sleep(5)
            work.order(respond("resp_1"))
            await asyncio.sleep(5)
            assert [fact.fault for fact in work.of(GenerationEnded)] == [None]

    run_virtual(main())
    assert llm.begun == [ONE.request, TWO.request]
