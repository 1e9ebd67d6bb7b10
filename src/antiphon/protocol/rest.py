"""Bodies of the HTTP endpoints. Source: API reference, "Client secrets", "Calls", "Models"; the OpenAPI document.

Requests are read with ``codec.decode_body``; answers are complete and encoded with ``encode_body``.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from antiphon.protocol.base import UNSET, Absent, Opt, Wire
from antiphon.protocol.session_config import (
    Include,
    InputTranscriptionUpdate,
    MaxOutputTokens,
    Modality,
    NoiseReductionUpdate,
    PromptReference,
    RealtimeSessionUpdate,
    SessionObject,
    SessionUpdateBody,
    Speed,
    Tool,
    ToolChoice,
    Tracing,
    Truncation,
    TurnDetectionUpdate,
    VoiceId,
)

__all__ = [
    "CallAcceptRequest",
    "CallCreateRequest",
    "CallReferRequest",
    "CallRejectRequest",
    "ClientSecretRequest",
    "ClientSecretResponse",
    "ExpiresAfter",
    "HttpError",
    "HttpErrorBody",
    "LegacyAudioFormat",
    "LegacyClientSecret",
    "LegacySessionRequest",
    "LegacySessionResponse",
    "LegacyTranscriptionSessionRequest",
    "LegacyTranscriptionSessionResponse",
    "Model",
    "ModelList",
    "encode_body",
]

_ENCODER: Final = msgspec.json.Encoder()


def encode_body(body: Wire) -> bytes:
    """JSON of an HTTP body; absent fields are left out."""
    return _ENCODER.encode(body)


# --- POST /v1/realtime/client_secrets ------------------------------------------------------------------------------


class ExpiresAfter(Wire, kw_only=True, frozen=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = 600


class ClientSecretRequest(Wire, kw_only=True, frozen=True):
    """The body may be ``{}``."""

    expires_after: Opt[ExpiresAfter] = UNSET
    session: Opt[SessionUpdateBody] = UNSET
    model: Opt[str] = UNSET
    """Not in the reference, yet widely sent; ``session.model`` wins."""


class ClientSecretResponse(Wire, kw_only=True, frozen=True):
    value: str
    """Begins with ``ek_``."""
    expires_at: int
    """Unix seconds."""
    session: SessionObject
    """The full effective session; its own ``expires_at`` is 0."""


# --- /v1/realtime/calls --------------------------------------------------------------------------------------------

CallAcceptRequest: TypeAlias = RealtimeSessionUpdate
"""``POST /v1/realtime/calls/{call_id}/accept``: a realtime session, ``type`` required."""


class CallCreateRequest(Wire, kw_only=True, frozen=True):
    """``POST /v1/realtime/calls`` as multipart form: the two parts, ``session`` parsed from its JSON text."""

    sdp: str
    session: Opt[RealtimeSessionUpdate] = UNSET


class CallReferRequest(Wire, kw_only=True, frozen=True):
    target_uri: str
    """``tel:...`` or ``sip:...``."""


class CallRejectRequest(Wire, kw_only=True, frozen=True):
    status_code: Annotated[int, Meta(ge=300, le=699)] | Absent | None = UNSET
    """A SIP status; 603 (decline) where it is left out."""


# --- /v1/models ----------------------------------------------------------------------------------------------------


class Model(Wire, kw_only=True, frozen=True):
    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix seconds."""
    owned_by: str


class ModelList(Wire, kw_only=True, frozen=True):
    object: Literal["list"] = "list"
    data: list[Model]


# --- errors --------------------------------------------------------------------------------------------------------


class HttpError(Wire, kw_only=True, frozen=True):
    message: str
    type: str
    """``invalid_request_error``, ``rate_limit_exceeded``, ``insufficient_quota``, ``server_error``, ..."""
    param: str | None = None
    code: str | None = None


class HttpErrorBody(Wire, kw_only=True, frozen=True):
    """The body of every answer with status 400 or above."""

    error: HttpError


# --- POST /v1/realtime/sessions and /v1/realtime/transcription_sessions (legacy) -----------------------------------

LegacyAudioFormat: TypeAlias = Literal["pcm16", "g711_ulaw", "g711_alaw"]


class LegacySessionRequest(Wire, kw_only=True, frozen=True):
    """A session in the flat form of the beta."""

    model: Opt[str] = UNSET
    modalities: Opt[list[Modality]] = UNSET
    instructions: Opt[str] = UNSET
    voice: Opt[str | VoiceId] = UNSET
    input_audio_format: Opt[LegacyAudioFormat] = UNSET
    output_audio_format: Opt[LegacyAudioFormat] = UNSET
    input_audio_transcription: Opt[InputTranscriptionUpdate] = UNSET
    input_audio_noise_reduction: Opt[NoiseReductionUpdate] = UNSET
    turn_detection: Opt[TurnDetectionUpdate] = UNSET
    tools: Opt[list[Tool]] = UNSET
    tool_choice: Opt[ToolChoice] = UNSET
    temperature: Opt[float] = UNSET
    """Accepted and without effect, as in today's API."""
    max_response_output_tokens: Opt[MaxOutputTokens] = UNSET
    speed: Opt[Speed] = UNSET
    tracing: Opt[Tracing] = UNSET
    truncation: Opt[Truncation] = UNSET
    prompt: Opt[PromptReference] = UNSET
    include: Opt[list[Include]] = UNSET
    client_secret: Any = UNSET
    """The OpenAPI document lists it in the request, too: ignored."""


class LegacyTranscriptionSessionRequest(Wire, kw_only=True, frozen=True):
    """A transcription session in the flat form of the beta."""

    input_audio_format: Opt[LegacyAudioFormat] = UNSET
    input_audio_transcription: Opt[InputTranscriptionUpdate] = UNSET
    input_audio_noise_reduction: Opt[NoiseReductionUpdate] = UNSET
    turn_detection: Opt[TurnDetectionUpdate] = UNSET
    modalities: Opt[list[Modality]] = UNSET
    include: Opt[list[Include]] = UNSET


class LegacyClientSecret(Wire, kw_only=True, frozen=True):
    value: str
    expires_at: int
    """Unix seconds; one minute after its making."""


class LegacySessionResponse(Wire, kw_only=True, frozen=True):
    id: str
    object: Literal["realtime.session"] = "realtime.session"
    model: str
    modalities: list[Modality]
    instructions: str
    voice: str
    input_audio_format: LegacyAudioFormat
    output_audio_format: LegacyAudioFormat
    input_audio_transcription: InputTranscriptionUpdate | None
    turn_detection: TurnDetectionUpdate | None
    tools: list[Tool]
    tool_choice: ToolChoice
    temperature: float
    max_response_output_tokens: MaxOutputTokens
    client_secret: LegacyClientSecret


class LegacyTranscriptionSessionResponse(Wire, kw_only=True, frozen=True):
    id: str
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    modalities: list[Modality]
    input_audio_format: LegacyAudioFormat
    input_audio_transcription: InputTranscriptionUpdate | None
    turn_detection: TurnDetectionUpdate | None
    client_secret: LegacyClientSecret
