"""The session object: what clients send (``...Update``) and what the server shows (complete, nulls included).

Source: API reference, "session.update" and "session.created"; bounds from the OpenAPI document.
"""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from antiphon.protocol.base import UNSET, Absent, Opt, Wire

__all__ = [
    "AudioFormat",
    "AudioFormatUpdate",
    "AudioInput",
    "AudioInputUpdate",
    "AudioOutput",
    "AudioOutputUpdate",
    "AudioUpdate",
    "FormatName",
    "FunctionTool",
    "Include",
    "InputTranscription",
    "InputTranscriptionUpdate",
    "MaxOutputTokens",
    "McpApprovalFilter",
    "McpTool",
    "McpToolFilter",
    "Modality",
    "NoiseReduction",
    "NoiseReductionUpdate",
    "PromptReference",
    "RealtimeSession",
    "RealtimeSessionAudio",
    "RealtimeSessionUpdate",
    "Reasoning",
    "RetentionRatio",
    "SemanticVad",
    "ServerVad",
    "SessionObject",
    "SessionUpdateBody",
    "Speed",
    "Tool",
    "ToolChoice",
    "ToolChoiceFunction",
    "ToolChoiceMcp",
    "Tracing",
    "TracingConfiguration",
    "TranscriptionSession",
    "TranscriptionSessionAudio",
    "TranscriptionSessionUpdate",
    "Truncation",
    "TurnDetection",
    "TurnDetectionUpdate",
    "VoiceId",
]

Modality: TypeAlias = Literal["text", "audio"]
FormatName: TypeAlias = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
Include: TypeAlias = Literal["item.input_audio_transcription.logprobs"]
Speed: TypeAlias = Annotated[float, Meta(ge=0.25, le=1.5)]
Unit: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
DurationMs: TypeAlias = Annotated[int, Meta(ge=0, le=600_000)]
IdleTimeoutMs: TypeAlias = Annotated[int, Meta(ge=5_000, le=30_000)]
MaxOutputTokens: TypeAlias = Annotated[int, Meta(ge=1, le=4096)] | Literal["inf"]
ConnectorId: TypeAlias = Literal[
    "connector_dropbox",
    "connector_gmail",
    "connector_googlecalendar",
    "connector_googledrive",
    "connector_microsoftteams",
    "connector_outlookcalendar",
    "connector_outlookemail",
    "connector_sharepoint",
]
Delay: TypeAlias = Literal["minimal", "low", "medium", "high", "xhigh"]


# --- audio formats -------------------------------------------------------------------------------------------------


class AudioFormatUpdate(Wire, kw_only=True, frozen=True):
    """``type`` may be left out where the current format supplies it."""

    type: FormatName | Absent = UNSET
    rate: Opt[Literal[24000]] = UNSET


class AudioFormat(Wire, kw_only=True, frozen=True):
    type: FormatName
    rate: Literal[24000] | Absent = UNSET
    """Only with ``audio/pcm``; G.711 is 8 kHz by definition."""


# --- audio input ---------------------------------------------------------------------------------------------------


class InputTranscriptionUpdate(Wire, kw_only=True, frozen=True):
    model: Opt[str] = UNSET
    language: Opt[str] = UNSET
    prompt: Opt[str] = UNSET
    languages: Opt[list[str]] = UNSET
    keywords: Opt[list[str]] = UNSET
    delay: Opt[Delay] = UNSET


class InputTranscription(Wire, kw_only=True, frozen=True):
    model: str
    language: str | None = None
    prompt: str | None = None
    languages: list[str] | Absent = UNSET
    keywords: list[str] | Absent = UNSET
    delay: Delay | Absent = UNSET


class NoiseReductionUpdate(Wire, kw_only=True, frozen=True):
    type: Opt[Literal["near_field", "far_field"]] = UNSET
    strength: Opt[Unit] = UNSET


class NoiseReduction(Wire, kw_only=True, frozen=True):
    type: Literal["near_field", "far_field"]
    strength: float = 1.0
    """0: no effect; 1: all that the filter does."""


class TurnDetectionUpdate(Wire, kw_only=True, frozen=True):
    """Both kinds in one shape: ``type`` may be left out where the current value supplies it."""

    type: Literal["server_vad", "semantic_vad"] | Absent = UNSET
    threshold: Opt[Unit] = UNSET
    prefix_padding_ms: Opt[DurationMs] = UNSET
    silence_duration_ms: Opt[DurationMs] = UNSET
    idle_timeout_ms: Opt[IdleTimeoutMs] = UNSET
    eagerness: Opt[Literal["low", "medium", "high", "auto"]] = UNSET
    create_response: Opt[bool] = UNSET
    interrupt_response: Opt[bool] = UNSET


class ServerVad(Wire, tag="server_vad", kw_only=True, frozen=True):
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(Wire, tag="semantic_vad", kw_only=True, frozen=True):
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection: TypeAlias = ServerVad | SemanticVad


class AudioInputUpdate(Wire, kw_only=True, frozen=True):
    format: Opt[AudioFormatUpdate] = UNSET
    transcription: Opt[InputTranscriptionUpdate] = UNSET
    noise_reduction: Opt[NoiseReductionUpdate] = UNSET
    turn_detection: Opt[TurnDetectionUpdate] = UNSET


class AudioInput(Wire, kw_only=True, frozen=True):
    format: AudioFormat
    transcription: InputTranscription | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = None


# --- audio output --------------------------------------------------------------------------------------------------


class VoiceId(Wire, kw_only=True, frozen=True):
    id: str


class AudioOutputUpdate(Wire, kw_only=True, frozen=True):
    format: Opt[AudioFormatUpdate] = UNSET
    voice: Opt[str | VoiceId] = UNSET
    speed: Opt[Speed] = UNSET


