"""One response: its output items, and every event of its life in the documented order.

A response is *announced* (``response.created``), may *wait* for transcripts that its prompt needs and for lists of
tools, *generates*, *calls* the MCP tools that it asked for, and is *closed* once.
"""

from dataclasses import dataclass

from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Effects
from antiphon.core.inputs import AudioProduced
from antiphon.core.mcp_calls import McpCalls, OpenMcpCall
from antiphon.core.output_audio import OutputAudio
from antiphon.core.outputs import MeasureItem
from antiphon.core.playout import Playout
from antiphon.core.prompt import item_text
from antiphon.core.response_input import OwnPrompt
from antiphon.core.response_items import OpenCall, OpenMessage
from antiphon.core.response_plan import ResponsePlan
from antiphon.core.tool_offer import OfferedTool, ToolOffer
from antiphon.core.usage import PromptSize, usage_of
from antiphon.protocol.base import UNSET
from antiphon.protocol.items import FunctionCall, Item, ItemStatus, McpCall, Message
from antiphon.protocol.response import (
    Response,
    ResponseAudio,
    ResponseAudioOutput,
    ResponseError,
    ResponseStatus,
    StatusDetails,
    StatusReason,
    Usage,
)
from antiphon.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    RateLimit,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
)
from antiphon.vocabulary.llm import TokenUsage

__all__ = ["ActiveResponse", "Outcome"]

_ENDED = {"cancelled": "cancelled", "failed": "not completed", "incomplete": "not completed", "completed": "over"}
_UNLIMITED = 1_000_000_000
"""A server of one's own has no rate limit; clients expect the event all the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a response ends."""

    status: ResponseStatus
    reason: StatusReason | None = None
    error: ResponseError | None = None

    @property
    def details(self) -> StatusDetails | None:
        if self.status == "completed" or self.status == "in_progress":
            return None
        return StatusDetails(type=self.status, reason=self.reason or UNSET, error=self.error or UNSET)


@dataclass(frozen=True, slots=True)
class _Generated:
    """How its generation ended."""

    outcome: Outcome
    usage: TokenUsage


