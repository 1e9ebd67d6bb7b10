"""``/api/realtime/session``: where the server's own pages ask for a call or a secret.

It is the endpoint that applications put between their pages and a Realtime server, before this very server, without a
network between them. It is there where everybody on this machine may call without a key, and nowhere else: a proxy
before a server with keys would open it to the world.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence

import httpx
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from antiphon.broker import BrokerSettings, create_broker
from antiphon.server.settings import Settings
from antiphon.web.hosts import is_loopback

__all__ = ["OwnPages"]

_PATH = "/api/realtime"
_UPSTREAM = "http://127.0.0.1/v1"
"""Never connected to."""


class OwnPages:
    """``routes`` go into the server's application, which is then told to ``begin``."""

    def __init__(self, settings: Settings) -> None:
        self.routes: Sequence[BaseRoute] = ()
        self._transport = httpx.ASGITransport(_not_begun)
        self._broker = None
        if is_loopback(settings.host) and not settings.keys_required:
            asked = BrokerSettings(upstream=_UPSTREAM, allowed_origins=settings.allowed_origins)
            self._broker = create_broker(asked, transport=self._transport)
            self.routes = (Mount(_PATH, self._broker),)

    def begin(self, server: ASGIApp) -> None:
        self._transport.app = server

    @contextlib.asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        if self._broker is None:
            yield
            return
        async with self._broker.lifespan():
            yield


async def _not_begun(*_: object) -> None:
    raise RuntimeError("the server's application is not known yet")
