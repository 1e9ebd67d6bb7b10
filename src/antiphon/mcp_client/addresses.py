"""Which network addresses may be spoken to: public ones, and those that the operator names."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

__all__ = ["Address", "Network", "Resolve", "forbidden", "named_networks", "resolve"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, best first."""

_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_NEVER = "it is an address that nobody is reached at"
_UNNAMED = "it is not public, and not named in 'mcp.allowed_hosts' or 'mcp.allowed_networks'"


async def resolve(host: str, port: int) -> Sequence[str]:
    """By the system. Raises ``OSError``."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def named_networks(hosts: Sequence[str], networks: Sequence[str]) -> tuple[Network, ...]:
    """What the operator names: addresses among the hosts (``localhost`` is loopback), and networks."""
    named = [ipaddress.ip_network(network) for network in networks]
    for host in hosts:
        if host == "localhost":
            named += _LOOPBACK
            continue
        with suppress(ValueError):  # a name: what it resolves to has to be public
            named.append(ipaddress.ip_network(host))
    return tuple(named)


def forbidden(address: Address, named: Sequence[Network]) -> str:
    """Why an address may not be spoken to; empty where it may be."""
    if address.is_unspecified or address.is_multicast:
        return _NEVER
    inner = _inside(address)
    if inner is not None:
        return forbidden(inner, named) and _UNNAMED
    if any(address.version == network.version and address in network for network in named):
        return ""
    return "" if address.is_global and not address.is_reserved else _UNNAMED


def _inside(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address to which an IPv6 address leads."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
