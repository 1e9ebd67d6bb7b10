"""Who may call: bearer keys in the header, or in a WebSocket subprotocol where a browser cannot set headers."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from antiphon.server.client_secrets import is_client_secret
from antiphon.server.errors import ApiError
from antiphon.web.local import is_from_this_machine

__all__ = [
    "KEY_REFUSED_CODE",
    "REALTIME_SUBPROTOCOL",
    "Keyring",
    "PresentedKey",
    "digest_of",
    "is_local_request",
    "presented_key",
    "require_key",
]

KEY_REFUSED_CODE = "invalid_api_key"
REALTIME_SUBPROTOCOL = "realtime"
_KEY_SUBPROTOCOL = "openai-insecure-api-key."
_OWNER_DIGITS = 32


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """The key of a request, and where it stood: that decides how a wrong one is refused."""

    key: str | None
    place: Literal["header", "subprotocol", "nowhere"]

    def __repr__(self) -> str:
        return f"PresentedKey(place={self.place!r})"


class Keyring:
    """The accepted keys. An empty ring accepts everybody: the settings allow that on loopback only."""

    def __init__(self, keys: Iterable[str]) -> None:
        # Digests are of one length, so a comparison takes the same time whatever the key is.
        self._digests = tuple(digest_of(key) for key in keys)

    @property
    def is_open(self) -> bool:
        return not self._digests

    def accepts(self, key: str | None) -> bool:
        return self.owner(key) is not None

    def owner(self, key: str | None) -> str | None:
        """The id of an accepted key, from which the key cannot be told; "" where the ring is open, None: refused."""
        if self.is_open:
            return ""
        if key is None:
            return None
        digest = digest_of(key)
        # Every key is compared, whichever matches: the time tells nothing.
        if not sum([hmac.compare_digest(digest, known) for known in self._digests]):
            return None
        return hmac.digest(digest, b"antiphon: owner of client secrets and calls", "sha256").hex()[:_OWNER_DIGITS]


def presented_key(headers: Headers, subprotocols: Sequence[str] = ()) -> PresentedKey:
    """The key of a request. A header wins over a subprotocol; other subprotocols are none of our business."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, key = authorization.strip().partition(" ")
        return PresentedKey(key.strip() if scheme.lower() == "bearer" and key.strip() else None, "header")
    for offered in subprotocols:
        if offered.startswith(_KEY_SUBPROTOCOL):
            return PresentedKey(offered.removeprefix(_KEY_SUBPROTOCOL), "subprotocol")
    return PresentedKey(None, "nowhere")


def require_key(keyring: Keyring, presented: PresentedKey) -> str:
    """The key's owner. Raises the API's 401 unless the key is accepted; the message never repeats the key.

    A client secret is not: it opens sessions and nothing else, even where no key is asked for.
    """
    owner = keyring.owner(presented.key)
    if owner is not None and not (keyring.is_open and is_client_secret(presented.key)):
        return owner
    message = (
        "You didn't provide an API key: send it as 'Authorization: Bearer <key>'."
        if presented.key is None
        else "Incorrect API key provided."
    )
    raise ApiError(401, message, code=KEY_REFUSED_CODE, headers={"WWW-Authenticate": "Bearer"})


def is_local_request(connection: HTTPConnection) -> bool:
    """Whether a request comes from this machine itself, not through a proxy or for a web page on it."""
    return "origin" not in connection.headers and is_from_this_machine(connection)


def digest_of(key: str) -> bytes:
    """What a key or secret is remembered by."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
