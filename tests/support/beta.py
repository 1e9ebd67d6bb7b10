"""Is an event one that clients written for the beta can read?"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from antiphon.conform.shapes import ApiShapes

__all__ = ["assert_valid_beta_event", "beta_shapes", "complaints_about_beta_event"]

_PAGE: Final = Path(__file__).parents[1] / "data" / "beta_shapes.json"
_SESSION: Final = ("object", "expires_at", "client_secret", "include", "truncation", "prompt", "tool_choice", "model")
_TODAY: Final = ("type", "output_modalities", "max_output_tokens", "audio", "parallel_tool_calls", "reasoning")
_MCP_ITEM: Final = ("type", "server_label", "tools", "error", "approval_request_id", "approve", "reason")
_MCP_TOOL: Final = ("server_label", "server_url", "connector_id", "tunnel_id", "authorization", "headers", "type")
_MCP_USE: Final = ("server_description", "allowed_tools", "allowed_callers", "require_approval", "defer_loading")
_ADDED: Final[Mapping[str, tuple[str, ...]]] = {
    "Session": (*_SESSION, *_TODAY),
    "TranscriptionSession": ("id", "object", "expires_at", "include", "input_audio_noise_reduction", "client_secret"),
    "TurnDetection": ("idle_timeout_ms", "eagerness", "create_response", "interrupt_response"),
    "InputAudioTranscription": ("model", "languages", "keywords", "delay"),
    "InputAudioNoiseReduction": ("strength",),
    "ConversationItem": _MCP_ITEM,
    "ConversationItemContent": ("type", "image_url", "detail"),
    "Tool": (*_MCP_TOOL, *_MCP_USE),
    "InputTokenDetails": ("image_tokens", "cached_tokens_details"),
    "Error": ("message",),
    "ResponseFunctionCallArgumentsDoneEvent": ("name",),
    "ConversationItemInputAudioTranscriptionCompletedEvent": ("languages",),
}
"""By shape: what the recorded beta had and its last official types lack or narrow (any model's name, a tool choice that
names a function), and fields of today's API, which the beta's clients ignore."""


@functools.cache
def beta_shapes() -> ApiShapes:
    """The table of the beta's fields."""
    table = json.loads(_PAGE.read_text("utf-8"))
    for name, shape in table["shapes"].items():
        for field in _ADDED.get(name.rsplit("__", 1)[-1], ()):
            shape["fields"][field] = "anything"
    table["server_events"]["transcription_session.created"] = ["TranscriptionSessionCreatedEvent"]
    created = {**table["shapes"]["SessionCreatedEvent"]}
    created["fields"] = {**created["fields"], "session": "anything", "type": "string"}
    table["shapes"]["TranscriptionSessionCreatedEvent"] = created
    return ApiShapes(table)


def complaints_about_beta_event(payload: Mapping[str, Any]) -> list[str]:
    """All that is wrong with this server event; empty if the beta's clients can read it."""
    names = beta_shapes().server_events.get(str(payload.get("type")))
    if names is None:
        return [f"type: {payload.get('type')!r} is no event of the beta"]
    return beta_shapes().complaints(dict(payload), {"any": [{"shape": name} for name in names]})


def assert_valid_beta_event(payload: Mapping[str, Any]) -> None:
    complaints = complaints_about_beta_event(payload)
    assert not complaints, f"invalid {payload.get('type')} event:\n" + "\n".join(complaints)
