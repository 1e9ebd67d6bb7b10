"""From a request to a session: what kind it is, what it begins with, and whether there is a place for it."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace

from starlette.requests import HTTPConnection

from antiphon.core.config import DEFAULT_TRANSCRIPTION_MODEL
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import RealtimeSessionUpdate, SessionUpdateBody, TranscriptionSessionUpdate
from antiphon.runtime.sessions import Admission, Opening
from antiphon.server.bodies import api_error
from antiphon.server.client_secrets import OpenedSecret
from antiphon.server.context import Context, Readiness
from antiphon.server.errors import ApiError
from antiphon.server.logs import escaped
from antiphon.server.models import DEFAULT_MODEL, check_model

__all__ = [
    "BETA_SUBPROTOCOL",
    "admit",
    "asks_for_beta",
    "client_of",
    "connection_id_of",
    "count_refusal",
    "opening_of",
    "refusing",
    "safety_hash_of",
    "too_many",
]

BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
_BETA_HEADER = "openai-beta"
_BETA = "realtime=v1"
_INTENTS = ("", "conversation", "transcription")
_REASONS = {
    "call_id_not_found": "call_not_found",
    "invalid_api_key": "invalid_api_key",
    "not_available": "not_available",
    "rate_limit_exceeded": "capacity",
}
_OTHER_REASON = "bad_request"
_RETRY_S = 5
_HASH_DIGITS = 16


def opening_of(
    context: Context,
    connection: HTTPConnection,
    secret: OpenedSecret | None,
    asked: SessionUpdateBody | None = None,
) -> Opening:
    """How the session begins: by its client's secret, then by what its client asks for, then by the query.

    Raises ``ApiError``, and ``ProtocolError`` where what is bound or ``asked`` is refused.
    """
    bound = None if secret is None else secret.session
    query = connection.query_params
    intent = query.get("intent", "")
    if intent not in _INTENTS:
        message = "Invalid value for 'intent': supported is 'transcription'."
        raise ApiError(400, message, code="invalid_value", param="intent")
    model = query.get("model", "")
    check_model(model)
    opening = _with_kind_and_model(
        Opening(
            kind="realtime",
            model=model,
            connection_id=connection_id_of(connection),
            bound=bound,
            asked=asked,
            beta=asks_for_beta(connection),
            # A page may say what it likes; the secret was made for one user.
            safety_hash=(secret and secret.safety_hash) or safety_hash_of(connection),
            traceparent=connection.headers.get("traceparent"),
            tracestate=connection.headers.get("tracestate"),
        ),
        intent,
    )
    if bound is not None or asked is not None:
        # The limits may be tighter than where the secret was made.
        context.sessions.new_session(opening.kind, opening.model, bound, asked)
    return opening


def _with_kind_and_model(opening: Opening, intent: str) -> Opening:
    """A secret decides what kind of session it opens, and its model where it names one; then what is asked for does."""
    updates = [update for update in (opening.bound, opening.asked) if update is not None]
    transcribes = intent == "transcription"
    if updates:
        transcribes = isinstance(updates[0], TranscriptionSessionUpdate)
    model = opening.model
    if transcribes and intent != "transcription":
        model = ""  # the model of a conversation
    named = [update.model for update in updates if isinstance(update, RealtimeSessionUpdate) and update.model]
    if named and not transcribes:
        check_model(named[0])
        model = named[0]
    # With both an intent and a model, the model is that of the transcription.
    model = model or (DEFAULT_TRANSCRIPTION_MODEL if transcribes else DEFAULT_MODEL)
    return replace(opening, kind="transcription" if transcribes else "realtime", model=model)


def admit(context: Context, connection: HTTPConnection) -> Admission:
    """A place for a session. Raises ``ApiError`` where there is none."""
    if context.readiness is not Readiness.READY:
        count_refusal(context, connection, "not_ready")
        message = f"The server is {context.readiness.value}; try again in a few seconds."
        raise ApiError(
            503, message, code="server_not_ready", type="server_error", headers={"Retry-After": str(_RETRY_S)}
        )
    admission = context.sessions.try_admit()
    if admission is None:
        count_refusal(context, connection, "capacity")
        raise too_many(f"All {context.settings.max_sessions} sessions of this server are taken; try again later.")
    return admission


def too_many(message: str) -> ApiError:
    return ApiError(
        429, message, code="rate_limit_exceeded", type="rate_limit_error", headers={"Retry-After": str(_RETRY_S)}
    )


@contextlib.contextmanager
def refusing(context: Context, connection: HTTPConnection) -> Iterator[None]:
    """Counts it where the block refuses a request, and answers what the protocol refuses with 400."""
    try:
        yield
    except ProtocolError as error:
        count_refusal(context, connection, _OTHER_REASON, error.code)
        raise api_error(error) from None
    except ApiError as error:
        reason = _REASONS.get(error.code or "")
        count_refusal(context, connection, reason or _OTHER_REASON, None if reason else error.code)
        raise


def count_refusal(context: Context, connection: HTTPConnection, reason: str, code: str | None = None) -> None:
    context.observer.refused(reason, connection_id_of(connection), client_of(connection), code)


def client_of(connection: HTTPConnection) -> str:
    """What the client says of itself, fit for a log."""
    return escaped(connection.headers.get("user-agent", ""))


def connection_id_of(connection: HTTPConnection) -> str:
    # The client has it too, as X-Request-Id.
    connection_id: str = connection.scope["state"]["request_id"]
    return connection_id


def safety_hash_of(connection: HTTPConnection) -> str | None:
    """The identifier may be an address or a name: the log tells the same user by the same hash, and no more."""
    identifier = connection.headers.get("openai-safety-identifier", "")
    return hashlib.sha256(identifier.encode()).hexdigest()[:_HASH_DIGITS] if identifier else None


def asks_for_beta(connection: HTTPConnection) -> bool:
    # The beta's reference client sends neither header nor subprotocol to an address of one's own.
    values = (*connection.headers.getlist(_BETA_HEADER), *connection.query_params.getlist(_BETA_HEADER))
    asked = {one.strip() for value in values for one in value.split(",")}
    return _BETA in asked or BETA_SUBPROTOCOL in connection.scope.get("subprotocols", ())
