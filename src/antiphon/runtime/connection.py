"""The connections of one session: what each says, what waits for it, and how it ends."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from antiphon.core.inputs import Origin
from antiphon.core.outputs import CloseSession
from antiphon.protocol.beta.dialect import BetaDialect
from antiphon.protocol.codec import encode_server_event
from antiphon.protocol.server_events import ServerEvent
from antiphon.runtime.ids import new_id
from antiphon.runtime.outbox import Outbox
from antiphon.runtime.reading import Reading
from antiphon.runtime.transport import Transport, TransportClosedError

__all__ = ["BUG", "CROWDED", "MOST_FURTHER", "SLOW_CLIENT", "Connection", "Connections", "close_transport"]

MOST_FURTHER = 8
"""Connections that a session may have beside the one that opened it."""
BUG = CloseSession(1011, "server_error.server_error")
CROWDED = CloseSession(1013, f"This session has {MOST_FURTHER} further connections already.")
SLOW_CLIENT = CloseSession(1008, "slow client: too many events were not read")
_DRAIN_S = 5.0
"""How long the last events of a connection may take to leave, and the connection to close."""
_GOODBYE_S = 0.2


class Connection:
    """Run it once; whatever ends it, it is closed when ``run`` returns."""

    def __init__(
        self,
        origin: Origin,
        transport: Transport,
        reading: Reading,
        outbox: Outbox,
        dialect: BetaDialect | None,
        *,
        opens_later: bool = False,
        lost: Callable[[TransportClosedError], None] = lambda _: None,
        slow: Callable[[], None] = lambda: None,
        failed: Callable[[Exception], None],
    ) -> None:
        """``lost``, ``slow`` and ``failed`` (a fault of ours) are told why it ends by itself, before it does.

        ``opens_later``: it may take long before anything can be sent, or for ever. What is kept for it until then is
        bounded, and that it is too much is not the client's fault.
        """
        self.origin = origin
        self.outbox = outbox
        self.dialect = dialect
        self._transport = transport
        self._reading = reading
        self._opens_later = opens_later
        self._lost = lost
        self._slow = slow
        self._failed = failed
        self._over = asyncio.Event()
        self._close = CloseSession()
        self._takes_more = True
        self.closed = asyncio.Event()

    async def run(self) -> None:
        """Until it is lost, found too slow, or told to end. Never raises for a fault of the connection."""
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._guarded(self._write), name=f"writer:{self.origin}")
                reader = tasks.create_task(self._guarded(self._read), name=f"reader:{self.origin}")
                await self._over.wait()
                if self._takes_more and not self._is_unopened:
                    self.outbox.end()
                    await asyncio.wait([writer], timeout=_DRAIN_S)
                writer.cancel()
                reader.cancel()
            await close_transport(self._transport, self._close)
        finally:
            self.closed.set()

    @property
    def _is_unopened(self) -> bool:
        return self._opens_later and not self.outbox.reached.is_set()

    def put(self, frames: Sequence[bytes]) -> None:
        """Encoded events, to be sent when the client takes them."""
        for frame in frames:
            self.outbox.put(frame)
        if not self.outbox.full:
            return
        if self._is_unopened:
            self.outbox.forget()
        else:
            self._slow()
            self._cut(SLOW_CLIENT)

    def end(self, close: CloseSession) -> None:
        """What was put so far is still sent. The first reason to end is the one that is told."""
        if not self._over.is_set():
            self._close = close
            self._over.set()

    def _cut(self, close: CloseSession) -> None:
        """Nothing more can be sent."""
        self._takes_more = False
        self.end(close)

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except TransportClosedError as closed:
            self._lost(closed)
            self._cut(CloseSession())
        except Exception as bug:
            self._failed(bug)
            self.end(BUG)

    async def _read(self) -> None:
        await self._reading.run()

    async def _write(self) -> None:
        try:
            await self.outbox.run()
        except TransportClosedError:
            # The reader knows whether the peer said goodbye; it is given the time to find out.
            await asyncio.sleep(_GOODBYE_S)
            raise


async def close_transport(transport: Transport, close: CloseSession) -> None:
    try:
        async with asyncio.timeout(_DRAIN_S):
            await transport.close(close.code, close.reason)
    except TimeoutError:
        pass  # whoever accepted the connection cuts it


class Connections:
    """Those that a session has now; the first is number 0."""

    def __init__(
        self,
        reading: Callable[..., Reading],
        *,
        outbox_bytes: int,
        conversation_id: str | None,
        unknown_field: Callable[[str, str], None],
    ) -> None:
        """``reading`` makes the reading of a connection; ``unknown_field`` is told the connection's id and the name."""
        self._reading = reading
        self._outbox_bytes = outbox_bytes
        self._conversation_id = conversation_id
        self._unknown_field = unknown_field
        self._by_origin: dict[Origin, Connection] = {}
        self._next_origin = 0

    @property
    def has_room(self) -> bool:
        return len(self._by_origin) <= MOST_FURTHER

    @property
    def had_further(self) -> bool:
        """Whether there ever was one beside the first."""
        return self._next_origin > 1

    def add(self, transport: Transport, connection_id: str, *, beta: bool, **ends: Any) -> Connection:
        """A connection that is told of everything from now on. ``beta``: it asked for the beta's events; ``ends``: as
        ``Connection`` has them."""
        origin, self._next_origin = self._next_origin, self._next_origin + 1
        dialect = BetaDialect(conversation_id=self._conversation_id, new_id=new_id) if beta else None
        unknown_field = partial(self._unknown_field, connection_id)
        reading = self._reading(transport, origin=origin, dialect=dialect, unknown_field=unknown_field)
        outbox = Outbox(transport, self._outbox_bytes)
        connection = Connection(origin, transport, reading, outbox, dialect, **ends)
        self._by_origin[origin] = connection
        return connection

    async def run(self, connection: Connection) -> None:
        """One that was added, to its end."""
        try:
            await connection.run()
        finally:
            del self._by_origin[connection.origin]

    def post(self, event: ServerEvent, origin: Origin | None = None) -> None:
        """An event for all, or for the one with that number as long as it is there. It is encoded once for all that
        speak today's language."""
        if origin is None:
            addressed = list(self._by_origin.values())
        else:
            addressed = [self._by_origin[origin]] if origin in self._by_origin else []
        plain: list[bytes] = []
        for connection in addressed:
            if connection.dialect is not None:
                connection.put(connection.dialect.encode(event))
            else:
                plain = plain or [encode_server_event(event)]
                connection.put(plain)

    def end(self, close: CloseSession) -> None:
        for connection in self._by_origin.values():
            connection.end(close)

    async def closed(self) -> None:
        """Wait until all those that are there now are closed."""
        for connection in list(self._by_origin.values()):
            await connection.closed.wait()
