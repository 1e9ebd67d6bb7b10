"""The calls of this process: made, found by their ids, and ended."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from antiphon.runtime.budget import ByteBudget
from antiphon.runtime.session_handle import SessionHandle
from antiphon.runtime.sessions import Opening, Sessions
from antiphon.server.callers import Caller
from antiphon.server.errors import ApiError
from antiphon.server.observe import ServerObserver
from antiphon.server.rtc_values import endpoint_settings, extra_is_installed
from antiphon.server.settings import Settings, SettingsError
from antiphon.transports.playout_budget import PlayoutBudget
from antiphon.transports.webrtc import WebRtcTransport

if TYPE_CHECKING:
    from antiphon.rtc.call import Call
    from antiphon.rtc.endpoint import Endpoint

__all__ = ["Calls", "LiveCall"]

_ID_BYTES: Final = 18
_MAX_UPLOADS: Final = 4
"""At a time, of one call: others need the memory too."""


@dataclass(slots=True)
class LiveCall:
    id: str
    maker: Caller
    call: "Call"
    session: SessionHandle = field(init=False)
    """There from the moment at which the call can be found."""
    _uploads: int = 0
    _limits: set[asyncio.Timeout] = field(default_factory=set)

    def room(self) -> SessionHandle:
        """The session, which takes one more connection. Raises ``ApiError`` where it has enough of them."""
        if self.session.has_room:
            return self.session
        raise _crowded("This call has as many connections as it may have; close one of them.")

    @contextlib.contextmanager
    def uploading(self) -> Iterator[None]:
        """One more item is on its way by HTTP within the block. Raises ``ApiError`` where enough of them are."""
        if self._uploads >= _MAX_UPLOADS:
            raise _crowded("This call is being sent as many items as it may be; wait until one has arrived.")
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    @contextlib.contextmanager
    def ending(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Within the block the end of the call is the end of what ``limit`` bounds."""
        self._limits.add(limit)
        try:
            yield
        finally:
            self._limits.discard(limit)

    def over(self) -> None:
        for limit in self._limits:
            limit.reschedule(asyncio.get_running_loop().time())


class Calls:
    """``running`` for as long as the server lives; ``begin`` one for each offer."""

    def __init__(self, settings: Settings, sessions: Sessions, observer: ServerObserver) -> None:
        self._settings = settings
        self._sessions = sessions
        self._observer = observer
        self._live: dict[str, LiveCall] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._endpoint: Endpoint | None = None
        self._playout = PlayoutBudget(settings.calls.playout_bytes)
        self.uploads = ByteBudget(settings.decode_bytes)
        """Bodies of items being received, all calls together."""

    @contextlib.asynccontextmanager
    async def running(self, on_failed: Callable[[str], None]) -> AsyncIterator[None]:
        """Take calls within the block. ``on_failed`` is told, in one line, why that cannot be."""
        async with contextlib.AsyncExitStack() as stack:
            if self._settings.rtc and extra_is_installed():
                from antiphon.rtc.endpoint import Endpoint
                from antiphon.rtc.opus import OpusError

                # ``serve`` has checked all this before; who runs the application otherwise has not.
                try:
                    endpoint = await stack.enter_async_context(Endpoint(endpoint_settings(self._settings)))
                except OSError as error:
                    on_failed(f"cannot take calls on port {self._settings.chosen_rtc_port}: {error.strerror or error}")
                except (OpusError, SettingsError) as error:
                    on_failed(f"cannot take calls: {error}")
                else:
                    await stack.enter_async_context(self._taking(endpoint))
            yield

    @contextlib.asynccontextmanager
    async def _taking(self, endpoint: "Endpoint") -> AsyncIterator[None]:
        from antiphon.rtc.endpoint import LATENESS_BOUNDS_MS

        async with asyncio.TaskGroup() as tasks:
            self._endpoint = endpoint
            self._tasks = tasks
            self._observer.watch_calls(LATENESS_BOUNDS_MS, lambda: endpoint.statistics)
            try:
                yield
            finally:
                self._endpoint = None
                # All were drained before; what is left is cut off.
                for task in self._running:
                    task.cancel()

    def check_available(self) -> "Endpoint":
        """Raises ``ApiError`` where no calls are taken."""
        if self._endpoint is not None:
            return self._endpoint
        if not self._settings.rtc:
            message = "Calls over WebRTC are turned off here (the setting rtc); the WebSocket is at /v1/realtime."
        elif not extra_is_installed():
            message = "Calls over WebRTC need an extra of the server: pip install 'antiphon[webrtc]'."
        else:
            message = "Calls over WebRTC are not taken: the server is ending."
        raise ApiError(501, message, code="not_available", type="server_error")

    async def begin(
        self,
        offer: str,
        opening: Opening,
        maker: Caller,
        *,
        client: str,
        reached_at: str | None,
        place: contextlib.ExitStack,
    ) -> LiveCall:
        """Answer an offer and begin its session; what ``place`` holds is given back when the call is over.

        Raises ``ApiError``, and what an endpoint raises for an offer.
        """
        transport = WebRtcTransport(self._playout)
        call = self.check_available().call(offer, transport, reached_at=reached_at)
        transport.begin(call)
        live = LiveCall(f"rtc_{secrets.token_urlsafe(_ID_BYTES)}", maker, call)
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work = self._serve(live, transport, opening, client, begun, place.pop_all())
        task = self._tasks.create_task(work, name=live.id)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await begun
        return live

    def find(self, call_id: str) -> LiveCall | None:
        """A call that is not over, nor about to be."""
        live = self._live.get(call_id)
        return live if live is not None and live.session.active else None

    async def _serve(
        self,
        live: LiveCall,
        transport: WebRtcTransport,
        opening: Opening,
        client: str,
        begun: "asyncio.Future[None]",
        place: contextlib.ExitStack,
    ) -> None:
        """A fault of one call ends only that."""

        def started(session: SessionHandle) -> None:
            live.session = session
            self._live[live.id] = live
            if not begun.done():
                begun.set_result(None)

        loop = asyncio.get_running_loop()
        began_s = loop.time()
        with place:
            self._observer.call_begun(live.id, opening, client, live.maker)
            try:
                await self._sessions.serve(transport, opening, started)
            except Exception as error:
                self._observer.fault(opening.connection_id, error)
            finally:
                self._live.pop(live.id, None)
                live.over()
                live.call.close()
                self._observer.call_ended(live.id, opening, _ending_of(transport), loop.time() - began_s)
                if not begun.done():
                    begun.set_exception(
                        ApiError(500, "The call could not begin.", code="internal_error", type="server_error")
                    )


def _crowded(message: str) -> ApiError:
    return ApiError(429, message, code="rate_limit_exceeded", type="rate_limit_error")


def _ending_of(transport: WebRtcTransport) -> str:
    return "shut_down" if transport.ending is None else str(transport.ending)
