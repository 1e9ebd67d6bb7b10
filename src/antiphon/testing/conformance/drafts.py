"""The contract of language models for calls that may never be needed: drafts, and prompts read ahead."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from antiphon.engines.base import CallContext, Draft, LanguageModel, Prefills
from antiphon.engines.errors import EngineError
from antiphon.testing.conformance.calls import check_of, promptly_cancelled, quiet, settled
from antiphon.testing.conformance.check import Check, Material, collect, context, tolerated
from antiphon.vocabulary.llm import LlmChunk, LlmRequest

__all__ = ["draft_checks"]

_Request = Callable[[str, int], LlmRequest]
_Hold = Callable[[LanguageModel, list[Any], Material], None]

_COUNT = "Count from one to one hundred, each number in words, one after the other, without stopping."


def draft_checks(request: _Request, hold: _Hold) -> Sequence[Check]:
    """``request`` makes a request of a text and a limit, ``hold`` judges a whole answer."""

    async def an_adopted_draft_is_a_call_like_any_other(engine: LanguageModel, material: Material) -> None:
        """A draft gives what any call gives: adopted after its first chunk, before it, or never."""
        for place in (0, 1, None):
            draft = Draft(adopted=place == 0)
            chunks: list[LlmChunk] = []
            async with aclosing(_drafted(engine, request("Say hello.", 6), draft)) as stream:
                async for chunk in stream:
                    chunks.append(chunk)
                    draft.adopted = draft.adopted or len(chunks) == place
            hold(engine, chunks, material)

    async def a_draft_that_waits_holds_nobody_up(engine: LanguageModel, material: Material) -> None:
        """While nobody reads a draft on, others are served; adopted, it goes on to its end."""
        draft = Draft()
        async with aclosing(_drafted(engine, request(_COUNT, 24), draft)) as stream:
            first = await anext(stream)
            others = await collect(engine.generate(request("Say hello.", 6), context=context(2)))
            hold(engine, others, material)
            draft.adopted = True
            hold(engine, [first, *[chunk async for chunk in stream]], material)

    async def a_dropped_draft_ends_within_residual_ms(engine: LanguageModel, material: Material) -> None:
        """What a draft still computes when it is dropped runs out within info.residual_ms."""
        await collect(engine.generate(request("Say hello.", 6), context=context()))
        await quiet()
        before = asyncio.all_tasks()
        async with aclosing(_drafted(engine, request(_COUNT, 200), Draft())) as stream:
            await anext(stream, None)
        await settled(engine.info.residual_ms / 1000, before, "dropped as a draft")

    async def what_is_read_ahead_changes_no_answer(engine: LanguageModel, material: Material) -> None:
        """Where a model prefills, it does or refuses with an EngineError, stops when cancelled, and answers as ever."""
        if not isinstance(engine, Prefills):
            return
        for words in ("What is the", "What is the weather in", "What is the weather like"):
            await tolerated(engine.prefill(request(words, 6), context=context(1)))
        long = request("word and thing " * 60, 6)
        await promptly_cancelled(lambda: _prefilled(engine, long), 0.02, "the end of a cancelled prefill took")
        chunks = await collect(_drafted(engine, request("What is the weather in Bern?", 6), Draft()))
        hold(engine, chunks, material)

    rules = (
        an_adopted_draft_is_a_call_like_any_other,
        a_draft_that_waits_holds_nobody_up,
        a_dropped_draft_ends_within_residual_ms,
        what_is_read_ahead_changes_no_answer,
    )
    return tuple(check_of(rule) for rule in rules)


def _drafted(engine: LanguageModel, request: LlmRequest, draft: Draft) -> AsyncGenerator[LlmChunk, None]:
    return engine.generate(request, context=CallContext("sess_check_1", draft=draft))


async def _prefilled(engine: Prefills, request: LlmRequest) -> AsyncGenerator[None, None]:
    try:
        await engine.prefill(request, context=context(1))
    except EngineError:
        return
    yield None
