"""Every event that a server may send. Source: API reference, "Server events"; fields in the recorded order."""

from typing import Literal, TypeAlias

from antiphon.protocol.base import UNSET, Absent, Wire
from antiphon.protocol.items import Item
from antiphon.protocol.response import Response
from antiphon.protocol.session_config import SessionObject

__all__ = [
    "AudioPart",
    "Conversation",
    "ConversationCreated",
    "ConversationItemAdded",
    "ConversationItemCreated",
    "ConversationItemDeleted",
    "ConversationItemDone",
    "ConversationItemInputAudioTranscriptionCompleted",
    "ConversationItemInputAudioTranscriptionDelta",
    "ConversationItemInputAudioTranscriptionFailed",
    "ConversationItemInputAudioTranscriptionSegment",
    "ConversationItemRetrieved",
    "ConversationItemTruncated",
    "DurationUsage",
    "Error",
    "ErrorBody",
    "InputAudioBufferCleared",
    "InputAudioBufferCommitted",
    "InputAudioBufferDtmfEventReceived",
    "InputAudioBufferSpeechStarted",
    "InputAudioBufferSpeechStopped",
    "InputAudioBufferTimeoutTriggered",
    "Logprob",
    "McpListToolsCompleted",
    "McpListToolsFailed",
    "McpListToolsInProgress",
    "OutputAudioBufferCleared",
    "OutputAudioBufferStarted",
    "OutputAudioBufferStopped",
    "Part",
    "RateLimit",
    "RateLimitsUpdated",
    "ResponseContentPartAdded",
    "ResponseContentPartDone",
    "ResponseCreated",
    "ResponseDone",
    "ResponseFunctionCallArgumentsDelta",
    "ResponseFunctionCallArgumentsDone",
    "ResponseMcpCallArgumentsDelta",
    "ResponseMcpCallArgumentsDone",
    "ResponseMcpCallCompleted",
    "ResponseMcpCallFailed",
    "ResponseMcpCallInProgress",
    "ResponseOutputAudioDelta",
    "ResponseOutputAudioDone",
    "ResponseOutputAudioTranscriptDelta",
    "ResponseOutputAudioTranscriptDone",
    "ResponseOutputItemAdded",
    "ResponseOutputItemDone",
    "ResponseOutputTextDelta",
    "ResponseOutputTextDone",
    "ServerEvent",
    "SessionCreated",
    "SessionUpdated",
    "TextPart",
    "TokenUsageDetails",
    "TokensUsage",
    "TranscriptionError",
    "TranscriptionLanguage",
    "TranscriptionUsage",
]


class _ServerEvent(Wire, kw_only=True, frozen=True):
    event_id: str


# --- session, errors -----------------------------------------------------------------------------------------------


class SessionCreated(_ServerEvent, tag="session.created", kw_only=True, frozen=True):
    session: SessionObject


class SessionUpdated(_ServerEvent, tag="session.updated", kw_only=True, frozen=True):
    session: SessionObject


class ErrorBody(Wire, kw_only=True, frozen=True):
    type: str
    code: str | None
    message: str
    param: str | None
    event_id: str | None
    """``event_id`` of the client event that caused it, if it had one."""


class Error(_ServerEvent, tag="error", kw_only=True, frozen=True):
    error: ErrorBody


class RateLimit(Wire, kw_only=True, frozen=True):
    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class RateLimitsUpdated(_ServerEvent, tag="rate_limits.updated", kw_only=True, frozen=True):
    rate_limits: list[RateLimit]


# --- conversation --------------------------------------------------------------------------------------------------


class Conversation(Wire, kw_only=True, frozen=True):
    id: str
    object: Literal["realtime.conversation"] = "realtime.conversation"


class ConversationCreated(_ServerEvent, tag="conversation.created", kw_only=True, frozen=True):
    conversation: Conversation


class _ItemEvent(_ServerEvent, kw_only=True, frozen=True):
    previous_item_id: str | None
    item: Item


class ConversationItemAdded(_ItemEvent, tag="conversation.item.added", kw_only=True, frozen=True):
    pass


class ConversationItemDone(_ItemEvent, tag="conversation.item.done", kw_only=True, frozen=True):
    pass


class ConversationItemCreated(_ItemEvent, tag="conversation.item.created", kw_only=True, frozen=True):
    """Beta dialect only."""


class ConversationItemRetrieved(_ServerEvent, tag="conversation.item.retrieved", kw_only=True, frozen=True):
    item: Item


class ConversationItemTruncated(_ServerEvent, tag="conversation.item.truncated", kw_only=True, frozen=True):
    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationItemDeleted(_ServerEvent, tag="conversation.item.deleted", kw_only=True, frozen=True):
    item_id: str


# --- input transcription -------------------------------------------------------------------------------------------


class Logprob(Wire, kw_only=True, frozen=True):
    token: str
    logprob: float
    bytes: list[int]


