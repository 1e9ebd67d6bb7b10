"""``/v1/realtime``: from a WebSocket handshake to a session."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from antiphon.protocol.errors import ProtocolError
from antiphon.runtime.ids import new_id
from antiphon.runtime.sessions import Opening
from antiphon.server.auth import KEY_REFUSED_CODE, REALTIME_SUBPROTOCOL, PresentedKey, presented_key
from antiphon.server.callers import Caller, authenticated
from antiphon.server.calls import call_of
from antiphon.server.context import Context, context_of
from antiphon.server.errors import ApiError
from antiphon.server.openings import (
    BETA_SUBPROTOCOL,
    admit,
    asks_for_beta,
    client_of,
    connection_id_of,
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
        if "call_id" in socket.query_params:
            await _sideband(context, socket, presented)
        else:
            await _session(context, socket, presented)
    except ApiError as error:
        if error.code != KEY_REFUSED_CODE or presented.place != "subprotocol":
            raise
        # A browser shows its page no HTTP status: it learns the reason over the open socket.
        await _accept(socket)
        await _refuse_key(socket, error)


async def realtime_without_upgrade(request: Request) -> Response:
    raise ApiError(
        426,
        "This address speaks WebSocket: connect with ws:// or wss:// instead of http:// or https://.",
        code="upgrade_required",
        headers={"Upgrade": "websocket"},
    )


async def _session(context: Context, socket: WebSocket, presented: PresentedKey) -> None:
    with refusing(context, socket):
        caller = authenticated(context, presented)
        opening = opening_of(context, socket, caller.opened)
    with admit(context, socket):
        await _accept(socket)
        await _run(context, socket, opening, caller)


async def _sideband(context: Context, socket: WebSocket, presented: PresentedKey) -> None:
    """One more connection to a call: it is told what happens from now on, and may say all that the caller may."""
    with refusing(context, socket):
        call = call_of(context, presented, socket.query_params["call_id"])
        session = call.room()
    await _accept(socket)
    connection_id, transport = connection_id_of(socket), WebSocketTransport(socket)
    with context.observer.sideband(call.id, connection_id, client_of(socket)):
        await session.attach(transport, connection_id=connection_id, beta=asks_for_beta(socket))


async def _run(context: Context, socket: WebSocket, opening: Opening, maker: Caller) -> None:
    transport = WebSocketTransport(socket)
    context.observer.opened(opening, client_of(socket), maker)
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
