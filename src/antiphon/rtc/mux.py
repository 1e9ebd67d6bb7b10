"""One port for all calls: finds the call for each datagram that arrives, and carries what calls send.

Strangers are known by nothing but a signed STUN check that names a call: all else from addresses that no call has
learnt is dropped without an answer.
"""

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from antiphon.rtc.settings import plain_literal
from antiphon.rtc.stun import BindingRequest, parse_binding_request

__all__ = ["Mux", "Path", "Receiver", "UdpSocket", "open_own_sockets", "open_sockets"]

_LOG = logging.getLogger(__name__)

_MAX_DATAGRAM_BYTES: Final = 2048
_DATAGRAMS_A_WAKE: Final = 1024
"""More than a socket's buffer usually holds: a loop that is late would go deaf if it left any behind."""
_SOCKET_BUFFER_BYTES: Final = 4 * 1024 * 1024
_PORT_ATTEMPTS: Final = 20
_ABSENT: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}

_Address: TypeAlias = Any
"""As the socket tells it: a pair for IPv4, four values for IPv6."""


class Receiver(Protocol):
    """A call, as the mux sees it. None of these raises."""

    def check_arrived(self, request: BindingRequest, path: "Path") -> None:
        """A check that names the call; nothing of it is verified."""

    def dtls_arrived(self, datagram: bytes) -> None: ...
    def media_arrived(self, datagram: bytes) -> None: ...
    def path_lost(self, path: "Path") -> None:
        """The connection broke, or another call proved that the address is its own now."""


class Path:
    """A way to and from one address of a peer; what arrives on it belongs to the call that is bound to it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.receiver: Receiver | None = None
        self.checked_at_s = 0.0
        """When the last valid check came on it."""

    def send(self, datagram: bytes) -> None:
        """Sends or drops at once."""
        raise NotImplementedError

    def bind(self, receiver: Receiver) -> None:
        before, self.receiver = self.receiver, receiver
        if before is not None and before is not receiver:
            before.path_lost(self)

    def unbind(self) -> None:
        self.receiver = None


class Mux:
    """The calls by the names in their checks."""

    def __init__(self) -> None:
        self._by_ufrag: dict[str, Receiver] = {}
        self.dropped: Counter[str] = Counter()
        """Packets, by reason."""

    def register(self, ufrag: str, receiver: Receiver) -> None:
        """From now on checks that name ``ufrag`` (64 random bits: no two are alike) are this call's."""
        self._by_ufrag[ufrag] = receiver

    def unregister(self, ufrag: str) -> None:
        self._by_ufrag.pop(ufrag, None)

    @property
    def names(self) -> int:
        return len(self._by_ufrag)

    def hears(self, address: str, only: frozenset[str] | None) -> bool:
        """Whether to read what came from there: ``only`` from these plain literals, or from all. Counts if not."""
        if only is None or address in only or plain_literal(address) in only:
            return True
        self.dropped["outside"] += 1
        return False

    def arrived(self, datagram: bytes, path: Path) -> None:
        """Passes on what came on this path, by its first byte (RFC 7983)."""
        kind = datagram[0] if datagram else 255
        if kind < 4:
            self._check(datagram, path)
        elif path.receiver is None:
            self.dropped["stranger"] += 1
        elif 127 < kind < 192:
            path.receiver.media_arrived(datagram)
        elif 19 < kind < 64:
            path.receiver.dtls_arrived(datagram)
        else:
            self.dropped["unknown_kind"] += 1

    def _check(self, datagram: bytes, path: Path) -> None:
        request = parse_binding_request(datagram)
        if request is None:
            self.dropped["stun"] += 1
            return
        receiver = self._by_ufrag.get(request.username.partition(":")[0])
        if receiver is None:
            self.dropped["unknown_call"] += 1
            return
        receiver.check_arrived(request, path)