class TokenUsageDetails(Wire, kw_only=True, frozen=True):
    text_tokens: int
    audio_tokens: int


class TokensUsage(Wire, tag="tokens", kw_only=True, frozen=True):
    total_tokens: int
    input_tokens: int
    input_token_details: TokenUsageDetails
    output_tokens: int


class DurationUsage(Wire, tag="duration", kw_only=True, frozen=True):
    seconds: float


TranscriptionUsage: TypeAlias = TokensUsage | DurationUsage


class TranscriptionLanguage(Wire, kw_only=True, frozen=True):
    code: str


class TranscriptionError(Wire, kw_only=True, frozen=True):
    type: str
    code: str | None
    message: str
    param: str | Absent = UNSET
    """Never null: the JavaScript Agents SDK drops the event then."""


class ConversationItemInputAudioTranscriptionDelta(
    _ServerEvent, tag="conversation.item.input_audio_transcription.delta", kw_only=True, frozen=True
):
    item_id: str
    content_index: int
    delta: str
    logprobs: list[Logprob] | Absent | None = UNSET
    obfuscation: str | Absent = UNSET


class ConversationItemInputAudioTranscriptionCompleted(
    _ServerEvent, tag="conversation.item.input_audio_transcription.completed", kw_only=True, frozen=True
):
    item_id: str
    content_index: int
    transcript: str
    usage: TranscriptionUsage
    logprobs: list[Logprob] | Absent | None = UNSET
    languages: list[TranscriptionLanguage] | Absent = UNSET


class ConversationItemInputAudioTranscriptionSegment(
    _ServerEvent, tag="conversation.item.input_audio_transcription.segment", kw_only=True, frozen=True
):
    item_id: str
    content_index: int
    id: str
    text: str
    speaker: str
    start: float
    end: float


class ConversationItemInputAudioTranscriptionFailed(
    _ServerEvent, tag="conversation.item.input_audio_transcription.failed", kw_only=True, frozen=True
):
    item_id: str
    content_index: int
    error: TranscriptionError


# --- input audio buffer --------------------------------------------------------------------------------------------


class InputAudioBufferCommitted(_ServerEvent, tag="input_audio_buffer.committed", kw_only=True, frozen=True):
    previous_item_id: str | None
    item_id: str


class InputAudioBufferCleared(_ServerEvent, tag="input_audio_buffer.cleared", kw_only=True, frozen=True):
    pass


class InputAudioBufferSpeechStarted(_ServerEvent, tag="input_audio_buffer.speech_started", kw_only=True, frozen=True):
    audio_start_ms: int
    item_id: str


class InputAudioBufferSpeechStopped(_ServerEvent, tag="input_audio_buffer.speech_stopped", kw_only=True, frozen=True):
    audio_end_ms: int
    item_id: str


class InputAudioBufferTimeoutTriggered(
    _ServerEvent, tag="input_audio_buffer.timeout_triggered", kw_only=True, frozen=True
):
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class InputAudioBufferDtmfEventReceived(Wire, tag="input_audio_buffer.dtmf_event_received", kw_only=True, frozen=True):
    """The only event without an ``event_id``."""

    event: str
    received_at: int


# --- output audio buffer (paced transports) ------------------------------------------------------------------------


class OutputAudioBufferStarted(_ServerEvent, tag="output_audio_buffer.started", kw_only=True, frozen=True):
    response_id: str


class OutputAudioBufferStopped(_ServerEvent, tag="output_audio_buffer.stopped", kw_only=True, frozen=True):
    response_id: str


class OutputAudioBufferCleared(_ServerEvent, tag="output_audio_buffer.cleared", kw_only=True, frozen=True):
    response_id: str


# --- response ------------------------------------------------------------------------------------------------------


class ResponseCreated(_ServerEvent, tag="response.created", kw_only=True, frozen=True):
    response: Response


class ResponseDone(_ServerEvent, tag="response.done", kw_only=True, frozen=True):
    response: Response


class _OutputItemEvent(_ServerEvent, kw_only=True, frozen=True):
    response_id: str
    output_index: int
    item: Item


class ResponseOutputItemAdded(_OutputItemEvent, tag="response.output_item.added", kw_only=True, frozen=True):
    pass


class ResponseOutputItemDone(_OutputItemEvent, tag="response.output_item.done", kw_only=True, frozen=True):
    pass


class TextPart(Wire, tag="text", kw_only=True, frozen=True):
    text: str


class AudioPart(Wire, tag="audio", kw_only=True, frozen=True):
    transcript: str
    audio: bytes | Absent = UNSET
    """In the reference, never seen: the audio goes in its own deltas."""


Part: TypeAlias = TextPart | AudioPart
"""``text`` and ``audio``, while item content says ``output_text`` and ``output_audio``."""


class _PartPlace(_ServerEvent, kw_only=True, frozen=True):
    response_id: str
    item_id: str
    output_index: int
    content_index: int


