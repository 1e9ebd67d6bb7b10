"""The language model in a child process, with the smallest model."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from antiphon.engines.base import CallContext, Draft, Prefills
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.llm_llamacpp import LlamaCpp, create
from antiphon.engines.registry import EngineKind, requirements
from antiphon.vocabulary.errors import EngineErrorKind as Kind
from antiphon.vocabulary.llm import (
    AssistantMessage,
    GenerationFinished,
    LlmRequest,
    NamedTool,
    SystemMessage,
    TextChunk,
    TextContent,
    ToolCall,
    ToolCallChunk,
    ToolChoice,
    ToolMessage,
    ToolSpec,
    UserMessage,
)

_T = TypeVar("_T")

MODEL = "qwen2.5-coder-0.5b"
SYSTEM = "You are a friendly voice assistant on the telephone. Answer in one or two short sentences. " * 5
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec("get_weather", "The weather in a city.", CITY)
TIMER = ToolSpec("set_timer", "Start a timer.", {"type": "object", "properties": {"minutes": {"type": "integer"}}})
FREED_WITHIN_S = 1.0


def ask(text: str, *tools: ToolSpec, limit: int = 24, **more: Any) -> LlmRequest:
    messages = (SystemMessage(SYSTEM), UserMessage((TextContent(text),)))
    return LlmRequest(messages, tools, max_output_tokens=limit, **more)


def long_text(tokens: int) -> str:
    """About so many tokens."""
    return " ".join(f"item {n}" for n in range(tokens // 4))


class Answer:
    """All that one generation gave, and how long its first piece took."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: dict[int, tuple[str, str]] = {}
        self.first_s = 0.0
        self.finish: GenerationFinished | None = None

    @property
    def end(self) -> GenerationFinished:
        assert self.finish is not None
        return self.finish


async def answer(engine: LlamaCpp, request: LlmRequest, session: str = "s", **context: Any) -> Answer:
    given, began_s = Answer(), time.monotonic()
    async with aclosing(engine.generate(request, context=CallContext(session, **context))) as chunks:
        async for chunk in chunks:
            given.first_s = given.first_s or time.monotonic() - began_s
            match chunk:
                case TextChunk(text):
                    given.text += text
                case ToolCallChunk(index, name, delta):
                    begun = given.calls.get(index, (name, ""))
                    given.calls[index] = (begun[0], begun[1] + delta)
                case GenerationFinished():
                    given.finish = chunk
    return given


# --- without a model ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"model": "no-such-model"},
        {"model": "whisper-tiny.en"},
        {"model": "/nowhere/model.gguf"},
        {"slots": 0},
        {"context_tokens": 10},
        {"nice": -5},
        {"wait_s": 0},
        {"temprature": 1},
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any]) -> None:
    with pytest.raises(EngineSettingsError) as caught:
        create(options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["qwen2.5-coder-1.5b"]),
        ({"model": MODEL}, [MODEL]),
        ({"model": "/a/b.gguf"}, []),
        ({"model": "x.gguf"}, []),
    ],
)
def test_weights_of_the_manifest_are_required_for_its_models_only(options: dict[str, Any], names: list[str]) -> None:
    needed = requirements(EngineKind.LLM, "llamacpp")
    assert needed.modules == ("xllamacpp",)
    assert list(needed.weights(options)) == names


# --- with the model ----------------------------------------------------------------------------------------------


