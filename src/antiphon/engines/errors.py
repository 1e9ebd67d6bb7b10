"""The one exception that leaves an engine, and the one that leaves its factory."""

from antiphon.vocabulary.errors import EngineErrorKind, EngineFault

__all__ = ["EngineError", "EngineSettingsError"]


class EngineError(Exception):
    """A failed engine call.

    ``message`` may reach a client: it names what failed, never a path, a key or a traceback.
    """

    def __init__(self, kind: EngineErrorKind, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        if retryable is None:
            retryable = kind in (EngineErrorKind.OVERLOADED, EngineErrorKind.UNAVAILABLE, EngineErrorKind.TIMEOUT)
        self.retryable = retryable

    @property
    def fault(self) -> EngineFault:
        return EngineFault(self.kind, self.retryable, self.message)


class EngineSettingsError(Exception):
    """An engine cannot be built as asked; the message is one line that says how to mend it."""
