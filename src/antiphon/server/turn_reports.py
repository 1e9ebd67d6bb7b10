"""Where the time of each session's last turns went, and who may know."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from antiphon.runtime.observer import TurnLatencies
from antiphon.server.callers import Caller

__all__ = ["STAGES", "ReportedSession", "TurnReports", "stages_ms"]

STAGES: Final = ("pause", "judged", "committed", "transcript", "first_text", "first_clause", "first_audio", "done")
_TURNS: Final = 64
_KEPT_S: Final = 60.0
_KEPT: Final = 256
"""Sessions that have ended."""


@dataclass(slots=True)
class ReportedSession:
    maker: Caller | None
    """None: nobody may look."""
    turns: deque[TurnLatencies] = field(default_factory=lambda: deque(maxlen=_TURNS))
    ended_at: float | None = None


class TurnReports:
    """The last turns of each session, until a minute after its end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._live: dict[str, ReportedSession] = {}
        self._ended: dict[str, ReportedSession] = {}
        """The longest ended first."""

    def begun(self, session_id: str, maker: Caller | None) -> None:
        self._live[session_id] = ReportedSession(maker)

    def finished(self, turn: TurnLatencies) -> None:
        if session := self._live.get(turn.session_id):
            session.turns.append(turn)

    def ended(self, session_id: str) -> None:
        if session := self._live.pop(session_id, None):
            session.ended_at = self._clock()
            self._ended[session_id] = session
        self._forget()

    def find(self, session_id: str) -> ReportedSession | None:
        self._forget()
        return self._live.get(session_id) or self._ended.get(session_id)

    def _forget(self) -> None:
        now = self._clock()
        for session_id, session in list(self._ended.items()):
            if len(self._ended) <= _KEPT and session.ended_at is not None and now < session.ended_at + _KEPT_S:
                return
            del self._ended[session_id]


def stages_ms(turn: TurnLatencies) -> Mapping[str, Any]:
    """``pause_ms`` and so on; None where that stage did not happen."""
    return {f"{stage}_ms": getattr(turn, f"{stage}_ms") for stage in STAGES}
