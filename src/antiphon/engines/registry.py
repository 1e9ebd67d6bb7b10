"""Engines by name. Built-in engines and those of third parties come through the same door: entry points.

Groups: ``antiphon.vad``, ``antiphon.noise_reducer``, ``antiphon.turn_judge``, ``antiphon.stt``, ``antiphon.llm``,
``antiphon.tts`` and ``antiphon.image_reader``. The value is a factory ``(options: Mapping[str, Any]) -> Engine``; it is
loaded only when its engine is selected, and imports what is heavy inside.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata, util
from typing import Any, TypeVar

from antiphon.engines.base import Engine
from antiphon.engines.errors import EngineSettingsError

__all__ = ["EngineKind", "Requirements", "available", "choose", "create", "requirements", "requires"]


class EngineKind(StrEnum):
    VAD = "vad"
    NOISE_REDUCER = "noise_reducer"
    TURN_JUDGE = "turn_judge"
    STT = "stt"
    LLM = "llm"
    TTS = "tts"
    IMAGE_READER = "image_reader"


DEFAULTS: Mapping[EngineKind, Sequence[str]] = {
    EngineKind.VAD: ("silero", "energy"),
    EngineKind.NOISE_REDUCER: ("webrtc",),
    EngineKind.TURN_JUDGE: ("smart_turn",),
    EngineKind.STT: ("whisper",),
    EngineKind.LLM: ("llamacpp",),
    EngineKind.TTS: ("hibari",),
    EngineKind.IMAGE_READER: ("rapidocr",),
}
"""For each kind, what ``auto`` tries, in order."""

Factory = Callable[[Mapping[str, Any]], Engine]
_F = TypeVar("_F", bound=Factory)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an engine needs before it can be built."""

    modules: tuple[str, ...] = ()
    """Import names; a missing one means that this platform has no wheel of it or the extra is not installed."""
    weights: Callable[[Mapping[str, Any]], Sequence[str]] = lambda _: ()
    """Names in the weights manifest, by the engine's options."""


def requires(*modules: str, weights: Callable[[Mapping[str, Any]], Sequence[str]] = lambda _: ()) -> Callable[[_F], _F]:
    """Mark a factory with its requirements."""

    def mark(factory: _F) -> _F:
        factory.requirements = Requirements(modules, weights)  # type: ignore[attr-defined]
        return factory

    return mark


def available(kind: EngineKind) -> tuple[str, ...]:
    """Names of all installed engines of a kind, the defaults first."""
    found = {entry.name for entry in metadata.entry_points(group=f"antiphon.{kind}")}
    order = [name for name in DEFAULTS[kind] if name in found]
    return (*order, *sorted(found.difference(order)))


def requirements(kind: EngineKind, name: str) -> Requirements:
    return getattr(_factory(kind, name), "requirements", Requirements())


def choose(kind: EngineKind, name: str = "auto") -> tuple[str, tuple[str, ...]]:
    """The engine that ``name`` stands for, and one line for each engine that ``auto`` had to pass over."""
    candidates = DEFAULTS[kind] if name == "auto" else (name,)
    passed: list[str] = []
    for candidate in candidates:
        missing = [module for module in requirements(kind, candidate).modules if util.find_spec(module) is None]
        if not missing:
            return candidate, tuple(passed)
        passed.append(f"{kind} engine {candidate!r} needs {', '.join(missing)}: pip install 'antiphon[local]'")
    raise EngineSettingsError("; ".join(passed))


def create(kind: EngineKind, name: str, options: Mapping[str, Any]) -> Engine:
    """Build an engine. Raises ``EngineSettingsError`` with one line that says how to mend it."""
    return _factory(kind, name)(options)


def _factory(kind: EngineKind, name: str) -> Factory:
    for entry in metadata.entry_points(group=f"antiphon.{kind}", name=name):
        factory: Factory = entry.load()
        return factory
    raise EngineSettingsError(f"there is no {kind} engine {name!r}; installed are: {', '.join(available(kind))}")
