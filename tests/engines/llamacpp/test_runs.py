"""Generations in turns, against a scripted server on a Unix socket."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.engines.base import Draft
from antiphon.engines.errors import EngineError
from antiphon.engines.llamacpp.link import Link
from antiphon.engines.llamacpp.prefixes import Prefixes
from antiphon.engines.llamacpp.runs import Order, Run, Runs
from antiphon.engines.llamacpp.schedule import Schedule, ScheduleLimits
from antiphon.engines.llamacpp.slots import Slots
from antiphon.engines.llamacpp.unix_http import UnixHttp
from antiphon.vocabulary.errors import EngineErrorKind as Kind

END = 151645
BATCH = 10
STORY = "once upon a time there was a very long story"


@dataclass
class Request:
    """One completion that the server was asked for."""

    payload: dict[str, Any]
    go: asyncio.Event = field(default_factory=asyncio.Event)
    """Until it is set the server reads the first batch only."""
    dropped: bool = False

    @property
    def prompt(self) -> list[int]:
        prompt: list[int] = self.payload["prompt"]
        return prompt


class Server:
    """Tokens are characters. A prompt is read in batches of 10; the answer is the rest of ``STORY`` after the part
    that stands at the end of the prompt, a character a token."""

    def __init__(self) -> None:
        self.completions: list[Request] = []
        self.actions: list[str] = []
        self.free_running = True
        self.refuses_saves = False
        self._arrived = asyncio.Condition()
        self._connections = 0

    async def until_idle(self) -> None:
        async with self._arrived:
            await self._arrived.wait_for(lambda: not self._connections)

    async def completion(self, number: int) -> Request:
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.completions) > number)
        return self.completions[number]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            async with self._arrived:
                self._connections -= 1
                self._arrived.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        payload = msgspec.json.decode(await reader.readexactly(size))
        path = head.split()[1]
        if path == "/completion":
            await self._complete(payload, reader, writer)
        else:
            self._reply(writer, *self._answer(path, payload))
        await writer.drain()

    def _answer(self, path: str, payload: dict[str, Any]) -> tuple[int, Any]:
        if path == "/tokenize":
            if payload["parse_special"]:
                return 200, {"tokens": [END]}
            parts = [[part] if isinstance(part, int) else [ord(char) for char in part] for part in payload["content"]]
            return 200, {"tokens": [token for part in parts for token in part]}
        self.actions.append(f"{path} {payload['filename']}")
        return (500 if self.refuses_saves else 200), {}

    @staticmethod
    def _reply(writer: asyncio.StreamWriter, status: int, answer: Any) -> None:
        body = msgspec.json.encode(answer)
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    async def _complete(
        self, payload: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = Request(payload)
        async with self._arrived:
            self.completions.append(request)
            self._arrived.notify_all()
        if self.free_running:
            request.go.set()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write_while_wanted(request, writer))
            with suppress(ConnectionError):
                await reader.read()  # until the client drops the connection
            request.dropped = not writing.done()
            writing.cancel()

    async def _write_while_wanted(self, request: Request, writer: asyncio.StreamWriter) -> None:
        try:
            await self._write(request, writer)
        except ConnectionError:
            await asyncio.Event().wait()  # what is left is not written

    async def _write(self, request: Request, writer: asyncio.StreamWriter) -> None:
        prompt, limit = request.prompt, request.payload["n_predict"]
        for read in range(0, len(prompt) + BATCH, BATCH):
            processed = min(read, len(prompt))
            await self._tell(writer, prompt_progress={"total": len(prompt), "cache": 0, "processed": processed})
            if read:
                await request.go.wait()
        text = "".join(map(chr, prompt))
        written = max((n for n in range(len(STORY) + 1) if text.endswith(STORY[:n])), default=0)
        answer = STORY[written : written + limit]
        for count, char in enumerate(answer, 1):
            await self._tell(writer, content=char, tokens=[ord(char)], tokens_predicted=count)
        stop = "eos" if written + len(answer) == len(STORY) else "limit"
        await self._tell(writer, stop=True, stop_type=stop, tokens_predicted=len(answer))
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    @staticmethod
    async def _tell(writer: asyncio.StreamWriter, **event: Any) -> None:
        data = b"data: " + msgspec.json.encode(event) + b"\n\n"
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await writer.drain()
        await asyncio.sleep(0)


@dataclass
class Bench:
    server: Server
    runs: Runs
    stalled: asyncio.Event
    removed: list[str]

    def open(
        self,
        session: str,
        prompt: str = "tell me",
        *,
        limit: int = 100,
        ahead: bool = False,
        head: int = 0,
        draft: Draft | None = None,
    ) -> Run:
        tokens = [ord(char) for char in prompt]
        return self.runs.open(Order(session, tokens, head, 0 if ahead else limit), ahead=ahead, draft=draft)


@asynccontextmanager
async def bench(
    directory: Path, *, slots: int = 4, stall_s: float = 60.0, prefix_tokens: int = 0, **limits: Any
) -> AsyncGenerator[Bench, None]:
    server, stalled = Server(), asyncio.Event()
    removed: list[str] = []
    socket = directory / "llm.sock"
    async with await asyncio.start_unix_server(server.serve, socket):
        link = Link(UnixHttp(socket, "k"))
        await link.learn_marks()
        schedule = Schedule(Slots(slots), ScheduleLimits(**{"short_tokens": 20, "turn_s": 0.0} | limits))
        runs = Runs(
            link,
            schedule,
            Prefixes(prefix_tokens),
            stall_s=stall_s,
            stalled=stalled.set,
            remove_file=removed.append,
        )
        try:
            yield Bench(server, runs, stalled, removed)
        finally:
            runs.lost()
            await server.until_idle()


async def text_of(run: Run, *, wait_s: float = 5.0) -> str:
    text = ""
    try:
        while (event := await run.next(wait_s=wait_s)) is not None:
            text += event.content
    finally:
        run.close()
    return text


Play = Callable[[Bench], Coroutine[Any, Any, None]]


def play(directory: Path, scene: Play, **options: Any) -> None:
    async def run() -> None:
        async with bench(directory, **options) as at, asyncio.timeout(20):
            await scene(at)

    asyncio.run(run())


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
        assert asked == [(8, 0), (16, 0), (24, 0), (32, 0), (35, 0)]
        again = at.open("a", "x" * 40, ahead=True)
        assert await again.next(wait_s=5) is None
        again.close()
        assert [len(request.prompt) for request in at.server.completions[5:]] == [40], "what was read was read again"

    play(tmp_path, scene)


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


# --- drafts ------------------------------------------------------------------------------------------------------


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