class AudioOutput(Wire, kw_only=True, frozen=True):
    format: AudioFormat
    voice: str
    """Always a name: several clients cannot parse a voice object."""
    speed: float = 1.0


# --- tools ---------------------------------------------------------------------------------------------------------


class FunctionTool(Wire, tag="function", kw_only=True, frozen=True):
    name: str
    description: Opt[str] = UNSET
    parameters: Opt[dict[str, Any]] = UNSET


class McpToolFilter(Wire, kw_only=True, frozen=True):
    tool_names: Opt[list[str]] = UNSET
    read_only: Opt[bool] = UNSET


class McpApprovalFilter(Wire, kw_only=True, frozen=True):
    always: Opt[McpToolFilter] = UNSET
    never: Opt[McpToolFilter] = UNSET


class McpTool(Wire, tag="mcp", kw_only=True, frozen=True):
    server_label: str
    server_url: Opt[str] = UNSET
    connector_id: Opt[ConnectorId] = UNSET
    tunnel_id: Opt[str] = UNSET
    authorization: Opt[str] = UNSET
    headers: Opt[dict[str, str]] = UNSET
    server_description: Opt[str] = UNSET
    allowed_tools: Opt[list[str] | McpToolFilter] = UNSET
    allowed_callers: Opt[list[Literal["direct", "programmatic"]]] = UNSET
    require_approval: Opt[Literal["always", "never"] | McpApprovalFilter] = UNSET
    defer_loading: Opt[bool] = UNSET


Tool: TypeAlias = FunctionTool | McpTool


class ToolChoiceFunction(Wire, tag="function", kw_only=True, frozen=True):
    name: str


class ToolChoiceMcp(Wire, tag="mcp", kw_only=True, frozen=True):
    server_label: str
    name: Opt[str] = UNSET


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | ToolChoiceFunction | ToolChoiceMcp


# --- the rest ------------------------------------------------------------------------------------------------------


class TokenLimits(Wire, kw_only=True, frozen=True):
    post_instructions: Opt[Annotated[int, Meta(ge=0)]] = UNSET


class RetentionRatio(Wire, tag="retention_ratio", kw_only=True, frozen=True):
    retention_ratio: Unit
    token_limits: Opt[TokenLimits] = UNSET


Truncation: TypeAlias = Literal["auto", "disabled"] | RetentionRatio


class TracingConfiguration(Wire, kw_only=True, frozen=True):
    workflow_name: Opt[str] = UNSET
    group_id: Opt[str] = UNSET
    metadata: Any = UNSET


Tracing: TypeAlias = Literal["auto"] | TracingConfiguration


class PromptReference(Wire, kw_only=True, frozen=True):
    id: str
    version: Opt[str] = UNSET
    variables: Opt[dict[str, str | dict[str, Any]]] = UNSET


class Reasoning(Wire, kw_only=True, frozen=True):
    effort: Opt[Literal["minimal", "low", "medium", "high", "xhigh"]] = UNSET


class AudioUpdate(Wire, kw_only=True, frozen=True):
    input: Opt[AudioInputUpdate] = UNSET
    output: Opt[AudioOutputUpdate] = UNSET


class RealtimeSessionUpdate(Wire, tag="realtime", kw_only=True, frozen=True):
    model: Opt[str] = UNSET
    output_modalities: Opt[list[Modality]] = UNSET
    instructions: Opt[str] = UNSET
    tools: Opt[list[Tool]] = UNSET
    tool_choice: Opt[ToolChoice] = UNSET
    parallel_tool_calls: Opt[bool] = UNSET
    reasoning: Opt[Reasoning] = UNSET
    max_output_tokens: Opt[MaxOutputTokens] = UNSET
    tracing: Opt[Tracing] = UNSET
    truncation: Opt[Truncation] = UNSET
    prompt: Opt[PromptReference] = UNSET
    audio: Opt[AudioUpdate] = UNSET
    include: Opt[list[Include]] = UNSET


class TranscriptionAudioUpdate(Wire, kw_only=True, frozen=True):
    input: Opt[AudioInputUpdate] = UNSET


class TranscriptionSessionUpdate(Wire, tag="transcription", kw_only=True, frozen=True):
    audio: Opt[TranscriptionAudioUpdate] = UNSET
    include: Opt[list[Include]] = UNSET


SessionUpdateBody: TypeAlias = RealtimeSessionUpdate | TranscriptionSessionUpdate


class RealtimeSessionAudio(Wire, kw_only=True, frozen=True):
    input: AudioInput
    output: AudioOutput


class RealtimeSession(Wire, tag="realtime", kw_only=True, frozen=True):
    """The effective session; the fields in the order in which the real server sends them."""

    object: Literal["realtime.session"] = "realtime.session"
    id: str
    model: str
    output_modalities: list[Modality]
    instructions: str
    tools: list[Tool]
    tool_choice: ToolChoice
    max_output_tokens: MaxOutputTokens
    tracing: Tracing | None
    truncation: Truncation
    prompt: PromptReference | None
    expires_at: int
    audio: RealtimeSessionAudio
    include: list[Include] | None
    parallel_tool_calls: bool | Absent = UNSET
    reasoning: Reasoning | Absent = UNSET


class TranscriptionSessionAudio(Wire, kw_only=True, frozen=True):
    input: AudioInput


class TranscriptionSession(Wire, tag="transcription", kw_only=True, frozen=True):
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    id: str
    expires_at: int
    include: list[Include] | None
    audio: TranscriptionSessionAudio


SessionObject: TypeAlias = RealtimeSession | TranscriptionSession
