"""What can go wrong in an engine, as a value."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["EngineErrorKind", "EngineFault"]


class EngineErrorKind(StrEnum):
    """Why an engine call ended without its result."""

    OVERLOADED = "overloaded"
    """Too much work is waiting; the same call may succeed later."""
    UNAVAILABLE = "unavailable"
    """The engine (its process, its server) is not there."""
    TIMEOUT = "timeout"
    """No result came in time."""
    BAD_INPUT = "bad_input"
    """The call's own input cannot be processed; a repeat fails again."""
    CONTEXT_OVERFLOW = "context_overflow"
    """The prompt is longer than the model's context."""
    FAILED = "failed"
    """Anything else."""


@dataclass(frozen=True, slots=True)
class EngineFault:
    """An engine's failure as a fact for the core. ``message`` is safe to show: no path, key or traceback."""

    kind: EngineErrorKind
    retryable: bool = False
    message: str = ""
