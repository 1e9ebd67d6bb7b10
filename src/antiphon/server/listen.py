"""The sockets of the server: bound early, so that a taken port is known before a gigabyte is loaded."""

import errno
import os
import socket
from collections.abc import Sequence

from antiphon.server.settings import SettingsError

__all__ = ["bind", "port_of"]


def bind(host: str, port: int) -> list[socket.socket]:
    """One bound socket for each address of ``host``; nobody can connect yet. Raises ``SettingsError``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(f"host {host!r} has no address on this machine ({error.strerror})") from error
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        # With port 0 the first address chooses, and the others follow.
        chosen = (address[0], port_of(sockets) if sockets else address[1], *address[2:])
        try:
            sockets.append(_bind_one(family, chosen))
        except OSError as error:
            failure = error
            if error.errno == errno.EADDRINUSE:
                break
    if sockets and (failure is None or failure.errno != errno.EADDRINUSE):
        # An address family that this machine lacks (IPv6 of "localhost") is no reason to stop.
        return sockets
    for bound in sockets:
        bound.close()
    assert failure is not None
    raise SettingsError(_explain(host, port, failure))


def port_of(sockets: Sequence[socket.socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port


def _bind_one(family: int, address: tuple[object, ...]) -> socket.socket:
    # With the protocol named asyncio turns Nagle's algorithm off; else each answer waits 40 ms for the client's ack.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _explain(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program: choose another with --port, or stop that one"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than this user has: choose one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host {host} is not an address of this machine: choose another with --host"
    return f"cannot listen on {host} port {port}: {error.strerror}"