class ActiveResponse:
    """A response between ``response.created`` and ``response.done``."""

    def __init__(
        self,
        plan: ResponsePlan,
        prompt: OwnPrompt,
        *,
        conversation: Conversation | None,
        conversation_id: str,
        effects: Effects,
        output_audio: OutputAudio,
        mcp_calls: McpCalls,
    ) -> None:
        """``prompt``: the items as they were when it was asked for; ``conversation`` None: out of band."""
        self.id = effects.new_id("resp")
        self.plan = plan
        self.entries = prompt.entries
        self.own = prompt.own
        """Items of its prompt that nobody else has."""
        self.generating = False
        self.retried = False
        self.offer = ToolOffer()
        """What the model may call; known when the generation is ordered."""
        self.first_item_id = effects.new_id("item")
        self._conversation = conversation
        self._conversation_id = conversation_id if conversation is not None else None
        self._effects = effects
        self._output_audio = output_audio
        self._mcp_calls = mcp_calls
        self._output: list[OpenMessage | OpenCall | OpenMcpCall] = []
        self._calls: dict[int, OpenCall | OpenMcpCall] = {}
        self._generated: _Generated | None = None
        self.prompt_size = PromptSize()
        """What its prompt is made of, once it is asked for."""
        self._chunks = 0
        self._text_length = 0
        self._audio_samples = 0

    def waits(self, *, audio_in: bool) -> bool:
        """Whether it needs the words of audio or images that are still being heard or read."""
        return any(entry.lacks_words(audio_in=audio_in) for entry in self.entries)

    @property
    def can_be_cut(self) -> bool:
        """Whether it may be tried again with less of the conversation."""
        return not self.retried and not self._output and self.plan.truncation != "disabled" and len(self.entries) > 1

    @property
    def ends_turn(self) -> bool:
        """Whether it said something to the user, and waits for nobody but them."""
        speaks = self._conversation is not None and bool(self._output)
        return speaks and not any(isinstance(out, OpenCall | OpenMcpCall) for out in self._output)

    @property
    def is_generating(self) -> bool:
        """Whether its engines are at work."""
        return self.generating and self._generated is None

    @property
    def has_called(self) -> bool:
        """Whether it was only the calls of MCP tools that it had to wait for, and they are over."""
        return self._generated is not None and not any(map(self._mcp_calls.is_running, self._mcp()))

    def _mcp(self) -> list[OpenMcpCall]:
        return [out for out in self._output if isinstance(out, OpenMcpCall)]

    @property
    def only_speaks(self) -> bool:
        """Whether nothing but speech is still to come of a response that has called a tool."""
        return bool(self._calls) and all(call.is_done for call in self._calls.values())

    def owns(self, item_id: str) -> bool:
        return any(out.entry.id == item_id for out in self._output)

    def announce(self) -> None:
        self._effects.emit(
            ResponseCreated(event_id=self._effects.event_id(), response=self._wire(Outcome("in_progress"), None))
        )

    def started(self, offer: ToolOffer, size: PromptSize) -> None:
        """Its engines are told to begin."""
        self.generating = True
        self.offer = offer
        self.prompt_size = size

    # --- while it generates ----------------------------------------------------------------------------------------

    def add_text(self, text: str) -> None:
        if not text:
            return
        last = self._output[-1] if self._output else None
        message = last if isinstance(last, OpenMessage) else self._open_message()
        self._text_length += len(text)
        self._chunks += 1
        message.add(text, self._effects)

    def add_call(self, index: int, name: str, arguments_delta: str) -> None:
        if self._calls and index not in self._calls and not self.plan.parallel_tool_calls:
            return  # one call was asked for; not every engine can be held to that
        call = self._calls.get(index) or self._open_call(index, name)
        if not arguments_delta or call.is_done or (isinstance(call, OpenMcpCall) and call.has_begun):
            return
        self._chunks += 1
        if isinstance(call, OpenMcpCall):
            self._mcp_calls.add(call, arguments_delta)
        else:
            call.add(arguments_delta, self._effects)

    def end_writing(self) -> None:
        """Its calls are complete: they can be answered while the speech goes on."""
        for call in self._calls.values():
            if isinstance(call, OpenMcpCall):
                if not call.has_begun:
                    self._mcp_calls.begin(call)
            elif not call.is_done:
                call.is_done = True
                self._close_item(call, "completed")

    def add_audio(self, spoken: AudioProduced) -> Entry | None:
        """Give speech to whoever plays it. Returns the entry that grew; None if no message speaks that text."""
        message = self._message_at(spoken.text_start)
        if message is None or message.entry.playout is None:
            return None
        start = min(max(0, spoken.text_start - message.text_start), message.length)
        end = min(max(0, spoken.text_end - message.text_start), message.length)
        for earlier in self._output[: message.output_index]:
            if earlier.entry.playout is not None:
                earlier.entry.playout.whole = True
        in_conversation = self._conversation is not None
        self._output_audio.play(message, spoken, start, end, in_conversation=in_conversation)
        self._audio_samples += spoken.samples
        if in_conversation:
            message.entry.keep_audio(0, spoken.audio, self._output_audio.format_of(self.plan.format.type))
        return message.entry

    def _message_at(self, text_start: int) -> OpenMessage | None:
        messages = [out for out in self._output if isinstance(out, OpenMessage)]
        return next((out for out in reversed(messages) if out.text_start <= text_start), None)

    def _open_message(self) -> OpenMessage:
        item_id = self._effects.new_id("item") if self._output else self.first_item_id
        item = Message(id=item_id, status="in_progress", role="assistant", content=[])
        entry = Entry(item, item_id, playout=Playout(self.plan.speed) if self.plan.modality == "audio" else None)
        message = OpenMessage(entry, self.id, len(self._output), self.plan.modality, self._text_length)
        self._open(message)
        message.begin(self._effects)
        return message

    def _open_call(self, index: int, name: str) -> OpenCall | OpenMcpCall:
        item_id = self._effects.new_id("item") if self._output else self.first_item_id
        if (tool := self.offer.mcp.get(name)) is not None:
            return self._open_mcp_call(index, item_id, tool)
        call_id = self._effects.new_id("call")
        item = FunctionCall(id=item_id, status="in_progress", name=name, call_id=call_id, arguments="")
        call = OpenCall(Entry(item, item_id), self.id, len(self._output), call_id, name)
        self._calls[index] = call
        self._open(call)
        return call

    def _open_mcp_call(self, index: int, item_id: str, tool: OfferedTool) -> OpenMcpCall:
        item = McpCall(id=item_id, server_label=tool.label, name=tool.info.name, arguments="")
        in_conversation = self._conversation is not None
        call = OpenMcpCall(Entry(item, item_id), self.id, len(self._output), tool, in_conversation)
        self._calls[index] = call
        self._open(call)
        return call

    def _open(self, out: OpenMessage | OpenCall | OpenMcpCall) -> None:
        self._output.append(out)
        self._effects.emit(
            ResponseOutputItemAdded(
                event_id=self._effects.event_id(),
                response_id=self.id,
                output_index=out.output_index,
                item=out.entry.item,
            )
        )
        if self._conversation is not None:
            previous = self._conversation.add(out.entry)
            self._effects.emit(
                ConversationItemAdded(event_id=self._effects.event_id(), previous_item_id=previous, item=out.entry.item)
            )

    # --- its end ---------------------------------------------------------------------------------------------------

    def end_generation(self, outcome: Outcome, usage: TokenUsage) -> None:
        """Every ``*.done`` with what exists; calls of MCP tools begin, if it has completed."""
        self._generated = _Generated(outcome, usage)
        status: ItemStatus = "completed" if outcome.status == "completed" else "incomplete"
        whole = outcome.status in ("completed", "incomplete")
        for out in self._output:
            if out.entry.playout is not None:
                out.entry.playout.whole |= whole
            if not isinstance(out, OpenMcpCall) and not (isinstance(out, OpenCall) and out.is_done):
                self._close_item(out, status)
        for call in self._mcp():
            if call.has_begun:
                continue
            if outcome.status == "completed":
                self._mcp_calls.begin(call)
            else:
                self._mcp_calls.abandon(call, f"the response was {_ENDED[outcome.status]}")

    def close(self, outcome: Outcome | None = None, usage: TokenUsage | None = None) -> None:
        """Whatever is still open, then ``response.done`` and ``rate_limits.updated``.

        Without an outcome: as its generation ended.
        """
        if self._generated is None:
            assert outcome is not None
            self.end_generation(outcome, usage or TokenUsage())
        assert self._generated is not None
        outcome, usage = outcome or self._generated.outcome, self._generated.usage
        for call in self._mcp():
            self._mcp_calls.stop(call, f"the response was {_ENDED[outcome.status]}")
        self._effects.emit(
            ResponseDone(event_id=self._effects.event_id(), response=self._wire(outcome, self._usage(usage)))
        )
        limit = RateLimit(name="tokens", limit=_UNLIMITED, remaining=_UNLIMITED, reset_seconds=0.0)
        self._effects.emit(RateLimitsUpdated(event_id=self._effects.event_id(), rate_limits=[limit]))
        self._output_audio.finished(self.id)

    def _close_item(self, out: OpenMessage | OpenCall, status: ItemStatus) -> None:
        item: Item = out.end(status, self._effects)
        out.entry.item = item
        if self._conversation is not None and self._conversation.get(out.entry.id) is out.entry:
            self._effects.order(MeasureItem(out.entry.id, item_text(out.entry)))
            previous = self._conversation.previous_id(out.entry.id)
            self._effects.emit(
                ConversationItemDone(event_id=self._effects.event_id(), previous_item_id=previous, item=item)
            )
        self._effects.emit(
            ResponseOutputItemDone(
                event_id=self._effects.event_id(), response_id=self.id, output_index=out.output_index, item=item
            )
        )

    def _usage(self, counted: TokenUsage) -> Usage:
        """A response that was stopped or failed has no count: then the estimate, and a token for each piece."""
        if counted == TokenUsage() and self.generating:
            counted = TokenUsage(input_tokens=self.prompt_size.tokens, output_tokens=self._chunks)
        return usage_of(self.prompt_size, counted, spoken_samples=self._audio_samples)

    def _wire(self, outcome: Outcome, usage: Usage | None) -> Response:
        plan = self.plan
        return Response(
            id=self.id,
            status=outcome.status,
            status_details=outcome.details,
            output=[] if outcome.status == "in_progress" else [out.entry.item for out in self._output],
            conversation_id=self._conversation_id,
            output_modalities=[plan.modality],
            max_output_tokens=plan.max_output_tokens,
            audio=ResponseAudio(output=ResponseAudioOutput(format=plan.format, voice=plan.voice)),
            usage=usage,
            metadata=plan.metadata,
        )
