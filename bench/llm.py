"""``python -m bench.llm [--model NAME] [--batch TOKENS ...]``: figures of the embedded language model alone."""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

import psutil

from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError
from antiphon.engines.llm_llamacpp import LlamaCpp, create
from antiphon.vocabulary.llm import (
    GenerationFinished,
    LlmChunk,
    LlmRequest,
    SystemMessage,
    TextContent,
    TokenUsage,
    ToolCallChunk,
    ToolSpec,
    UserMessage,
)

_SYSTEM = (
    "You are a friendly voice assistant. Answer in one or two short sentences. "
    "You cannot act or look things up unless a function is listed."
)


def _object(**properties: str) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in properties.items()},
        "required": list(properties)[:1],
    }


_TOOLS = (
    ToolSpec("get_weather", "Current weather or forecast for a city.", _object(city="string", day="string")),
    ToolSpec("set_timer", "Start a countdown timer.", _object(minutes="number", label="string")),
    ToolSpec("search_orders", "Find a customer's orders by e-mail address.", _object(email="string")),
)
_TOOL_PROMPTS = (
    ("What's the weather in Berlin?", "get_weather"),
    ("Will it rain in Oslo tomorrow?", "get_weather"),
    ("Do I need an umbrella in London on Friday?", "get_weather"),
    ("Set a timer for ten minutes.", "set_timer"),
    ("Wake me in 20 minutes.", "set_timer"),
    ("Start a three minute countdown for my tea.", "set_timer"),
    ("Can you look up my orders? My e-mail is jane@example.com.", "search_orders"),
    ("My email is kim@mail.net, what did I order?", "search_orders"),
    ("Hello, how are you?", ""),
    ("What is the capital of France?", ""),
    ("Tell me a short joke.", ""),
    ("Thank you, that was helpful.", ""),
    ("What is seven times eight?", ""),
    ("Who wrote Hamlet?", ""),
    ("Can you hear me?", ""),
    ("How many legs does a spider have?", ""),
)


@dataclass
class Seen:
    """What one generation gave."""

    first_s: float = 0.0
    total_s: float = 0.0
    usage: TokenUsage = field(default_factory=TokenUsage)
    called: str = ""


async def _see(engine: LlamaCpp, request: LlmRequest, session: str) -> Seen:
    seen, began_s = Seen(), time.monotonic()
    async with aclosing(engine.generate(request, context=CallContext(session))) as chunks:
        async for chunk in chunks:
            seen.first_s = seen.first_s or time.monotonic() - began_s
            _note(seen, chunk)
    seen.total_s = time.monotonic() - began_s
    return seen


def _note(seen: Seen, chunk: LlmChunk) -> None:
    if isinstance(chunk, ToolCallChunk):
        seen.called = seen.called or chunk.name
    elif isinstance(chunk, GenerationFinished):
        seen.usage = chunk.usage


def _ask(text: str, *, limit: int = 64, tools: Sequence[ToolSpec] = ()) -> LlmRequest:
    messages = (SystemMessage(_SYSTEM), UserMessage((TextContent(text),)))
    return LlmRequest(messages, tuple(tools), max_output_tokens=limit)


