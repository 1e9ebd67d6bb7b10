"""Is the process alive (``/healthz``), may sessions begin (``/readyz``), and what was counted (``/metrics``)."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from antiphon.server.auth import is_local_request, presented_key, require_key
from antiphon.server.context import Context, Readiness, context_of
from antiphon.server.engines import describe
from antiphon.server.metrics import CONTENT_TYPE

__all__ = ["healthz", "metrics", "readyz"]


async def healthz(request: Request) -> Response:
    """200 as long as the event loop turns."""
    return _json(200, {"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 when sessions are accepted and the first turn is as fast as the second, else 503."""
    context = context_of(request)
    body: dict[str, object] = {"status": context.readiness.value}
    if _may_see_details(context, request):
        body["engines"] = describe(context.engines)
        body["sessions"] = {"active": context.sessions.active, "max": context.settings.max_sessions}
    return _json(200 if context.readiness is Readiness.READY else 503, body)


async def metrics(request: Request) -> Response:
    """Prometheus' text form; from other machines with a key only."""
    context = context_of(request)
    if not _may_see_details(context, request):
        require_key(context.keyring, presented_key(request.headers))
    return Response(context.observer.registry.render(), media_type=CONTENT_TYPE)


def _may_see_details(context: Context, request: Request) -> bool:
    keyring = context.keyring
    # Without keys the server listens on loopback only; a proxy on this machine does not make its callers local.
    return is_local_request(request) or keyring.is_open or keyring.accepts(presented_key(request.headers).key)


def _json(status: int, body: dict[str, object]) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(body), status_code=status, headers=headers, media_type="application/json")
