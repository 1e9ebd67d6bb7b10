"""What makes a prompt legal for a chat model."""

import json

from antiphon.vocabulary.llm import AssistantMessage, LlmRequest, NamedTool, TextContent, ToolMessage, UserMessage

__all__ = ["assert_legal_request"]


def assert_legal_request(request: LlmRequest) -> None:
    """Results stand right behind their calls, no call stands twice or without one, nothing is empty."""
    open_calls: dict[str, str] = {}
    seen: set[str] = set()
    for message in request.messages:
        if isinstance(message, ToolMessage):
            assert open_calls.pop(message.call_id, None) == message.name, f"a stray result: {message}"
            continue
        assert not open_calls, f"calls without a result: {open_calls}"
        if isinstance(message, AssistantMessage):
            assert message.text or message.tool_calls, "an assistant message of nothing"
            for call in message.tool_calls:
                assert call.call_id not in seen
                seen.add(call.call_id)
                assert isinstance(json.loads(call.arguments), dict)
                open_calls[call.call_id] = call.name
        elif isinstance(message, UserMessage):
            assert message.content, "a user message of nothing"
            for part in message.content:
                assert not isinstance(part, TextContent) or part.text.encode() is not None
        else:
            message.text.encode()
    assert not open_calls, f"calls without a result: {open_calls}"
    names = [tool.name for tool in request.tools]
    assert len(set(names)) == len(names)
    if isinstance(request.tool_choice, NamedTool):
        assert request.tool_choice.name in names
    assert request.tool_choice != "required" or names
