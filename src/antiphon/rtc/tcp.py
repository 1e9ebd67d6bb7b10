"""ICE over TCP, passive (RFC 6544): for peers whose network carries no UDP. Packets are framed as RFC 4571 says."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from antiphon.rtc.mux import Mux, Path, Receiver

__all__ = ["TcpListener"]

_MAX_FRAME_BYTES: Final = 2048
_MAX_UNSENT_BYTES: Final = 262_144
_MAX_STRANGERS: Final = 128
"""Connections on which no valid check came yet; the oldest goes when there is one more."""
_STRANGER_S: Final = 10.0
_BACKLOG: Final = 128


class TcpListener:
    """Accepts on the given sockets. A connection that shows no valid check is closed soon, and never told anything."""

    def __init__(self, mux: Mux, listening: Sequence[socket.socket]) -> None:
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
        for one in self._sockets:
            self._servers.append(
                await loop.create_server(lambda: _TcpPath(self, self._mux), sock=one, backlog=_BACKLOG)
            )

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
        if len(self._strangers) > _MAX_STRANGERS:
            self._mux.dropped["tcp_strangers"] += 1
            next(iter(self._strangers)).abort()

    def proved(self, connection: "_TcpPath") -> None:
        self._strangers.pop(connection, None)

    def closed(self, connection: "_TcpPath") -> None:
        self._strangers.pop(connection, None)
        self._connections.discard(connection)


class _TcpPath(Path, asyncio.Protocol):
    def __init__(self, listener: TcpListener, mux: Mux) -> None:
        super().__init__(("", 0))
        self._listener = listener
        self._mux = mux
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername") or ("0.0.0.0", 0)
        self.address = peer[0], peer[1]
        self._deadline = asyncio.get_running_loop().call_later(_STRANGER_S, self._expire)
        self._listener.opened(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        at = 0
        while len(self._received) - at >= 2:
            size_bytes = int.from_bytes(self._received[at : at + 2])
            if size_bytes > _MAX_FRAME_BYTES:
                self._mux.dropped["tcp_frame"] += 1
                self.abort()
                return
            if len(self._received) - at - 2 < size_bytes:
                break
            frame = bytes(self._received[at + 2 : at + 2 + size_bytes])
            at += 2 + size_bytes
            self._mux.arrived(frame, self)
            if self._transport is None:
                return
        del self._received[:at]

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