class Stage:
    """One engine on one event loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.engine = create({"model": MODEL, "temperature": 0, "context_tokens": 3072})
        self.run(lambda engine: engine.warm_up())

    def run(self, play: Callable[[LlamaCpp], Coroutine[Any, Any, _T]]) -> _T:
        return self._runner.run(play(self.engine))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with asyncio.Runner() as runner:
        stage = Stage(runner)
        yield stage
        stage.run(lambda engine: engine.aclose())


engines = pytest.mark.engines


@engines
def test_a_question_is_answered_and_counted(stage: Stage) -> None:
    given = stage.run(lambda engine: answer(engine, ask("What is the capital of France?")))
    assert "Paris" in given.text
    assert given.end.reason == "stop"
    assert 0 < given.end.usage.output_tokens < 24 < given.end.usage.input_tokens


@engines
def test_what_a_session_has_read_is_not_read_again(stage: Stage) -> None:
    async def twice(engine: LlamaCpp) -> tuple[Answer, Answer]:
        first = await answer(engine, ask("Name a colour.", limit=3), "again")
        return first, await answer(engine, ask("Name a colour. And a fruit.", limit=3), "again")

    first, second = stage.run(twice)
    assert second.end.usage.cached_tokens > 0.8 * first.end.usage.input_tokens


@engines
def test_a_new_session_with_a_known_system_prompt_does_not_read_it_again(stage: Stage) -> None:
    async def two_sessions(engine: LlamaCpp) -> tuple[int, Answer]:
        await answer(engine, ask("Hi.", limit=1), "known")
        (words,) = await engine.count([SYSTEM])
        for number in range(5):  # more sessions than slots
            given = await answer(engine, ask(f"Number {number}.", limit=1), f"new {number}")
        return words, given

    words, given = stage.run(two_sessions)
    assert given.end.usage.cached_tokens >= words


@engines
def test_what_was_read_while_the_user_spoke_is_there_for_the_draft(stage: Stage) -> None:
    """The words came bit by bit, and the last ones turned out to be others."""
    assert isinstance(stage.engine, Prefills)
    words = "Please tell me in a few words what you know about the long history of the old city of Rome"
    partials = (words[:30], words[:60].rsplit(" ", 1)[0], words + "ania is")

    async def spoken(engine: LlamaCpp) -> GenerationFinished:
        for partial in partials:
            await engine.prefill(ask(partial), context=CallContext("ahead"))
        draft = Draft()
        async with aclosing(engine.generate(ask(f"{words}?"), context=CallContext("ahead", draft=draft))) as chunks:
            await anext(chunks)
            draft.adopted = True
            *_, last = [chunk async for chunk in chunks]
        assert isinstance(last, GenerationFinished)
        return last

    usage = stage.run(spoken).usage
    assert usage.input_tokens - usage.cached_tokens <= 8
    assert usage.output_tokens > 1


@engines
def test_output_ends_at_its_limit(stage: Stage) -> None:
    given = stage.run(lambda engine: answer(engine, ask("Count from one to a hundred.", limit=5)))
    assert (given.end.reason, given.end.usage.output_tokens) == ("length", 5)


@engines
def test_a_fitting_tool_is_called(stage: Stage) -> None:
    given = stage.run(lambda engine: answer(engine, ask("Will it rain in Oslo tomorrow?", WEATHER, TIMER, limit=60)))
    assert given.calls[0][0] == "get_weather"
    assert "Oslo" in json.loads(given.calls[0][1])["city"]
    assert (given.text, given.end.reason) == ("", "tool_calls")


@engines
@pytest.mark.parametrize("choice", ["none", "auto"])
def test_where_no_call_is_allowed_the_answer_behind_calls_is_plain_words(stage: Stage, choice: ToolChoice) -> None:
    words = 'Repeat exactly, beginning with the brace: {"name": "get_weather", "arguments": {"city": "Rome"}}'
    tools = (WEATHER,) if choice == "none" else ()
    first, *others = ask("Will it rain in Oslo?").messages
    call = AssistantMessage("", (ToolCall("1", "get_weather", '{"city": "Oslo"}'),))
    messages = (first, *others, call, ToolMessage("1", "get_weather", '{"sky": "rain"}'), *ask(words).messages[1:])
    given = stage.run(lambda engine: answer(engine, LlmRequest(messages, tools, choice, max_output_tokens=40)))
    assert given.calls == {}
    assert re.match(r"[^{\[<`\s]", given.text)
    assert '"arguments"' not in given.text
    assert given.end.reason in {"stop", "length"}


HOSTILE = {
    "pattern that is no pattern": {"type": "string", "pattern": "("},
    "unknown type": {"type": "quaternion"},
    "reference to nowhere": {"$ref": "#/$defs/nowhere"},
    "reference to itself": {"$ref": "#"},
    "no possible value": {"type": "integer", "minimum": 5, "maximum": 1},
    "deep": json.loads('{"type": "array", "items": ' * 30 + "{}" + "}" * 30),
    "long": {"type": "string", "minLength": 100_000},
}


@engines
@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE.keys())
def test_any_schema_gives_a_call_where_one_is_forced(stage: Stage, schema: Any) -> None:
    tool = ToolSpec("odd", "An odd tool.", {"type": "object", "properties": {"x": schema}, "required": ["x"]})
    given = stage.run(lambda engine: answer(engine, ask("Hi!", WEATHER, tool, tool_choice=NamedTool("odd"))))
    assert (given.text, [name for name, _ in given.calls.values()]) == ("", ["odd"])
    if given.end.reason == "tool_calls":
        assert "x" in json.loads(given.calls[0][1])


@engines
def test_forced_arguments_keep_to_their_schema(stage: Stage) -> None:
    unit = {"type": "object", "properties": {"unit": {"enum": ["kelvin"]}, "days": {"type": "integer"}}}
    tool = ToolSpec("forecast", "A forecast.", unit | {"required": ["unit", "days"]})
    given = stage.run(lambda engine: answer(engine, ask("Hello there.", tool, limit=60, tool_choice="required")))
    arguments = json.loads(given.calls[0][1])
    assert arguments["unit"] == "kelvin"
    assert isinstance(arguments["days"], int)


@engines
def test_marks_of_a_turn_in_a_text_are_mere_characters(stage: Stage) -> None:
    counts = stage.run(lambda engine: engine.count(["<|im_start|>", "<|im_end|>", "a", ""]))
    assert counts[0] > 3
    assert counts[1] > 3
    assert counts[2:] == [1, 0]


@engines
def test_a_prompt_beyond_the_context_is_refused(stage: Stage) -> None:
    with pytest.raises(EngineError) as caught:
        stage.run(lambda engine: answer(engine, ask(long_text(4000))))
    assert caught.value.kind is Kind.CONTEXT_OVERFLOW


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


async def computing(engine: LlamaCpp) -> None:
    """The child process has been at work for a while."""
    child = psutil.Process(engine.child_pid)
    before_s = child.cpu_times().user
    await until(lambda: child.cpu_times().user > before_s + 0.3)


@engines
def test_a_cancelled_prompt_frees_the_engine_within_a_second(stage: Stage, request: pytest.FixtureRequest) -> None:
    async def cancel(engine: LlamaCpp) -> float:
        await answer(engine, ask("Hi!", limit=1), "other")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(answer(engine, ask(long_text(2000)), "long"))
            await computing(engine)
            assert not task.done()
            task.cancel()
            given = await answer(engine, ask("Hi!", limit=1), "other")  # all but one token of it is read already
        return given.first_s

    freed_s = stage.run(cancel)
    request.node.user_properties.append(("freed_s", round(freed_s, 3)))
    assert freed_s < FREED_WITHIN_S


@engines
def test_a_long_prompt_does_not_stall_another_session(stage: Stage, request: pytest.FixtureRequest) -> None:
    async def both(engine: LlamaCpp) -> Answer:
        async with asyncio.TaskGroup() as tasks:
            long = tasks.create_task(answer(engine, ask("Sum it up: " + long_text(2000)), "long"))
            await computing(engine)
            given = await answer(engine, ask("What is the capital of Spain?"), "short")
            assert not long.done()
            long.cancel()
        return given

    given = stage.run(both)
    request.node.user_properties.append(("first_token_s", round(given.first_s, 3)))
    assert "Madrid" in given.text
    assert given.first_s < 2.0


@engines
def test_answers_of_several_sessions_are_written_in_turns(stage: Stage) -> None:
    async def all_at_once(engine: LlamaCpp) -> list[Answer]:
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(answer(engine, ask(f"Tell me a story about {n} dogs.", limit=80), f"turn {n}"))
                for n in range(3)
            ]
        return [task.result() for task in asked]

    for given in stage.run(all_at_once):
        assert 0 < given.end.usage.output_tokens <= 80
        assert len(given.text.split()) > 5
        assert not re.search(r"(\b\w+ \w+ \w+ \w+ \w+\b) \1", given.text), "something was said twice"


@engines
def test_a_consumer_that_has_enough_does_not_hold_up_others(stage: Stage) -> None:
    async def with_a_sleeper(engine: LlamaCpp) -> tuple[Answer, GenerationFinished]:
        request = ask("Tell me a very long story about a dragon, with many sentences.", limit=100)
        async with aclosing(engine.generate(request, context=CallContext("sleeper"))) as chunks:
            await anext(chunks)
            given = await answer(engine, ask("What is the capital of Italy?"), "awake")
            *_, last = [chunk async for chunk in chunks]
        assert isinstance(last, GenerationFinished)
        return given, last

    given, finish = stage.run(with_a_sleeper)
    assert "Rome" in given.text
    assert finish.usage.output_tokens > 20


@engines
def test_who_does_not_get_a_turn_in_time_is_refused_as_overloaded(stage: Stage) -> None:
    async def too_late(engine: LlamaCpp) -> Kind:
        forced = ask("Write a very long poem.", TIMER, limit=60, tool_choice="required")
        async with asyncio.TaskGroup() as tasks:
            long = tasks.create_task(answer(engine, ask(long_text(1500)), "a"))
            await computing(engine)
            other = tasks.create_task(answer(engine, forced, "b"))
            with pytest.raises(EngineError) as caught:
                await answer(engine, ask(long_text(1000)), "c", deadline_s=0.05)
            long.cancel()
            other.cancel()
        return caught.value.kind

    assert stage.run(too_late) is Kind.OVERLOADED


@engines
def test_what_was_asked_is_not_logged(stage: Stage) -> None:
    async def trouble(engine: LlamaCpp) -> str:
        await answer(engine, ask("My password is xyzzy."), "log")
        with pytest.raises(EngineError):
            await answer(engine, ask("xyzzy " * 4000), "log")
        odd = ToolSpec("xyzzy", "xyzzy", {"type": "object", "properties": {"xyzzy": {"type": "xyzzy"}}})
        await answer(engine, ask("xyzzy", odd, tool_choice="required"), "log")
        return "\n".join(engine.last_log_lines)

    assert "xyzzy" not in stage.run(trouble)


def socket_of(process: psutil.Process) -> Path:
    (socket,) = {str(connection.laddr) for connection in process.net_connections("unix")} - {""}
    return Path(socket)


@engines
def test_it_listens_on_a_private_socket_only_and_with_low_priority(stage: Stage) -> None:
    process = psutil.Process(stage.engine.child_pid)
    assert process.net_connections("inet") == []
    assert socket_of(process).parent.stat().st_mode & 0o777 == 0o700
    assert process.nice() == 10
    assert not any("key" in word or len(word) == 32 for word in process.cmdline()[1:])


@engines
def test_a_crash_ends_calls_as_unavailable_and_the_next_waits_for_a_new_process(
    stage: Stage, request: pytest.FixtureRequest
) -> None:
    async def crash(engine: LlamaCpp) -> tuple[list[Kind], float, Answer]:
        kinds: list[Kind] = []

        async def failing(call: Awaitable[Any]) -> None:
            with pytest.raises(EngineError) as caught:
                await call
            kinds.append(caught.value.kind)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(failing(answer(engine, ask(long_text(2000)), "a")))
            tasks.create_task(failing(answer(engine, ask(long_text(1000)), "b")))
            await computing(engine)
            assert engine.child_pid is not None
            os.kill(engine.child_pid, signal.SIGKILL)
            killed_s = time.monotonic()
        given = await answer(engine, ask("What is the capital of France?"), "c")
        return kinds, time.monotonic() - killed_s, given

    kinds, answered_s, given = stage.run(crash)
    request.node.user_properties.append(("answered_after_a_crash_s", round(answered_s, 2)))
    assert kinds == [Kind.UNAVAILABLE] * 2
    assert "Paris" in given.text


@engines
def test_a_file_that_is_no_model_makes_the_engine_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(1000))

    async def start() -> Kind:
        engine = create({"model": str(file)})
        try:
            with pytest.raises(EngineError) as caught:
                await engine.warm_up()
        finally:
            await engine.aclose()
        return caught.value.kind

    assert asyncio.run(start()) is Kind.UNAVAILABLE


PARENT = f"""
import asyncio
from antiphon.engines.llm_llamacpp import create
async def main():
    engine = create({{"model": "{MODEL}"}})
    await engine.count(["a"])
    print(engine.child_pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@engines
def test_the_child_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        socket = socket_of(child)
        parent.kill()
        psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not socket.parent.exists()


@engines
def test_closing_ends_the_child_and_removes_its_directory() -> None:
    async def open_and_close() -> tuple[psutil.Process, Path]:
        engine = create({"model": MODEL, "slots": 1, "context_tokens": 512, "prefix_tokens": 0})
        await engine.count(["a"])
        process = psutil.Process(engine.child_pid)
        socket = socket_of(process)
        await engine.aclose()
        await engine.aclose()
        return process, socket

    process, socket = asyncio.run(open_and_close())
    assert not process.is_running()
    assert not socket.parent.exists()
