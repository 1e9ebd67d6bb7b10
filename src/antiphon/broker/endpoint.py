"""The endpoint's addresses, and what every request of a page passes before upstream hears of it."""

import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from antiphon.broker.bodies import NOT_JSON, bounded, read_body
from antiphon.broker.exchange import Exchange, is_call_id
from antiphon.broker.hooks import Authorize, RequestedSession, SessionDefaults, call_hook
from antiphon.broker.limits import RateLimiter, caller_address
from antiphon.broker.origin import PageRules
from antiphon.broker.settings import BrokerSettings
from antiphon.broker.upstream import Upstream
from antiphon.web.errors import ApiError, error_response
from antiphon.web.local import is_from_this_machine

__all__ = ["Broker", "create_broker"]

_LOG = logging.getLogger(__name__)
_SAFE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Origin, Sec-Fetch-Site",
    "X-Content-Type-Options": "nosniff",
}
_SDP_TYPES: Final = ("application/sdp", "text/plain")

_Action = Callable[[Request, str | None], Awaitable[Response]]


def create_broker(
    settings: BrokerSettings,
    *,
    authorize: Authorize | None = None,
    session: SessionDefaults | None = None,
    requested_session: RequestedSession | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> "Broker":
    """The endpoint as an ASGI application, to be mounted at a path of your choice or served as it is.

    ``authorize`` says who calls; without it only this machine is answered, unless ``allow_anonymous`` is set.
    ``session`` says what a session begins with. ``requested_session`` decides about one that a page asks for together
    with a client secret; without it such a request is refused. ``transport`` carries the requests to upstream instead
    of the network.
    """
    return Broker(settings, authorize, session, requested_session, transport)


class Broker:
    """See ``create_broker``. Give ``lifespan`` to the application it is mounted in, or call ``aclose`` at its end."""

    def __init__(
        self,
        settings: BrokerSettings,
        authorize: Authorize | None,
        session: SessionDefaults | None,
        requested_session: RequestedSession | None,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._settings = settings
        self._authorize = authorize
        self._session = session
        self._requested_session = requested_session
        self._pages = PageRules(settings.allowed_origins, settings.allowed_hosts)
        self._addresses = RateLimiter(settings.address_limit, time.monotonic)
        self._users = RateLimiter(settings.user_limit, time.monotonic)
        self._upstream = Upstream(settings, transport)
        self._exchange = Exchange(settings, self._upstream)
        self.routes: list[BaseRoute] = [
            Route("/session", self._address({"POST": self._begin})),
            Route("/session/calls/{call_id}", self._address({"POST": self._renegotiate, "DELETE": self._hang_up})),
            Route("/session/calls/{call_id}/hangup", self._address({"POST": self._hang_up})),
        ]
        """For an application that would rather not mount; they are relative to where they are put."""
        self._router = Router(self.routes, redirect_slashes=False, default=self._address({}), lifespan=self.lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Has the client of upstream open; fits Starlette's and FastAPI's ``lifespan``."""
        self._upstream.open()
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        await self._upstream.aclose()

    def _address(self, actions: Mapping[str, _Action]) -> "_Address":
        return _Address(functools.partial(self._respond, actions), self._settings.body_max_bytes)

    async def _respond(self, actions: Mapping[str, _Action], request: Request) -> Response:
        """The answer to a request at an address with these methods, its refusals included."""
        cors: Mapping[str, str] = {}
        code = ""
        try:
            cors = self._pages.check(request.headers, request.scope["scheme"])
            preflight = self._pages.preflight(request.headers, cors) if request.method == "OPTIONS" else None
            response = await self._answer(actions, request) if preflight is None else Response(status_code=204)
            response.headers.update(preflight or {})
        except ApiError as error:
            response, code = error_response(error), error.code or ""
        except Exception:
            # A defect of ours, or of a hook.
            _LOG.exception("realtime endpoint: the request failed")
            message = "The application had an error while processing the request."
            response = error_response(ApiError(500, message, code="internal_error", type="server_error"))
        response.headers.update({**_SAFE_HEADERS, **cors})
        told = f"{response.status_code} {code}".rstrip()
        _LOG.info("realtime endpoint: %s answered with %s", request.method, told)
        return response

    async def _answer(self, actions: Mapping[str, _Action], request: Request) -> Response:
        action = actions.get(request.method)
        if not actions:
            raise ApiError(404, "There is nothing at this address.", code="not_found")
        if action is None:
            allowed = {"Allow": ", ".join(actions)}
            message = "This address does not answer this method."
            raise ApiError(405, message, code="method_not_allowed", headers=allowed)
        self._addresses.take(caller_address(request, self._settings.address_header))
        user = await self._user(request)
        if user is not None:
            self._users.take(user)
        return await action(request, user)

    async def _user(self, request: Request) -> str | None:
        if self._authorize is not None:
            user = await call_hook(self._authorize, request)
            if not isinstance(user, str | None):
                raise TypeError("authorize has to answer with the user's id as text, or None")
            if not user:
                raise ApiError(401, "Sign in to the application first.", code="not_authorized")
            return user
        if not (self._settings.allow_anonymous or is_from_this_machine(request)):
            _LOG.warning("realtime endpoint: without authorize or allow_anonymous only this machine itself is answered")
            message = "This endpoint answers requests from its own machine only."
            raise ApiError(403, message, code="not_local")
        return None

    async def _begin(self, request: Request, user: str | None) -> Response:
        kind = _content_type(request.headers)
        if kind in _SDP_TYPES:
            return await self._begin_call(request, user)
        if kind == "application/json":
            return await self._make_secret(request, user)
        message = "Send an SDP offer as application/sdp or text/plain, or JSON as application/json."
        raise ApiError(415, message, code="unsupported_media_type")

    async def _begin_call(self, request: Request, user: str | None) -> Response:
        offer = _offer(await read_body(request))
        session = await self._defaults(request, user)
        answer, call_id = await self._exchange.call(offer, session, user)
        headers = {"Location": f"{_own_path(request)}/calls/{call_id}"} if call_id else {}
        return Response(answer.content, answer.status, headers, media_type="application/sdp")

    async def _make_secret(self, request: Request, user: str | None) -> Response:
        asked = _asked(await read_body(request))
        if asked is None:
            session = await self._defaults(request, user)
        elif self._requested_session is None:
            message = "This endpoint chooses the session itself: leave 'session' out."
            raise ApiError(403, message, code="session_not_allowed", param="session")
        else:
            session = await call_hook(self._requested_session, request, user, asked)
        status, content = await self._exchange.client_secret(session, user)
        return Response(content, status, media_type="application/json")

    async def _renegotiate(self, request: Request, user: str | None) -> Response:
        call_id = _call_id(request)
        if _content_type(request.headers) not in _SDP_TYPES:
            message = "Send an SDP offer as application/sdp or text/plain."
            raise ApiError(415, message, code="unsupported_media_type")
        answer = await self._exchange.renegotiate(call_id, _offer(await read_body(request)), user)
        return Response(answer.content, answer.status, media_type="application/sdp")

    async def _hang_up(self, request: Request, user: str | None) -> Response:
        await self._exchange.hang_up(_call_id(request), user)
        return Response()

    async def _defaults(self, request: Request, user: str | None) -> Mapping[str, Any] | None:
        if self._session is None:
            return self._settings.session
        return await call_hook(self._session, request, user)


class _Address:
    """One address, as an ASGI application: routers of all kinds can call it."""

    def __init__(self, respond: Callable[[Request], Awaitable[Response]], body_max_bytes: int) -> None:
        self._respond = respond
        self._body_max_bytes = body_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bounded(receive, Headers(scope=scope), self._body_max_bytes)
        response = await self._respond(Request(scope, body))
        await response(scope, receive, send)


def _content_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _offer(body: bytes) -> bytes:
    if not body.strip():
        raise ApiError(400, "The SDP offer is empty; send the text of the offer as the body.", code="missing_offer")
    return body


def _asked(body: bytes) -> Mapping[str, Any] | None:
    """The session that comes with a request for a client secret. Unknown fields, such as ``ttl``, are ignored."""
    try:
        asked = msgspec.json.decode(body)
    except NOT_JSON:
        raise ApiError(400, "The body is not valid JSON.", code="invalid_json") from None
    method = asked.get("method") if isinstance(asked, dict) else None
    if method != "client_secret":
        message = "'method' must be 'client_secret'; an SDP offer is sent as application/sdp or text/plain."
        raise ApiError(400, message, code="invalid_value", param="method")
    session = asked.get("session")
    if session is not None and not isinstance(session, dict):
        raise ApiError(400, "'session' must be an object.", code="invalid_type", param="session")
    return session


def _own_path(request: Request) -> str:
    """The path at which a page has called, mounts included."""
    path, mounted_at = request.scope["path"], request.scope.get("root_path", "")
    return quote(path if path.startswith(mounted_at) else mounted_at + path)


def _call_id(request: Request) -> str:
    call_id: str = request.path_params["call_id"]
    if not is_call_id(call_id):
        raise ApiError(404, "There is no such call.", code="call_id_not_found")
    return call_id
