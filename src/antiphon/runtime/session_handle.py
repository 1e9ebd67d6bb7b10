"""A running session, for those who did not open it."""

from antiphon.runtime.observer import Outcome
from antiphon.runtime.orchestrator import Orchestrator
from antiphon.runtime.transport import Transport

__all__ = ["SessionHandle"]


class SessionHandle:
    """It may be kept beyond the session's end, and then does nothing any more."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    @property
    def id(self) -> str:
        return self._orchestrator.id

    @property
    def active(self) -> bool:
        """False from the moment at which it begins to end."""
        return self._orchestrator.active

    @property
    def has_room(self) -> bool:
        """Whether one more connection may be attached now: to be asked before its handshake."""
        return self._orchestrator.has_room

    async def attach(self, transport: Transport, *, connection_id: str, beta: bool = False) -> None:
        """Run a further connection (a sideband, an upload), until it is over or the session is.

        It is told of everything that happens from now on but what answers others alone, and may say all that the first
        one may. Where there is no room, or no session any more, it is closed at once. ``beta``: it asked for the beta's
        events.
        """
        await self._orchestrator.attach(transport, connection_id=connection_id, beta=beta)

    def end(self, code: int = 1000, reason: str = "", outcome: Outcome = "closed") -> None:
        """Hang up; what was said so far is still sent."""
        self._orchestrator.end(code, reason, outcome)