class ResponseContentPartAdded(_PartPlace, tag="response.content_part.added", kw_only=True, frozen=True):
    part: Part


class ResponseContentPartDone(_PartPlace, tag="response.content_part.done", kw_only=True, frozen=True):
    part: Part


class ResponseOutputTextDelta(_PartPlace, tag="response.output_text.delta", kw_only=True, frozen=True):
    delta: str
    obfuscation: str | Absent = UNSET


class ResponseOutputTextDone(_PartPlace, tag="response.output_text.done", kw_only=True, frozen=True):
    text: str


class ResponseOutputAudioTranscriptDelta(
    _PartPlace, tag="response.output_audio_transcript.delta", kw_only=True, frozen=True
):
    delta: str
    obfuscation: str | Absent = UNSET


class ResponseOutputAudioTranscriptDone(
    _PartPlace, tag="response.output_audio_transcript.done", kw_only=True, frozen=True
):
    transcript: str


class ResponseOutputAudioDelta(_PartPlace, tag="response.output_audio.delta", kw_only=True, frozen=True):
    delta: bytes
    """Base64 on the wire: audio in the response's output format."""


class ResponseOutputAudioDone(_PartPlace, tag="response.output_audio.done", kw_only=True, frozen=True):
    pass


class ResponseFunctionCallArgumentsDelta(
    _ServerEvent, tag="response.function_call_arguments.delta", kw_only=True, frozen=True
):
    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str
    obfuscation: str | Absent = UNSET


class ResponseFunctionCallArgumentsDone(
    _ServerEvent, tag="response.function_call_arguments.done", kw_only=True, frozen=True
):
    response_id: str
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str


# --- MCP -----------------------------------------------------------------------------------------------------------


class _McpListTools(_ServerEvent, kw_only=True, frozen=True):
    item_id: str


class McpListToolsInProgress(_McpListTools, tag="mcp_list_tools.in_progress", kw_only=True, frozen=True):
    pass


class McpListToolsCompleted(_McpListTools, tag="mcp_list_tools.completed", kw_only=True, frozen=True):
    pass


class McpListToolsFailed(_McpListTools, tag="mcp_list_tools.failed", kw_only=True, frozen=True):
    pass


class ResponseMcpCallArgumentsDelta(_ServerEvent, tag="response.mcp_call_arguments.delta", kw_only=True, frozen=True):
    response_id: str
    item_id: str
    output_index: int
    delta: str
    obfuscation: str
    """Required: the JavaScript Agents SDK drops the event without it."""


class ResponseMcpCallArgumentsDone(_ServerEvent, tag="response.mcp_call_arguments.done", kw_only=True, frozen=True):
    response_id: str
    item_id: str
    output_index: int
    arguments: str


class _McpCall(_ServerEvent, kw_only=True, frozen=True):
    output_index: int
    item_id: str


class ResponseMcpCallInProgress(_McpCall, tag="response.mcp_call.in_progress", kw_only=True, frozen=True):
    pass


class ResponseMcpCallCompleted(_McpCall, tag="response.mcp_call.completed", kw_only=True, frozen=True):
    pass


class ResponseMcpCallFailed(_McpCall, tag="response.mcp_call.failed", kw_only=True, frozen=True):
    pass


ServerEvent: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | Error
    | RateLimitsUpdated
    | ConversationCreated
    | ConversationItemAdded
    | ConversationItemDone
    | ConversationItemCreated
    | ConversationItemRetrieved
    | ConversationItemTruncated
    | ConversationItemDeleted
    | ConversationItemInputAudioTranscriptionDelta
    | ConversationItemInputAudioTranscriptionCompleted
    | ConversationItemInputAudioTranscriptionSegment
    | ConversationItemInputAudioTranscriptionFailed
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | InputAudioBufferSpeechStarted
    | InputAudioBufferSpeechStopped
    | InputAudioBufferTimeoutTriggered
    | InputAudioBufferDtmfEventReceived
    | OutputAudioBufferStarted
    | OutputAudioBufferStopped
    | OutputAudioBufferCleared
    | ResponseCreated
    | ResponseDone
    | ResponseOutputItemAdded
    | ResponseOutputItemDone
    | ResponseContentPartAdded
    | ResponseContentPartDone
    | ResponseOutputTextDelta
    | ResponseOutputTextDone
    | ResponseOutputAudioTranscriptDelta
    | ResponseOutputAudioTranscriptDone
    | ResponseOutputAudioDelta
    | ResponseOutputAudioDone
    | ResponseFunctionCallArgumentsDelta
    | ResponseFunctionCallArgumentsDone
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | ResponseMcpCallArgumentsDelta
    | ResponseMcpCallArgumentsDone
    | ResponseMcpCallInProgress
    | ResponseMcpCallCompleted
    | ResponseMcpCallFailed
)
