"""Addresses of MCP servers: which a client may name. The operator says which hosts are allowed; none is by default.

What a name resolves to is checked where the connection is made; here nothing but its spelling is known.
"""

import ipaddress
import re
from collections.abc import Sequence

from antiphon.protocol.errors import ProtocolError

__all__ = ["AllowedHost", "allowed_host", "checked_url"]

_URL_MAX = 2048
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][!$%&'()*+,\-./0-9:;=?@A-Z_a-z~]*)?",
    re.ASCII | re.IGNORECASE,
)
_ENTRY = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)
_PORTS = {"https": 443, "http": 80}

AllowedHost = tuple[str, str, int]
"""Scheme, host (lower case, IPv6 without brackets), port."""


def allowed_host(entry: str) -> tuple[AllowedHost, ...]:
    """What one entry of the operator's list allows: ``host``, ``host:port`` or ``scheme://host:port``.

    Without a scheme it is https; addresses that are not public, and ``localhost``, may be spoken to in plain too.
    Raises ``ValueError``.
    """
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ValueError(f"{entry!r} is not a host such as tools.example.com:443")
    host = _plain_host(match["host"])
    schemes = [match["scheme"].lower()] if match["scheme"] else ["https", *(["http"] if _is_near(host) else [])]
    return tuple((scheme, host, _port(match["port"], scheme)) for scheme in schemes)


def checked_url(url: str, allowed: Sequence[str], param: str) -> str:
    """The address in its plainest spelling. Raises ``ProtocolError``."""
    if not allowed:
        raise _invalid(param, "MCP servers are off here: the operator has named none in 'mcp.allowed_hosts'")
    match = _URL.fullmatch(url) if len(url) <= _URL_MAX else None
    if match is None:
        raise _invalid(
            param,
            f"expected an address such as https://tools.example.com/mcp, of at most {_URL_MAX} characters, without "
            "user, password and fragment",
        )
    scheme = match["scheme"].lower()
    try:
        host = _plain_host(match["host"])
        port = _port(match["port"], scheme)
    except ValueError as error:
        raise _invalid(param, str(error)) from None
    if not any((scheme, host, port) in allowed_host(entry) for entry in allowed):
        shown = f"[{host}]" if ":" in host else host
        raise _invalid(param, f"{scheme}://{shown[:253]}:{port} is not among the operator's 'mcp.allowed_hosts'")
    authority = f"[{host}]" if ":" in host else host
    default = port == _PORTS[scheme]
    rest = match["rest"] or "/"
    return f"{scheme}://{authority}{'' if default else f':{port}'}{'' if rest.startswith('/') else '/'}{rest}"


def _plain_host(host: str) -> str:
    """A host in one spelling only. Raises ``ValueError`` for one that looks like an address but is none."""
    if host.startswith("["):
        address = ipaddress.IPv6Address(host[1:-1])
        if address.ipv4_mapped is not None:
            raise ValueError("an IPv4 address inside an IPv6 address is not taken")
        return str(address)
    host = host.lower().removesuffix(".")
    last = host.rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):
        # A number at its end makes a host an address for many resolvers, in spellings that only they know.
        return str(ipaddress.IPv4Address(host))
    if not last:
        raise ValueError("the host is empty")
    return host


def _port(text: str | None, scheme: str) -> int:
    port = int(text) if text else _PORTS[scheme]
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is not a port")
    return port


def _is_near(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _invalid(param: str, complaint: str) -> ProtocolError:
    return ProtocolError("invalid_value", f"Invalid '{param}': {complaint}.", param)
