"""Prompts that the operator keeps by id and version, and that clients refer to: ``prompt: {id, version, variables}``.

A stored prompt is a partial session. Its fields count where the same event does not set them itself; ``{{name}}`` in
its instructions stands for a variable. Without any prompts configured a reference is kept and shown, without effect.
"""

import re
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from antiphon.core.limits import Limits
from antiphon.protocol.base import UNSET, given
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.response import ResponseAudioOutputUpdate, ResponseAudioUpdate, ResponseOverrides
from antiphon.protocol.session_config import (
    AudioInputUpdate,
    AudioOutputUpdate,
    AudioUpdate,
    PromptReference,
    RealtimeSessionUpdate,
)

__all__ = ["StoredPrompt", "StoredPrompts", "overrides_with_prompt", "update_with_prompt"]

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")
_MERGED = (AudioUpdate, AudioInputUpdate, AudioOutputUpdate, ResponseAudioUpdate, ResponseAudioOutputUpdate)
_Body = TypeVar("_Body", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class StoredPrompt:
    current: str
    """The version of references that name none."""
    versions: dict[str, RealtimeSessionUpdate]


StoredPrompts = dict[str, StoredPrompt]
"""By id."""


def update_with_prompt(
    update: RealtimeSessionUpdate, prompts: StoredPrompts | None, limits: Limits
) -> RealtimeSessionUpdate:
    """The update with what its prompt says beside it. Raises ``ProtocolError``."""
    stored = _resolved(given(update.prompt, None), prompts, limits, "session.prompt")
    return update if stored is None else _completed(update, stored)


def overrides_with_prompt(
    overrides: ResponseOverrides, prompts: StoredPrompts | None, limits: Limits
) -> ResponseOverrides:
    """The same for one response; what only a session has is left out."""
    stored = _resolved(given(overrides.prompt, None), prompts, limits, "response.prompt")
    if stored is None:
        return overrides
    audio: Any = UNSET
    if stored.audio and stored.audio.output:
        output = stored.audio.output
        audio = ResponseAudioUpdate(output=ResponseAudioOutputUpdate(format=output.format, voice=output.voice))
    return _completed(
        overrides,
        ResponseOverrides(
            output_modalities=stored.output_modalities,
            instructions=stored.instructions,
            audio=audio,
            tools=stored.tools,
            tool_choice=stored.tool_choice,
            parallel_tool_calls=stored.parallel_tool_calls,
            reasoning=stored.reasoning,
            max_output_tokens=stored.max_output_tokens,
        ),
    )


def _completed(direct: _Body, stored: _Body) -> _Body:
    """``direct``, with the fields of ``stored`` that it leaves out."""
    fields: dict[str, Any] = {}
    for field in structs.fields(type(direct)):
        ours, theirs = getattr(direct, field.name), getattr(stored, field.name)
        if ours is UNSET:
            fields[field.name] = theirs
        elif type(ours) is type(theirs) and isinstance(ours, _MERGED):
            fields[field.name] = _completed(ours, theirs)
    return structs.replace(direct, **fields)


def _resolved(
    reference: PromptReference | None, prompts: StoredPrompts | None, limits: Limits, param: str
) -> RealtimeSessionUpdate | None:
    """The stored prompt with its variables filled in; None where there is none to look for."""
    if reference is None or prompts is None:
        return None
    prompt = prompts.get(reference.id)
    if prompt is None:
        raise _unknown(f"there is no prompt with the id '{reference.id[:128]}'", f"{param}.id")
    version = given(reference.version, "") or prompt.current
    stored = prompt.versions.get(version)
    if stored is None:
        raise _unknown(f"the prompt '{reference.id}' has no version '{version[:128]}'", f"{param}.version")
    if not isinstance(stored.instructions, str):
        return stored
    variables = given(reference.variables, {})
    return structs.replace(stored, instructions=_filled_in(stored.instructions, variables, limits, param))


def _filled_in(template: str, variables: dict[str, str | dict[str, Any]], limits: Limits, param: str) -> str:
    names = _PLACEHOLDER.findall(template)
    texts = {name: _text_of(name, variables, f"{param}.variables") for name in dict.fromkeys(names)}
    # A long text in many places must not be put together before it is known to be too long.
    if sum(len(texts[name]) for name in names) > limits.instructions_bytes:
        raise ProtocolError(
            "string_above_max_length",
            f"Invalid '{param}.variables': the instructions would be longer than {limits.instructions_bytes} bytes.",
            f"{param}.variables",
        )
    return _PLACEHOLDER.sub(lambda found: texts[found.group(1)], template)


def _text_of(name: str, variables: dict[str, str | dict[str, Any]], param: str) -> str:
    place = f"{param}.{name}"
    value = variables.get(name)
    if value is None:
        raise ProtocolError("missing_required_parameter", f"Missing required parameter: '{place}'.", place)
    text = value.get("text") if isinstance(value, dict) and value.get("type") == "input_text" else value
    if not isinstance(text, str):
        raise ProtocolError(
            "invalid_value",
            f"Invalid '{place}': it stands in the instructions, where only a text (or an 'input_text') can.",
            place,
        )
    return text


def _unknown(complaint: str, param: str) -> ProtocolError:
    return ProtocolError("invalid_value", f"Invalid '{param}': {complaint}.", param)
