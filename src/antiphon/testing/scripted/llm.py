"""A language model that says what it is told to say."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from antiphon.engines.base import CallContext, Draft
from antiphon.engines.errors import EngineError
from antiphon.testing.scripted.steps import Call, Finish, Say, ScriptedEngine, Step, Trouble, read_steps, undergo
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import (
    AssistantMessage,
    AudioContent,
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
    TokenUsage,
    ToolCallChunk,
    ToolMessage,
    UserContent,
    UserMessage,
)

__all__ = ["LlmScript", "LlmStep", "ScriptedDraft", "ScriptedLlm"]

LlmStep = LlmChunk | Finish | Trouble
LlmScript = str | Sequence[LlmStep]
"""One generation: a text stands for its words, one chunk each. ``Finish`` is a ``GenerationFinished`` with the usage
counted; where both are missing one is added."""

_KEPT = 32
_STEERED = re.compile(r"^\s*scripted:(.*)$", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class ScriptedDraft:
    """What became of one call that was a draft."""

    request: LlmRequest
    draft: Draft
    chunks: int = 0
    """Taken by its consumer."""
    chunks_before_adoption: int | None = None
    """How many of them it had taken when it was first asked for more as an adopted one; None: it never was."""
    ended: bool = False
    """All its chunks were taken."""

    def look(self) -> None:
        if self.draft.adopted and self.chunks_before_adoption is None:
            self.chunks_before_adoption = self.chunks


class ScriptedLlm(ScriptedEngine):
    """Plays one script for each generation; a word is a token.

    ``scripts``: taken one by one, or asked with each request. After the last one (or without any) the model is steered
    by the request, see ``antiphon.testing.scripted``. A prompt of more than ``capabilities.context_tokens`` words
    overflows; ``max_output_tokens`` ends a generation as ``length``. ``delay_s`` is the time to the first chunk,
    ``prefill_delay_s`` that of a prefill. A draft is played as any other call is, and noted.
    """

    def __init__(
        self,
        scripts: Iterable[LlmScript] | Callable[[LlmRequest], LlmScript] = (),
        *,
        capabilities: LlmCapabilities | None = None,
        delay_s: float = 0.0,
        prefill_delay_s: float = 0.0,
    ) -> None:
        super().__init__("llm")
        self.capabilities = capabilities or LlmCapabilities(images=True, context_tokens=8192)
        self.delay_s = delay_s
        self.prefill_delay_s = prefill_delay_s
        self.requests: deque[LlmRequest] = deque(maxlen=_KEPT)
        """What was asked, the newest 32."""
        self.contexts: deque[CallContext] = deque(maxlen=_KEPT)
        self.drafts: deque[ScriptedDraft] = deque(maxlen=_KEPT)
        """The calls that were drafts."""
        self.prefills: deque[LlmRequest] = deque(maxlen=_KEPT)
        self.prefilling = 0
        """Prefills under way."""
        self.most_prefilling = 0
        self._ask = scripts if callable(scripts) else None
        self._left = iter(() if callable(scripts) else scripts)

    def generate(self, request: LlmRequest, *, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
        chunks = self._generate(request, context)
        return chunks if context.draft is None else self._watched(chunks, request, context.draft)

    async def _watched(
        self, chunks: AsyncGenerator[LlmChunk, None], request: LlmRequest, draft: Draft
    ) -> AsyncGenerator[LlmChunk, None]:
        noted = ScriptedDraft(request, draft)
        self.drafts.append(noted)
        async with aclosing(chunks):
            async for chunk in chunks:
                noted.look()
                noted.chunks += 1
                yield chunk
            noted.look()
        noted.ended = True

    async def _generate(self, request: LlmRequest, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
        self.requests.append(request)
        self.contexts.append(context)
        with self.counted():
            generation = _Generation(request, self.capabilities.context_tokens)
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            for step in self._script(request):
                match step:
                    case TextChunk() | ToolCallChunk():
                        chunk = generation.admit(step)
                    case Finish(reason):
                        chunk = generation.finished(reason)
                    case GenerationFinished():
                        chunk = step
                    case _:
                        await undergo(step)
                        continue
                yield chunk
                if isinstance(chunk, GenerationFinished):
                    return
            yield generation.finished()

    async def count(self, texts: Sequence[str]) -> list[int]:
        return [_words(text) for text in texts]

    async def prefill(self, request: LlmRequest, *, context: CallContext) -> None:
        self.prefills.append(request)
        self.prefilling += 1
        self.most_prefilling = max(self.most_prefilling, self.prefilling)
        try:
            if self.prefill_delay_s:
                await asyncio.sleep(self.prefill_delay_s)
        finally:
            self.prefilling -= 1

    def _script(self, request: LlmRequest) -> Iterator[LlmStep]:
        script = self._ask(request) if self._ask else next(self._left, None)
        if script is None:
            return _chunks(_steered(request, tools=self.capabilities.tools))
        return _chunks([Say(script)]) if isinstance(script, str) else iter(script)


class _Generation:
    """Counts the words of one generation and says when and why it ends."""

    def __init__(self, request: LlmRequest, context_tokens: int) -> None:
        self._limit = request.max_output_tokens
        self._input_tokens = sum(map(_words, _texts(request)))
        self._output_tokens = 0
        self._called = False
        if self._input_tokens > context_tokens:
            raise EngineError(EngineErrorKind.CONTEXT_OVERFLOW, f"the context holds {context_tokens} tokens")

    def admit(self, chunk: TextChunk | ToolCallChunk) -> LlmChunk:
        """The chunk, or the end of the generation if there is no room for it."""
        cost = _words(chunk.text if isinstance(chunk, TextChunk) else chunk.arguments_delta)
        if self._limit is not None and self._output_tokens + cost > self._limit:
            return self.finished("length")
        self._output_tokens += cost
        self._called = self._called or isinstance(chunk, ToolCallChunk)
        return chunk

    def finished(self, reason: FinishReason | None = None) -> GenerationFinished:
        usage = TokenUsage(input_tokens=self._input_tokens, output_tokens=self._output_tokens)
        return GenerationFinished(reason or ("tool_calls" if self._called else "stop"), usage)


def _steered(request: LlmRequest, *, tools: bool) -> Sequence[Step]:
    """What the request asks for: by its instructions, by the user's words, or else an echo."""
    others = (message for message in reversed(request.messages) if not isinstance(message, AssistantMessage))
    last = next(others, None)
    forced = _forced_call(request) if tools else None
    if forced is not None:
        return [forced]
    if isinstance(last, ToolMessage):
        return [Say(f"The tool says: {last.output}")]
    said = _user_text(request.messages)
    steps = read_steps(_instructed(request.messages)) or read_steps(said)
    if steps is None or (request.tool_choice == "none" and any(isinstance(step, Call) for step in steps)):
        return [Say(f"You said: {said or 'nothing'}")]
    return steps