class UdpSocket:
    """One local address, which hears ``only`` some, or all. Only addresses that a call has learnt are remembered."""

    def __init__(self, mux: Mux, bound: socket.socket, only: frozenset[str] | None = None) -> None:
        self._mux = mux
        self._socket = bound
        self._only = only
        self._paths: dict[_Address, _UdpPath] = {}
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def paths(self) -> int:
        return len(self._paths)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(self._socket.fileno(), self._readable)
        except NotImplementedError:  # the default loop on Windows; not tried in our tests
            self._transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=self._socket)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        else:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def send(self, datagram: bytes, address: _Address) -> None:
        try:
            if self._transport is not None:
                self._transport.sendto(datagram, address)
            else:
                self._socket.sendto(datagram, address)
        except BlockingIOError:
            self._mux.dropped["send_buffer_full"] += 1
        except OSError:  # the network is away, or an old ICMP error shows up: the same as loss
            self._mux.dropped["send_failed"] += 1

    def remember(self, path: "_UdpPath") -> None:
        self._paths[path.full_address] = path

    def forget(self, path: "_UdpPath") -> None:
        if self._paths.get(path.full_address) is path:
            del self._paths[path.full_address]

    def arrived(self, datagram: bytes, address: _Address) -> None:
        path = self._paths.get(address)
        if path is None and not self._mux.hears(address[0], self._only):
            return
        self._mux.arrived(datagram, _UdpPath(self, address) if path is None else path)

    def _readable(self) -> None:
        for _ in range(_DATAGRAMS_A_WAKE):
            try:
                datagram, address = self._socket.recvfrom(_MAX_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error for something sent before
                continue
            self.arrived(datagram, address)


class _UdpPath(Path):
    def __init__(self, local: UdpSocket, address: _Address) -> None:
        super().__init__((address[0], address[1]))
        self.full_address = address
        self._local = local

    def send(self, datagram: bytes) -> None:
        self._local.send(datagram, self.full_address)

    def bind(self, receiver: Receiver) -> None:
        super().bind(receiver)
        self._local.remember(self)

    def unbind(self) -> None:
        super().unbind()
        self._local.forget(self)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, local: UdpSocket) -> None:
        self._local = local

    def datagram_received(self, data: bytes, addr: _Address) -> None:
        self._local.arrived(data, addr)


def open_sockets(
    addresses: Sequence[str], port: int, *, udp: bool, tcp: bool
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Bound, non-blocking sockets, UDP and TCP, all of one port. Addresses that this machine lacks are left out.

    OSError if the port is taken, or nothing could be bound.
    """
    kinds = _kinds(udp=udp, tcp=tcp)
    for attempt in range(_PORT_ATTEMPTS):
        bound: list[socket.socket] = []
        try:
            _bind_all(bound, addresses, port, kinds)
        except OSError as error:
            _close_all(bound)
            if port or error.errno != errno.EADDRINUSE or attempt == _PORT_ATTEMPTS - 1:
                raise
        except BaseException:
            _close_all(bound)
            raise
        else:
            break
    return _by_kind(bound)


def open_own_sockets(
    addresses: Sequence[str], port: int, *, udp: bool, tcp: bool
) -> tuple[list[socket.socket], list[socket.socket]]:
    """The same at further addresses; those that cannot be bound, for whatever reason, are left out."""
    found: list[socket.socket] = []
    for address in addresses:
        bound: list[socket.socket] = []
        try:
            for kind in _kinds(udp=udp, tcp=tcp):
                bound.append(_bound(address, port, kind))  # noqa: PERF401 - what is bound is closed at a failure
        except OSError as error:
            _close_all(bound)
            _LOG.warning("programs on this machine cannot call %s: %s", address, error.strerror or error)
        else:
            found += bound
    return _by_kind(found)


def _kinds(*, udp: bool, tcp: bool) -> list[int]:
    return [kind for kind, wanted in ((socket.SOCK_DGRAM, udp), (socket.SOCK_STREAM, tcp)) if wanted]


def _by_kind(bound: Sequence[socket.socket]) -> tuple[list[socket.socket], list[socket.socket]]:
    udp, tcp = ([one for one in bound if one.type == kind] for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
    return udp, tcp


def _bind_all(bound: list[socket.socket], addresses: Sequence[str], port: int, kinds: Sequence[int]) -> None:
    absent: OSError | None = None
    for address in addresses:
        for kind in kinds:
            try:
                bound.append(_bound(address, port, kind))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                _LOG.warning("calls cannot be reached at %s: %s", address, error.strerror)
                absent = error
                break
            port = port or bound[0].getsockname()[1]
    if not bound:
        raise absent or OSError(errno.EADDRNOTAVAIL, "calls need an address, and UDP or TCP")


def _bound(address: str, port: int, kind: int) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    try:
        one.setblocking(False)
        if one.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_DGRAM:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        else:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
    except BaseException:
        one.close()
        raise
    return one


def _close_all(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()
