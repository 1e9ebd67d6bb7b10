"""A small HTTP client for the child process: JSON over a Unix socket, one connection a request.

Of its own, because a stream has to be dropped from inside a callback at once, and must go on filling its listener
while nobody awaits it, without a task for each.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from antiphon.engines.llamacpp.http_reader import HttpReader

__all__ = ["Exchange", "Reply", "StreamListener", "UnixHttp"]


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status == 200


class StreamListener(Protocol):
    """What is told of a stream. Nothing is told after ``Exchange.abort``."""

    def on_event(self, data: bytes) -> None:
        """One server-sent event."""

    def on_end(self, refusal: Reply | None) -> None:
        """The stream is over; ``refusal`` if the server did not accept the request."""

    def on_lost(self) -> None:
        """The connection broke off."""


class UnixHttp:
    """Requests to one socket. Raises ``OSError`` where nobody listens."""

    def __init__(self, socket: Path, key: str) -> None:
        self._socket = str(socket)
        self._key = key

    async def listened_to(self) -> bool:
        """Whether anybody listens now."""
        try:
            transport, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, self._socket)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        transport.abort()
        return True

    async def post(self, path: str, payload: Any) -> Reply:
        """Send and read a whole JSON answer. Raises ``ConnectionError`` if it breaks off."""
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        exchange = await self._open(path, payload, lambda: Exchange(_WholeReply(answered)))
        try:
            return await answered
        finally:
            exchange.abort()

    async def stream(self, path: str, payload: Any, listener: StreamListener) -> "Exchange":
        """Send and tell ``listener`` of each event as it comes, until ``Exchange.abort``."""
        return await self._open(path, payload, lambda: Exchange(_Events(listener)))

    async def _open(self, path: str, payload: Any, make: Callable[[], "Exchange"]) -> "Exchange":
        body = msgspec.json.encode(payload)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        loop = asyncio.get_running_loop()
        transport, exchange = await loop.create_unix_connection(make, self._socket)
        transport.write(head.encode("ascii") + body)
        return exchange


class _Sink(Protocol):
    def data(self, exchange: "Exchange", body: bytes) -> None: ...
    def end(self, reader: HttpReader) -> None: ...
    def lost(self) -> None: ...


class Exchange(asyncio.Protocol):
    """One request under way."""

    def __init__(self, sink: _Sink) -> None:
        self._sink: _Sink | None = sink
        self.reader = HttpReader()
        self._transport: asyncio.Transport | None = None

    @property
    def live(self) -> bool:
        """Whether there is still somebody to be told."""
        return self._sink is not None

    def abort(self) -> None:
        """Drop the connection at once; nothing more is told."""
        self._sink = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            body = self.reader.feed(data)
        except ValueError:
            self._give_up()
            return
        if body and self._sink is not None:
            self._sink.data(self, body)
        if self.reader.complete and (sink := self._taken()) is not None:
            sink.end(self.reader)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if (sink := self._taken()) is not None:
            sink.lost()

    def _give_up(self) -> None:
        sink = self._taken()
        self.abort()
        if sink is not None:
            sink.lost()

    def _taken(self) -> _Sink | None:
        sink, self._sink = self._sink, None
        return sink


class _WholeReply:
    def __init__(self, answered: asyncio.Future[Reply]) -> None:
        self._answered = answered
        self._body = bytearray()

    def data(self, exchange: Exchange, body: bytes) -> None:
        self._body += body

    def end(self, reader: HttpReader) -> None:
        if not self._answered.done():
            self._answered.set_result(Reply(reader.status, bytes(self._body)))

    def lost(self) -> None:
        if not self._answered.done():
            self._answered.set_exception(ConnectionResetError("the connection broke off"))


class _Events:
    def __init__(self, listener: StreamListener) -> None:
        self._listener = listener
        self._rest = bytearray()

    def data(self, exchange: Exchange, body: bytes) -> None:
        self._rest += body
        if exchange.reader.status != 200:
            return
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            if exchange.live and line.startswith(b"data: "):
                self._listener.on_event(line[6:])

    def end(self, reader: HttpReader) -> None:
        self._listener.on_end(None if reader.status == 200 else Reply(reader.status, bytes(self._rest)))

    def lost(self) -> None:
        self._listener.on_lost()
