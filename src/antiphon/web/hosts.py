"""Names and addresses of hosts and web origins: what is loopback, what is ours."""

import ipaddress
import re
from urllib.parse import urlsplit

__all__ = [
    "display_host",
    "is_address",
    "is_loopback",
    "is_origin",
    "is_wildcard",
    "normal_origin",
    "points_at",
    "split_host",
]

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NAME = re.compile(r"[a-z0-9_.-]+", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``. Names other than ``localhost`` are not resolved: they are not."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback


def is_address(host: str) -> bool:
    """Whether this is an address itself, not a name of one."""
    return _address(host) is not None


def is_wildcard(host: str) -> bool:
    """Whether listening on ``host`` means every address of this machine."""
    address = _address(host)
    return address is not None and address.is_unspecified


def split_host(header: str) -> tuple[str, int | None] | None:
    """Host (lower case, no brackets, no final dot) and port of a ``Host`` header; None if it is malformed."""
    text = header.strip().lower()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or _address(host) is None:
            return None
    else:
        host, colon, after = text.partition(":")
        rest = colon + after
        host = host.removesuffix(".")
        if not _NAME.fullmatch(host):
            return None
    if not rest:
        return host, None
    digits = rest.removeprefix(":")
    if rest == digits or not digits.isascii() or not digits.isdigit() or int(digits) > 65535:
        return None
    return host, int(digits)


def is_origin(text: str) -> bool:
    """Whether ``text`` is a serialised origin (scheme, host, perhaps a port; nothing after them), and not ``null``."""
    return normal_origin(text) is not None


def normal_origin(text: str) -> str | None:
    """An origin in the one form in which two of them can be compared: lower case, default port left out."""
    scheme, separator, authority = text.strip().lower().partition("://")
    if not separator or not scheme or any(mark in authority for mark in "/?#@"):
        return None
    parts = split_host(authority)
    if parts is None:
        return None
    host, port = parts
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{shown}:{port}"


def display_host(host: str) -> str:
    """``host`` as it stands in a URL; a wildcard becomes ``localhost``."""
    if is_wildcard(host):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def points_at(url: str, host: str, port: int) -> bool:
    """Whether a request to ``url`` would arrive at a server that listens on ``host`` and ``port``."""
    try:
        parts = urlsplit(url)
        target_port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return False
    target = parts.hostname or ""
    if target_port != port or not target:
        return False
    # A client that connects to a wildcard address reaches this machine.
    if is_loopback(target) or is_wildcard(target):
        return is_loopback(host) or is_wildcard(host)
    return target == host.lower()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
