"""The scripted model: what it says, when it ends, what it counts."""

import asyncio
from contextlib import aclosing

import pytest

from antiphon.engines.base import CallContext, Draft
from antiphon.engines.errors import EngineError
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, Delay, Finish, LlmScript, ScriptedLlm
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import (
    AssistantMessage,
    AudioContent,
    ChatMessage,
    GenerationFinished,
    ImageContent,
    LlmCapabilities,
    LlmChunk,
    LlmRequest,
    NamedTool,
    SystemMessage,
    TextChunk,
    TextContent,
    TokenUsage,
    ToolCall,
    ToolCallChunk,
    ToolChoice,
    ToolMessage,
    ToolSpec,
    UserMessage,
)

CONTEXT = CallContext("sess_1")
TOOLS = (ToolSpec("weather", "", {}), ToolSpec("time", "", {}))


def ask(
    text: str, *, tools: tuple[ToolSpec, ...] = (), tool_choice: ToolChoice = "auto", limit: int | None = None
) -> LlmRequest:
    return LlmRequest((UserMessage((TextContent(text),)),), tools, tool_choice, max_output_tokens=limit)


async def generate(llm: ScriptedLlm, request: LlmRequest) -> list[LlmChunk]:
    async with aclosing(llm.generate(request, context=CONTEXT)) as chunks:
        return [chunk async for chunk in chunks]


def answer(request: LlmRequest, *scripts: LlmScript) -> list[LlmChunk]:
    return run_virtual(generate(ScriptedLlm(scripts), request))


def text_of(chunks: list[LlmChunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))


def calls_of(chunks: list[LlmChunk]) -> list[tuple[str, str]]:
    calls: dict[int, tuple[str, str]] = {}
    for chunk in chunks:
        if isinstance(chunk, ToolCallChunk):
            name, arguments = calls.get(chunk.index, ("", ""))
            calls[chunk.index] = (name + chunk.name, arguments + chunk.arguments_delta)
    return list(calls.values())


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([UserMessage((TextContent("Good morning"),))], "You said: Good morning"),
        ([], "You said: nothing"),
        ([UserMessage((AudioContent(bytes(48_000)),))], "You said: (audio of 1000 ms)"),
        ([UserMessage((TextContent("Look"), ImageContent("data:image/png;base64,")))], "You said: Look (an image)"),
        ([UserMessage((TextContent("say a b"),))], "a b"),
        ([UserMessage((TextContent("say a\nsay b"),))], "ab"),
        ([UserMessage((TextContent("say a\nand more"),))], "You said: say a\nand more"),
        ([UserMessage((TextContent("long 2"),))], "word 1, word 2,"),
        ([UserMessage((TextContent("long story"),))], "You said: long story"),
        ([UserMessage((TextContent("wait for me"),))], "You said: wait for me"),
        ([UserMessage((TextContent("call me maybe"),))], "You said: call me maybe"),
        ([UserMessage((TextContent("hang on"),))], "You said: hang on"),
        ([UserMessage((TextContent("fail miserably"),))], "You said: fail miserably"),
        ([SystemMessage("Be kind.\nscripted: say no\nBe brief."), UserMessage((TextContent("say yes"),))], "no"),
        ([SystemMessage("Be kind."), UserMessage((TextContent("say yes"),))], "yes"),
        (
            [
                UserMessage((TextContent("call weather"),)),
                AssistantMessage(tool_calls=(ToolCall("call_1", "weather", "{}"),)),
                ToolMessage("call_1", "weather", "rain"),
            ],
            "The tool says: rain",
        ),
        (
            [
                UserMessage((TextContent("call weather"),)),
                AssistantMessage(tool_calls=(ToolCall("call_1", "weather", "{}"),)),
                ToolMessage("call_1", "weather", "rain"),
                AssistantMessage("I am waiting for it."),
            ],
            "The tool says: rain",
        ),
    ],
)
def test_the_reply_follows_from_the_prompt(messages: list[ChatMessage], said: str) -> None:
    chunks = answer(LlmRequest(tuple(messages)))
    assert text_of(chunks) == said
    assert isinstance(chunks[-1], GenerationFinished)
    assert chunks[-1].reason == "stop"