def _forced_call(request: LlmRequest) -> Call | None:
    match request.tool_choice:
        case NamedTool(name):
            names = {name}
        case "required" if request.tools:
            names = {tool.name for tool in request.tools}
            name = request.tools[0].name
        case _:
            return None
    steered = read_steps(_user_text(request.messages)) or ()
    calls = (step for step in steered if isinstance(step, Call) and step.name in names)
    return next(calls, Call(name, "{}"))


def _instructed(messages: Sequence[ChatMessage]) -> str:
    """The lines ``scripted: ...`` of the instructions."""
    texts = [message.text for message in messages if isinstance(message, SystemMessage)]
    return "\n".join(line.strip() for text in texts for line in _STEERED.findall(text))


def _user_text(messages: Sequence[ChatMessage]) -> str:
    for message in reversed(messages):
        if isinstance(message, UserMessage):
            return " ".join(map(_content_text, message.content))
    return ""


def _content_text(content: UserContent) -> str:
    match content:
        case TextContent(text):
            return text
        case AudioContent(pcm):
            return f"(audio of {len(pcm) // 48} ms)"
        case _:
            return "(an image)"


def _chunks(steps: Iterable[Step]) -> Iterator[LlmStep]:
    index = 0
    for step in steps:
        match step:
            case Say(text):
                yield from (TextChunk(word) for word in re.findall(r"\s*\S+\s*", text))
            case Call(name, arguments):
                middle = len(arguments) // 2
                yield ToolCallChunk(index, name, arguments[:middle])
                yield ToolCallChunk(index, "", arguments[middle:])
                index += 1
            case _:
                yield step


def _texts(request: LlmRequest) -> Iterator[str]:
    for tool in request.tools:
        yield f"{tool.name} {tool.description}"
    for message in request.messages:
        match message:
            case SystemMessage(text):
                yield text
            case UserMessage(content):
                yield from map(_content_text, content)
            case AssistantMessage(text, calls):
                yield text
                yield from (f"{call.name} {call.arguments}" for call in calls)
            case ToolMessage(output=output):
                yield output


def _words(text: str) -> int:
    return len(text.split())
