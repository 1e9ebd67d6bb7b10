"""The contract of language models."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, get_args

from antiphon.engines.base import CallContext, LanguageModel
from antiphon.engines.errors import EngineError
from antiphon.testing.conformance.calls import Calls, check_of, common_checks, lifecycle_checks
from antiphon.testing.conformance.check import (
    Check,
    ContractError,
    Material,
    collect,
    context,
    require,
    require_natural,
    require_positive,
    tolerated,
)
from antiphon.testing.conformance.drafts import draft_checks
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import (
    AssistantMessage,
    ChatMessage,
    FinishReason,
    GenerationFinished,
    LlmCapabilities,
    LlmChunk,
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

__all__ = ["checks"]

_OVERFLOW_UP_TO_TOKENS = 40_000
"""A prompt that overflows a larger context is not worth its cost."""

_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_TOOLS = (
    ToolSpec("get_weather", "The weather in a city.", _CITY),
    ToolSpec("get_time", "The local time in a city.", _CITY),
)


async def capabilities_are_stated(engine: LanguageModel, material: Material) -> None:
    """capabilities say what the model can do and how many tokens its context holds."""
    capabilities = engine.capabilities
    require(isinstance(capabilities, LlmCapabilities), f"capabilities are {capabilities!r}")
    require_positive(capabilities.context_tokens, "context_tokens")


async def a_generation_ends_with_one_finish(engine: LanguageModel, material: Material) -> None:
    """Exactly one GenerationFinished, as the last chunk, with a reason and the usage."""
    _hold(engine, await collect(engine.generate(_request("Say hello."), context=context())), material)


async def output_stays_within_its_limit(engine: LanguageModel, material: Material) -> None:
    """max_output_tokens is not exceeded."""
    request = _request("Count from one to one hundred.", limit=5)
    chunks = await collect(engine.generate(request, context=context()))
    _hold(engine, chunks, material)
    output_tokens = chunks[-1].usage.output_tokens if isinstance(chunks[-1], GenerationFinished) else 0
    require(output_tokens <= 5, f"{output_tokens} tokens came, 5 were allowed")


async def a_required_tool_is_called(engine: LanguageModel, material: Material) -> None:
    """With tools required a tool of the list is called; its name is complete in the first piece of the call."""
    if engine.capabilities.tools:
        calls = await _calls(engine, "What is the weather in Bern?", "required")
        require(calls, "no tool was called")
        require(set(calls) <= {tool.name for tool in _TOOLS}, f"a tool was called that is not there: {calls}")


async def a_named_tool_is_called(engine: LanguageModel, material: Material) -> None:
    """With a tool named that tool is called, whatever the user says."""
    if engine.capabilities.tools:
        calls = await _calls(engine, "What is the weather in Bern?", NamedTool("get_time"))
        require(calls and set(calls) == {"get_time"}, f"these were called instead of get_time: {calls}")


async def no_tool_is_called_where_none_is_allowed(engine: LanguageModel, material: Material) -> None:
    """With the tool choice "none" there is no call."""
    calls = await _calls(engine, "What is the weather in Bern?", "none")
    require(not calls, f"these were called: {calls}")


async def tool_results_are_understood(engine: LanguageModel, material: Material) -> None:
    """A conversation with calls and their results can be continued."""
    messages: tuple[ChatMessage, ...] = (
        UserMessage((TextContent("What is the weather in Bern, and the time?"),)),
        AssistantMessage(
            tool_calls=(
                ToolCall("call_1", "get_weather", '{"city": "Bern"}'),
                ToolCall("call_2", "get_time", '{"city": "Bern"}'),
            )
        ),
        ToolMessage("call_1", "get_weather", "rain, 7 degrees"),
        ToolMessage("call_2", "get_time", "no result yet"),
    )
    request = LlmRequest(messages, _TOOLS if engine.capabilities.tools else (), max_output_tokens=32)
    _hold(engine, await collect(engine.generate(request, context=context())), material)


async def count_gives_a_number_for_each_text(engine: LanguageModel, material: Material) -> None:
    """count() returns one non-negative integer a text, in the order of the texts."""
    texts = ["", "one", "one two three four five six seven eight", "Grüße 👋", "<|im_start|>"]
    counts = await engine.count(texts)
    require(isinstance(counts, list), f"count() returned {counts!r}, no list")
    require(len(counts) == len(texts), f"count() returned {len(counts)} numbers for {len(texts)} texts")
    for count in counts:
        require_natural(count, "a count")
    require(counts[0] <= counts[1] < counts[2], f"longer texts do not have more tokens: {counts[:3]}")
    require(await engine.count([]) == [], "count([]) is not []")


async def a_prompt_beyond_the_context_overflows(engine: LanguageModel, material: Material) -> None:
    """A prompt longer than the context is refused as CONTEXT_OVERFLOW, so that the caller can cut it."""
    context_tokens = engine.capabilities.context_tokens
    if context_tokens > _OVERFLOW_UP_TO_TOKENS:
        return
    request = _request("word and " * context_tokens)
    try:
        await collect(engine.generate(request, context=context()))
    except EngineError as error:
        require(error.kind is EngineErrorKind.CONTEXT_OVERFLOW, f"it was refused as {error.kind}: {error.message}")
        return
    raise ContractError(f"a prompt of over {context_tokens} tokens was answered")


async def strange_prompts_give_an_answer_or_an_engine_error(engine: LanguageModel, material: Material) -> None:
    """No message, no words, control characters and template marks are answered or refused with an EngineError."""
    texts = ("", "\0\x1b[31m", "<|im_end|>\n<|im_start|>system\n", "👋" * 20)
    requests = [LlmRequest((), max_output_tokens=8), *(_request(text, limit=8) for text in texts)]
    for request in requests:
        chunks = await tolerated(collect(engine.generate(request, context=context())))
        if chunks is not None:
            _hold(engine, chunks, material)


def checks() -> Sequence[Check]:
    first, last = lifecycle_checks()
    rules = (
        a_generation_ends_with_one_finish,
        output_stays_within_its_limit,
        a_required_tool_is_called,
        a_named_tool_is_called,
        no_tool_is_called_where_none_is_allowed,
        tool_results_are_understood,
        count_gives_a_number_for_each_text,
        a_prompt_beyond_the_context_overflows,
        strange_prompts_give_an_answer_or_an_engine_error,
    )
    drafts = draft_checks(lambda text, limit: _request(text, limit=limit), _hold)
    return (first, check_of(capabilities_are_stated), *common_checks(_CALLS), *map(check_of, rules), *drafts, last)


def _request(text: str, *, limit: int = 32, choice: ToolChoice = "auto", tools: Sequence[ToolSpec] = ()) -> LlmRequest:
    messages = (SystemMessage("Answer in one short sentence."), UserMessage((TextContent(text),)))
    return LlmRequest(messages, tuple(tools), choice, max_output_tokens=limit)


async def _calls(engine: LanguageModel, text: str, choice: ToolChoice) -> list[str]:
    """The names of the tools that are called."""
    chunks = await collect(engine.generate(_request(text, limit=96, choice=choice, tools=_TOOLS), context=context()))
    _hold(engine, chunks, Material())
    return [chunk.name for chunk in chunks if isinstance(chunk, ToolCallChunk) and chunk.name]


def _hold(engine: LanguageModel, results: list[Any], material: Material) -> None:
    ends = [place for place, chunk in enumerate(results) if isinstance(chunk, GenerationFinished)]
    require(len(ends) == 1, f"there were {len(ends)} GenerationFinished, not one")
    require(ends == [len(results) - 1], "chunks came after GenerationFinished")
    names: list[str] = []
    for chunk in results[:-1]:
        require(isinstance(chunk, TextChunk | ToolCallChunk), f"the engine yielded {chunk!r}")
        if isinstance(chunk, ToolCallChunk):
            _hold_piece(chunk, names)
    _hold_finish(results[-1], called=bool(names))


def _hold_piece(chunk: ToolCallChunk, names: list[str]) -> None:
    """``names``: of the calls begun so far, in order."""
    require(0 <= chunk.index <= len(names), f"call {chunk.index} follows call {len(names) - 1}")
    if chunk.index == len(names):
        require(chunk.name, "the first piece of a call has no name")
        names.append(chunk.name)
    require(chunk.name in ("", names[chunk.index]), f"the name {names[chunk.index]!r} became {chunk.name!r}")


def _hold_finish(finish: GenerationFinished, *, called: bool) -> None:
    require(finish.reason in get_args(FinishReason), f"the reason is {finish.reason!r}")
    require(finish.reason != "tool_calls" or called, "the reason is tool_calls, and there is no call")
    usage = finish.usage
    for count in (usage.input_tokens, usage.cached_tokens, usage.output_tokens):
        require_natural(count, "a token count")
    require(usage.cached_tokens <= usage.input_tokens, f"more tokens were cached than read: {usage}")


def _plain(engine: LanguageModel, material: Material, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
    return engine.generate(_request("Say hello."), context=context)


def _long(engine: LanguageModel, material: Material, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
    text = "Count from one to one hundred, each number in words, one after the other, without stopping."
    return engine.generate(_request(text, limit=300), context=context)


def _heavy(engine: LanguageModel, material: Material, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
    words = min(900, engine.capabilities.context_tokens // 4)
    text = " ".join(f"item{n}" if n % 5 == 0 else "and" for n in range(words))
    return engine.generate(_request(f"{context.session_id}: sum up this list: {text}", limit=64), context=context)


_CALLS = Calls(plain=_plain, long=_long, heavy=_heavy, judge=_hold)
