"""From conversation items to a prompt that is always legal for a chat model. Pure; rules in the tests' tables.

- A call without a result gets a synthetic "no result yet"; results follow their calls; a result without a call, or a
  second one, is placed as text; calls that are incomplete or in progress and have no result are left out, and so is a
  second call with the id of an earlier one. Arguments that are no JSON object, as an interrupted call has them, become
  ``{}``: some servers refuse the whole prompt for them.
- An interrupted assistant item holds only what can have been heard.
- A user who went on after a turn that was taken to be over said one thing: one message, without the answers between of
  which next to nothing was heard.
- Whatever the model cannot take (images, audio) is replaced by words that say so.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from antiphon.audio.pcm import ms_to_samples
from antiphon.core.conversation import Entry
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.tool_names import legal_name
from antiphon.protocol.base import given
from antiphon.protocol.items import (
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    McpCall,
    Message,
    OutputAudio,
    OutputText,
)
from antiphon.vocabulary.llm import (
    AssistantMessage,
    AudioContent,
    ChatMessage,
    ImageContent,
    LlmCapabilities,
    SystemMessage,
    TextContent,
    ToolCall,
    ToolMessage,
    UserContent,
    UserMessage,
)

__all__ = ["estimated_tokens", "item_text", "messages_of", "part_text"]

_INAUDIBLE = "(inaudible)"
_SILENT = "(the user says nothing)"
_NO_RESULT = "No result yet."
_NOT_APPROVED = "The call waits for the user's approval."
_BYTES_PER_TOKEN = 3
_BARELY_SAMPLES = ms_to_samples(500, INPUT_HZ)
"""Nobody takes in what an answer says in so short a time."""


# --- words -----------------------------------------------------------------------------------------------------


def estimated_tokens(text: str) -> int:
    """A careful estimate, used until the model's own count is known."""
    return len(text.encode()) // _BYTES_PER_TOKEN + 1


def item_text(entry: Entry) -> str:
    """The words of an item as a prompt holds them, for counting."""
    match entry.item:
        case Message(content=content):
            return " ".join(filter(None, (part_text(entry, index) for index in range(len(content)))))
        case FunctionCall(name=name, arguments=arguments):
            return f"{name} {arguments}"
        case FunctionCallOutput(output=output):
            return output
        case McpCall() as call:
            return f"{call.name} {call.arguments} {_mcp_result(call)}"
        case _:
            return ""


# --- messages ------------------------------------------------------------------------------------------------------


def messages_of(
    instructions: str,
    entries: Iterable[Entry],
    capabilities: LlmCapabilities,
    *,
    mcp_names: Mapping[tuple[str, str], str] | None = None,
    now: float = math.inf,
) -> tuple[ChatMessage, ...]:
    """The chat messages of a prompt; ``instructions`` come first, as the system's words.

    ``mcp_names``: how the model knows the tools of MCP servers, by label and name; ``now``: what was sent can have been
    heard until then.
    """
    thread = _Thread(capabilities, list(entries), mcp_names or {}, now)
    if instructions:
        thread.messages.append(SystemMessage(instructions))
    for entry in thread.entries:
        if entry not in thread.unheard:
            thread.add(entry)
    return tuple(thread.messages)


