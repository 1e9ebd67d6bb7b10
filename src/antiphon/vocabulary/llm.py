"""What a language model is asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "AssistantMessage",
    "AudioContent",
    "ChatMessage",
    "FinishReason",
    "GenerationFinished",
    "ImageContent",
    "LlmCapabilities",
    "LlmChunk",
    "LlmRequest",
    "NamedTool",
    "SystemMessage",
    "TextChunk",
    "TextContent",
    "TokenUsage",
    "ToolCall",
    "ToolCallChunk",
    "ToolChoice",
    "ToolMessage",
    "ToolSpec",
    "UserContent",
    "UserMessage",
]


@dataclass(frozen=True, slots=True)
class TextContent:
    text: str


@dataclass(frozen=True, slots=True)
class ImageContent:
    data_url: str
    """``data:image/...;base64,...``; never any other scheme."""
    detail: Literal["auto", "low", "high"] = "auto"


@dataclass(frozen=True, slots=True)
class AudioContent:
    pcm: bytes
    """s16le mono, 24000 Hz. Only sent to models with the capability ``audio_in``."""


UserContent = TextContent | ImageContent | AudioContent


@dataclass(frozen=True, slots=True)
class SystemMessage:
    text: str


@dataclass(frozen=True, slots=True)
class UserMessage:
    content: tuple[UserContent, ...]


@dataclass(frozen=True, slots=True)
class ToolCall:
    call_id: str
    name: str
    arguments: str
    """A JSON text, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolMessage:
    """The result of the call ``call_id``; the prompt guarantees that the call stands before it."""

    call_id: str
    name: str
    output: str


ChatMessage = SystemMessage | UserMessage | AssistantMessage | ToolMessage


@dataclass(frozen=True, slots=True)
class ToolSpec:
    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments object."""


@dataclass(frozen=True, slots=True)
class NamedTool:
    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One generation. The messages are legal for a chat model: calls before results, no dangling call."""

    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = "auto"
    max_output_tokens: int | None = None
    parallel_tool_calls: bool = True
    reasoning_effort: str | None = None
    """How hard a reasoning model is to think: ``minimal`` to ``xhigh``; None: as it does of itself."""


@dataclass(frozen=True, slots=True)
class LlmCapabilities:
    images: bool = False
    tools: bool = True
    audio_in: bool = False
    context_tokens: int = 4096


@dataclass(frozen=True, slots=True)
class TextChunk:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallChunk:
    """A piece of the ``index``-th call of this generation; ``name`` is complete in the first piece."""

    index: int
    name: str
    arguments_delta: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The last chunk of every generation that did not fail."""

    reason: FinishReason
    usage: TokenUsage


LlmChunk = TextChunk | ToolCallChunk | GenerationFinished
