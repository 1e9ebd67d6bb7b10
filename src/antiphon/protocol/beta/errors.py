"""Errors that name a field by the path that a beta client knows."""

from typing import Final

from msgspec import structs

from antiphon.protocol.server_events import ErrorBody

__all__ = ["beta_error"]

_PATHS: Final = (
    ("session.audio.input.format.type", "session.input_audio_format"),
    ("session.audio.input.format", "session.input_audio_format"),
    ("session.audio.input.transcription", "session.input_audio_transcription"),
    ("session.audio.input.noise_reduction", "session.input_audio_noise_reduction"),
    ("session.audio.input.turn_detection", "session.turn_detection"),
    ("session.audio.output.format.type", "session.output_audio_format"),
    ("session.audio.output.format", "session.output_audio_format"),
    ("session.audio.output.voice", "session.voice"),
    ("session.audio.output.speed", "session.speed"),
    ("session.output_modalities", "session.modalities"),
    ("session.max_output_tokens", "session.max_response_output_tokens"),
    ("response.audio.output.format.type", "response.output_audio_format"),
    ("response.audio.output.format", "response.output_audio_format"),
    ("response.audio.output.voice", "response.voice"),
    ("response.output_modalities", "response.modalities"),
    ("response.max_output_tokens", "response.max_response_output_tokens"),
)
"""Today's path and the beta's; the longer one first where one begins with another."""


def beta_error(error: ErrorBody) -> ErrorBody:
    param = error.param or ""
    for today, then in _PATHS:
        if param == today or param.startswith((f"{today}.", f"{today}[")):
            message = error.message.replace(today, then)
            return structs.replace(error, param=then + param[len(today) :], message=message)
    return error
