"""Drafts and what is read ahead of them, against a scripted server."""

import asyncio
from pathlib import Path

import pytest

from antiphon.engines.base import Draft
from antiphon.engines.errors import EngineError
from antiphon.engines.llamacpp.runs import Order
from antiphon.vocabulary.errors import EngineErrorKind as Kind
from tests.engines.llamacpp.bench import STORY, Bench, play, text_of


def test_reading_ahead_leaves_off_between_two_steps_and_keeps_what_was_read(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            ahead = tasks.create_task(text_of(at.open("a", "x" * 30, ahead=True)))
            (await at.server.completion(0)).go.set()
            second = await at.server.completion(1)
            draft = Draft()
            drafting = tasks.create_task(text_of(at.open("a", "x" * 30 + "!", draft=draft)))
            third = await at.server.completion(2)
            assert await ahead == ""
            third.go.set()
        assert second.dropped
        assert drafting.result() == STORY
        assert third.payload["id_slot"] == second.payload["id_slot"]
        assert len(at.server.completions) == 3

    play(tmp_path, scene)


def test_a_draft_makes_room_for_an_answer_at_once_and_comes_whole(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            drafting = tasks.create_task(text_of(at.open("a", "x" * 30, draft=Draft())))
            first = await at.server.completion(0)
            answering = tasks.create_task(text_of(at.open("b")))
            second = await at.server.completion(1)  # though the first request has not said anything since
            second.go.set()
            assert await answering == STORY
            assert not drafting.done()
            at.server.free_running = True
            assert await drafting == STORY
        assert first.dropped

    play(tmp_path, scene)


@pytest.mark.parametrize(("adopted", "most"), [(False, 8), (True, 64)])
def test_a_draft_is_less_far_ahead_of_its_consumer_until_it_is_adopted(
    adopted: bool, most: int, tmp_path: Path
) -> None:
    async def scene(at: Bench) -> None:
        draft = Draft(adopted=adopted)
        run = at.open("a", draft=draft)
        first = await run.next(wait_s=5)
        assert first is not None
        await at.server.until_idle()  # it goes on without being asked, for a while
        assert run.output_tokens == min(most + 1, len(STORY))
        draft.adopted = True
        assert first.content + await text_of(run) == STORY

    play(tmp_path, scene)


def test_a_forced_draft_that_has_begun_fails_where_it_has_to_give_way(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        order = Order("a", [ord(char) for char in "tell me"], 0, 100, schema={"type": "object"})
        run = at.runs.open(order, draft=Draft())
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            began = tasks.create_task(run.next(wait_s=5))
            (await at.server.completion(0)).go.set()
            assert (await began) is not None
            answering = tasks.create_task(text_of(at.open("b")))
            (await at.server.completion(1)).go.set()
            await answering
            with pytest.raises(EngineError) as caught:
                await text_of(run)
        assert caught.value.kind is Kind.OVERLOADED

    play(tmp_path, scene)


def test_waiting_drafts_keep_nobody_out(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(text_of(at.open("a")))
            request = await at.server.completion(0)
            drafts = [tasks.create_task(text_of(at.open(session, draft=Draft()))) for session in "bcd"]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not at.runs.schedule.full
            at.server.free_running = True
            request.go.set()
        assert [answering.result(), *(draft.result() for draft in drafts)] == [STORY] * 4

    play(tmp_path, scene, queue_limit=1)
