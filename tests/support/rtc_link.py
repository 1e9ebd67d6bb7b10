"""How a caller's packets travel: over UDP or TCP, on a network that may lose, repeat and reorder them."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["PERFECT", "Impaired", "Impairment", "Link", "open_link"]

Receive = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Impairment:
    """What happens to media on its way, by a seeded random. All else (checks, DTLS, SCTP) passes."""

    loss: float = 0.0
    """Share of packets that get lost."""
    duplication: float = 0.0
    """Share that arrives twice, the second time one packet later."""
    reordering: float = 0.0
    """Share that arrives ``late_packets`` later."""
    late_packets: int = 1
    seed: int = 1


PERFECT = Impairment()


class Impaired:
    """Tells for each packet what arrives now, in order."""

    def __init__(self, impairment: Impairment) -> None:
        self._impairment = impairment
        self._random = random.Random(impairment.seed)
        self._held: list[tuple[int, bytes]] = []
        self._passed = 0

    def carry(self, packet: bytes) -> Iterator[bytes]:
        if self._impairment == PERFECT or not 127 < packet[0] < 192:
            yield packet
            return
        self._passed += 1
        yield from self._now(packet)
        due = [held for at, held in self._held if at <= self._passed]
        self._held = [(at, held) for at, held in self._held if at > self._passed]
        yield from due

    def _now(self, packet: bytes) -> Iterator[bytes]:
        fate = self._random.random
        if fate() < self._impairment.loss:
            return
        if fate() < self._impairment.reordering:
            self._held.append((self._passed + self._impairment.late_packets, packet))
            return
        yield packet
        if fate() < self._impairment.duplication:
            self._held.append((self._passed + 1, packet))


class Link(Protocol):
    def send(self, packet: bytes) -> None: ...
    def close(self) -> None:
        """At once, without a word; nothing is received any more."""

    @property
    def local(self) -> tuple[str, int]: ...


async def open_link(protocol: str, address: str, port: int, receive: Receive, tasks: asyncio.TaskGroup) -> Link:
    """A way to this address; ``receive`` is called with each packet that comes."""
    if protocol == "udp":
        return await _open_udp(address, port, receive)
    reader, writer = await asyncio.open_connection(address, port)
    return _TcpLink(reader, writer, receive, tasks)


async def _open_udp(address: str, port: int, receive: Receive) -> Link:
    loop = asyncio.get_running_loop()
    _, link = await loop.create_datagram_endpoint(lambda: _UdpLink(receive), remote_addr=(address, port))
    return link


class _UdpLink(asyncio.DatagramProtocol):
    def __init__(self, receive: Receive) -> None:
        self._receive: Receive | None = receive
        self._transport: Any = None

    @property
    def local(self) -> tuple[str, int]:
        name = self._transport.get_extra_info("sockname")
        return name[0], name[1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self._receive is not None:
            self._receive(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there any more: the same as loss."""

    def send(self, packet: bytes) -> None:
        if self._transport is not None and self._receive is not None:
            self._transport.sendto(packet)

    def close(self) -> None:
        self._receive = None
        if self._transport is not None:
            self._transport.abort()


class _TcpLink:
    """Frames of RFC 4571: 16 bits of length, and the packet."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receive: Receive, tasks: asyncio.TaskGroup
    ) -> None:
        self._writer = writer
        self.local: tuple[str, int] = writer.get_extra_info("sockname")[:2]
        tasks.create_task(self._read(reader, receive), name="link: tcp")

    async def _read(self, reader: asyncio.StreamReader, receive: Receive) -> None:
        try:
            while True:
                packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                if self._writer.is_closing():
                    return
                receive(packet)
        except (asyncio.IncompleteReadError, OSError):
            return

    def send(self, packet: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(len(packet).to_bytes(2) + packet)

    def close(self) -> None:
        self._writer.close()
