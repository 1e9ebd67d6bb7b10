"""Bodies of the HTTP endpoints. Source: API reference, "Client secrets", "Calls", "Models"; the OpenAPI document.

Requests are read with ``codec.decode_body``; answers are complete and encoded with ``encode_body``.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from antiphon.protocol.base import UNSET, Absent, Opt, Wire
from antiphon.protocol.session_config import RealtimeSessionUpdate, SessionObject, SessionUpdateBody

__all__ = [
    "CallAcceptRequest",
    "CallCreateRequest",
    "CallReferRequest",
    "CallRejectRequest",
    "ClientSecret",
    "ClientSecretRequest",
    "ClientSecretResponse",
    "ExpiresAfter",
    "HttpError",
    "HttpErrorBody",
    "Model",
    "ModelList",
    "encode_body",
]

_ENCODER: Final = msgspec.json.Encoder()


def encode_body(body: Wire) -> bytes:
    """JSON of an HTTP body; absent fields are left out."""
    return _ENCODER.encode(body)


# --- POST /v1/realtime/client_secrets ------------------------------------------------------------------------------


SecretLifetime: TypeAlias = Annotated[int, Meta(ge=10, le=7200)]
"""Seconds."""


class ExpiresAfter(Wire, kw_only=True, frozen=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: SecretLifetime = 600


class ClientSecretRequest(Wire, kw_only=True, frozen=True):
    """The body may be ``{}``."""

    expires_after: Opt[ExpiresAfter] = UNSET
    session: Opt[SessionUpdateBody] = UNSET
    model: Opt[str] = UNSET
    """Not in the reference, yet widely sent; ``session.model`` wins."""
    ttl: Opt[SecretLifetime] = UNSET
    """The same; ``expires_after`` wins."""


class ClientSecret(Wire, kw_only=True, frozen=True):
    value: str
    """Begins with ``ek_``."""
    expires_at: int
    """Unix seconds."""


class ClientSecretResponse(Wire, kw_only=True, frozen=True):
    value: str
    """Begins with ``ek_``."""
    expires_at: int
    """Unix seconds."""
    session: SessionObject
    """The full effective session; its own ``expires_at`` is 0."""
    client_secret: ClientSecret
    """The same again, where pages written for the beta look for it."""


# --- /v1/realtime/calls --------------------------------------------------------------------------------------------

CallAcceptRequest: TypeAlias = RealtimeSessionUpdate
"""``POST /v1/realtime/calls/{call_id}/accept``: a realtime session, ``type`` required."""


class CallCreateRequest(Wire, kw_only=True, frozen=True):
    """``POST /v1/realtime/calls`` as multipart form: the two parts, ``session`` parsed from its JSON text.

    The reference has realtime sessions only; transcription is taken too.
    """

    sdp: str
    session: Opt[SessionUpdateBody] = UNSET


class CallReferRequest(Wire, kw_only=True, frozen=True):
    target_uri: str
    """``tel:...`` or ``sip:...``."""


class CallRejectRequest(Wire, kw_only=True, frozen=True):
    status_code: Annotated[int, Meta(ge=300, le=699)] | Absent | None = UNSET
    """A SIP status; 603 (decline) where it is left out."""


# --- /v1/models ----------------------------------------------------------------------------------------------------


class Model(Wire, kw_only=True, frozen=True):
    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix seconds."""
    owned_by: str


class ModelList(Wire, kw_only=True, frozen=True):
    object: Literal["list"] = "list"
    data: list[Model]


# --- errors --------------------------------------------------------------------------------------------------------


class HttpError(Wire, kw_only=True, frozen=True):
    message: str
    type: str
    """``invalid_request_error``, ``rate_limit_exceeded``, ``insufficient_quota``, ``server_error``, ..."""
    param: str | None = None
    code: str | None = None


class HttpErrorBody(Wire, kw_only=True, frozen=True):
    """The body of every answer with status 400 or above."""

    error: HttpError
