"""Client secrets: short-lived keys that an application hands to browsers, each bound to a session's configuration.

A secret is ``ek_`` and base64url without padding of: version (1 byte), id of the signing key (4), nonce (12), and what
it says, sealed by ChaCha20-Poly1305. What it says is the configuration itself or, where that is too large for a header,
a reference to it in this process's store. Nothing about a secret is kept otherwise: any process with the same signing
key accepts it, and a key that is removed takes its secrets with it.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import structs

from antiphon.protocol.rest import ClientSecret
from antiphon.protocol.session_config import SessionUpdateBody
from antiphon.server.errors import ApiError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

__all__ = ["SIGNING_KEY_MIN_CHARS", "ClientSecrets", "OpenedSecret", "is_client_secret"]

SIGNING_KEY_MIN_CHARS = 32

_PREFIX: Final = "ek_"
_MAX_CHARS: Final = 2_048
_VERSION: Final = b"\x01"
_KEY_ID_BYTES: Final = 4
_HEAD_BYTES: Final = len(_VERSION) + _KEY_ID_BYTES
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_ENVELOPE_BYTES: Final = _HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES
_CLAIMS_MAX_BYTES: Final = (_MAX_CHARS - len(_PREFIX)) * 3 // 4 - _ENVELOPE_BYTES
_REFERENCE_BYTES: Final = 16
_STORED_MAX: Final = 10_000
_STORED_MAX_BYTES: Final = 32 * 1024 * 1024
_RETRY_S: Final = 60


_SESSION: Final[msgspec.msgpack.Decoder[SessionUpdateBody]] = msgspec.msgpack.Decoder(SessionUpdateBody)


class _Claims(msgspec.Struct, frozen=True, array_like=True):
    expires_at: int
    session: SessionUpdateBody | None = None
    reference: bytes | None = None
    owner: str = ""
    beta: bool = False
    safety_hash: str | None = None


@dataclass(frozen=True, slots=True)
class OpenedSecret:
    """What a secret says."""

    session: SessionUpdateBody
    owner: str = ""
    """The id of the API key that made it, which is not the key; empty where none was asked for."""
    beta: bool = False
    """Whether it was made at an address of the beta."""
    safety_hash: str | None = None
    """Of the identifier of the user for whom it was made, where the application named one."""


@dataclass(frozen=True, slots=True)
class _SigningKey:
    id: bytes
    key: bytes

    @classmethod
    def of(cls, text: str) -> "_SigningKey":
        secret = text.encode()
        return cls(
            hmac.digest(secret, b"antiphon client secrets: id", "sha256")[:_KEY_ID_BYTES],
            hmac.digest(secret, b"antiphon client secrets: key", "sha256"),
        )

    def __repr__(self) -> str:
        return f"_SigningKey(id={self.id.hex()!r})"

    def cipher(self) -> "ChaCha20Poly1305":
        try:
            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
        except ImportError:
            message = "Client secrets need the package cryptography: pip install 'antiphon[local]'"
            raise ApiError(501, message, code="not_available", type="server_error") from None
        return ChaCha20Poly1305(self.key)


class ClientSecrets:
    """Makes secrets with the first signing key, and accepts those of all; without any, one is made for this process."""

    def __init__(self, signing_keys: Iterable[str] = (), *, now: Callable[[], float] = time.time) -> None:
        texts = tuple(signing_keys) or (secrets.token_urlsafe(32),)
        keys = [_SigningKey.of(text) for text in texts]
        self._signing = keys[0]
        self._by_id = {key.id: key for key in reversed(keys)}
        self._store = _Store()
        self._now = now

    def make(
        self,
        session: SessionUpdateBody,
        lifetime_s: int,
        *,
        owner: str = "",
        beta: bool = False,
        safety_hash: str | None = None,
    ) -> ClientSecret:
        """A secret for sessions that begin as ``session`` says. Raises ``ApiError``."""
        cipher = self._signing.cipher()
        now = int(self._now())
        expires_at = now + lifetime_s
        says = _Claims(expires_at, session, owner=owner, beta=beta, safety_hash=safety_hash)
        claims = msgspec.msgpack.encode(says)
        if len(claims) > _CLAIMS_MAX_BYTES:
            reference = self._store.put(msgspec.msgpack.encode(session), expires_at, now)
            claims = msgspec.msgpack.encode(structs.replace(says, session=None, reference=reference))
        head = _VERSION + self._signing.id
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = head + nonce + cipher.encrypt(nonce, claims, head)
        return ClientSecret(value=_PREFIX + _encoded(sealed), expires_at=expires_at)

    def read(self, key: str | None) -> OpenedSecret | None:
        """What the secret says; None for what is no client secret at all.

        Raises ``ApiError`` for one that is not valid, without repeating it.
        """
        sealed = None if key is None else _decoded(key)
        if sealed is None:
            return None
        signing = self._by_id.get(sealed[len(_VERSION) : _HEAD_BYTES])
        claims = None if signing is None else _opened(signing.cipher(), sealed)
        if claims is None:
            raise _refused("The client secret is not valid.")
        if self._now() >= claims.expires_at:
            raise _refused("The client secret has expired.")
        session = claims.session
        if session is None:
            stored = self._store.get(claims.reference or b"")
            if stored is None:
                raise _refused("The client secret is not known to this server any more.")
            session = _SESSION.decode(stored)
        return OpenedSecret(session, claims.owner, claims.beta, claims.safety_hash)


class _Store:
    """Configurations that do not fit into their secret, until it expires; full rather than forgetful."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[int, bytes]] = {}
        self._bytes = 0
        self._looked_at = 0

    def put(self, content: bytes, expires_at: int, now: int) -> bytes:
        self._forget_expired(now)
        if len(self._kept) >= _STORED_MAX or self._bytes + len(content) > _STORED_MAX_BYTES:
            message = "Too many client secrets with large sessions are valid now; try again later."
            raise ApiError(
                429,
                message,
                code="rate_limit_exceeded",
                type="rate_limit_error",
                headers={"Retry-After": str(_RETRY_S)},
            )
        reference = secrets.token_bytes(_REFERENCE_BYTES)
        self._kept[reference] = (expires_at, content)
        self._bytes += len(content)
        return reference

    def get(self, reference: bytes) -> bytes | None:
        kept = self._kept.get(reference)
        return None if kept is None else kept[1]

    def _forget_expired(self, now: int) -> None:
        if now == self._looked_at:
            return
        self._looked_at = now
        for reference, (expires_at, content) in list(self._kept.items()):
            if expires_at <= now:
                del self._kept[reference]
                self._bytes -= len(content)


def is_client_secret(key: str | None) -> bool:
    """Whether this has the form of a client secret, valid or not."""
    return key is not None and _decoded(key) is not None


def _encoded(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def _decoded(key: str) -> bytes | None:
    """The bytes of what has a secret's form; there is one text only for each."""
    if not key.startswith(_PREFIX) or len(key) > _MAX_CHARS:
        return None
    text = key.removeprefix(_PREFIX)
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    if len(sealed) <= _ENVELOPE_BYTES or not sealed.startswith(_VERSION) or _encoded(sealed) != text:
        return None
    return sealed


def _opened(cipher: "ChaCha20Poly1305", sealed: bytes) -> _Claims | None:
    from cryptography.exceptions import InvalidTag

    head, nonce = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
    try:
        claims = cipher.decrypt(nonce, sealed[_HEAD_BYTES + _NONCE_BYTES :], head)
    except InvalidTag:
        return None
    try:
        return msgspec.msgpack.decode(claims, type=_Claims)
    except msgspec.MsgspecError:
        return None  # ours, but of a version with other fields


def _refused(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