@dataclass(slots=True)
class _Thread:
    capabilities: LlmCapabilities
    entries: list[Entry]
    mcp_names: Mapping[tuple[str, str], str]
    now: float
    messages: list[ChatMessage] = field(default_factory=list)
    results: dict[str, FunctionCallOutput] = field(init=False)
    """The first result of each call, wherever it stands."""
    calls: dict[str, str] = field(init=False)
    """Names of the called functions, by call id."""
    placed: set[str] = field(default_factory=set)
    """The calls that stand in the prompt already."""
    unheard: set[Entry] = field(default_factory=set)
    """Answers that were cut off by a user who had not been done."""
    joined: set[Entry] = field(default_factory=set)
    """What users went on to say: it belongs to their message before it."""

    def __post_init__(self) -> None:
        self.results = {}
        for entry in self.entries:
            if isinstance(entry.item, FunctionCallOutput):
                self.results.setdefault(entry.item.call_id, entry.item)
        self.calls = {
            entry.item.call_id: entry.item.name
            for entry in self.entries
            if isinstance(entry.item, FunctionCall) and isinstance(entry.item.call_id, str)
        }

        for place, entry in enumerate(self.entries):
            if entry.continues:
                self._join(entry, self.entries[:place])

    def _join(self, entry: Entry, before: Sequence[Entry]) -> None:
        between: list[Entry] = []
        for earlier in reversed(before):
            if isinstance(earlier.item, Message) and earlier.item.role == "user":
                self.joined.add(entry)
                self.unheard.update(between)
                return
            if not _says_nothing(earlier, self.now):
                return
            between.append(earlier)

    def add(self, entry: Entry) -> None:
        match entry.item:
            case Message(role="system"):
                self.messages.append(SystemMessage(item_text(entry)))
            case Message(role="user"):
                self._add_user(entry)
            case Message():
                if text := _assistant_text(entry, self.now):
                    self.messages.append(AssistantMessage(text))
            case FunctionCall():
                self._add_call(entry.item)
            case FunctionCallOutput():
                self._add_stray_result(entry.item)
            case McpCall() as call:
                self._add_mcp_call(entry.id, call)
            case _:
                pass

    def _add_user(self, entry: Entry) -> None:
        content = tuple(self._user_content(entry))
        last = self.messages[-1] if self.messages else None
        if entry in self.joined and entry.wordless:
            return  # it was a noise
        if entry in self.joined and isinstance(last, UserMessage):
            self.messages[-1] = UserMessage(_one_thought(last.content, content))
        else:
            self.messages.append(UserMessage(content))

    def _user_content(self, entry: Entry) -> Iterable[UserContent]:
        assert isinstance(entry.item, Message)
        for index, part in enumerate(entry.item.content):
            if isinstance(part, InputImage):
                if self.capabilities.images:
                    yield ImageContent(part.image_url, given(part.detail, "auto"))
                else:
                    yield TextContent(part_text(entry, index))
            elif isinstance(part, InputAudio) and self.capabilities.audio_in and index in entry.audio:
                yield AudioContent(bytes(entry.audio[index].data))
            elif entry.silent:
                yield TextContent(_SILENT)
            else:
                yield TextContent(part_text(entry, index))

    def _add_call(self, call: FunctionCall) -> None:
        call_id = call.call_id
        if not isinstance(call_id, str):
            return
        result = self.results.get(call_id)
        if call_id in self.placed or (result is None and call.status != "completed"):
            return
        self.placed.add(call_id)
        tool_call = ToolCall(call_id, call.name, _legal_arguments(call.arguments))
        self.messages.append(AssistantMessage(tool_calls=(tool_call,)))
        self.messages.append(ToolMessage(call_id, call.name, _NO_RESULT if result is None else result.output))

    def _add_stray_result(self, result: FunctionCallOutput) -> None:
        belongs = result.call_id in self.calls and self.results[result.call_id] is result
        if not belongs:
            name = self.calls.get(result.call_id, result.call_id)
            self.messages.append(UserMessage((TextContent(f"[result of {name}] {result.output}"),)))

    def _add_mcp_call(self, item_id: str, call: McpCall) -> None:
        """It is call and result in one item."""
        name = self.mcp_names.get((call.server_label, call.name)) or legal_name(call.name)
        call_id = item_id
        while call_id in self.calls or call_id in self.placed:
            call_id = f"mcp_{call_id}"
        self.placed.add(call_id)
        tool_call = ToolCall(call_id, name, _legal_arguments(call.arguments))
        self.messages.append(AssistantMessage(tool_calls=(tool_call,)))
        self.messages.append(ToolMessage(call_id, name, _mcp_result(call)))


def _says_nothing(entry: Entry, now: float) -> bool:
    """Whether it is an answer of which next to nothing was heard, or something that no prompt holds."""
    item = entry.item
    if not isinstance(item, Message):
        return not isinstance(item, FunctionCall | FunctionCallOutput | McpCall)
    if item.role != "assistant":
        return False
    if entry.playout is None:
        return item.status == "incomplete"
    return entry.playout.heard_by(now) <= _BARELY_SAMPLES


def _one_thought(said: tuple[UserContent, ...], more: tuple[UserContent, ...]) -> tuple[UserContent, ...]:
    if said and more and isinstance(said[-1], TextContent) and isinstance(more[0], TextContent):
        return (*said[:-1], TextContent(f"{said[-1].text} {more[0].text}".rstrip()), *more[1:])
    return (*said, *more)


def _mcp_result(call: McpCall) -> str:
    if call.output is not None:
        return call.output
    if call.error:
        return f"Error: {call.error.message}"
    return _NOT_APPROVED if call.approval_request_id else _NO_RESULT


def _legal_arguments(arguments: str) -> str:
    try:
        legal = isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, RecursionError):
        legal = False
    return arguments if legal else "{}"


def _assistant_text(entry: Entry, now: float) -> str:
    """What an assistant message said; where its audio was cut short, what can have been heard of it."""
    text = item_text(entry)
    playout = entry.playout
    # A truncated item holds its heard words already; one that nobody stopped is, or will be, heard to its end.
    if playout is None or playout.heard_samples is not None or (playout.whole and playout.stopped_s is None):
        return text
    return playout.text_by(text, now)


def part_text(entry: Entry, index: int) -> str:
    """The words of one content part of a message."""
    assert isinstance(entry.item, Message)
    match entry.item.content[index]:
        case InputText(text=text) | OutputText(text=text):
            return text
        case InputAudio(transcript=transcript):
            return transcript or _INAUDIBLE
        case OutputAudio(transcript=transcript):
            return given(transcript, "")
        case InputImage():
            return entry.images[index].words
