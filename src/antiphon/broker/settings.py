"""What an application configures. Nothing of it is ever taken from a request."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from antiphon.web.hosts import normal_origin, split_host

__all__ = ["BrokerSettings", "BrokerSettingsError", "Limit", "encoded_session"]


class BrokerSettingsError(ValueError):
    """Settings that cannot work; the text says how to mend them and holds no key."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in so many seconds; all of them may come at once."""

    requests: int
    per_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Raises ``BrokerSettingsError``."""

    upstream: str
    """Base URL of the Realtime server, its version included: ``https://api.openai.com/v1``."""
    api_key: str = field(default="", repr=False)
    """Sent to ``upstream`` as a bearer key, and to nobody else. Empty: none is sent."""
    api_key_env: str = ""
    """Name of the environment variable that holds ``api_key``, instead of it."""
    session: Mapping[str, Any] | None = None
    """What every session begins with, as in ``session.update``; the hook ``session`` replaces it."""
    allow_anonymous: bool = False
    """Without the hook ``authorize`` only this machine itself is answered; True: everybody."""
    allowed_hosts: tuple[str, ...] = ()
    """Names in ``Host`` that are answered; empty: all. Where anybody may call, this keeps out pages that reach the
    endpoint under a name of their own."""
    allowed_origins: tuple[str, ...] = ()
    """Pages of these origins may call too, with credentials."""
    address_header: str = ""
    """Header in which a proxy of your own writes the caller's address; the last one in it counts. Empty: the peer's."""
    address_limit: Limit | None = Limit(60)
    """For each address (of IPv6: each /64 network)."""
    user_limit: Limit | None = Limit(30)
    """For each user that ``authorize`` names."""
    body_max_bytes: int = 256 * 1024
    timeout_s: float = 20.0
    """For the exchange with ``upstream``, all attempts together."""
    retries: int = 2
    """Further attempts where ``upstream`` cannot have taken the request."""
    retry_after_max_s: float = 3.0
    """A longer wait that ``upstream`` asks for is told to the page instead."""
    secret_lifetime_s: int | None = None
    """Of client secrets, 10 to 7200; None: as ``upstream`` has it."""
    safety_salt: str = field(default="", repr=False)
    """Not empty: upstream gets ``OpenAI-Safety-Identifier``, a hash of this and the user."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "upstream", _base_url(self.upstream))
        object.__setattr__(self, "api_key", _key(self.api_key, self.api_key_env))
        try:
            encoded_session(self.session or {})
        except TypeError as error:
            raise BrokerSettingsError(f"session: {error}") from None
        _check_names("allowed_hosts", self.allowed_hosts, split_host, "app.example.com")
        _check_names("allowed_origins", self.allowed_origins, normal_origin, "https://app.example.com")
        for name in ("address_limit", "user_limit"):
            limit: Limit | None = getattr(self, name)
            if limit is not None and (limit.requests < 1 or limit.per_s <= 0):
                raise BrokerSettingsError(f"{name}: requests must be at least 1, and per_s above 0")
        for name in ("body_max_bytes", "timeout_s"):
            if getattr(self, name) <= 0:
                raise BrokerSettingsError(f"{name} must be above 0")
        for name in ("retries", "retry_after_max_s"):
            if getattr(self, name) < 0:
                raise BrokerSettingsError(f"{name} must be at least 0")
        if self.secret_lifetime_s is not None and not 10 <= self.secret_lifetime_s <= 7200:
            raise BrokerSettingsError("secret_lifetime_s must be from 10 to 7200")


def encoded_session(session: Mapping[str, Any]) -> bytes:
    """Its JSON, whatever kind of mapping it is. Raises ``TypeError`` for what JSON does not have."""
    return msgspec.json.encode(dict(session))


def _check_names(setting: str, names: Iterable[str], read: Callable[[str], object], example: str) -> None:
    for name in names:
        if read(name) is None:
            raise BrokerSettingsError(f"{setting}: {name!r} must look like {example}")


def _base_url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise BrokerSettingsError("upstream is not an address") from None
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise BrokerSettingsError("upstream must look like https://api.openai.com/v1")
    if url.userinfo:
        raise BrokerSettingsError("upstream holds a password; give the key as api_key or api_key_env")
    if split_host(url.netloc.decode("ascii", "replace")) is None:
        raise BrokerSettingsError("upstream names no host that there can be")
    return text.rstrip("/")


def _key(key: str, variable: str) -> str:
    if key and variable:
        raise BrokerSettingsError("give api_key or api_key_env, not both")
    if variable:
        key = os.environ.get(variable, "")
        if not key:
            raise BrokerSettingsError(f"the environment variable {variable} (api_key_env) is not set")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise BrokerSettingsError("the key must be printable ASCII without spaces")
    return key
