"""What a response will do: the session's settings with the overrides of one ``response.create``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from antiphon.core.limits import Limits
from antiphon.core.mcp_definitions import McpDefinition
from antiphon.core.session_update import (
    check_instructions,
    check_tools,
    merge_format,
    modalities_of,
    voice_name,
)
from antiphon.protocol.base import UNSET, given
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.response import ResponseOverrides
from antiphon.protocol.session_config import (
    AudioFormat,
    FunctionTool,
    MaxOutputTokens,
    McpTool,
    Modality,
    RealtimeSession,
    Reasoning,
    Tool,
    ToolChoice,
    ToolChoiceFunction,
    ToolChoiceMcp,
    Truncation,
)

__all__ = ["ResponsePlan", "plan_response"]

_METADATA_PAIRS = 16
_METADATA_KEY = 64
_METADATA_VALUE = 512
_VOICE_MAX = 256


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    modality: Modality
    instructions: str
    voice: str
    speed: float
    format: AudioFormat
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice
    parallel_tool_calls: bool
    reasoning_effort: str | None
    max_output_tokens: MaxOutputTokens
    truncation: Truncation
    metadata: dict[str, str] | None
    conversation: Literal["auto", "none"]

    mcp: Mapping[str, McpDefinition] = field(default_factory=dict)
    """The MCP servers among the tools, by label."""
    waits_for: frozenset[str] = frozenset()
    """Labels whose lists of tools it waits for: those of its own tools."""


def plan_response(session: RealtimeSession, overrides: ResponseOverrides, limits: Limits) -> ResponsePlan:
    """Raises ``ProtocolError`` where an override is refused."""
    output = session.audio.output
    sent = (overrides.audio.output if overrides.audio else None) or None
    instructions = given(overrides.instructions, session.instructions)
    check_instructions(instructions, limits, "response.instructions")
    tools = given(overrides.tools, session.tools)
    if overrides.tools:
        check_tools(tools, limits, "response.tools")
    tool_choice = given(overrides.tool_choice, session.tool_choice)
    if overrides.tool_choice:
        _check_choice(tool_choice, tools)
    voice = voice_name(sent.voice or UNSET, output.voice) if sent else output.voice
    if len(voice) > _VOICE_MAX and voice != output.voice:
        raise ProtocolError(
            "string_above_max_length",
            f"Invalid 'response.audio.output.voice': {len(voice)} characters, at most {_VOICE_MAX} are allowed.",
            "response.audio.output.voice",
        )
    return ResponsePlan(
        modality=modalities_of(
            overrides.output_modalities or UNSET, session.output_modalities, "response.output_modalities"
        )[0],
        instructions=instructions,
        voice=voice,
        speed=output.speed,
        format=merge_format(output.format, sent.format or UNSET) if sent else output.format,
        tools=tuple(tools),
        tool_choice=tool_choice,
        parallel_tool_calls=given(overrides.parallel_tool_calls, given(session.parallel_tool_calls, True)),
        reasoning_effort=given(given(overrides.reasoning, given(session.reasoning, Reasoning())).effort, None),
        max_output_tokens=given(overrides.max_output_tokens, session.max_output_tokens),
        truncation=session.truncation,
        metadata=_checked_metadata(overrides),
        conversation=given(overrides.conversation, "auto"),
    )


def _check_choice(choice: ToolChoice, tools: list[Tool]) -> None:
    names = [tool.name for tool in tools if isinstance(tool, FunctionTool)]
    if isinstance(choice, ToolChoiceFunction) and choice.name not in names:
        raise ProtocolError(
            "invalid_value",
            f"Invalid value: '{choice.name[:128]}'. 'response.tool_choice.name' must name one of the tools.",
            "response.tool_choice.name",
        )
    labels = [tool.server_label for tool in tools if isinstance(tool, McpTool)]
    if isinstance(choice, ToolChoiceMcp) and choice.server_label not in labels:
        raise ProtocolError(
            "invalid_value",
            f"Invalid value: '{choice.server_label[:128]}'. 'response.tool_choice.server_label' must name one of the "
            "tools' servers.",
            "response.tool_choice.server_label",
        )


def _checked_metadata(overrides: ResponseOverrides) -> dict[str, str] | None:
    metadata = given(overrides.metadata, None)
    if metadata is None:
        return None
    if len(metadata) > _METADATA_PAIRS:
        raise _metadata_error(f"{len(metadata)} pairs, at most {_METADATA_PAIRS} are allowed")
    for key, value in metadata.items():
        if len(key) > _METADATA_KEY:
            raise _metadata_error(f"a key is {len(key)} characters long, at most {_METADATA_KEY} are allowed")
        if len(value) > _METADATA_VALUE:
            raise _metadata_error(f"a value is {len(value)} characters long, at most {_METADATA_VALUE} are allowed")
    return metadata


def _metadata_error(message: str) -> ProtocolError:
    return ProtocolError("invalid_value", f"Invalid 'response.metadata': {message}.", "response.metadata")
