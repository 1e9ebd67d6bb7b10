"""The flat session object of the beta, and what it means today. Source: the OpenAPI document, "Realtime sessions"."""

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta

from antiphon.protocol.base import UNSET, Opt, UnsetType, Wire
from antiphon.protocol.rest import ClientSecret
from antiphon.protocol.session_config import (
    AudioFormat,
    AudioFormatUpdate,
    AudioInputUpdate,
    AudioOutputUpdate,
    AudioUpdate,
    FormatName,
    Include,
    InputTranscription,
    InputTranscriptionUpdate,
    MaxOutputTokens,
    Modality,
    NoiseReduction,
    NoiseReductionUpdate,
    PromptReference,
    RealtimeSession,
    RealtimeSessionUpdate,
    SessionObject,
    Speed,
    Tool,
    ToolChoice,
    Tracing,
    TranscriptionAudioUpdate,
    TranscriptionSession,
    TranscriptionSessionUpdate,
    Truncation,
    TurnDetection,
    TurnDetectionUpdate,
    VoiceId,
)

__all__ = [
    "DEFAULT_TEMPERATURE",
    "BetaFormat",
    "BetaSession",
    "BetaSessionUpdate",
    "BetaTranscriptionSession",
    "BetaTranscriptionSessionUpdate",
    "Temperature",
    "beta_format",
    "beta_modalities",
    "beta_session",
    "format_update",
    "session_update",
    "transcription_update",
]

BetaFormat: TypeAlias = Literal["pcm16", "g711_ulaw", "g711_alaw"]
Temperature: TypeAlias = Annotated[float, Meta(ge=0.0, le=2.0)]

DEFAULT_TEMPERATURE: Final = 0.8

_TODAY: Final[dict[BetaFormat, FormatName]] = {
    "pcm16": "audio/pcm",
    "g711_ulaw": "audio/pcmu",
    "g711_alaw": "audio/pcma",
}
_THEN: Final = {today: then for then, today in _TODAY.items()}


class BetaSessionUpdate(Wire, kw_only=True, frozen=True):
    """The session of ``session.update``, and the body of ``POST /v1/realtime/sessions``."""

    model: Opt[str] = UNSET
    modalities: Opt[list[Modality]] = UNSET
    instructions: Opt[str] = UNSET
    voice: Opt[str | VoiceId] = UNSET
    input_audio_format: Opt[BetaFormat] = UNSET
    output_audio_format: Opt[BetaFormat] = UNSET
    input_audio_transcription: Opt[InputTranscriptionUpdate] = UNSET
    input_audio_noise_reduction: Opt[NoiseReductionUpdate] = UNSET
    turn_detection: Opt[TurnDetectionUpdate] = UNSET
    tools: Opt[list[Tool]] = UNSET
    tool_choice: Opt[ToolChoice] = UNSET
    temperature: Opt[Temperature] = UNSET
    """Accepted, shown, and without effect, as in today's API."""
    max_response_output_tokens: Opt[MaxOutputTokens] = UNSET
    speed: Opt[Speed] = UNSET
    tracing: Opt[Tracing] = UNSET
    truncation: Opt[Truncation] = UNSET
    prompt: Opt[PromptReference] = UNSET
    include: Opt[list[Include]] = UNSET
    client_secret: Any = UNSET
    """The OpenAPI document lists it in the request, too: ignored."""


class BetaTranscriptionSessionUpdate(Wire, kw_only=True, frozen=True):
    """The session of ``transcription_session.update``, and the body of ``POST /v1/realtime/transcription_sessions``."""

    input_audio_format: Opt[BetaFormat] = UNSET
    input_audio_transcription: Opt[InputTranscriptionUpdate] = UNSET
    input_audio_noise_reduction: Opt[NoiseReductionUpdate] = UNSET
    turn_detection: Opt[TurnDetectionUpdate] = UNSET
    modalities: Opt[list[Modality]] = UNSET
    """Without a meaning here."""
    include: Opt[list[Include]] = UNSET
    client_secret: Any = UNSET


class BetaSession(Wire, kw_only=True, frozen=True):
    """The effective session, and the answer of ``POST /v1/realtime/sessions``."""

    id: str
    object: Literal["realtime.session"] = "realtime.session"
    expires_at: int
    input_audio_noise_reduction: NoiseReduction | None
    turn_detection: TurnDetection | None
    input_audio_format: BetaFormat
    input_audio_transcription: InputTranscription | None
    client_secret: ClientSecret | None = None
    include: list[Include] | None
    model: str
    modalities: list[Modality]
    instructions: str
    voice: str
    output_audio_format: BetaFormat
    tool_choice: ToolChoice
    temperature: float
    max_response_output_tokens: MaxOutputTokens
    speed: float
    tracing: Tracing | None
    truncation: Truncation
    prompt: PromptReference | None
    tools: list[Tool]


