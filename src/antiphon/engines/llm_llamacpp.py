"""The language model on this machine: a GGUF file by llama.cpp, in a child process."""

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import msgspec

from antiphon.engines.base import CallContext, EngineInfo, parse_options
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.llamacpp.call_syntax import NO_CALL_GRAMMAR
from antiphon.engines.llamacpp.chatml import Part, for_generation, for_prefill
from antiphon.engines.llamacpp.child_process import ChildProcess
from antiphon.engines.llamacpp.link import Link
from antiphon.engines.llamacpp.prefixes import Prefixes
from antiphon.engines.llamacpp.runs import Order, Run, Runs
from antiphon.engines.llamacpp.schedule import Schedule, ScheduleLimits
from antiphon.engines.llamacpp.schemas import forced_call
from antiphon.engines.llamacpp.slots import Slots
from antiphon.engines.llamacpp.tool_calls import ToolCallParser
from antiphon.engines.llamacpp.tool_prompt import former_calls
from antiphon.engines.llamacpp.unix_http import UnixHttp
from antiphon.engines.registry import requires
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import (
    GenerationFinished,
    LlmCapabilities,
    LlmChunk,
    LlmRequest,
    NamedTool,
    SystemMessage,
    TextChunk,
    TextContent,
    TokenUsage,
    ToolSpec,
    UserMessage,
)

__all__ = ["LlamaCpp", "LlamaCppOptions", "create"]

_DEFAULT_MODEL = "qwen2.5-coder-1.5b"
_RESIDUAL_MS = 700
_LEAST_OUTPUT_TOKENS = 64
"""A prompt that leaves less room than this (or than what is asked for) is too long for the context."""

_SMALL_MODEL_BYTES = 700_000_000
_BATCH_TOKENS = 16
_BATCH_TOKENS_OF_SMALL_MODELS = 32
"""A batch cannot be stopped, so it bounds the time that a cancelled call computes on: about 0.25 s on 2 cores with
1.5B and 16 tokens, or 0.5B and 32. Larger ones read prompts up to 20 % faster."""

_WARM_UP = LlmRequest(
    (SystemMessage("Answer briefly."), UserMessage((TextContent("Say hello."),))), max_output_tokens=2
)

_Natural = Annotated[int, msgspec.Meta(ge=0)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_PositiveSeconds = Annotated[float, msgspec.Meta(gt=0)]


class LlamaCppOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str = _DEFAULT_MODEL
    """``qwen2.5-coder-1.5b``, ``qwen2.5-coder-0.5b``, or the path of any GGUF file whose model uses ChatML."""
    slots: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    """Conversations held in memory at a time. Each takes context_tokens x 28 KiB with 1.5B, x 12 KiB with 0.5B."""
    context_tokens: Annotated[int, msgspec.Meta(ge=256)] = 4096
    """Of one conversation: prompt and answer."""
    cache_mib: _Natural = 256
    """Memory for conversations that lost their slot."""
    prefix_tokens: _Natural = 4096
    """System prompts kept in files, in tokens altogether; 0 keeps none."""
    threads: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    """0: half of the cores, at least 2, at most 8."""
    batch_tokens: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    """Prompt tokens that are read in one go, and cannot be cancelled; 0: 16, or 32 for files below 700 MB."""
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 10
    """Lowers the priority of the child process."""
    max_output_tokens: _Positive = 512
    """Of a generation that states no limit of its own."""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.3
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8
    top_k: _Natural = 20
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0, le=2)] = 1.05
    wait_s: _PositiveSeconds = 10.0
    """A call whose turn does not come within this time (or its own deadline) is refused as overloaded."""
    queue_limit: _Natural = 16
    """So many calls may wait; one more is refused as overloaded."""
    short_tokens: _Natural = 256
    """A prompt with at most this many tokens to read goes before longer ones."""
    turn_s: _PositiveSeconds = 0.5
    """How long one answer is written while others wait."""
    load_timeout_s: _PositiveSeconds = 120.0
    stall_s: _PositiveSeconds = 60.0
    """A child process that says nothing for so long while it should is killed and started anew."""


@requires("xllamacpp", weights=lambda options: _manifest_names(options.get("model", _DEFAULT_MODEL)))
def create(options: Mapping[str, Any]) -> "LlamaCpp":
    """Build the engine. Raises ``EngineSettingsError``. The child process starts with the first call."""
    chosen = parse_options("llamacpp", options, LlamaCppOptions)
    return LlamaCpp(_model_file(chosen.model), chosen)


