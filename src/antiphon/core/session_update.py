"""``session.update``: a new effective session from the old one and what the client sent.

Objects merge key by key. Arrays, tools and the unions (``turn_detection``, ``format``, ``tool_choice``, ``truncation``)
are replaced whole and filled with defaults; a union's ``type`` may be left out where the current value supplies it.
``null`` clears. The model is the one with which the session was opened: clients send theirs again with every update,
and another name changes nothing. A refused update changes nothing.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from antiphon.core.config import (
    DEFAULT_TRANSCRIPTION_MODEL,
    DEFAULT_VOICE,
    MODELS_WITHOUT_TURN_DETECTION,
    PCM_24K,
)
from antiphon.core.limits import Limits
from antiphon.core.mcp_definitions import shown_tools
from antiphon.protocol.base import UNSET, Opt, given
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import (
    AudioFormat,
    AudioFormatUpdate,
    AudioInput,
    AudioInputUpdate,
    AudioOutput,
    AudioOutputUpdate,
    FunctionTool,
    InputTranscription,
    InputTranscriptionUpdate,
    Modality,
    NoiseReduction,
    NoiseReductionUpdate,
    RealtimeSession,
    RealtimeSessionAudio,
    RealtimeSessionUpdate,
    SemanticVad,
    ServerVad,
    SessionObject,
    SessionUpdateBody,
    Tool,
    Tracing,
    TracingConfiguration,
    TranscriptionSession,
    TranscriptionSessionAudio,
    TranscriptionSessionUpdate,
    TurnDetection,
    TurnDetectionUpdate,
    VoiceId,
)

__all__ = [
    "check_instructions",
    "check_tools",
    "merge_format",
    "modalities_of",
    "updated_session",
    "voice_error",
    "voice_name",
]

_T = TypeVar("_T")


def updated_session(
    current: SessionObject, update: SessionUpdateBody, limits: Limits, *, voice_frozen: bool
) -> SessionObject:
    """The effective session after ``update``. Raises ``ProtocolError``; ``current`` is never changed."""
    if isinstance(current, RealtimeSession) and isinstance(update, RealtimeSessionUpdate):
        return _updated_realtime(current, update, limits, voice_frozen=voice_frozen)
    if isinstance(current, TranscriptionSession) and isinstance(update, TranscriptionSessionUpdate):
        return _updated_transcription(current, update, limits)
    kind = "realtime" if isinstance(current, RealtimeSession) else "transcription"
    raise ProtocolError(
        "invalid_value",
        f"Invalid value: 'session.type' must be '{kind}', the type with which this session was opened.",
        "session.type",
    )


def _updated_realtime(
    current: RealtimeSession, update: RealtimeSessionUpdate, limits: Limits, *, voice_frozen: bool
) -> RealtimeSession:
    tools = shown_tools(_replaced(current.tools, update.tools, []))
    instructions = _replaced(current.instructions, update.instructions, "")
    check_tools(tools, limits, "session.tools")
    check_instructions(instructions, limits, "session.instructions")
    audio = current.audio
    if update.audio:
        new_input = _merged_input(audio.input, update.audio.input) if update.audio.input else audio.input
        new_output = _merged_output(audio.output, update.audio.output) if update.audio.output else audio.output
        audio = RealtimeSessionAudio(input=new_input, output=new_output)
    if voice_frozen and audio.output.voice != current.audio.output.voice:
        raise voice_error()
    updated = structs.replace(
        current,
        output_modalities=modalities_of(
            update.output_modalities, current.output_modalities, "session.output_modalities"
        ),
        instructions=instructions,
        tools=tools,
        tool_choice=_replaced(current.tool_choice, update.tool_choice, "auto"),
        parallel_tool_calls=_replaced(current.parallel_tool_calls, update.parallel_tool_calls, UNSET),
        reasoning=_replaced(current.reasoning, update.reasoning, UNSET),
        max_output_tokens=_replaced(current.max_output_tokens, update.max_output_tokens, "inf"),
        tracing=_updated_tracing(current.tracing, update.tracing),
        truncation=_replaced(current.truncation, update.truncation, "auto"),
        prompt=_replaced(current.prompt, update.prompt, None),
        include=_replaced(current.include, update.include, None),
        audio=audio,
    )
    _check_size(updated, limits)
    return updated


def _updated_tracing(current: Tracing | None, sent: Opt[Tracing]) -> Tracing | None:
    """Tracing can be turned on and off; a configuration that is set cannot be modified. ``auto`` is none yet."""
    updated = _replaced(current, sent, None)
    if isinstance(current, TracingConfiguration) and updated not in (current, None):
        raise ProtocolError(
            "invalid_value",
            "Invalid 'session.tracing': once tracing is configured for a session, that cannot be modified.",
            "session.tracing",
        )
    return updated


def voice_error() -> ProtocolError:
    """For another voice than the one that was heard."""
    return ProtocolError("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.")


def _updated_transcription(
    current: TranscriptionSession, update: TranscriptionSessionUpdate, limits: Limits
) -> TranscriptionSession:
    new_input = current.audio.input
    if update.audio and update.audio.input:
        new_input = _merged_input(new_input, update.audio.input)
        if update.audio.input.turn_detection is UNSET and _comes_without_turn_detection(update.audio.input):
            new_input = structs.replace(new_input, turn_detection=None)
    updated = structs.replace(
        current,
        include=_replaced(current.include, update.include, None),
        audio=TranscriptionSessionAudio(input=new_input),
    )
    _check_size(updated, limits)
    return updated


def _comes_without_turn_detection(sent: AudioInputUpdate) -> bool:
    model = sent.transcription.model if sent.transcription else None
    return isinstance(model, str) and model in MODELS_WITHOUT_TURN_DETECTION


def _check_size(session: SessionObject, limits: Limits) -> None:
    """Whatever a client sends is echoed: it has to fit into one event."""
    size = len(msgspec.json.encode(session))
    if size > limits.room_bytes:
        raise ProtocolError(
            "string_above_max_length",
            f"Invalid 'session': {size} bytes in all, at most {limits.room_bytes} are allowed.",
            "session",
        )


def _replaced(current: _T, sent: Any, cleared: _T) -> _T:
    """Absent keeps, null clears, anything else replaces."""
    if sent is UNSET:
        return current
    return cleared if sent is None else sent


# --- audio ---------------------------------------------------------------------------------------------------------


def _merged_input(current: AudioInput, sent: AudioInputUpdate) -> AudioInput:
    return AudioInput(
        format=merge_format(current.format, sent.format),
        transcription=_merged_transcription(current.transcription, sent.transcription),
        noise_reduction=_merged_noise_reduction(current.noise_reduction, sent.noise_reduction),
        turn_detection=_merged_turn_detection(current.turn_detection, sent.turn_detection),
    )


def _merged_output(current: AudioOutput, sent: AudioOutputUpdate) -> AudioOutput:
    return AudioOutput(
        format=merge_format(current.format, sent.format),
        voice=voice_name(sent.voice, current.voice),
        speed=_replaced(current.speed, sent.speed, 1.0),
    )


def merge_format(current: AudioFormat, sent: Opt[AudioFormatUpdate]) -> AudioFormat:
    if sent is UNSET:
        return current
    if sent is None:
        return PCM_24K
    kind = given(sent.type, current.type)
    return PCM_24K if kind == "audio/pcm" else AudioFormat(type=kind)


def voice_name(sent: Opt[str | VoiceId], current: str) -> str:
    """Voice objects are kept by their id: several clients cannot parse a voice object."""
    if sent is UNSET:
        return current
    if sent is None or sent == "":
        return DEFAULT_VOICE
    return sent if isinstance(sent, str) else sent.id


def _merged_transcription(
    current: InputTranscription | None, sent: Opt[InputTranscriptionUpdate]
) -> InputTranscription | None:
    if sent is UNSET:
        return current
    if sent is None:
        return None
    base = current or InputTranscription(model=DEFAULT_TRANSCRIPTION_MODEL)
    return InputTranscription(
        model=given(sent.model, base.model),
        language=_replaced(base.language, sent.language, None) or None,
        prompt=_replaced(base.prompt, sent.prompt, None) or None,
        languages=_replaced(base.languages, sent.languages, UNSET),
        keywords=_replaced(base.keywords, sent.keywords, UNSET),
        delay=_replaced(base.delay, sent.delay, UNSET),
    )


def _merged_noise_reduction(current: NoiseReduction | None, sent: Opt[NoiseReductionUpdate]) -> NoiseReduction | None:
    if sent is UNSET:
        return current
    if sent is None:
        return None
    kind = given(sent.type, current.type if current else None)
    if kind is None:
        raise _missing("session.audio.input.noise_reduction.type")
    strength = _replaced(current.strength if current else 1.0, sent.strength, 1.0)
    return NoiseReduction(type=kind, strength=strength)


def _merged_turn_detection(current: TurnDetection | None, sent: Opt[TurnDetectionUpdate]) -> TurnDetection | None:
    if sent is UNSET:
        return current
    if sent is None:
        return None
    kind = sent.type
    if kind is UNSET:
        if current is None:
            raise _missing("session.audio.input.turn_detection.type")
        kind = "server_vad" if isinstance(current, ServerVad) else "semantic_vad"
    return _filled(ServerVad if kind == "server_vad" else SemanticVad, sent)


def _filled(kind: type[ServerVad] | type[SemanticVad], sent: TurnDetectionUpdate) -> TurnDetection:
    """The fields that this kind has and the client sent; its defaults for all else."""
    fields = {field.name: getattr(sent, field.name) for field in structs.fields(kind)}
    return kind(**{name: value for name, value in fields.items() if value is not None and value is not UNSET})


# --- the rest ------------------------------------------------------------------------------------------------------


def modalities_of(sent: Opt[list[Modality]], current: list[Modality], param: str) -> list[Modality]:
    """``["audio"]`` or ``["text"]``; both at once are accepted as audio, whose transcript is its text."""
    if sent is UNSET:
        return current
    if not sent:
        return ["audio"]
    if len(sent) > 2:
        raise ProtocolError(
            "invalid_value", f"Invalid '{param}': expected at most two modalities, got {len(sent)}.", param
        )
    return ["audio"] if "audio" in sent else ["text"]


def check_instructions(instructions: str, limits: Limits, param: str) -> None:
    size = len(instructions.encode())
    if size > limits.instructions_bytes:
        raise ProtocolError(
            "string_above_max_length",
            f"Invalid '{param}': {size} bytes long, at most {limits.instructions_bytes} are allowed.",
            param,
        )


def check_tools(tools: Sequence[Tool], limits: Limits, param: str) -> None:
    if len(tools) > limits.tools:
        raise ProtocolError(
            "array_above_max_length",
            f"Invalid '{param}': {len(tools)} tools, at most {limits.tools} are allowed.",
            param,
        )
    size = len(msgspec.json.encode(tools))
    if size > limits.tools_bytes:
        raise ProtocolError(
            "string_above_max_length",
            f"Invalid '{param}': {size} bytes, at most {limits.tools_bytes} are allowed.",
            param,
        )
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        name, field = (tool.name, "name") if isinstance(tool, FunctionTool) else (tool.server_label, "server_label")
        place = f"{param}[{index}].{field}"
        if not 1 <= len(name) <= 128 or not all("!" <= letter <= "~" for letter in name):
            raise ProtocolError(
                "invalid_value", f"Invalid '{place}': expected 1 to 128 visible ASCII characters.", place
            )
        if name in seen:
            raise ProtocolError("invalid_value", f"Invalid '{place}': {name!r} is used by more than one tool.", place)
        seen.add(name)


def _missing(param: str) -> ProtocolError:
    return ProtocolError("missing_required_parameter", f"Missing required parameter: '{param}'.", param)
