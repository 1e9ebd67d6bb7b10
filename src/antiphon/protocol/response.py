"""The response object, its overrides and its usage. Source: API reference, "response.create" and "response.done"."""

from typing import Literal, TypeAlias

from antiphon.protocol.base import UNSET, Absent, Opt, Wire
from antiphon.protocol.items import Item, ResponseInputItem
from antiphon.protocol.session_config import (
    AudioFormat,
    AudioFormatUpdate,
    MaxOutputTokens,
    Modality,
    PromptReference,
    Reasoning,
    Tool,
    ToolChoice,
    VoiceId,
)

__all__ = [
    "CachedTokensDetails",
    "InputTokenDetails",
    "OutputTokenDetails",
    "Response",
    "ResponseAudio",
    "ResponseAudioOutput",
    "ResponseAudioOutputUpdate",
    "ResponseAudioUpdate",
    "ResponseError",
    "ResponseOverrides",
    "ResponseStatus",
    "StatusDetails",
    "StatusReason",
    "Usage",
]

ResponseStatus: TypeAlias = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
StatusReason: TypeAlias = Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"]


class ResponseAudioOutputUpdate(Wire, kw_only=True, frozen=True):
    format: Opt[AudioFormatUpdate] = UNSET
    voice: Opt[str | VoiceId] = UNSET


class ResponseAudioUpdate(Wire, kw_only=True, frozen=True):
    output: Opt[ResponseAudioOutputUpdate] = UNSET


class ResponseOverrides(Wire, kw_only=True, frozen=True):
    """``response.create``: settings of one response only."""

    output_modalities: Opt[list[Modality]] = UNSET
    instructions: Opt[str] = UNSET
    audio: Opt[ResponseAudioUpdate] = UNSET
    tools: Opt[list[Tool]] = UNSET
    tool_choice: Opt[ToolChoice] = UNSET
    parallel_tool_calls: Opt[bool] = UNSET
    reasoning: Opt[Reasoning] = UNSET
    max_output_tokens: Opt[MaxOutputTokens] = UNSET
    conversation: Opt[Literal["auto", "none"]] = UNSET
    metadata: Opt[dict[str, str]] = UNSET
    prompt: Opt[PromptReference] = UNSET
    input: Opt[list[ResponseInputItem]] = UNSET


class ResponseError(Wire, kw_only=True, frozen=True):
    type: str
    code: str | None = None
    message: str | Absent = UNSET


class StatusDetails(Wire, kw_only=True, frozen=True):
    type: Literal["completed", "cancelled", "failed", "incomplete"]
    reason: StatusReason | Absent = UNSET
    error: ResponseError | Absent = UNSET


class CachedTokensDetails(Wire, kw_only=True, frozen=True):
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


class InputTokenDetails(Wire, kw_only=True, frozen=True):
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: CachedTokensDetails = CachedTokensDetails()


class OutputTokenDetails(Wire, kw_only=True, frozen=True):
    text_tokens: int = 0
    audio_tokens: int = 0


class Usage(Wire, kw_only=True, frozen=True):
    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputTokenDetails = InputTokenDetails()
    output_token_details: OutputTokenDetails = OutputTokenDetails()


class ResponseAudioOutput(Wire, kw_only=True, frozen=True):
    format: AudioFormat
    voice: str


class ResponseAudio(Wire, kw_only=True, frozen=True):
    output: ResponseAudioOutput


class Response(Wire, kw_only=True, frozen=True):
    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: ResponseStatus
    status_details: StatusDetails | None
    output: list[Item]
    conversation_id: str | None
    output_modalities: list[Modality]
    max_output_tokens: MaxOutputTokens
    audio: ResponseAudio
    usage: Usage | None
    metadata: dict[str, str] | None