def _manifest_names(model: Any) -> Sequence[str]:
    return () if not isinstance(model, str) or _is_path(model) else (model,)


def _is_path(model: str) -> bool:
    return model.endswith(".gguf") or "/" in model or os.sep in model


def _model_file(model: str) -> Path:
    from antiphon import weights

    if _is_path(model):
        path = Path(model).expanduser()
        if not path.is_file():
            raise EngineSettingsError(f"llamacpp: there is no file {model!r}")
        return path.absolute()
    try:
        directory = weights.directory(model)
    except weights.WeightsError as error:
        raise EngineSettingsError(f"llamacpp: {error}") from error
    files = sorted(directory.glob("*.gguf"))
    if not files:
        raise EngineSettingsError(f"llamacpp: {model!r} is no language model")
    return files[0]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, ready to be run."""

    order: Order
    tools: tuple[ToolSpec, ...]
    """Those that may be called."""
    former: frozenset[str]
    """Those that were called before."""
    forced: bool
    several: bool


class _NotForced(Exception):  # noqa: N818 - not an error: the next form is tried
    """The answer is not of the form that it was forced into."""


class LlamaCpp:
    """A ``LanguageModel`` that also ``Prefills``. One generation at a time computes, whoever asks."""

    def __init__(self, model: Path, options: LlamaCppOptions) -> None:
        self._options = options
        self._name = model.stem
        small = model.stat().st_size < _SMALL_MODEL_BYTES
        self._child = ChildProcess(
            on_lost=self._lost,
            keeps_prefixes=options.prefix_tokens > 0,
            model=str(model),
            slots=options.slots,
            context_tokens=options.context_tokens,
            threads=options.threads or min(8, max(2, (os.cpu_count() or 2) // 2)),
            batch_tokens=options.batch_tokens or (_BATCH_TOKENS_OF_SMALL_MODELS if small else _BATCH_TOKENS),
            cache_mib=options.cache_mib,
            nice=options.nice,
        )
        self._slots = Slots(options.slots)
        limits = ScheduleLimits(
            short_tokens=options.short_tokens, turn_s=options.turn_s, queue_limit=options.queue_limit
        )
        self._link = Link(UnixHttp(self._child.socket, self._child.key))
        self._runs = Runs(
            self._link,
            Schedule(self._slots, limits),
            Prefixes(options.prefix_tokens),
            stall_s=options.stall_s,
            stalled=self._child.kill,
            remove_file=self._child.remove_file,
        )
        self._sampling = {
            "temperature": options.temperature,
            "top_p": options.top_p,
            "top_k": options.top_k,
            "repeat_penalty": options.repeat_penalty,
        }

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(f"llamacpp {self._name}", metadata.version("xllamacpp"), _RESIDUAL_MS)

    @property
    def capabilities(self) -> LlmCapabilities:
        return LlmCapabilities(images=False, tools=True, context_tokens=self._options.context_tokens)

    @property
    def child_pid(self) -> int | None:
        """The child process while there is one."""
        return self._child.pid

    @property
    def last_log_lines(self) -> tuple[str, ...]:
        """What the child process logged last (errors only, never a prompt): the place to look after a crash."""
        return tuple(self._child.last_lines)

    async def warm_up(self) -> None:
        """Load the model and run it once. A system prompt is made warm by ``prefill`` with only that message."""
        async with aclosing(self.generate(_WARM_UP, context=CallContext(""))) as chunks:
            async for _ in chunks:
                pass

    async def aclose(self) -> None:
        self._runs.lost()
        await self._child.aclose()

    async def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, by the model's own tokenizer."""
        await self._ready()
        return [len(tokens) for tokens in await self._link.tokens_of(texts)]

    async def prefill(self, request: LlmRequest, *, context: CallContext) -> None:
        """Read a prompt ahead: all messages, the last one left open. Does nothing while anybody wants an answer.

        What was read stays, also where it is cut short: the next prompt is read from the first token that differs.
        """
        await self._ready()
        head, rest = for_prefill(request)
        order = await self._order(head, rest, context, most_tokens=0)
        if len(order.tokens) >= self._options.context_tokens or not self._runs.schedule.idle:
            return
        run = self._runs.open(order, ahead=True)
        try:
            while await run.next(wait_s=self._options.wait_s) is not None:
                pass
        finally:
            run.close()

    async def generate(self, request: LlmRequest, *, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
        """See the Protocol. A forced call is forced by a grammar; arguments leave as they are written.

        Where no call is allowed behind former ones, a grammar keeps the answer from beginning as one.
        """
        await self._ready()
        asked = await self._asked(request, context)
        if not asked.forced:
            async with aclosing(self._write(asked, context)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        for any_arguments in (False, True):
            order = replace(asked.order, schema=forced_call(asked.tools, any_arguments=any_arguments))
            try:
                async with aclosing(self._write(replace(asked, order=order), context)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except _NotForced:
                continue
        raise EngineError(EngineErrorKind.FAILED, "the language model did not call the tool")

    # --- what is asked --------------------------------------------------------------------------------------------

    async def _ready(self) -> None:
        if not self._child.ready:
            await self._child.start(within_s=self._options.load_timeout_s)
        elif not await self._link.alive():
            await self._child.replaced(within_s=self._options.load_timeout_s)
        if not self._link.knows_marks:
            await self._link.learn_marks()

    async def _asked(self, request: LlmRequest, context: CallContext) -> _Asked:
        tools = _callable_tools(request)
        head, rest = for_generation(request)
        order = await self._order(head, rest, context, most_tokens=1)
        wanted = request.max_output_tokens or self._options.max_output_tokens
        room = self._options.context_tokens - len(order.tokens) - 1
        if room < min(wanted, _LEAST_OUTPUT_TOKENS):
            raise EngineError(
                EngineErrorKind.CONTEXT_OVERFLOW,
                f"the prompt has {len(order.tokens)} tokens, the context holds {self._options.context_tokens}",
            )
        forced = bool(tools) and (request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool))
        former = frozenset(call.name for call in former_calls(request.messages).values())
        grammar = NO_CALL_GRAMMAR if former and not tools else None
        order = replace(order, most_tokens=min(wanted, room), grammar=grammar)
        return _Asked(order, tools, former, forced, request.parallel_tool_calls and not forced)

    async def _order(
        self, head: Sequence[Part], rest: Sequence[Part], context: CallContext, *, most_tokens: int
    ) -> Order:
        head_tokens = await self._link.tokens_of_parts(head)
        tokens = head_tokens + await self._link.tokens_of_parts(rest)
        return Order(context.session_id, tokens, len(head_tokens), most_tokens, self._sampling)

    # --- writing --------------------------------------------------------------------------------------------------

    async def _write(self, asked: _Asked, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
        """Raises ``_NotForced`` before anything else came if the answer has not the form asked for."""
        parser = ToolCallParser([tool.name for tool in asked.tools], several=asked.several, former=asked.former)
        wait_s = self._options.wait_s if context.deadline_s is None else min(self._options.wait_s, context.deadline_s)
        run = self._runs.open(asked.order, draft=context.draft)
        try:
            while not parser.done and (event := await run.next(wait_s=wait_s)) is not None:
                for piece in parser.feed(event.content):
                    _require_form(asked, piece)
                    yield piece
            run.close()
            for piece in parser.finish(cut=run.reason == "limit"):
                _require_form(asked, piece)
                yield piece
            if asked.forced and not parser.calls:
                raise _NotForced
            yield _finished(run, parser, asked.order)
        finally:
            run.close()

    def _lost(self) -> None:
        self._runs.lost()
        self._slots.forget()


def _callable_tools(request: LlmRequest) -> tuple[ToolSpec, ...]:
    """The tools that the model may call in this generation."""
    if request.tool_choice == "none":
        return ()
    if not isinstance(request.tool_choice, NamedTool):
        return request.tools
    named = tuple(tool for tool in request.tools if tool.name == request.tool_choice.name)
    if not named:
        raise EngineError(EngineErrorKind.BAD_INPUT, "the tool to be called is not among the tools")
    return named


def _require_form(asked: _Asked, piece: LlmChunk) -> None:
    if asked.forced and isinstance(piece, TextChunk):
        raise _NotForced


def _finished(run: Run, parser: ToolCallParser, order: Order) -> GenerationFinished:
    usage = TokenUsage(len(order.tokens), run.cached_tokens or 0, run.output_tokens)
    if run.reason == "limit":
        return GenerationFinished("length", usage)
    return GenerationFinished("tool_calls" if parser.calls else "stop", usage)
