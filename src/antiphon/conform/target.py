"""The server under test: its address, and what is known about it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["Target", "TargetError"]

_DEFAULT_PATH = "/v1/realtime"
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


class TargetError(ValueError):
    """The address cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    """Of the WebSocket, without a query."""
    query: Mapping[str, str]
    """What the given address had in its query: sent with every connection."""
    model: str
    key: str = field(default="", repr=False)
    scripted: bool = False
    timeout_s: float = 20.0
    insecure: bool = False
    """Accept any certificate."""

    @staticmethod
    def of(
        url: str, *, model: str, key: str = "", scripted: bool = False, timeout_s: float = 20.0, insecure: bool = False
    ) -> "Target":
        """Raises ``TargetError`` for what is no address of a server."""
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise TargetError(f"{url!r} is no address of a Realtime server: expected ws://host:port/v1/realtime")
        if parts.username is not None or parts.password is not None:
            raise TargetError("give the key with --key or OPENAI_API_KEY, not in the address")
        scheme = "wss" if parts.scheme in ("wss", "https") else "ws"
        path = parts.path.rstrip("/")
        if not path.endswith("/realtime"):
            path = f"{path}/realtime" if path else _DEFAULT_PATH
        query = dict(parse_qsl(parts.query))
        return Target(
            url=urlunsplit((scheme, parts.netloc, path, "", "")),
            query={name: value for name, value in query.items() if name != "model"},
            model=query.get("model", model),
            key=key,
            scripted=scripted,
            timeout_s=timeout_s,
            insecure=insecure,
        )

    def websocket_url(self, query: Mapping[str, str]) -> str:
        text = urlencode({**self.query, **query})
        return f"{self.url}?{text}" if text else self.url

    @property
    def base_url(self) -> str:
        """Of the HTTP endpoints: what stands before ``/realtime``."""
        return self.url.replace("ws", "http", 1).removesuffix("/realtime")

    @property
    def tls(self) -> ssl.SSLContext | None:
        if not self.url.startswith("wss:"):
            return None
        context = ssl.create_default_context()
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def hidden(self, text: str) -> str:
        """The text without the key."""
        return text.replace(self.key, "***") if self.key else text
