"""The response object of the beta, and the overrides of its ``response.create``."""

from typing import Literal

from antiphon.protocol.base import UNSET, Opt, Wire
from antiphon.protocol.beta.items import BetaInputItem, BetaItem, beta_item, input_item_of
from antiphon.protocol.beta.session import BetaFormat, Temperature, beta_format, beta_modalities, format_update
from antiphon.protocol.response import (
    Response,
    ResponseAudioOutputUpdate,
    ResponseAudioUpdate,
    ResponseOverrides,
    ResponseStatus,
    StatusDetails,
    Usage,
)
from antiphon.protocol.session_config import MaxOutputTokens, Modality, PromptReference, Tool, ToolChoice, VoiceId

__all__ = ["BetaResponse", "BetaResponseOverrides", "beta_response", "overrides_of"]


class BetaResponseOverrides(Wire, kw_only=True, frozen=True):
    """``response.create``: settings of one response only."""

    modalities: Opt[list[Modality]] = UNSET
    instructions: Opt[str] = UNSET
    voice: Opt[str | VoiceId] = UNSET
    output_audio_format: Opt[BetaFormat] = UNSET
    tools: Opt[list[Tool]] = UNSET
    tool_choice: Opt[ToolChoice] = UNSET
    temperature: Opt[Temperature] = UNSET
    max_response_output_tokens: Opt[MaxOutputTokens] = UNSET
    max_output_tokens: Opt[MaxOutputTokens] = UNSET
    """The reference's examples call it so, its types as above; the latter wins."""
    conversation: Opt[Literal["auto", "none"]] = UNSET
    metadata: Opt[dict[str, str]] = UNSET
    prompt: Opt[PromptReference] = UNSET
    input: Opt[list[BetaInputItem]] = UNSET


class BetaResponse(Wire, kw_only=True, frozen=True):
    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: ResponseStatus
    status_details: StatusDetails | None
    output: list[BetaItem]
    conversation_id: str | None
    modalities: list[Modality]
    voice: str
    output_audio_format: BetaFormat
    temperature: float
    max_output_tokens: MaxOutputTokens
    usage: Usage | None
    metadata: dict[str, str] | None


def overrides_of(sent: Opt[BetaResponseOverrides]) -> Opt[ResponseOverrides]:
    """A beta client's ``response.create`` in today's words."""
    if not isinstance(sent, BetaResponseOverrides):
        return sent
    longest = sent.max_output_tokens if sent.max_response_output_tokens is UNSET else sent.max_response_output_tokens
    return ResponseOverrides(
        output_modalities=sent.modalities,
        instructions=sent.instructions,
        audio=ResponseAudioUpdate(
            output=ResponseAudioOutputUpdate(format=format_update(sent.output_audio_format), voice=sent.voice)
        ),
        tools=sent.tools,
        tool_choice=sent.tool_choice,
        max_output_tokens=longest,
        conversation=sent.conversation,
        metadata=sent.metadata,
        prompt=sent.prompt,
        input=[input_item_of(item) for item in sent.input] if isinstance(sent.input, list) else sent.input,
    )


def beta_response(response: Response, temperature: float) -> BetaResponse:
    """The response as a beta client reads it."""
    return BetaResponse(
        id=response.id,
        status=response.status,
        status_details=response.status_details,
        output=[beta_item(item) for item in response.output],
        conversation_id=response.conversation_id,
        modalities=beta_modalities(response.output_modalities),
        voice=response.audio.output.voice,
        output_audio_format=beta_format(response.audio.output.format),
        temperature=temperature,
        max_output_tokens=response.max_output_tokens,
        usage=response.usage,
        metadata=response.metadata,
    )
