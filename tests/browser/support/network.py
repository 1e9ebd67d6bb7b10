"""A stretch of network between browser and server that can go down and lose packets."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

__all__ = ["UdpRelay", "udp_relay_to"]

_HOST: Final = "127.0.0.1"
_DATAGRAM_BYTES: Final = 65_536
_Address = tuple[str, int]


class UdpRelay:
    """Passes datagrams on between a port of its own and the server's, for each sender from another port."""

    def __init__(self, target_port: int) -> None:
        self.is_down = False
        self.lost_every = 0
        """One datagram of so many is lost; 0: none."""
        self.passed = 0
        self.lost = 0
        self._target = (_HOST, target_port)
        self._front = _bound(self._from_browser)
        self._sides: dict[_Address, socket.socket] = {}

    @property
    def port(self) -> int:
        return int(self._front.getsockname()[1])

    def close(self) -> None:
        for one in (self._front, *self._sides.values()):
            asyncio.get_running_loop().remove_reader(one)
            one.close()

    def _from_browser(self, front: socket.socket) -> None:
        data, browser = front.recvfrom(_DATAGRAM_BYTES)
        if browser not in self._sides:
            self._sides[browser] = _bound(lambda side: self._from_server(side, browser))
        self._pass_on(data, self._sides[browser], self._target)

    def _from_server(self, side: socket.socket, browser: _Address) -> None:
        self._pass_on(side.recv(_DATAGRAM_BYTES), self._front, browser)

    def _pass_on(self, data: bytes, via: socket.socket, to: _Address) -> None:
        count = self.passed + self.lost + 1
        if self.is_down or (self.lost_every and count % self.lost_every == 0):
            self.lost += 1
        else:
            self.passed += 1
            via.sendto(data, to)


def _bound(on_readable: Callable[[socket.socket], None]) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((_HOST, 0))
    made.setblocking(False)

    def read() -> None:
        with suppress(BlockingIOError, ConnectionRefusedError):
            on_readable(made)

    asyncio.get_running_loop().add_reader(made, read)
    return made


@contextmanager
def udp_relay_to(port: int) -> Iterator[UdpRelay]:
    relay = UdpRelay(port)
    try:
        yield relay
    finally:
        relay.close()