class BetaTranscriptionSession(Wire, kw_only=True, frozen=True):
    """The effective session, and the answer of ``POST /v1/realtime/transcription_sessions``."""

    id: str
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    expires_at: int
    input_audio_noise_reduction: NoiseReduction | None
    turn_detection: TurnDetection | None
    input_audio_format: BetaFormat
    input_audio_transcription: InputTranscription | None
    client_secret: ClientSecret | None = None
    include: list[Include] | None
    modalities: list[Modality]


# --- from the beta to today ----------------------------------------------------------------------------------------


def session_update(sent: BetaSessionUpdate) -> RealtimeSessionUpdate:
    """What a beta client's ``session.update`` asks for, in today's words; absent stays absent and null stays null."""
    return RealtimeSessionUpdate(
        model=sent.model,
        output_modalities=sent.modalities,
        instructions=sent.instructions,
        tools=sent.tools,
        tool_choice=sent.tool_choice,
        max_output_tokens=sent.max_response_output_tokens,
        tracing=sent.tracing,
        truncation=sent.truncation,
        prompt=sent.prompt,
        audio=AudioUpdate(
            input=_input_update(sent),
            output=AudioOutputUpdate(
                format=format_update(sent.output_audio_format), voice=sent.voice, speed=sent.speed
            ),
        ),
        include=sent.include,
    )


def transcription_update(sent: BetaTranscriptionSessionUpdate | BetaSessionUpdate) -> TranscriptionSessionUpdate:
    """The same for a session that only transcribes; what such a session does not have is left out."""
    return TranscriptionSessionUpdate(audio=TranscriptionAudioUpdate(input=_input_update(sent)), include=sent.include)


def _input_update(sent: BetaTranscriptionSessionUpdate | BetaSessionUpdate) -> AudioInputUpdate:
    return AudioInputUpdate(
        format=format_update(sent.input_audio_format),
        transcription=sent.input_audio_transcription,
        noise_reduction=sent.input_audio_noise_reduction,
        turn_detection=sent.turn_detection,
    )


def format_update(sent: Opt[BetaFormat]) -> Opt[AudioFormatUpdate]:
    if sent is None or isinstance(sent, UnsetType):
        return sent
    return AudioFormatUpdate(type=_TODAY[sent])


# --- from today to the beta ----------------------------------------------------------------------------------------


def beta_session(
    session: SessionObject, *, temperature: float = DEFAULT_TEMPERATURE, client_secret: ClientSecret | None = None
) -> BetaSession | BetaTranscriptionSession:
    """The effective session as a beta client reads it."""
    if isinstance(session, RealtimeSession):
        return _beta_realtime(session, temperature, client_secret)
    return _beta_transcription(session, client_secret)


def _beta_realtime(session: RealtimeSession, temperature: float, client_secret: ClientSecret | None) -> BetaSession:
    heard, spoken = session.audio.input, session.audio.output
    return BetaSession(
        id=session.id,
        expires_at=session.expires_at,
        input_audio_noise_reduction=heard.noise_reduction,
        turn_detection=heard.turn_detection,
        input_audio_format=beta_format(heard.format),
        input_audio_transcription=heard.transcription,
        client_secret=client_secret,
        include=session.include,
        model=session.model,
        modalities=beta_modalities(session.output_modalities),
        instructions=session.instructions,
        voice=spoken.voice,
        output_audio_format=beta_format(spoken.format),
        tool_choice=session.tool_choice,
        temperature=temperature,
        max_response_output_tokens=session.max_output_tokens,
        speed=spoken.speed,
        tracing=session.tracing,
        truncation=session.truncation,
        prompt=session.prompt,
        tools=session.tools,
    )


def _beta_transcription(session: TranscriptionSession, client_secret: ClientSecret | None) -> BetaTranscriptionSession:
    heard = session.audio.input
    return BetaTranscriptionSession(
        id=session.id,
        expires_at=session.expires_at,
        input_audio_noise_reduction=heard.noise_reduction,
        turn_detection=heard.turn_detection,
        input_audio_format=beta_format(heard.format),
        input_audio_transcription=heard.transcription,
        client_secret=client_secret,
        include=session.include,
        modalities=["text", "audio"],
    )


def beta_format(format: AudioFormat) -> BetaFormat:
    return _THEN[format.type]


def beta_modalities(today: list[Modality]) -> list[Modality]:
    """In the beta speech never came without its text."""
    return ["text", "audio"] if "audio" in today else ["text"]
