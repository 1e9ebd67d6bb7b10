"""``GET /v1/realtime/sessions/{session_id}/turns``: where the time of a session's last turns went."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from antiphon.runtime.observer import TurnLatencies
from antiphon.server.auth import presented_key
from antiphon.server.callers import may_control
from antiphon.server.context import context_of
from antiphon.server.errors import ApiError
from antiphon.server.turn_reports import stages_ms

__all__ = ["list_turns"]


async def list_turns(request: Request) -> Response:
    """The oldest first. For whoever opened the session, or the API key behind it; to others there is none."""
    context = context_of(request)
    session_id: str = request.path_params["session_id"]
    session = context.observer.turns.find(session_id)
    allowed = may_control(context, presented_key(request.headers), None if session is None else session.maker)
    if session is None or not allowed:
        raise ApiError(404, "No session found for the provided session_id", code="session_not_found")
    body = {
        "session_id": session_id,
        "ended": session.ended_at is not None,
        "turns": [_shown(turn) for turn in session.turns],
    }
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"Cache-Control": "no-store"})


def _shown(turn: TurnLatencies) -> dict[str, Any]:
    return {
        "response_id": turn.response_id,
        "status": turn.status,
        "origin": "speech" if turn.is_spoken else "request",
        "origin_ms": round(turn.origin_s * 1000),
        "drafted": turn.is_drafted,
        **stages_ms(turn),
        "output_tokens": turn.output_tokens,
    }
