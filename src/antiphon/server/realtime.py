"""``/v1/realtime``: from a WebSocket handshake to a session."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from antiphon.core.config import DEFAULT_TRANSCRIPTION_MODEL
from antiphon.protocol.errors import ProtocolError
from antiphon.runtime.ids import new_id
from antiphon.runtime.sessions import Admission, Opening
from antiphon.server.auth import REALTIME_SUBPROTOCOL, presented_key, require_key
from antiphon.server.context import Context, Readiness, context_of
from antiphon.server.errors import ApiError
from antiphon.server.logs import escaped
from antiphon.server.models import DEFAULT_MODEL
from antiphon.transports.websocket import WebSocketTransport

__all__ = ["realtime", "realtime_without_upgrade"]

_KEY_REFUSED = 3000
"""Close code for what must not be tried again: clients reconnect after 1011 to 1013."""
_MODEL_MAX_CHARS = 256
_INTENTS = ("", "conversation", "transcription")
_RETRY_S = 5


async def realtime(socket: WebSocket) -> None:
    """One session, from the first byte to the last. Refusals before the handshake's end are HTTP answers."""
    context = context_of(socket)
    presented = presented_key(socket.headers, socket.scope["subprotocols"])
    try:
        require_key(context.keyring, presented)
    except ApiError as error:
        _count_refusal(context, socket, "invalid_api_key")
        if presented.place != "subprotocol":
            raise
        # A browser shows its page no HTTP status: it learns the reason over the open socket.
        await _accept(socket)
        await _refuse_key(socket, error)
        return
    opening = _opening(context, socket)
    admission = _admit(context, socket)
    with admission:
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
    context.observer.opened(opening, _client(socket))
    try:
        await context.sessions.serve(transport, opening)
    except Exception as error:
        context.observer.fault(opening.connection_id, error)
        await transport.close(1011, "server_error")
    finally:
        context.observer.closed(opening)


async def _accept(socket: WebSocket) -> None:
    # A browser fails the connection if a protocol is selected that it did not offer, or none of those it did.
    offered = REALTIME_SUBPROTOCOL in socket.scope["subprotocols"]
    await socket.accept(REALTIME_SUBPROTOCOL if offered else None)


async def _refuse_key(socket: WebSocket, error: ApiError) -> None:
    transport = WebSocketTransport(socket)
    event = ProtocolError(error.code or "", error.message, type=error.type).as_event(new_id("event"))
    await transport.send([msgspec.json.encode(event)])
    await transport.close(_KEY_REFUSED, f"{error.type}.{error.code}")


def _opening(context: Context, socket: WebSocket) -> Opening:
    query = socket.query_params
    try:
        if "call_id" in query:
            message = "No session found for the provided call_id"
            raise ApiError(404, message, code="call_id_not_found", param="")
        intent = query.get("intent", "")
        if intent not in _INTENTS:
            message = "Invalid value for 'intent': supported is 'transcription'."
            raise ApiError(400, message, code="invalid_value", param="intent")
        # With both an intent and a model, the model is that of the transcription.
        transcribes = intent == "transcription"
        model = query.get("model") or (DEFAULT_TRANSCRIPTION_MODEL if transcribes else DEFAULT_MODEL)
        if len(model) > _MODEL_MAX_CHARS or not model.isprintable():
            raise ApiError(400, "Invalid value for 'model'.", code="invalid_value", param="model")
    except ApiError:
        _count_refusal(context, socket, "bad_request")
        raise
    return Opening(
        kind="transcription" if transcribes else "realtime",
        model=model,
        connection_id=_connection_id(socket),
    )


def _admit(context: Context, socket: WebSocket) -> Admission:
    if context.readiness is not Readiness.READY:
        _count_refusal(context, socket, "not_ready")
        message = f"The server is {context.readiness.value}; try again in a few seconds."
        raise ApiError(
            503, message, code="server_not_ready", type="server_error", headers={"Retry-After": str(_RETRY_S)}
        )
    admission = context.sessions.try_admit()
    if admission is None:
        _count_refusal(context, socket, "capacity")
        message = f"All {context.settings.max_sessions} sessions of this server are taken; try again later."
        raise ApiError(
            429,
            message,
            code="rate_limit_exceeded",
            type="rate_limit_error",
            headers={"Retry-After": str(_RETRY_S)},
        )
    return admission


def _count_refusal(context: Context, socket: WebSocket, reason: str) -> None:
    context.observer.refused(reason, _connection_id(socket), _client(socket))


def _client(socket: WebSocket) -> str:
    return escaped(socket.headers.get("user-agent", ""))


def _connection_id(socket: WebSocket) -> str:
    # The client has it too, as X-Request-Id.
    connection_id: str = socket.scope["state"]["request_id"]
    return connection_id
