"""From settings to engines: which ones are meant, what they need, and how they begin and end together."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from antiphon.engines import registry
from antiphon.engines.base import Engine
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.registry import EngineKind
from antiphon.server.logs import log_line
from antiphon.server.settings import Settings, SettingsError

if TYPE_CHECKING:
    from antiphon.weights import Progress

__all__ = ["EnginePlan", "build_engines", "close_engines", "describe", "fetch_weights", "plan_engines", "warm_up"]

_LOG = logging.getLogger(__name__)
_OFF = "none"
_OPTIONAL = frozenset({EngineKind.NOISE_REDUCER, EngineKind.TURN_JUDGE, EngineKind.IMAGE_READER})
"""Stages that a session can do without."""


@dataclass(frozen=True, slots=True)
class Choice:
    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """What will be built. Nothing has been loaded or fetched yet."""

    choices: Mapping[EngineKind, Choice]
    weights: tuple[str, ...]
    """Names of the models that the choices need, in the manifest of weights."""
    notes: tuple[str, ...] = ()
    """What ``auto`` had to pass over, and why."""
    is_scripted: bool = False


@dataclass(slots=True)
class _Gathered:
    choices: dict[EngineKind, Choice] = field(default_factory=dict)
    weights: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def plan_engines(settings: Settings, *, scripted: bool = False) -> EnginePlan:
    """Raises ``SettingsError`` where a chosen engine is not installed or cannot run here."""
    if scripted:
        return EnginePlan({}, (), is_scripted=True)
    gathered = _Gathered()
    for kind in EngineKind:
        try:
            _choose(kind, settings, gathered)
        except EngineSettingsError as error:
            raise SettingsError(str(error)) from error
    return EnginePlan(gathered.choices, tuple(gathered.weights), tuple(gathered.notes))


def fetch_weights(plan: EnginePlan, progress: Callable[[], "Progress"]) -> None:
    """Bring what is missing onto this machine; asks nobody's network if nothing is. Raises ``SettingsError``."""
    if not plan.weights:
        return
    from antiphon import weights

    try:
        if weights.missing(plan.weights):
            weights.fetch(plan.weights, progress=progress())
    except weights.WeightsError as error:
        raise SettingsError(str(error)) from error


def build_engines(plan: EnginePlan) -> dict[EngineKind, Engine]:
    """Load the engines; takes seconds. Raises ``SettingsError`` where an engine refuses its options."""
    if plan.is_scripted:
        # A server is never scripted by accident: this module is reached through --engine scripted alone.
        from antiphon.testing import scripted

        return scripted.engines()
    engines = {}
    for kind, choice in plan.choices.items():
        try:
            engines[kind] = registry.create(kind, choice.name, choice.options)
        except EngineSettingsError as error:
            told = str(error).removeprefix(f"{choice.name}: ")
            raise SettingsError(f"{kind.value} engine {choice.name!r}: {told}") from error
    return engines


async def warm_up(engines: Mapping[EngineKind, Engine]) -> None:
    """Make each engine's first call as fast as its second. Raises ``EngineError``."""
    for kind, engine in engines.items():
        await engine.warm_up()
        log_line(_LOG, "engine_warm", stage=kind.value, engine=engine.info.name)


async def close_engines(engines: Mapping[EngineKind, Engine]) -> None:
    """Close every engine, whatever one of them does."""
    for kind, engine in engines.items():
        try:
            await engine.aclose()
        except EngineError as error:
            log_line(_LOG, "engine_close_failed", logging.WARNING, stage=kind.value, reason=error.message)
        except Exception:
            _LOG.exception("engine_close_failed")


def describe(engines: Mapping[EngineKind, Engine]) -> Sequence[str]:
    """One line an engine, for the banner and ``/readyz``."""
    width = max((len(kind.value) for kind in engines), default=0)
    return [
        f"{kind.value.ljust(width)}  {engine.info.name} {engine.info.version}".rstrip()
        for kind, engine in engines.items()
    ]


def _choose(kind: EngineKind, settings: Settings, gathered: _Gathered) -> None:
    section = settings.section(kind)
    if section.engine == _OFF and kind in _OPTIONAL:
        return
    try:
        name, notes = registry.choose(kind, section.engine)
    except ImportError as error:
        # An engine of a third party whose module does not load.
        raise EngineSettingsError(f"{kind.value} engine {section.engine!r} cannot be loaded: {error}") from error
    except EngineSettingsError as error:
        if kind not in _OPTIONAL or section.engine != "auto":
            raise
        gathered.notes.append(f"{error} (going on without it)")
        return
    gathered.choices[kind] = Choice(name, section.options)
    gathered.notes.extend(notes)
    gathered.weights.update(dict.fromkeys(registry.requirements(kind, name).weights(section.options)))
