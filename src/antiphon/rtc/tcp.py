"""ICE over TCP, passive (RFC 6544): for peers whose network carries no UDP. Packets are framed as RFC 4571 says."""

import asyncio
import functools
import socket
from collections.abc import Sequence
from functools import partial
from typing import Final

from antiphon.rtc.mux import Mux, Path, Receiver

__all__ = ["TcpListener", "connections_max"]

_MAX_FRAME_BYTES: Final = 2048
_MAX_UNSENT_BYTES: Final = 262_144
_MAX_STRANGERS: Final = 128
"""Connections on which no valid check came yet; the oldest goes when there is one more."""
_STRANGER_S: Final = 10.0
_STRANGER_FRAMES: Final = 32
"""What a connection may send before a valid check; callers begin with one, and repeat it."""
_FRAMES_A_WAKE: Final = 256
"""Frames may be empty: without a bound one read would hold up all calls."""
_BACKLOG: Final = 128


@functools.cache
def connections_max() -> int:
    """A quarter of the file descriptors: every call may have some connections, and others need descriptors too."""
    try:
        import resource  # not there on Windows
    except ImportError:
        return 256
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, soft // 4)


class TcpListener:
    """Accepts on the given sockets, on each from all or only from some addresses.

    A connection that shows no valid check is closed soon, and never told anything.
    """

    def __init__(self, mux: Mux, listening: Sequence[tuple[socket.socket, frozenset[str] | None]]) -> None:
        self._mux = mux
        self._sockets = listening
        self._servers: list[asyncio.Server] = []
        self._strangers: dict[_TcpPath, None] = {}
        self._connections: set[_TcpPath] = set()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for one, only in self._sockets:
            path = partial(_TcpPath, self, self._mux, only)
            self._servers.append(await loop.create_server(path, sock=one, backlog=_BACKLOG))

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.abort()
        for server in self._servers:
            await server.wait_closed()

    def opened(self, connection: "_TcpPath") -> None:
        self._connections.add(connection)
        self._strangers[connection] = None
        if len(self._strangers) > _MAX_STRANGERS or len(self._connections) > connections_max():
            self._mux.dropped["tcp_strangers"] += 1
            next(iter(self._strangers)).abort()

    def proved(self, connection: "_TcpPath") -> None:
        self._strangers.pop(connection, None)

    def closed(self, connection: "_TcpPath") -> None:
        self._strangers.pop(connection, None)
        self._connections.discard(connection)


class _TcpPath(Path, asyncio.Protocol):
    def __init__(self, listener: TcpListener, mux: Mux, only: frozenset[str] | None) -> None:
        super().__init__(("", 0))
        self._listener = listener
        self._mux = mux
        self._only = only
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._received = bytearray()
        self._frames_before_check = 0
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername") or ("0.0.0.0", 0)
        if not self._mux.hears(peer[0], self._only):
            transport.abort()
            return
        self._transport = transport
        self.address = peer[0], peer[1]
        self._deadline = asyncio.get_running_loop().call_later(_STRANGER_S, self._expire)
        self._listener.opened(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._paused:
            self._take()

    def _take(self) -> None:
        """Passes on the frames that are there, some at a time; nothing more is read meanwhile."""
        at = frames = 0
        while frames < _FRAMES_A_WAKE and (end := self._frame_end(at)) is not None:
            frame = bytes(self._received[at + 2 : end])
            at, frames = end, frames + 1
            self._mux.arrived(frame, self)
            self._lose_patience()
        del self._received[:at]
        self._pause(frames == _FRAMES_A_WAKE)

    def _pause(self, paused: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        if paused:
            asyncio.get_running_loop().call_soon(self._take)
        if paused != self._paused:
            self._paused = paused
            (transport.pause_reading if paused else transport.resume_reading)()

    def _frame_end(self, at: int) -> int | None:
        """Where the frame ends that begins at ``at``; None: it is not there as a whole, or too large for any."""
        if self._transport is None or len(self._received) - at < 2:
            return None
        size_bytes = int.from_bytes(self._received[at : at + 2])
        if size_bytes > _MAX_FRAME_BYTES:
            self._mux.dropped["tcp_frame"] += 1
            self.abort()
            return None
        end = at + 2 + size_bytes
        return end if end <= len(self._received) else None

    def _lose_patience(self) -> None:
        """Ends the connection if it has said much without a valid check."""
        if self._deadline is None:
            return
        self._frames_before_check += 1
        if self._frames_before_check > _STRANGER_FRAMES:
            self._mux.dropped["tcp_strangers"] += 1
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.path_lost(self)

    def send(self, datagram: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self._mux.dropped["tcp_buffer_full"] += 1
            return
        transport.write(len(datagram).to_bytes(2) + datagram)

    def bind(self, receiver: Receiver) -> None:
        super().bind(receiver)
        self._listener.proved(self)
        self._stop_deadline()

    def unbind(self) -> None:
        super().unbind()
        self.abort()  # what the socket has taken still goes out

    def abort(self) -> None:
        transport = self._transport
        self._end()
        if transport is not None:
            transport.abort()

    def _expire(self) -> None:
        self._mux.dropped["tcp_deadline"] += 1
        self.abort()

    def _end(self) -> None:
        self._transport = None
        self._received.clear()
        self._stop_deadline()
        self._listener.closed(self)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
