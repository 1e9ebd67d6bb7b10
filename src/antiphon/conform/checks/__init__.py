"""The checks, in the order in which they are reported."""

from collections.abc import Sequence

from antiphon.conform.check import Check, Rules
from antiphon.conform.checks import (
    audio,
    errors,
    functions,
    handshake,
    http,
    images,
    input,
    items,
    mcp,
    responses,
    session,
    transcription,
    turns,
    wire,
)

__all__ = ["GROUPS", "all_checks"]

GROUPS: Sequence[Rules] = (
    handshake.RULES,
    session.RULES,
    errors.RULES,
    items.RULES,
    responses.RULES,
    audio.RULES,
    functions.RULES,
    input.RULES,
    turns.RULES,
    transcription.RULES,
    images.RULES,
    mcp.RULES,
    http.RULES,
    wire.RULES,
)


def all_checks() -> list[Check]:
    return [check for group in GROUPS for check in group.checks]
