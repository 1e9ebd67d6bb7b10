"""Engines that break a rule each, and what is found out about them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from antiphon.engines.registry import EngineKind
from antiphon.testing.scripted import (
    engines,
)

__all__ = ["JUDGE", "LLM", "NOISE", "READER", "STT", "TTS", "VAD", "Broken", "with_attribute"]

VAD, NOISE, JUDGE, STT, LLM, TTS, READER = (
    EngineKind.VAD,
    EngineKind.NOISE_REDUCER,
    EngineKind.TURN_JUDGE,
    EngineKind.STT,
    EngineKind.LLM,
    EngineKind.TTS,
    EngineKind.IMAGE_READER,
)


@dataclass
class Broken:
    kind: EngineKind
    check: str
    engine: Callable[[], Any]
    finding: str
    """Part of what the check says."""


def with_attribute(kind: EngineKind, name: str, value: object) -> Callable[[], Any]:
    def build() -> Any:
        engine = engines()[kind]
        setattr(engine, name, value)
        return engine

    return build
