"""How tools are shown to a small model: in words of ours, since it does not keep to its own template's form.

Where no call is allowed, former ones are not shown either: a model that sees its own calls writes another.
"""

import json
from collections.abc import Sequence

from antiphon.vocabulary.llm import AssistantMessage, ChatMessage, LlmRequest, ToolCall, ToolMessage, ToolSpec

__all__ = ["call_text", "former_calls", "may_call", "reminder", "result_text", "told_text", "tool_block"]

_HEAD = "# Functions\nYou can call these functions:\n"
_FORM = """
If a function can help with what the user says, your reply starts with { and is only a JSON object: \
{"name": "...", "arguments": {...}}. Do not explain the call, the user cannot make it."""
_SEVERAL = " For several calls write one object a line."
_ELSE = "\nFor anything else reply with plain words and no function call."
_MOST_NAMED = 4


def may_call(request: LlmRequest) -> bool:
    return bool(request.tools) and request.tool_choice != "none"


def former_calls(messages: Sequence[ChatMessage]) -> dict[str, ToolCall]:
    """The calls that stand in a history, by their ids."""
    calls = [call for message in messages if isinstance(message, AssistantMessage) for call in message.tool_calls]
    return {call.call_id: call for call in calls}


def tool_block(request: LlmRequest) -> str:
    """What the system message says about the request's tools; empty if none may be called."""
    if not may_call(request):
        return ""
    listed = "\n".join(_listed(tool) for tool in request.tools)
    return _HEAD + listed + "\n" + _FORM + (_SEVERAL if request.parallel_tool_calls else "") + _ELSE


def reminder(request: LlmRequest) -> str:
    """What is added to the user's latest words, if the model is free to call.

    Behind an answer in plain words a small model no longer thinks of its functions, and makes up what they would tell.
    """
    if not request.tools or request.tool_choice != "auto":
        return ""
    names = [tool.name for tool in request.tools]
    named = " or ".join(names) if len(names) <= _MOST_NAMED else "a function"
    return f"\n(If {named} gives or does what is asked, reply with its JSON object only; else with plain words.)"


def call_text(call: ToolCall) -> str:
    """A call of the model's own, as it is asked to write it."""
    return f'{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}'


def result_text(outputs: Sequence[str]) -> str:
    """Results of calls, in the order of the calls."""
    return "\n".join(f"<tool_response>\n{output}\n</tool_response>" for output in outputs)


def told_text(result: ToolMessage, call: ToolCall | None) -> str:
    """The result of a call in plain words, for a model that may not call."""
    about = _plain_values(call.arguments) if call else ""
    return f"(Told by {result.name}{about and f' about {about}'}: {result.output})"


def _plain_values(arguments: str) -> str:
    try:
        values = json.loads(arguments)
    except (ValueError, RecursionError):
        return ""
    plain = values.values() if isinstance(values, dict) else ()
    return ", ".join(str(value) for value in plain if isinstance(value, (str, int, float)))


def _listed(tool: ToolSpec) -> str:
    shown = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return json.dumps(shown, ensure_ascii=False)
