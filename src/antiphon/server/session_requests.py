"""``POST /v1/realtime/client_secrets``; and ``.../sessions`` and ``.../transcription_sessions``, of the beta."""

from typing import Final

from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response

from antiphon.core.config import DEFAULT_TRANSCRIPTION_MODEL
from antiphon.protocol.base import given
from antiphon.protocol.beta.errors import beta_error
from antiphon.protocol.beta.session import (
    DEFAULT_TEMPERATURE,
    BetaSessionUpdate,
    BetaTranscriptionSessionUpdate,
    beta_session,
    session_update,
    transcription_update,
)
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.rest import ClientSecretRequest, ClientSecretResponse, ExpiresAfter, encode_body
from antiphon.protocol.session_config import RealtimeSessionUpdate, SessionObject, SessionUpdateBody
from antiphon.server.auth import presented_key, require_key
from antiphon.server.bodies import api_error, read_body
from antiphon.server.context import Context, context_of
from antiphon.server.models import DEFAULT_MODEL, check_model
from antiphon.server.openings import safety_hash_of

__all__ = ["create_client_secret", "create_session", "create_transcription_session"]

_BETA_LIFETIME_S: Final = 60


async def create_client_secret(request: Request) -> Response:
    context, owner = _authenticated(request)
    body = await read_body(request, ClientSecretRequest)
    bound = body.session or RealtimeSessionUpdate()
    if isinstance(bound, RealtimeSessionUpdate) and not bound.model:
        bound = structs.replace(bound, model=body.model)
    session = _effective(context, bound)
    lifetime_s = given(body.expires_after, ExpiresAfter(seconds=given(body.ttl, 600))).seconds
    secret = context.secrets.make(bound, lifetime_s, owner=owner, safety_hash=safety_hash_of(request))
    return _answer(
        encode_body(
            ClientSecretResponse(
                value=secret.value, expires_at=secret.expires_at, session=session, client_secret=secret
            )
        )
    )


async def create_session(request: Request) -> Response:
    context, owner = _authenticated(request)
    body = await read_body(request, BetaSessionUpdate)
    bound = session_update(body)
    session = _effective(context, bound, flat=True)
    temperature = given(body.temperature, DEFAULT_TEMPERATURE)
    secret = context.secrets.make(bound, _BETA_LIFETIME_S, owner=owner, beta=True, safety_hash=safety_hash_of(request))
    return _answer(encode_body(beta_session(session, temperature=temperature, client_secret=secret)))


async def create_transcription_session(request: Request) -> Response:
    context, owner = _authenticated(request)
    bound = transcription_update(await read_body(request, BetaTranscriptionSessionUpdate))
    session = _effective(context, bound, flat=True)
    secret = context.secrets.make(bound, _BETA_LIFETIME_S, owner=owner, beta=True, safety_hash=safety_hash_of(request))
    return _answer(encode_body(beta_session(session, client_secret=secret)))


def _authenticated(request: Request) -> tuple[Context, str]:
    """What the parts share, and who asks."""
    context = context_of(request)
    return context, require_key(context.keyring, presented_key(request.headers))


def _effective(context: Context, bound: SessionUpdateBody, *, flat: bool = False) -> SessionObject:
    """The session that a client will get. It has not begun, so it does not expire.

    ``flat``: the request's fields are the beta's, and not inside a ``session``.
    """
    try:
        if isinstance(bound, RealtimeSessionUpdate):
            model = bound.model or DEFAULT_MODEL
            check_model(model)
            session = context.sessions.new_session("realtime", model, bound)
        else:
            session = context.sessions.new_session("transcription", DEFAULT_TRANSCRIPTION_MODEL, bound)
    except ProtocolError as error:
        raise api_error(_flat_error(error) if flat else error) from None
    return structs.replace(session, expires_at=0)


def _flat_error(error: ProtocolError) -> ProtocolError:
    told = beta_error(error.as_event("").error)
    param = (told.param or "").removeprefix("session.") or None
    message = told.message.replace("'session.", "'")
    return ProtocolError(error.code, message, param, type=error.type)


def _answer(content: bytes) -> Response:
    return Response(content, headers={"Cache-Control": "no-store"}, media_type="application/json")
