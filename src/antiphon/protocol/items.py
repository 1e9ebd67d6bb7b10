"""Conversation items and their content parts. Source: API reference, "conversation.item.*".

Absent fields are never sent as null: the JavaScript Agents SDK drops such items from its history. The
codec takes a null that a peer sends for a field left out, so that none is ever held.
"""

from typing import Any, Literal, TypeAlias

from antiphon.protocol.base import UNSET, Absent, ItemId, Wire

__all__ = [
    "ContentPart",
    "FunctionCall",
    "FunctionCallOutput",
    "InputAudio",
    "InputImage",
    "InputText",
    "Item",
    "ItemReference",
    "ItemStatus",
    "McpApprovalRequest",
    "McpApprovalResponse",
    "McpCall",
    "McpError",
    "McpHttpError",
    "McpListTools",
    "McpProtocolError",
    "McpToolDescription",
    "McpToolExecutionError",
    "Message",
    "OutputAudio",
    "OutputText",
    "ResponseInputItem",
    "Role",
]

ItemStatus: TypeAlias = Literal["completed", "incomplete", "in_progress"]
Role: TypeAlias = Literal["system", "user", "assistant"]
Object: TypeAlias = Literal["realtime.item"]


class InputText(Wire, tag="input_text", kw_only=True, frozen=True):
    text: str


class InputAudio(Wire, tag="input_audio", kw_only=True, frozen=True):
    audio: bytes | Absent = UNSET
    """Base64 on the wire, in the session's input format. Only sent by ``conversation.item.retrieved``."""
    transcript: str | None = None
    """Always sent, null until it is known: a missing key crashes clients of the JavaScript Agents SDK."""


class InputImage(Wire, tag="input_image", kw_only=True, frozen=True):
    image_url: str
    detail: Literal["auto", "low", "high"] | Absent = UNSET


class OutputText(Wire, tag="output_text", kw_only=True, frozen=True):
    text: str


class OutputAudio(Wire, tag="output_audio", kw_only=True, frozen=True):
    transcript: str | Absent = UNSET
    audio: bytes | Absent = UNSET


ContentPart: TypeAlias = InputText | InputAudio | InputImage | OutputText | OutputAudio


class Message(Wire, tag="message", kw_only=True, frozen=True):
    role: Role
    content: list[ContentPart]
    id: ItemId | Absent = UNSET
    status: ItemStatus | Absent = UNSET
    object: Object | Absent = UNSET
    phase: Literal["commentary", "final_answer"] | Absent = UNSET


class FunctionCall(Wire, tag="function_call", kw_only=True, frozen=True):
    name: str
    arguments: str
    """A JSON text."""
    call_id: str | Absent = UNSET
    id: ItemId | Absent = UNSET
    status: ItemStatus | Absent = UNSET
    object: Object | Absent = UNSET


class FunctionCallOutput(Wire, tag="function_call_output", kw_only=True, frozen=True):
    call_id: str
    output: str
    id: ItemId | Absent = UNSET
    status: ItemStatus | Absent = UNSET
    object: Object | Absent = UNSET


class McpToolDescription(Wire, kw_only=True, frozen=True):
    name: str
    input_schema: Any
    description: str | Absent = UNSET
    annotations: Any = UNSET


class McpListTools(Wire, tag="mcp_list_tools", kw_only=True, frozen=True):
    server_label: str
    tools: list[McpToolDescription]
    id: ItemId | Absent = UNSET


class McpProtocolError(Wire, tag="protocol_error", kw_only=True, frozen=True):
    code: int
    message: str


class McpToolExecutionError(Wire, tag="tool_execution_error", kw_only=True, frozen=True):
    message: str


class McpHttpError(Wire, tag="http_error", kw_only=True, frozen=True):
    code: int
    message: str


McpError: TypeAlias = McpProtocolError | McpToolExecutionError | McpHttpError


class McpCall(Wire, tag="mcp_call", kw_only=True, frozen=True):
    server_label: str
    name: str
    arguments: str
    id: ItemId | Absent = UNSET
    approval_request_id: str | Absent = UNSET
    output: str | None = None
    """Always sent, null until it is known: the JavaScript Agents SDK fails on an item without it."""
    error: McpError | Absent = UNSET


class McpApprovalRequest(Wire, tag="mcp_approval_request", kw_only=True, frozen=True):
    server_label: str
    name: str
    arguments: str
    id: ItemId | Absent = UNSET


class McpApprovalResponse(Wire, tag="mcp_approval_response", kw_only=True, frozen=True):
    approval_request_id: str
    approve: bool
    id: ItemId | Absent = UNSET
    reason: str | Absent = UNSET


Item: TypeAlias = (
    Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse
)


class ItemReference(Wire, tag="item_reference", kw_only=True, frozen=True):
    id: ItemId


ResponseInputItem: TypeAlias = (
    Message
    | FunctionCall
    | FunctionCallOutput
    | McpListTools
    | McpCall
    | McpApprovalRequest
    | McpApprovalResponse
    | ItemReference
)