def _words(tokens: int, seed: int) -> str:
    return " ".join(f"item {seed + n}" for n in range(tokens // 6))


@asynccontextmanager
async def _engine(options: dict[str, object]) -> AsyncGenerator[LlamaCpp, None]:
    engine = create(options)
    try:
        await engine.warm_up()
        yield engine
    finally:
        await engine.aclose()


# --- figures -----------------------------------------------------------------------------------------------------


async def _speeds(engine: LlamaCpp) -> dict[str, str]:
    reading, writing, cached = [], [], []
    for number in range(3):
        long = await _see(engine, _ask(_words(300, 1000 * number), limit=1), f"read {number}")
        reading.append((long.usage.input_tokens - long.usage.cached_tokens) / long.first_s)
        story = await _see(engine, _ask("Tell me a long story about a dog.", limit=60), "write")
        writing.append((story.usage.output_tokens - 1) / (story.total_s - story.first_s))
        again = await _see(engine, _ask("Tell me a long story about a dog.", limit=1), "write")
        cached.append(again.first_s)
    return {
        "prompt, tokens a second": f"{statistics.median(reading):.0f}",
        "output, tokens a second": f"{statistics.median(writing):.1f}",
        "first token, prompt cached": f"{statistics.median(cached) * 1000:.0f} ms",
    }


async def _while_reading(engine: LlamaCpp, seed: int, then: Callable[[asyncio.Task[Seen]], float]) -> float:
    """``then`` is told of a generation that has read for a while."""
    async with asyncio.TaskGroup() as tasks:
        long = tasks.create_task(_see(engine, _ask(_words(2000, seed)), "long"))
        await asyncio.sleep(1.5)
        then(long)
        seen = await _see(engine, _ask("What is the capital of Italy?", limit=8), "short")
        long.cancel()
    return seen.first_s


async def _stops(engine: LlamaCpp) -> dict[str, str]:
    alone = (await _see(engine, _ask("What is the capital of Italy?", limit=8), "short")).first_s
    alone = (await _see(engine, _ask("What is the capital of Italy?", limit=8), "short")).first_s
    freed = [await _while_reading(engine, 5000 + n, lambda long: float(long.cancel())) - alone for n in (0, 1, 2)]
    beside = [await _while_reading(engine, 9000 + n, lambda long: 0.0) for n in (0, 1, 2)]
    return {
        "engine free after a cancel in a prompt of 2,000 tokens": _range_ms(freed),
        "another session's first token meanwhile (alone: %.0f ms)" % (1000 * alone): _range_ms(beside),
    }


async def _restart(engine: LlamaCpp) -> dict[str, str]:
    assert engine.child_pid is not None
    psutil.Process(engine.child_pid).kill()
    began_s = time.monotonic()
    await asyncio.sleep(0.05)
    while True:
        with suppress(EngineError):
            await engine.count(["a"])
            return {"ready again after a crash": f"{time.monotonic() - began_s:.1f} s"}
        await asyncio.sleep(0.02)


async def _tools(engine: LlamaCpp) -> dict[str, str]:
    right = 0
    wrong: list[str] = []
    for text, tool in _TOOL_PROMPTS:
        seen = await _see(engine, _ask(text, tools=_TOOLS, limit=48), "tools")
        right += seen.called == tool
        if seen.called != tool:
            wrong.append(f"{text} -> {seen.called or 'words'}")
    return {"tool prompts": f"{right} of {len(_TOOL_PROMPTS)} right" + "".join(f"; {each}" for each in wrong)}


def _memory(engine: LlamaCpp) -> dict[str, str]:
    memory = psutil.Process(engine.child_pid).memory_info()
    return {"memory (RSS)": f"{memory.rss >> 20} MiB, of it {memory.shared >> 20} MiB pages of files"}


def _range_ms(seconds: Sequence[float]) -> str:
    return f"{min(seconds) * 1000:.0f}..{max(seconds) * 1000:.0f} ms"


async def _measure(options: dict[str, object], *, speeds_only: bool) -> dict[str, str]:
    began_s = time.monotonic()
    async with _engine(options) as engine:
        rows = {"load": f"{time.monotonic() - began_s:.1f} s"} | await _speeds(engine)
        if not speeds_only:
            rows |= await _tools(engine) | await _stops(engine) | _memory(engine) | await _restart(engine)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.llm", description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--batch", type=int, nargs="*", default=[0], help="sizes to compare; one measures everything")
    given = parser.parse_args()
    for batch in given.batch:
        print(f"\n{given.model}, batch_tokens {batch or 'default'}, load {os.getloadavg()[0]:.1f}", flush=True)
        options = {"model": given.model, "batch_tokens": batch, "temperature": 0}
        for name, value in asyncio.run(_measure(options, speeds_only=len(given.batch) > 1)).items():
            print(f"| {name} | {value} |", flush=True)


if __name__ == "__main__":
    main()
