"""Whose a call is: an API key owns the calls that it and its secrets made, a secret the one call that it made."""

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon.server.auth import PresentedKey, digest_of, require_key
from antiphon.server.client_secrets import OpenedSecret

if TYPE_CHECKING:
    from antiphon.server.context import Context

__all__ = ["Caller", "authenticated", "may_control"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a request with an accepted key or secret."""

    owner: str
    """The id of the API key, or of the one that made the secret; empty where no keys are asked for."""
    secret_digest: bytes | None = field(default=None, repr=False)
    """None for an API key."""
    opened: OpenedSecret | None = field(default=None, repr=False)


def authenticated(context: "Context", presented: PresentedKey) -> Caller:
    """Who asks for a session. Raises ``ApiError`` for a key or secret that is not accepted."""
    opened = context.secrets.read(presented.key)
    if opened is None:
        return Caller(require_key(context.keyring, presented))
    return Caller(opened.owner, digest_of(presented.key or ""), opened)


def may_control(context: "Context", presented: PresentedKey, maker: Caller | None) -> bool:
    """Whether a request is for whoever made a call; None: there is no such call.

    Raises ``ApiError`` for a key or secret that is not accepted, whether there is such a call or not.
    """
    if maker is not None and maker.secret_digest is not None:
        digest = digest_of(presented.key or "")
        if hmac.compare_digest(digest, maker.secret_digest):
            return True  # although it may have expired since
    caller = authenticated(context, presented)
    if maker is None or caller.secret_digest is not None:
        return False
    return hmac.compare_digest(caller.owner, maker.owner)
