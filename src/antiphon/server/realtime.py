"""``/v1/realtime``: from a WebSocket handshake to a session."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from antiphon.protocol.errors import ProtocolError
from antiphon.runtime.ids import new_id
from antiphon.runtime.sessions import Opening
from antiphon.server.auth import REALTIME_SUBPROTOCOL, presented_key
from antiphon.server.callers import authenticated
from antiphon.server.context import Context, context_of
from antiphon.server.errors import ApiError
from antiphon.server.openings import (
    BETA_SUBPROTOCOL,
    admit,
    client_of,
    count_refusal,
    opening_of,
    refusing,
)
from antiphon.transports.websocket import WebSocketTransport

__all__ = ["realtime", "realtime_without_upgrade"]

_KEY_REFUSED = 3000
"""Close code for what must not be tried again: clients reconnect after 1011 to 1013."""


async def realtime(socket: WebSocket) -> None:
    """One session, from the first byte to the last. Refusals before the handshake's end are HTTP answers."""
    context = context_of(socket)
    presented = presented_key(socket.headers, socket.scope["subprotocols"])
    try:
        caller = authenticated(context, presented)
    except ApiError as error:
        count_refusal(context, socket, "invalid_api_key")
        if presented.place != "subprotocol":
            raise
        # A browser shows its page no HTTP status: it learns the reason over the open socket.
        await _accept(socket)
        await _refuse_key(socket, error)
        return
    with refusing(context, socket):
        if "call_id" in socket.query_params:
            message = "No session found for the provided call_id"
            raise ApiError(404, message, code="call_id_not_found", param="")
        opening = opening_of(context, socket, caller.opened.session if caller.opened is not None else None)
    with admit(context, socket):
        await _accept(socket)
        await _run(context, socket, opening)


async def realtime_without_upgrade(request: Request) -> Response:
    raise ApiError(
        426,
        "This address speaks WebSocket: connect with ws:// or wss:// instead of http:// or https://.",
        code="upgrade_required",
        headers={"Upgrade": "websocket"},
    )


async def _run(context: Context, socket: WebSocket, opening: Opening) -> None:
    transport = WebSocketTransport(socket)
    context.observer.opened(opening, client_of(socket))
    try:
        await context.sessions.serve(transport, opening)
    except Exception as error:
        context.observer.fault(opening.connection_id, error)
        await transport.close(1011, "server_error")
    finally:
        context.observer.closed(opening)


async def _accept(socket: WebSocket) -> None:
    # A browser fails the connection if a protocol is selected that it did not offer, or none of those it did.
    offered = socket.scope["subprotocols"]
    chosen = next((one for one in (REALTIME_SUBPROTOCOL, BETA_SUBPROTOCOL) if one in offered), None)
    await socket.accept(chosen)


async def _refuse_key(socket: WebSocket, error: ApiError) -> None:
    transport = WebSocketTransport(socket)
    event = ProtocolError(error.code or "", error.message, type=error.type).as_event(new_id("event"))
    await transport.send([msgspec.json.encode(event)])
    await transport.close(_KEY_REFUSED, f"{error.type}.{error.code}")
