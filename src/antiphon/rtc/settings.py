"""What a WebRTC endpoint is told. Importing this loads nothing heavy."""

import ipaddress
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_MESSAGE_BYTES", "EndpointSettings", "local_addresses", "own_addresses", "plain_literal"]

MAX_MESSAGE_BYTES: Final = 262_144
"""Of a message to us: what every browser sends at most."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    addresses: tuple[str, ...]
    """IP literals to bind; each has a socket of its own, all the same port."""
    port: int
    """0: one that is free for all."""
    own_addresses: tuple[str, ...] = ()
    """Further IP literals to bind, on the same port, where nobody is heard but who calls from one of these or of
    ``addresses``. One that cannot be bound is left out."""
    public_addresses: tuple[str, ...] = ()
    """IP literals under which peers reach this machine from outside, on the same port."""
    udp: bool = True
    tcp: bool = True
    """ICE over TCP, for networks without UDP."""
    max_calls: int = 200
    half_open_calls: int = 64
    """Calls whose peer is not connected yet."""
    half_open_s: float = 10.0
    """For how long a call may stay so."""
    silent_s: float = 20.0
    """For how long nothing valid may come from a peer before it counts as gone."""
    complexity: int = 5
    """Of the Opus encoder: 0 costs least, 10 sounds best."""
    bitrate_bps: int = 32_000
    output_latency_ms: int = 30
    """From a peer's decoder to its user's ear."""


def local_addresses(host: str) -> tuple[str, ...]:
    """The addresses to bind for a server that listens at ``host``.

    Loopback comes with the other family's loopback, where there is one; the wildcard stands for the addresses of all
    interfaces of both families; any other IP literal for itself. ValueError if ``host`` is none of these.
    """
    if host == "localhost":
        host = "127.0.0.1"
    address = ipaddress.ip_address(host)
    if not address.is_loopback and not address.is_unspecified:
        return (host,)
    mine = _of_interfaces()
    if address.is_loopback:
        others = {"127.0.0.1", "::1"} & set(mine)
        return (host, *sorted(others - {host}))
    return tuple(mine) or ("127.0.0.1",)


def own_addresses() -> tuple[str, ...]:
    """Those of this machine now, loopback excepted: where programs on it reach it that do not call loopback."""
    return tuple(one for one in _of_interfaces() if not ipaddress.ip_address(one).is_loopback)


def plain_literal(address: str) -> str:
    """An IP literal without its zone, and as IPv4 where it is that in the form of IPv6; empty if it is none."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _of_interfaces() -> list[str]:
    """Those that other machines can name: no link-local ones, which only have a meaning on one interface."""
    import ifaddr

    found: dict[str, None] = {}
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            literal = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            if not ipaddress.ip_address(literal).is_link_local:
                found[literal] = None
    return sorted(found, key=lambda literal: (ipaddress.ip_address(literal).is_loopback, ":" in literal))
