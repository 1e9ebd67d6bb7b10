"""What was said, in the form in which spans of generative models hold it."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from antiphon.runtime.work import Work
from antiphon.vocabulary.llm import (
    AssistantMessage,
    ChatMessage,
    LlmRequest,
    SystemMessage,
    TextContent,
    ToolMessage,
    UserMessage,
)

__all__ = ["words_of"]


def words_of(work: Work) -> Mapping[str, str]:
    """Attributes of a span; none where nothing of it is known."""
    return {name: msgspec.json.encode(value).decode() for name, value in _values(work) if value}


def _values(work: Work) -> Iterator[tuple[str, Any]]:
    if work.kind == "tool":
        yield "gen_ai.tool.call.arguments", work.arguments
        yield "gen_ai.tool.call.result", work.words
        return
    if work.request is not None:
        yield "gen_ai.system_instructions", list(_instructions(work.request))
        yield "gen_ai.input.messages", [_message(one) for one in work.request.messages if not _is_system(one)]
    if work.words:
        said = {"role": "assistant", "parts": [_text(work.words)]}
        yield "gen_ai.output.messages", [said if work.reason is None else {**said, "finish_reason": work.reason}]


def _is_system(message: ChatMessage) -> bool:
    return isinstance(message, SystemMessage)


def _instructions(request: LlmRequest) -> Iterator[dict[str, Any]]:
    yield from (_text(message.text) for message in request.messages if isinstance(message, SystemMessage))


def _message(message: ChatMessage) -> dict[str, Any]:
    match message:
        case UserMessage():
            return {"role": "user", "parts": [_part(part) for part in message.content]}
        case AssistantMessage():
            calls = [
                {"type": "tool_call", "id": call.call_id, "name": call.name, "arguments": call.arguments}
                for call in message.tool_calls
            ]
            return {"role": "assistant", "parts": [*([_text(message.text)] if message.text else []), *calls]}
        case ToolMessage():
            response = {"type": "tool_call_response", "id": message.call_id, "response": message.output}
            return {"role": "tool", "parts": [response]}
        case SystemMessage():
            return {"role": "system", "parts": [_text(message.text)]}


def _part(part: Any) -> dict[str, Any]:
    """Pictures and sound are named, not held."""
    if isinstance(part, TextContent):
        return _text(part.text)
    return {"type": "image" if hasattr(part, "data_url") else "audio"}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}
