"""One server process: uvicorn with our bounds, and an end that lets sessions finish."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from antiphon.engines.base import Engine
from antiphon.engines.registry import EngineKind
from antiphon.runtime.sessions import Sessions
from antiphon.server.app import create_app
from antiphon.server.auth import Keyring
from antiphon.server.call_registry import Calls
from antiphon.server.client_secrets import ClientSecrets
from antiphon.server.context import Context, Readiness
from antiphon.server.listen import port_of
from antiphon.server.logs import log_line
from antiphon.server.observe import ServerObserver
from antiphon.server.runtime_values import mcp_client, runtime_engines, runtime_settings
from antiphon.server.settings import Settings
from antiphon.server.tracing import open_tracing
from antiphon.server.uvicorn_protocols import HttpProtocol, WebSocketProtocol

__all__ = ["serve"]

_LOG = logging.getLogger(__name__)
_FRAME_MAX_BYTES = 16 * 1024 * 1024
"""Largest message a client may send: an append of 15 MiB of base64 text fits in."""
_PING_INTERVAL_S = 20.0
_PING_TIMEOUT_S = 60.0
"""A browser tab in the background, or a client that computes, answers late; a dead peer is gone after 80 s."""
_CLOSE_CONNECTIONS_S = 5
_BACKLOG = 128
"""asyncio accepts as many connections at a time, before the first of them can be refused."""


class _Server(uvicorn.Server):
    """uvicorn's server: a signal drains the sessions, a second one closes them at once, a third leaves tasks behind."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._hurry = asyncio.Event()
        self._signals = 0
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        async with asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(self._drained(), name="drain")
            hurry = tasks.create_task(self._hurry.wait(), name="hurry")
            await asyncio.wait((draining, hurry), return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()
            hurry.cancel()
        await super().shutdown(sockets)

    async def _drained(self) -> None:
        try:
            await self._drain()
        except Exception:
            # Whatever it is, the connections are closed next.
            _LOG.exception("drain_failed")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Unlike uvicorn's own, this does not raise the signal again afterwards: a drained server has ended well.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._signals += 1
        self.should_exit = True
        if self._signals == 2:
            # In a signal's frame the loop may be asleep.
            self._loop.call_soon_threadsafe(self._hurry.set)
        self.force_exit = self._signals > 2


async def serve(
    settings: Settings,
    engines: Mapping[EngineKind, Engine],
    sockets: Sequence[socket.socket],
    tls: ssl.SSLContext | None = None,
    *,
    on_ready: Callable[[], None] = lambda: None,
    stop: asyncio.Event | None = None,
) -> str:
    """Serve until a signal comes or ``stop`` is set. Returns "" at a good end, else one line that says what went wrong.

    ``on_ready`` is called once, when connections are taken and the engines are warm. The engines are closed at the end.
    """
    failures: list[str] = []

    def fail(reason: str) -> None:
        failures.append(reason)
        server.should_exit = True

    context = _context(settings, engines)

    async def drain() -> None:
        context.readiness = Readiness.DRAINING
        log_line(_LOG, "draining", sessions=context.sessions.active, drain_s=settings.drain_s)
        await context.sessions.drain(settings.drain_s)

    warm = asyncio.Event()
    app = create_app(context, on_ready=warm.set, on_failed=fail)
    server = _Server(_uvicorn_config(settings, app, tls), drain)
    port = port_of(sockets)
    try:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(_stop_when(stop or asyncio.Event(), server), name="stop")
            announce = tasks.create_task(_announce(on_ready, warm, server.listening), name="announce")
            await server.serve(list(sockets))
            watch.cancel()
            announce.cancel()
    except* OSError as errors:
        # Bound before, listening only now: another program can have been quicker.
        failures.append(f"cannot listen on port {port}: {errors.exceptions[0]}")
    return failures[0] if failures else ""


async def _stop_when(stop: asyncio.Event, server: _Server) -> None:
    await stop.wait()
    server.should_exit = True


async def _announce(on_ready: Callable[[], None], *conditions: asyncio.Event) -> None:
    for condition in conditions:
        await condition.wait()
    on_ready()


def _context(settings: Settings, engines: Mapping[EngineKind, Engine]) -> Context:
    observer = ServerObserver(open_tracing(settings.otel, engines))
    sessions = Sessions(runtime_engines(engines), runtime_settings(settings), observer, mcp_client(settings))
    observer.watch(engines, lambda: sessions.active)
    calls = Calls(settings, sessions, observer)
    keyring = Keyring(key.get_secret_value() for key in settings.api_keys)
    secrets = ClientSecrets(key.get_secret_value() for key in settings.client_secret_keys)
    return Context(settings, engines, sessions, calls, observer, keyring, secrets)


def _uvicorn_config(settings: Settings, app: ASGIApp, tls: ssl.SSLContext | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=_FRAME_MAX_BYTES,
        ws_ping_interval=_PING_INTERVAL_S,
        ws_ping_timeout=_PING_TIMEOUT_S,
        # Base64 audio hardly shrinks, and a compressor costs each connection memory and latency.
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=_CLOSE_CONNECTIONS_S,
        backlog=_BACKLOG,
        ssl_context_factory=(lambda config, default: tls) if tls is not None else None,
    )