@pytest.mark.parametrize(
    ("text", "tool_choice", "calls"),
    [
        ('call weather {"city": "Bern"}', "auto", [("weather", '{"city": "Bern"}')]),
        ("call weather\ncall time {}", "auto", [("weather", "{}"), ("time", "{}")]),
        ("call weather", "none", []),
        ("hello", "auto", []),
        ("hello", "required", [("weather", "{}")]),
        ('call time {"zone": 1}', "required", [("time", '{"zone": 1}')]),
        ("call unknown", "required", [("weather", "{}")]),
        ("call unknown", "auto", [("unknown", "{}")]),
        ("call weather", NamedTool("time"), [("time", "{}")]),
        ('call time {"zone": 1}', NamedTool("time"), [("time", '{"zone": 1}')]),
    ],
)
def test_tools_are_called_as_the_user_says_and_the_choice_allows(
    text: str, tool_choice: ToolChoice, calls: list[tuple[str, str]]
) -> None:
    chunks = answer(ask(text, tools=TOOLS, tool_choice=tool_choice))
    assert calls_of(chunks) == calls
    assert isinstance(chunks[-1], GenerationFinished)
    assert chunks[-1].reason == ("tool_calls" if calls else "stop")


def test_a_model_without_the_capability_calls_no_forced_tool() -> None:
    llm = ScriptedLlm(capabilities=LlmCapabilities(tools=False))
    assert calls_of(run_virtual(generate(llm, ask("hello", tools=TOOLS, tool_choice="required")))) == []


@pytest.mark.parametrize(
    ("kind", "retryable"), [("", False), (" overloaded", True), (" bad_input", False), (" context_overflow", False)]
)
def test_fail_raises_the_engine_error_of_its_kind(kind: str, retryable: bool) -> None:
    with pytest.raises(EngineError) as caught:
        answer(ask(f"fail{kind}"))
    assert (caught.value.kind, caught.value.retryable) == (kind.strip() or "failed", retryable)


def test_crash_raises_what_no_engine_should() -> None:
    with pytest.raises(RuntimeError, match="crashed as told"):
        answer(ask("crash"))


def test_hang_waits_until_it_is_cancelled_and_counts_as_stopped() -> None:
    llm = ScriptedLlm()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await generate(llm, ask("say one moment\nhang"))

    run_virtual(main())
    assert (llm.started, llm.stopped, llm.running) == (1, 1, 0)


def test_closing_a_generation_stops_it() -> None:
    llm = ScriptedLlm([[TextChunk("a"), TextChunk("b"), HANG]])

    async def main() -> None:
        async with aclosing(llm.generate(ask("x"), context=CONTEXT)) as chunks:
            assert await anext(chunks) == TextChunk("a")
            assert llm.running == 1

    run_virtual(main())
    assert (llm.stopped, llm.finished, llm.running) == (1, 0, 0)


def test_scripts_are_played_in_their_order_and_then_the_user_steers() -> None:
    llm = ScriptedLlm(["one two", [ToolCallChunk(0, "weather", "{}")]])

    async def main() -> list[list[LlmChunk]]:
        return [await generate(llm, ask("hello")) for _ in range(3)]

    first, second, third = run_virtual(main())
    assert first == [TextChunk("one "), TextChunk("two"), GenerationFinished("stop", TokenUsage(1, 0, 2))]
    assert second == [ToolCallChunk(0, "weather", "{}"), GenerationFinished("tool_calls", TokenUsage(1, 0, 1))]
    assert text_of(third) == "You said: hello"


def test_a_script_may_depend_on_the_request() -> None:
    llm = ScriptedLlm(lambda request: f"{len(request.tools)} tools")
    assert text_of(run_virtual(generate(llm, ask("hello", tools=TOOLS)))) == "2 tools"


