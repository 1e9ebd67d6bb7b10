"""The HTTP application: routes, start and end."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from antiphon.engines.errors import EngineError
from antiphon.server.call_items import add_item
from antiphon.server.calls import create_call, hang_up, renegotiate
from antiphon.server.context import Context, Readiness
from antiphon.server.engines import close_engines, warm_up
from antiphon.server.errors import ApiError, exception_handlers
from antiphon.server.health import healthz, metrics, readyz
from antiphon.server.logs import log_line
from antiphon.server.loop_lag import watch_loop_lag
from antiphon.server.models import get_model, list_models
from antiphon.server.origin import BrowserRules, OriginPolicy
from antiphon.server.own_pages import OwnPages
from antiphon.server.realtime import realtime, realtime_without_upgrade
from antiphon.server.session_requests import create_client_secret, create_session, create_transcription_session
from antiphon.server.turn_requests import list_turns

__all__ = ["ROUTES", "create_app"]

_LOG = logging.getLogger(__name__)
_RETRY_S = 5.0


ROUTES: Sequence[BaseRoute] = (
    Route("/healthz", healthz, methods=["GET"]),
    Route("/readyz", readyz, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
    Route("/v1/models", list_models, methods=["GET"]),
    Route("/v1/models/{model:path}", get_model, methods=["GET"]),
    Route("/v1/realtime/client_secrets", create_client_secret, methods=["POST"]),
    Route("/v1/realtime/sessions", create_session, methods=["POST"]),
    Route("/v1/realtime/sessions/{session_id}/turns", list_turns, methods=["GET"]),
    Route("/v1/realtime/transcription_sessions", create_transcription_session, methods=["POST"]),
    Route("/v1/realtime/calls", create_call, methods=["POST"]),
    Route("/v1/realtime/calls/{call_id}", renegotiate, methods=["POST"]),
    Route("/v1/realtime/calls/{call_id}/hangup", hang_up, methods=["POST"]),
    Route("/v1/realtime/calls/{call_id}/items", add_item, methods=["POST"]),
    Route("/v1/realtime", realtime_without_upgrade, methods=["GET"]),
    Route("/v1/realtime", create_call, methods=["POST"]),
    WebSocketRoute("/v1/realtime", realtime),
)
"""Every address that answers, sockets included."""


def create_app(
    context: Context, *, on_ready: Callable[[], None] = lambda: None, on_failed: Callable[[str], None] = lambda _: None
) -> ASGIApp:
    """The ASGI application. The engines of ``context`` are its own from here on: it warms and closes them.

    ``on_ready`` is called once sessions are accepted; ``on_failed``, with one line, if that can never be.
    """
    pages = OwnPages(context.settings)
    app = Starlette(
        routes=[*ROUTES, *pages.routes, WebSocketRoute("/{path:path}", _no_such_socket)],
        exception_handlers=exception_handlers(),
        lifespan=lambda _: _lifespan(context, pages, on_ready, on_failed),
    )
    app.state.context = context
    settings = context.settings
    policy = OriginPolicy.of(
        keys_required=settings.keys_required, hosts=settings.allowed_hosts, origins=settings.allowed_origins
    )
    server = BrowserRules(app, policy, context.observer.refused)
    pages.begin(server)
    return server


async def _no_such_socket(socket: WebSocket) -> None:
    raise ApiError(404, "There is nothing at this address; the WebSocket is at /v1/realtime.", code="not_found")


@contextlib.asynccontextmanager
async def _lifespan(
    context: Context, pages: OwnPages, on_ready: Callable[[], None], on_failed: Callable[[str], None]
) -> AsyncIterator[None]:
    try:
        async with pages.lifespan(), context.calls.running(on_failed), asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(watch_loop_lag(context.observer.loop_lag, context.sessions.strain), name="loop lag"),
                tasks.create_task(_run_sessions(context, on_failed), name="sessions"),
                tasks.create_task(_become_ready(context, on_ready, on_failed), name="warm-up"),
            ]
            yield
            for task in background:
                task.cancel()
    finally:
        await close_engines(context.engines)
        await context.observer.aclose()


async def _run_sessions(context: Context, on_failed: Callable[[str], None]) -> None:
    try:
        await context.sessions.run()
    except Exception:
        # Without it no session hears anything: better to end the process than to go on deaf.
        _LOG.exception("sessions_crashed")
        context.readiness = Readiness.FAILED
        on_failed("what all sessions share has failed; the log says more")


async def _become_ready(context: Context, on_ready: Callable[[], None], on_failed: Callable[[str], None]) -> None:
    """Warm the engines up. A model server that is not there yet is waited for; anything else ends the process."""
    while context.readiness is Readiness.WARMING:
        try:
            await warm_up(context.engines)
            await context.sessions.prepare()
        except EngineError as error:
            if not error.retryable:
                context.readiness = Readiness.FAILED
                on_failed(error.message)
                return
            log_line(_LOG, "engine_not_ready", logging.WARNING, reason=error.message, retry_in_s=_RETRY_S)
            await asyncio.sleep(_RETRY_S)
        except Exception:
            _LOG.exception("engine_warm_up_crashed")
            context.readiness = Readiness.FAILED
            on_failed("an engine failed while it was warmed up; the log says more")
            return
        else:
            context.readiness = Readiness.READY
            on_ready()
