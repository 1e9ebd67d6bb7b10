"""Generations in turns, against a scripted server on a Unix socket."""

import asyncio
from pathlib import Path

import pytest

from antiphon.engines.errors import EngineError
from antiphon.engines.llamacpp.link import Link
from antiphon.engines.llamacpp.runs import Run
from antiphon.engines.llamacpp.unix_http import UnixHttp
from antiphon.vocabulary.errors import EngineErrorKind as Kind
from tests.engines.llamacpp.bench import STORY, Bench, play, text_of


def test_an_answer_comes_whole_and_is_counted(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        run = at.open("a")
        assert await text_of(run) == STORY
        assert (run.reason, run.output_tokens, run.cached_tokens) == ("eos", len(STORY), 0)
        (request,) = at.server.completions
        assert (request.prompt, request.payload["n_predict"]) == ([ord(c) for c in "tell me"], 100)

    play(tmp_path, scene)


def test_answers_interrupted_by_each_other_come_whole(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        runs = [at.open(session) for session in "abc"]
        async with asyncio.TaskGroup() as tasks:
            texts = [tasks.create_task(text_of(run)) for run in runs]
        assert [text.result() for text in texts] == [STORY] * 3
        assert [run.output_tokens for run in runs] == [len(STORY)] * 3
        assert len(at.server.completions) > 3, "nobody gave way"

    play(tmp_path, scene)


@pytest.mark.parametrize("limit", [1, 5, 17])
def test_an_interrupted_answer_keeps_to_its_limit(limit: int, tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        runs = [at.open(session, limit=limit) for session in "ab"]
        async with asyncio.TaskGroup() as tasks:
            texts = [tasks.create_task(text_of(run)) for run in runs]
        assert [text.result() for text in texts] == [STORY[:limit]] * 2
        assert [(run.reason, run.output_tokens) for run in runs] == [("limit", limit)] * 2

    play(tmp_path, scene)


def test_a_long_prompt_gives_way_to_a_short_one_and_goes_on_in_its_slot(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False
        long, short = at.open("long", "x" * 100), at.open("short")
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(text_of(long))
            first = await at.server.completion(0)
            answering = tasks.create_task(text_of(short))
            await asyncio.sleep(0.01)
            first.go.set()  # it reads on, and learns that it has to stop
            second = await at.server.completion(1)
            second.go.set()
            assert await answering == STORY
            assert not reading.done()
            third = await at.server.completion(2)
            third.go.set()
        assert first.dropped
        assert reading.result() == STORY
        assert [request.prompt == first.prompt for request in (second, third)] == [False, True]
        assert third.payload["id_slot"] == first.payload["id_slot"] != second.payload["id_slot"]

    play(tmp_path, scene, turn_s=10.0)


def test_a_closed_run_drops_its_request_at_once(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(text_of(at.open("a", "x" * 100)))
            request = await at.server.completion(0)
            reading.cancel()
            second = tasks.create_task(text_of(at.open("b")))
            (await at.server.completion(1)).go.set()
        assert request.dropped
        assert second.result() == STORY

    play(tmp_path, scene)


def test_a_run_whose_consumer_sleeps_makes_room_and_loses_nothing(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        run = at.open("sleeper")
        first = await run.next(wait_s=5)
        assert first is not None
        assert await text_of(at.open("awake")) == STORY
        assert first.content + await text_of(run) == STORY

    play(tmp_path, scene)


def test_a_run_is_only_so_far_ahead_of_its_consumer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.engines.llamacpp.runs._MOST_AHEAD", 8)

    async def scene(at: Bench) -> None:
        run = at.open("a")
        text = ""
        while (event := await run.next(wait_s=5)) is not None:
            text += event.content
            await asyncio.sleep(0.002)  # the server is faster
        run.close()
        assert text == STORY
        assert len(at.server.completions) > 2
        assert any(request.dropped for request in at.server.completions)

    play(tmp_path, scene)


def test_no_turn_in_time_is_overloaded(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(text_of(at.open("a")))
            await at.server.completion(0)
            with pytest.raises(EngineError) as caught:
                await text_of(at.open("b"), wait_s=0.01)
            assert caught.value.kind is Kind.OVERLOADED
            at.server.completions[0].go.set()
        assert reading.result() == STORY
        assert at.runs.schedule.idle

    play(tmp_path, scene)


def test_more_waiting_than_allowed_is_overloaded_at_once(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(text_of(at.open("a")))
            await at.server.completion(0)
            tasks.create_task(text_of(at.open("b")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            with pytest.raises(EngineError) as caught:
                await text_of(at.open("c"))
            assert caught.value.kind is Kind.OVERLOADED
            at.server.free_running = True
            at.server.completions[0].go.set()

    play(tmp_path, scene, queue_limit=1)


def test_a_prompt_read_ahead_is_read_and_nothing_comes_of_it(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        run = at.open("a", "x" * 35, ahead=True)
        assert await run.next(wait_s=5) is None
        run.close()
        asked = [(len(request.prompt), request.payload["n_predict"]) for request in at.server.completions]
        assert asked == [(min(size, 35), 0) for size in range(4, 40, 4)]
        again = at.open("a", "x" * 39, ahead=True)
        assert await again.next(wait_s=5) is None
        again.close()
        assert [len(request.prompt) for request in at.server.completions[9:]] == [39], "what was read was read again"

    play(tmp_path, scene)


def test_a_prompt_read_ahead_is_dropped_for_an_answer(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            ahead = tasks.create_task(text_of(at.open("a", "x" * 100, ahead=True)))
            first = await at.server.completion(0)
            answering = tasks.create_task(text_of(at.open("b")))
            await asyncio.sleep(0.01)
            first.go.set()
            (await at.server.completion(1)).go.set()
        assert (ahead.result(), answering.result()) == ("", STORY)
        assert first.dropped
        assert len(at.server.completions) == 2

    play(tmp_path, scene)


def test_a_prompt_that_cannot_be_read_ahead_now_is_let_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.engines.llamacpp.runs._AHEAD_WITHIN_S", 0.01)

    async def scene(at: Bench) -> None:
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(text_of(at.open("a")))
            request = await at.server.completion(0)
            assert await text_of(at.open("b", ahead=True)) == ""
            request.go.set()
        assert reading.result() == STORY
        assert len(at.server.completions) == 1

    play(tmp_path, scene)


def test_an_answer_that_was_begun_is_not_refused_for_a_queue(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        async with asyncio.TaskGroup() as tasks:
            texts = [tasks.create_task(text_of(at.open(session))) for session in "ab"]
        assert [text.result() for text in texts] == [STORY] * 2

    play(tmp_path, scene, queue_limit=1)


# --- kept system prompts -----------------------------------------------------------------------------------------

SYSTEM = "s" * 60


def test_a_new_system_prompt_is_read_alone_and_kept_and_put_back_for_the_next_session(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        assert await text_of(at.open("a", SYSTEM + "hi!", head=60)) == STORY
        assert [(len(r.prompt), r.payload["n_predict"]) for r in at.server.completions] == [(60, 0), (63, 100)]
        (saved,) = at.server.actions
        assert await text_of(at.open("b", SYSTEM + "hey", head=60)) == STORY
        assert len(at.server.completions) == 3
        restored = at.server.actions[1]
        assert saved.split()[1] == restored.split()[1]
        assert ("save" in saved, "restore" in restored) == (True, True)
        assert await text_of(at.open("b", SYSTEM + "hey", head=60)) == STORY
        assert len(at.server.actions) == 2, "what is in the slot was put back again"

    play(tmp_path, scene, prefix_tokens=100)


def test_kept_prompts_beyond_the_limit_are_removed(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        for letter in "abc":
            await text_of(at.open(letter, letter * 60 + "x", head=60))
        assert at.removed == [action.split()[1] for action in at.server.actions[:2]]

    play(tmp_path, scene, prefix_tokens=100)


def test_answers_go_on_where_prompts_cannot_be_kept(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.refuses_saves = True
        for session in "ab":
            assert await text_of(at.open(session, SYSTEM + "hi!", head=60)) == STORY
        assert len(at.server.actions) == 1, "it was tried again"

    play(tmp_path, scene, prefix_tokens=100)


# --- trouble -----------------------------------------------------------------------------------------------------


def test_a_lost_process_ends_every_run_as_unavailable(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False

        async def failing(run: Run) -> Kind:
            with pytest.raises(EngineError) as caught:
                await text_of(run)
            return caught.value.kind

        async with asyncio.TaskGroup() as tasks:
            ends = [tasks.create_task(failing(at.open(session))) for session in "ab"]
            await at.server.completion(0)
            await asyncio.sleep(0.01)
            at.runs.lost()
        assert [end.result() for end in ends] == [Kind.UNAVAILABLE] * 2
        assert at.runs.schedule.idle

    play(tmp_path, scene)


def test_a_process_that_says_nothing_is_reported_as_stalled(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        at.server.free_running = False
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(text_of(at.open("a")))
            await at.stalled.wait()
            reading.cancel()

    play(tmp_path, scene, stall_s=0.05)


def test_a_process_that_nobody_asks_is_not_stalled(tmp_path: Path) -> None:
    async def scene(at: Bench) -> None:
        assert await text_of(at.open("a")) == STORY
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await at.stalled.wait()

    play(tmp_path, scene, stall_s=0.02)


def test_no_process_is_unavailable(tmp_path: Path) -> None:
    async def ask() -> None:
        await Link(UnixHttp(tmp_path / "none.sock", "k")).learn_marks()

    with pytest.raises(EngineError) as caught:
        asyncio.run(ask())
    assert caught.value.kind is Kind.UNAVAILABLE
