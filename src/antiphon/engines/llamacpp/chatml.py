"""A request as ChatML text. Pure.

The marks of a turn are kept apart from the words: they are looked up as tokens, the words never are, so no user text
can open or close a turn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from antiphon.engines.llamacpp.tool_prompt import (
    call_text,
    former_calls,
    may_call,
    reminder,
    result_text,
    told_text,
    tool_block,
)
from antiphon.vocabulary.llm import (
    AssistantMessage,
    AudioContent,
    ChatMessage,
    ImageContent,
    LlmRequest,
    SystemMessage,
    TextContent,
    ToolMessage,
    UserContent,
    UserMessage,
)

__all__ = ["END", "START", "Mark", "Part", "for_generation", "for_prefill"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A control token."""

    text: str


START = Mark("<|im_start|>")
END = Mark("<|im_end|>")

Part = Mark | str

_UNSEEN = "(something that you cannot see or hear)"


def for_generation(request: LlmRequest) -> tuple[list[Part], list[Part]]:
    """The prompt's first turn (the system's; empty if there is none), and the rest, up to the model's own turn."""
    head, turns = _head_and_turns(request)
    if turns and request.messages and isinstance(request.messages[-1], UserMessage):
        role, text = turns[-1]
        turns = [*turns[:-1], (role, text + reminder(request))]
    return head, [*(part for turn in turns for part in _closed(turn)), START, "assistant\n"]


def for_prefill(request: LlmRequest) -> tuple[list[Part], list[Part]]:
    """As ``for_generation``, but the last turn is left open: the user may go on."""
    head, turns = _head_and_turns(request)
    closed = [part for turn in turns[:-1] for part in _closed(turn)]
    return head, closed + [part for turn in turns[-1:] for part in _opened(turn)]


def _head_and_turns(request: LlmRequest) -> tuple[list[Part], list[tuple[str, str]]]:
    turns = _turns(request)
    if turns[0][0] == "system":
        return _closed(turns[0]), turns[1:]
    return [], turns


def _opened(turn: tuple[str, str]) -> list[Part]:
    role, text = turn
    return [START, f"{role}\n{text}"]


def _closed(turn: tuple[str, str]) -> list[Part]:
    return [*_opened(turn), END, "\n"]


def _turns(request: LlmRequest) -> list[tuple[str, str]]:
    """(role, text) of each turn; at least one."""
    messages: Sequence[ChatMessage] = request.messages
    block = tool_block(request)
    turns: list[tuple[str, str]] = []
    if block:
        instructions = ""
        if messages and isinstance(messages[0], SystemMessage):
            instructions, messages = messages[0].text, messages[1:]
        turns.append(("system", f"{instructions}\n\n{block}".strip()))
    turns += _history(messages) if may_call(request) else _history_without_calls(messages)
    return turns or [("user", "")]


def _history(messages: Sequence[ChatMessage]) -> Iterator[tuple[str, str]]:
    for is_result, group in groupby(messages, lambda message: isinstance(message, ToolMessage)):
        if is_result:
            yield "user", result_text([message.output for message in group if isinstance(message, ToolMessage)])
        else:
            yield from (_turn(message) for message in group)


def _history_without_calls(messages: Sequence[ChatMessage]) -> list[tuple[str, str]]:
    """Results become words of the user's turn that they stand behind or before; calls are left out."""
    calls = former_calls(messages)
    turns: list[tuple[str, str]] = []
    after_result = False
    for message in messages:
        is_result = isinstance(message, ToolMessage)
        match message:
            case ToolMessage(call_id=call_id):
                role, text = "user", told_text(message, calls.get(call_id))
            case AssistantMessage("", tool_calls) if tool_calls:
                continue
            case AssistantMessage(text):
                role = "assistant"
            case _:
                role, text = _turn(message)
        if turns and role == turns[-1][0] == "user" and (is_result or after_result):
            turns[-1] = role, f"{turns[-1][1]}\n{text}"
        else:
            turns.append((role, text))
        after_result = is_result
    return turns


def _turn(message: ChatMessage) -> tuple[str, str]:
    match message:
        case SystemMessage(text):
            return "system", text
        case UserMessage(content):
            return "user", "\n".join(_words(part) for part in content)
        case AssistantMessage(text, calls):
            return "assistant", "\n".join([*([text] if text else []), *map(call_text, calls)])
        case ToolMessage(output=output):
            return "user", result_text([output])


def _words(part: UserContent) -> str:
    match part:
        case TextContent(text):
            return text
        case ImageContent() | AudioContent():
            return _UNSEEN
