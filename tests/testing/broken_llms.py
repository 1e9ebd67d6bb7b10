"""Language models that break a rule each."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from antiphon.engines.base import Draft
from antiphon.engines.errors import EngineError
from antiphon.testing.scripted import (
    ScriptedLlm,
)
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import (
    GenerationFinished,
    LlmCapabilities,
    LlmRequest,
    TextChunk,
    TokenUsage,
    ToolCallChunk,
)
from tests.testing.broken import LLM, Broken, with_attribute

__all__ = ["LLMS"]

DONE: Any = "done"
END = GenerationFinished("stop", TokenUsage())


class Obstinate(ScriptedLlm):
    """Gives the same answer to everything."""

    def __init__(self, *chunks: Any) -> None:
        super().__init__()
        self.chunks = chunks

    async def generate(self, request: LlmRequest, **options: Any) -> Any:
        for chunk in self.chunks:
            yield chunk


class Gone(ScriptedLlm):
    async def generate(self, request: LlmRequest, **options: Any) -> Any:
        raise EngineError(EngineErrorKind.UNAVAILABLE, "gone")
        yield


class Miscounting(ScriptedLlm):
    def __init__(self, result: Callable[[Any], Any]) -> None:
        super().__init__()
        self.result = result

    async def count(self, texts: Any) -> Any:
        return self.result(texts)


class Forgetful(ScriptedLlm):
    """Understands only prompts of one kind."""

    async def generate(self, request: LlmRequest, **options: Any) -> Any:
        if type(request.messages[-1]).__name__ == "ToolMessage":
            raise KeyError("call_1")
        yield TextChunk("x")
        yield END


class DraftsBadly(ScriptedLlm):
    """Spoils the calls that are drafts, or the prefills."""

    def __init__(self, spoil: Callable[["DraftsBadly", Any, Draft], Any], prefill: Callable[[], Any] = dict) -> None:
        super().__init__()
        self.spoil = spoil
        self.spoil_prefill = prefill
        self.turn = asyncio.Lock()
        self.left: list[Any] = []

    async def generate(self, request: LlmRequest, *, context: Any) -> Any:
        chunks = super().generate(request, context=context)
        async with aclosing(chunks if context.draft is None else self.spoil(self, chunks, context.draft)) as spoilt:
            async with self.turn:
                pass
            async for chunk in spoilt:
                yield chunk

    async def prefill(self, request: LlmRequest, *, context: Any) -> None:
        result = self.spoil_prefill()
        if asyncio.iscoroutine(result):
            await result


async def as_they_are(engine: DraftsBadly, chunks: Any, draft: Draft) -> Any:
    async for chunk in chunks:
        yield chunk


async def without_an_end(engine: DraftsBadly, chunks: Any, draft: Draft) -> Any:
    async for chunk in chunks:
        if draft.adopted or not isinstance(chunk, GenerationFinished):
            yield chunk


async def begun_again_when_adopted(engine: DraftsBadly, chunks: Any, draft: Draft) -> Any:
    async for chunk in chunks:
        if draft.adopted and isinstance(chunk, GenerationFinished):
            yield chunk
        yield chunk


async def keeping_others_out(engine: DraftsBadly, chunks: Any, draft: Draft) -> Any:
    async with engine.turn:
        async for chunk in chunks:
            yield chunk


async def leaving_a_task_behind(engine: DraftsBadly, chunks: Any, draft: Draft) -> Any:
    engine.left.append(asyncio.get_running_loop().create_task(asyncio.sleep(1e6)))
    async for chunk in chunks:
        yield chunk


async def forgotten() -> None:
    try:
        await asyncio.sleep(1e6)
    except asyncio.CancelledError:
        await asyncio.sleep(1)
        raise


def drafts(check: str, spoil: Any, finding: str) -> Broken:
    return Broken(LLM, check, lambda: DraftsBadly(spoil), finding)


def prefills(spoil: Callable[[], Any], finding: str) -> Broken:
    return Broken(LLM, "what_is_read_ahead_changes_no_answer", lambda: DraftsBadly(as_they_are, spoil), finding)


def says(check: str, chunks: list[Any], finding: str) -> Broken:
    return Broken(LLM, check, lambda: Obstinate(*chunks), finding)


def counts(result: Callable[[Any], Any], finding: str) -> Broken:
    return Broken(LLM, "count_gives_a_number_for_each_text", lambda: Miscounting(result), finding)


_CALL = ToolCallChunk(0, "get_weather", "{}")
_ENDS = "a_generation_ends_with_one_finish"
_REQUIRED = "a_required_tool_is_called"
_OVERFLOW = "a_prompt_beyond_the_context_overflows"

LLMS = [
    Broken(LLM, "capabilities_are_stated", with_attribute(LLM, "capabilities", None), "capabilities are None"),
    Broken(
        LLM,
        "capabilities_are_stated",
        with_attribute(LLM, "capabilities", LlmCapabilities(context_tokens=0)),
        "context_tokens is 0",
    ),
    says(_ENDS, [TextChunk("x")], "there were 0 GenerationFinished"),
    says(_ENDS, [END, END], "there were 2 GenerationFinished"),
    says(_ENDS, [END, TextChunk("x")], "came after GenerationFinished"),
    says(_ENDS, ["x", END], "yielded 'x'"),
    says(_ENDS, [GenerationFinished(DONE, TokenUsage())], "the reason is 'done'"),
    says(_ENDS, [replace(END, reason="tool_calls")], "there is no call"),
    says(_ENDS, [replace(END, usage=TokenUsage(input_tokens=-1))], "a token count is -1"),
    says(_ENDS, [replace(END, usage=TokenUsage(1, 2, 0))], "more tokens were cached"),
    says("output_stays_within_its_limit", [replace(END, usage=TokenUsage(1, 0, 6))], "6 tokens came, 5 were allowed"),
    says(_REQUIRED, [TextChunk("Bern"), END], "no tool was called"),
    says(_REQUIRED, [ToolCallChunk(0, "", "{"), _CALL, END], "has no name"),
    says(_REQUIRED, [replace(_CALL, index=1), END], "call 1 follows call -1"),
    says(_REQUIRED, [_CALL, replace(_CALL, name="get_time"), END], "'get_weather' became 'get_time'"),
    says(_REQUIRED, [replace(_CALL, name="get_rich"), END], "a tool was called that is not there"),
    says("a_named_tool_is_called", [_CALL, END], "instead of get_time: ['get_weather']"),
    says("no_tool_is_called_where_none_is_allowed", [_CALL, END], "these were called: ['get_weather']"),
    Broken(LLM, "tool_results_are_understood", Forgetful, "KeyError came out"),
    counts(lambda texts: tuple(map(len, texts)), "no list"),
    counts(lambda texts: [len(text) for text in texts if text], "4 numbers for 5 texts"),
    counts(lambda texts: [len(text) / 4 for text in texts], "a count is 0.0"),
    counts(lambda texts: [len(text) - 1 for text in texts], "a count is -1"),
    counts(lambda texts: [7 for _ in texts], "longer texts do not have more tokens"),
    counts(lambda texts: [*map(len, texts)] or [0], "count([]) is not []"),
    says(_OVERFLOW, [TextChunk("x"), END], "tokens was answered"),
    Broken(LLM, _OVERFLOW, Gone, "refused as unavailable"),
    Broken(LLM, "strange_prompts_give_an_answer_or_an_engine_error", Forgetful, "IndexError came out"),
    drafts("an_adopted_draft_is_a_call_like_any_other", without_an_end, "there were 0 GenerationFinished"),
    drafts("an_adopted_draft_is_a_call_like_any_other", begun_again_when_adopted, "there were 2 GenerationFinished"),
    drafts("a_draft_that_waits_holds_nobody_up", keeping_others_out, "no end after 30 s"),
    drafts("a_dropped_draft_ends_within_residual_ms", leaving_a_task_behind, "dropped as a draft left tasks behind"),
    prefills(lambda: 1 / 0, "ZeroDivisionError came out"),
    prefills(forgotten, "no end after 30 s"),
]
