"""``/v1/realtime``: from a WebSocket handshake to a session."""

import hashlib

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from antiphon.core.config import DEFAULT_TRANSCRIPTION_MODEL
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import RealtimeSessionUpdate, SessionUpdateBody, TranscriptionSessionUpdate
from antiphon.runtime.ids import new_id
from antiphon.runtime.sessions import Admission, Opening
from antiphon.server.auth import REALTIME_SUBPROTOCOL, presented_key, require_key
from antiphon.server.bodies import api_error
from antiphon.server.context import Context, Readiness, context_of
from antiphon.server.errors import ApiError
from antiphon.server.logs import escaped
from antiphon.server.models import DEFAULT_MODEL, check_model
from antiphon.transports.websocket import WebSocketTransport

__all__ = ["realtime", "realtime_without_upgrade"]

_KEY_REFUSED = 3000
"""Close code for what must not be tried again: clients reconnect after 1011 to 1013."""
_BETA_HEADER = "openai-beta"
_BETA = "realtime=v1"
_BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
_INTENTS = ("", "conversation", "transcription")
_RETRY_S = 5
_HASH_DIGITS = 16


async def realtime(socket: WebSocket) -> None:
    """One session, from the first byte to the last. Refusals before the handshake's end are HTTP answers."""
    context = context_of(socket)
    presented = presented_key(socket.headers, socket.scope["subprotocols"])
    try:
        bound = context.secrets.read(presented.key)
        if bound is None:
            require_key(context.keyring, presented)
    except ApiError as error:
        _count_refusal(context, socket, "invalid_api_key")
        if presented.place != "subprotocol":
            raise
        # A browser shows its page no HTTP status: it learns the reason over the open socket.
        await _accept(socket)
        await _refuse_key(socket, error)
        return
    opening = _opening(context, socket, bound)
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
    offered = socket.scope["subprotocols"]
    chosen = next((one for one in (REALTIME_SUBPROTOCOL, _BETA_SUBPROTOCOL) if one in offered), None)
    await socket.accept(chosen)


async def _refuse_key(socket: WebSocket, error: ApiError) -> None:
    transport = WebSocketTransport(socket)
    event = ProtocolError(error.code or "", error.message, type=error.type).as_event(new_id("event"))
    await transport.send([msgspec.json.encode(event)])
    await transport.close(_KEY_REFUSED, f"{error.type}.{error.code}")


def _opening(context: Context, socket: WebSocket, bound: SessionUpdateBody | None) -> Opening:
    query = socket.query_params
    try:
        if "call_id" in query:
            message = "No session found for the provided call_id"
            raise ApiError(404, message, code="call_id_not_found", param="")
        intent = query.get("intent", "")
        if intent not in _INTENTS:
            message = "Invalid value for 'intent': supported is 'transcription'."
            raise ApiError(400, message, code="invalid_value", param="intent")
        asked = query.get("model", "")
        check_model(asked)
        opening = _opening_of(bound, intent, asked, socket)
        if bound is not None:
            # The limits may be tighter than where the secret was made.
            context.sessions.new_session(opening.kind, opening.model, bound)
    except ProtocolError as error:
        _count_refusal(context, socket, "bad_request")
        raise api_error(error) from None
    except ApiError:
        _count_refusal(context, socket, "bad_request")
        raise
    return opening


def _opening_of(bound: SessionUpdateBody | None, intent: str, asked: str, socket: WebSocket) -> Opening:
    """A secret decides what kind of session it opens, and its model where it names one."""
    transcribes = intent == "transcription" if bound is None else isinstance(bound, TranscriptionSessionUpdate)
    if isinstance(bound, RealtimeSessionUpdate) and bound.model:
        asked = bound.model
    elif transcribes and intent != "transcription":
        asked = ""  # the model of a conversation
    # With both an intent and a model, the model is that of the transcription.
    model = asked or (DEFAULT_TRANSCRIPTION_MODEL if transcribes else DEFAULT_MODEL)
    return Opening(
        kind="transcription" if transcribes else "realtime",
        model=model,
        connection_id=_connection_id(socket),
        bound=bound,
        beta=_asks_for_beta(socket),
        safety_hash=_safety_hash(socket),
    )


def _safety_hash(socket: WebSocket) -> str | None:
    """The identifier may be an address or a name: the log tells the same user by the same hash, and no more."""
    identifier = socket.headers.get("openai-safety-identifier", "")
    return hashlib.sha256(identifier.encode()).hexdigest()[:_HASH_DIGITS] if identifier else None


def _asks_for_beta(socket: WebSocket) -> bool:
    # The beta's reference client sends neither header nor subprotocol to an address of one's own.
    values = (*socket.headers.getlist(_BETA_HEADER), *socket.query_params.getlist(_BETA_HEADER))
    asked = {one.strip() for value in values for one in value.split(",")}
    return _BETA in asked or _BETA_SUBPROTOCOL in socket.scope["subprotocols"]


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
