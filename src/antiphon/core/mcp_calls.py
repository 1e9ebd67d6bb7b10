"""Calls of MCP tools: asked for by the model, approved where that is required, made by the server, ended once.

The items belong to a response; a call that waits for its approval outlives it. A call's output is for the client's
next ``response.create``: as with the API's own servers nothing is answered by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import structs

from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Effects, sendable
from antiphon.core.inputs import McpCallFailed, McpCallFinished
from antiphon.core.limits import Limits
from antiphon.core.outputs import CallMcpTool, MeasureItem, StopMcp
from antiphon.core.prompt import item_text
from antiphon.core.tool_offer import OfferedTool
from antiphon.protocol.base import given
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import (
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpError,
    McpHttpError,
    McpProtocolError,
    McpToolExecutionError,
)
from antiphon.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDone,
    ResponseMcpCallArgumentsDelta,
    ResponseMcpCallArgumentsDone,
    ResponseMcpCallCompleted,
    ResponseMcpCallFailed,
    ResponseMcpCallInProgress,
    ResponseOutputItemDone,
)
from antiphon.vocabulary.mcp import McpFault

__all__ = ["McpCalls", "OpenMcpCall"]

_INVALID_PARAMS = -32602
"""JSON-RPC."""


@dataclass(slots=True, eq=False)
class OpenMcpCall:
    """A call from its first piece on."""

    entry: Entry
    response_id: str
    output_index: int
    tool: OfferedTool
    in_conversation: bool
    pieces: list[str] = field(default_factory=list)
    has_begun: bool = False
    """Its arguments are complete."""
    is_done: bool = False
    """For its response, which may be over before the call is."""

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


class McpCalls:
    def __init__(self, effects: Effects, conversation: Conversation, limits: Limits) -> None:
        self._effects = effects
        self._conversation = conversation
        self._limits = limits
        self._running: dict[str, OpenMcpCall] = {}
        self._unapproved: dict[str, OpenMcpCall] = {}
        """By the id of the approval request."""

    # --- in a response ---------------------------------------------------------------------------------------------

    def add(self, call: OpenMcpCall, arguments_delta: str) -> None:
        call.pieces.append(arguments_delta)
        self._effects.emit(
            ResponseMcpCallArgumentsDelta(
                event_id=self._effects.event_id(),
                response_id=call.response_id,
                item_id=call.entry.id,
                output_index=call.output_index,
                delta=arguments_delta,
                obfuscation=self._effects.padding(arguments_delta),
            )
        )

    def begin(self, call: OpenMcpCall) -> None:
        """The arguments are complete: make the call, or ask whether it may be made."""
        arguments = self._arguments_done(call)
        if arguments is None:
            self._fail(call, McpProtocolError(code=_INVALID_PARAMS, message="The arguments are no JSON object."))
        elif self._is_lost(call):
            self._fail(call, McpToolExecutionError(message="The call was not made: its item was deleted."))
        elif call.tool.needs_approval:
            self._ask(call)
        else:
            self._make(call, arguments)

    def abandon(self, call: OpenMcpCall, why: str) -> None:
        """The response ends otherwise than completed; the call was not made."""
        self._arguments_done(call)
        self._fail(call, McpToolExecutionError(message=f"The call was not made: {why}."))

    def is_running(self, call: OpenMcpCall) -> bool:
        return call.entry.id in self._running

    def stop(self, call: OpenMcpCall, why: str) -> None:
        """Stop it if it runs; whether the tool did its work is not known then."""
        if self._running.pop(call.entry.id, None) is not None:
            self._effects.order(StopMcp(call.entry.id))
            self._fail(call, McpToolExecutionError(message=f"The call was stopped: {why}."))

    # --- what comes of it ------------------------------------------------------------------------------------------

    def finished(self, fact: McpCallFinished) -> None:
        call = self._running.pop(fact.item_id, None)
        if call is None:
            return
        output = _cut(sendable(fact.output), self._limits.mcp_output_bytes)
        size_bytes = len(output.encode())
        if self._conversation.received_bytes + size_bytes > self._limits.text_bytes:
            message = "Lists and outputs of MCP servers fill the conversation; delete some of these items."
            self._fail(call, McpToolExecutionError(message=message))
            return
        call.entry.received_bytes = size_bytes
        call.entry.item = structs.replace(_item_of(call), output=output)
        self._effects.emit(
            ResponseMcpCallCompleted(
                event_id=self._effects.event_id(), output_index=call.output_index, item_id=call.entry.id
            )
        )
        self._done(call)

    def failed(self, fact: McpCallFailed) -> None:
        call = self._running.pop(fact.item_id, None)
        if call is not None:
            self._fail(call, _error_of(fact.fault, self._limits.mcp_output_bytes))

    # --- approval --------------------------------------------------------------------------------------------------

    def check_answer(self, item: McpApprovalResponse) -> None:
        """Raises ``ProtocolError`` where nobody has asked, or it was answered before."""
        if item.approval_request_id not in self._unapproved:
            raise ProtocolError(
                "invalid_value",
                f"Invalid 'item.approval_request_id': no call waits for the approval "
                f"'{item.approval_request_id[:128]}'.",
                "item.approval_request_id",
            )

    def answer(self, item: McpApprovalResponse) -> None:
        call = self._unapproved.pop(item.approval_request_id)
        if item.approve:
            self._make(call, _object_of(call.arguments) or {})
            return
        reason = given(item.reason, "")
        message = f"The call was not approved: {reason}" if reason else "The call was not approved."
        self._fail(call, McpToolExecutionError(message=message))

    # --- its item goes, or the session -----------------------------------------------------------------------------

    def drop_lost(self) -> None:
        """Calls whose item, or whose question for approval, was deleted are made no more."""
        for call in list(self._running.values()):
            if self._is_lost(call):
                self.stop(call, "its item was deleted")
        for request_id, call in list(self._unapproved.items()):
            if self._is_lost(call) or self._conversation.get(request_id) is None:
                del self._unapproved[request_id]
                self._fail(call, McpToolExecutionError(message="The call was not approved."))

    def stop_all(self) -> None:
        """The session ends; nobody is left to be told."""
        for item_id in self._running:
            self._effects.order(StopMcp(item_id))
        self._running.clear()
        self._unapproved.clear()

    # --- steps -----------------------------------------------------------------------------------------------------

    def _is_lost(self, call: OpenMcpCall) -> bool:
        return call.in_conversation and self._conversation.get(call.entry.id) is not call.entry

    def _arguments_done(self, call: OpenMcpCall) -> dict[str, Any] | None:
        """Says that they are complete. None where they are no JSON object."""
        call.has_begun = True
        arguments = call.arguments
        call.entry.item = structs.replace(_item_of(call), arguments=arguments)
        self._effects.emit(
            ResponseMcpCallArgumentsDone(
                event_id=self._effects.event_id(),
                response_id=call.response_id,
                item_id=call.entry.id,
                output_index=call.output_index,
                arguments=arguments,
            )
        )
        return _object_of(arguments)

    def _ask(self, call: OpenMcpCall) -> None:
        request_id = self._effects.new_id("item")
        item = _item_of(call)
        request = McpApprovalRequest(
            id=request_id, server_label=item.server_label, name=item.name, arguments=item.arguments
        )
        call.entry.item = structs.replace(item, approval_request_id=request_id)
        self._unapproved[request_id] = call
        previous = self._conversation.add(Entry(request, request_id))
        for kind in (ConversationItemAdded, ConversationItemDone):
            self._effects.emit(kind(event_id=self._effects.event_id(), previous_item_id=previous, item=request))
        self._leave_response(call)

    def _make(self, call: OpenMcpCall, arguments: Mapping[str, Any]) -> None:
        if len(self._running) >= self._limits.mcp_calls:
            most = self._limits.mcp_calls
            self._fail(call, McpToolExecutionError(message=f"More than {most} calls at a time are not made."))
            return
        self._running[call.entry.id] = call
        self._effects.emit(
            ResponseMcpCallInProgress(
                event_id=self._effects.event_id(), output_index=call.output_index, item_id=call.entry.id
            )
        )
        tool = call.tool
        self._effects.order(CallMcpTool(call.entry.id, tool.label, tool.definition.server, tool.info.name, arguments))

    def _fail(self, call: OpenMcpCall, error: McpError) -> None:
        call.entry.item = structs.replace(_item_of(call), error=error)
        self._effects.emit(
            ResponseMcpCallFailed(
                event_id=self._effects.event_id(), output_index=call.output_index, item_id=call.entry.id
            )
        )
        self._done(call)

    def _done(self, call: OpenMcpCall) -> None:
        entry = call.entry
        if call.in_conversation and not self._is_lost(call):
            self._effects.order(MeasureItem(entry.id, item_text(entry)))
            previous = self._conversation.previous_id(entry.id)
            self._effects.emit(
                ConversationItemDone(event_id=self._effects.event_id(), previous_item_id=previous, item=entry.item)
            )
        if not call.is_done:
            self._leave_response(call)

    def _leave_response(self, call: OpenMcpCall) -> None:
        call.is_done = True
        self._effects.emit(
            ResponseOutputItemDone(
                event_id=self._effects.event_id(),
                response_id=call.response_id,
                output_index=call.output_index,
                item=call.entry.item,
            )
        )


def _item_of(call: OpenMcpCall) -> McpCall:
    assert isinstance(call.entry.item, McpCall)
    return call.entry.item


def _object_of(arguments: str) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _error_of(fault: McpFault, max_bytes: int) -> McpError:
    message = _cut(sendable(fault.message), max_bytes)
    if fault.kind == "protocol":
        return McpProtocolError(code=fault.code, message=message)
    if fault.kind == "http":
        return McpHttpError(code=fault.code, message=message)
    return McpToolExecutionError(message=message)


def _cut(text: str, max_bytes: int) -> str:
    encoded = text.encode()
    if len(encoded) <= max_bytes:
        return text
    return f"{encoded[:max_bytes].decode(errors='ignore')}\n[cut here: {len(encoded)} bytes in all]"