def test_what_stands_behind_the_end_of_a_script_is_not_played() -> None:
    end = GenerationFinished("content_filter", TokenUsage(7, 0, 7))
    assert answer(ask("x"), [TextChunk("a"), end, TextChunk("b")]) == [TextChunk("a"), end]


def test_delays_pass_on_the_clock_of_the_loop() -> None:
    llm = ScriptedLlm([[TextChunk("a"), Delay(2.0), TextChunk("b"), Finish("length")]], delay_s=1.0)

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        async with aclosing(llm.generate(ask("x"), context=CONTEXT)) as chunks:
            return [loop.time() async for _ in chunks]

    assert run_virtual(main()) == pytest.approx([1.0, 3.0, 3.0])


@pytest.mark.parametrize(("limit", "said", "reason"), [(3, "You said: a ", "length"), (4, "You said: a b", "stop")])
def test_the_limit_ends_a_generation_at_its_word(limit: int, said: str, reason: str) -> None:
    chunks = answer(ask("a b", limit=limit))
    assert text_of(chunks) == said
    assert chunks[-1] == GenerationFinished(reason, TokenUsage(2, 0, limit))  # type: ignore[arg-type]


@pytest.mark.parametrize(("words", "fits"), [(10, True), (11, False)])
def test_a_prompt_overflows_above_the_context(words: int, fits: bool) -> None:
    llm = ScriptedLlm(capabilities=LlmCapabilities(context_tokens=10))
    request = ask(" ".join("w" * words))
    if fits:
        assert text_of(run_virtual(generate(llm, request)))
        return
    with pytest.raises(EngineError) as caught:
        run_virtual(generate(llm, request))
    assert caught.value.kind is EngineErrorKind.CONTEXT_OVERFLOW


def test_it_counts_words_and_remembers_requests_and_prefills() -> None:
    llm = ScriptedLlm()

    async def main() -> list[int]:
        await llm.prefill(ask("soon"), context=CONTEXT)
        await generate(llm, ask("now"))
        return await llm.count(["", "one", "one two"])

    assert run_virtual(main()) == [0, 1, 2]
    assert list(llm.requests) == [ask("now")]
    assert list(llm.prefills) == [ask("soon")]
    assert list(llm.contexts) == [CONTEXT]


def test_concurrent_generations_are_counted() -> None:
    llm = ScriptedLlm(["a b", "c d"], delay_s=1.0)

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(generate(llm, ask("x")))
            tasks.create_task(generate(llm, ask("y")))

    run_virtual(main())
    assert (llm.started, llm.finished, llm.most_running, llm.running) == (2, 2, 2, 0)


def test_a_draft_is_noted_with_what_was_taken_of_it_before_it_was_adopted() -> None:
    llm = ScriptedLlm(["a b c", "d e f", "g h"])

    async def main() -> None:
        adopted, dropped = Draft(), Draft()
        async with aclosing(llm.generate(ask("x"), context=CallContext("s", draft=adopted))) as chunks:
            await anext(chunks)
            await anext(chunks)
            adopted.adopted = True
            assert [chunk async for chunk in chunks] == [
                TextChunk("c"),
                GenerationFinished("stop", TokenUsage(1, 0, 3)),
            ]
        async with aclosing(llm.generate(ask("x"), context=CallContext("s", draft=dropped))) as chunks:
            await anext(chunks)
        await generate(llm, ask("x"))

    run_virtual(main())
    first, second = llm.drafts
    assert (first.chunks, first.chunks_before_adoption, first.ended) == (4, 2, True)
    assert (second.chunks, second.chunks_before_adoption, second.ended) == (1, None, False)
    assert (llm.finished, llm.stopped, llm.running) == (2, 1, 0)


def test_prefills_take_the_time_they_are_told_and_are_counted_while_under_way() -> None:
    llm = ScriptedLlm(prefill_delay_s=1.0)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await llm.prefill(ask("soon"), context=CONTEXT)
        assert llm.prefilling == 0
        await llm.prefill(ask("sooner"), context=CONTEXT)

    run_virtual(main())
    assert (len(llm.prefills), llm.prefilling, llm.most_prefilling) == (2, 0, 1)
