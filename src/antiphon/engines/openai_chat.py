"""Requests and answers of ``/chat/completions``, as they are on the wire. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from antiphon.engines.thoughts import ThoughtFilter
from antiphon.vocabulary.llm import (
    AssistantMessage,
    AudioContent,
    ChatMessage,
    FinishReason,
    GenerationFinished,
    ImageContent,
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

__all__ = ["Answer", "chat_body"]

_UNHEARD = "(something that you cannot hear)"

# --- requests ----------------------------------------------------------------------------------------------------


def chat_body(request: LlmRequest) -> dict[str, Any]:
    """The messages and tools of a request; no model, limit or streaming."""
    body: dict[str, Any] = {"messages": [_message(message) for message in request.messages] or [_said("")]}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
            }
            for tool in request.tools
        ]
        choice = request.tool_choice
        body["tool_choice"] = (
            {"type": "function", "function": {"name": choice.name}} if isinstance(choice, NamedTool) else choice
        )
        if not request.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    return body


def _said(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def _message(message: ChatMessage) -> dict[str, Any]:
    match message:
        case SystemMessage(text):
            return {"role": "system", "content": text}
        case UserMessage(content):
            return _said(_user_content(content))
        case AssistantMessage():
            return _assistant(message)
        case ToolMessage(call_id=call_id, output=output):
            return {"role": "tool", "tool_call_id": call_id, "content": output}


def _user_content(content: Sequence[UserContent]) -> str | list[dict[str, Any]]:
    """A text where there is nothing but text: not every server takes parts."""
    if any(isinstance(part, ImageContent) for part in content):
        return [_part(part) for part in content]
    return "\n".join(_words(part) for part in content)


def _part(part: UserContent) -> dict[str, Any]:
    if isinstance(part, ImageContent):
        return {"type": "image_url", "image_url": {"url": part.data_url, "detail": part.detail}}
    return {"type": "text", "text": _words(part)}


def _words(part: UserContent) -> str:
    match part:
        case TextContent(text):
            return text
        case AudioContent() | ImageContent():
            return _UNHEARD


def _assistant(message: AssistantMessage) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    elif not message.text:
        said["content"] = ""
    return said


# --- answers -----------------------------------------------------------------------------------------------------


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct, frozen=True):
    index: int | None = None
    id: str | None = None
    function: _Function = _Function()


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


@dataclass(slots=True)
class _OpenCall:
    """The call that the pieces coming now belong to."""

    index: int
    """The server's."""
    call_id: str
    place: int
    """Ours."""


class Answer:
    """One answer, chunk by chunk. Raises ``msgspec.DecodeError`` on what is no chunk.

    Servers differ: some give every call the index 0, or none, and tell them apart by their ids alone; some put
    the model's thoughts before its words.
    """

    def __init__(self) -> None:
        self._thoughts = ThoughtFilter()
        self._calls = 0
        self._open: _OpenCall | None = None
        self._reason: FinishReason | None = None
        self._usage = TokenUsage()
        self._came = False

    @property
    def empty(self) -> bool:
        """Whether nothing of an answer has come."""
        return not self._came and self._reason is None

    def read(self, data: bytes) -> Iterator[LlmChunk]:
        """What one event adds."""
        chunk = msgspec.json.decode(data, type=_Chunk)
        if chunk.usage is not None:
            self._usage = _token_usage(chunk.usage)
        for choice in (chunk.choices or ())[:1]:
            yield from self._read_choice(choice)

    def finish(self) -> Iterator[LlmChunk]:
        """The rest, at the end of the stream."""
        yield from self._text(self._thoughts.finish())
        reason = self._reason or "stop"
        if self._calls and reason == "stop":
            reason = "tool_calls"
        elif not self._calls and reason == "tool_calls":
            reason = "stop"
        yield GenerationFinished(reason, self._usage)

    def _read_choice(self, choice: _Choice) -> Iterator[LlmChunk]:
        delta = choice.delta or _Delta()
        words = (delta.content or "") + (delta.refusal or "")
        if words:
            self._came = True
            yield from self._text(self._thoughts.feed(words))
        for call in delta.tool_calls or ():
            yield self._read_call(call)
        if choice.finish_reason:
            self._reason = _REASONS.get(choice.finish_reason, "stop")

    def _text(self, text: str) -> Iterator[LlmChunk]:
        if text:
            yield TextChunk(text)

    def _read_call(self, call: _Call) -> ToolCallChunk:
        self._came = True
        current = self._open
        if current is None or self._is_another(call, current):
            index = call.index if call.index is not None else self._calls
            current = self._open = _OpenCall(index, call.id or "", self._calls)
            self._calls += 1
            return ToolCallChunk(current.place, call.function.name or "", _arguments(call.function))
        return ToolCallChunk(current.place, "", _arguments(call.function))

    @staticmethod
    def _is_another(call: _Call, current: _OpenCall) -> bool:
        if call.index is not None and call.index != current.index:
            return True
        return bool(call.id) and call.id != current.call_id and bool(call.function.name)


def _arguments(function: _Function) -> str:
    if isinstance(function.arguments, dict):
        return msgspec.json.encode(function.arguments).decode()
    return function.arguments or ""


def _token_usage(usage: _Usage) -> TokenUsage:
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details else 0
    read = usage.prompt_tokens or 0
    return TokenUsage(read, min(cached, read), usage.completion_tokens or 0)
