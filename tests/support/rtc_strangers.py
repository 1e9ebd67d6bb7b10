"""Who calls without having been answered: sockets, checks and offers of nobody."""

import asyncio
import secrets
import socket
from typing import Final

from antiphon.rtc.endpoint import Endpoint
from antiphon.rtc.stun import binding_request
from tests.support.rtc_offer import Plan, write_offer

__all__ = ["FINGERPRINT", "Stranger", "check", "offer"]

FINGERPRINT: Final = ":".join(["AB"] * 32)


def offer() -> str:
    return write_offer(Plan(), FINGERPRINT, 1)


def check(ufrag: str, pwd: str, *, nominate: bool = False) -> bytes:
    return binding_request(
        secrets.token_bytes(12), f"{ufrag}:them", pwd.encode(), priority=1, tie_breaker=1, use_candidate=nominate
    )


class Stranger:
    """A socket of its own, on loopback."""

    def __init__(self, endpoint: Endpoint, *, source: str = "127.0.0.1", to: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((source, 0))
        self._socket.connect((to, endpoint.port))

    def __enter__(self) -> "Stranger":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, datagram: bytes) -> None:
        self._socket.send(datagram)

    async def received(self) -> list[bytes]:
        """All that came in answer to what was sent; the endpoint had time for it."""
        await asyncio.sleep(0.05)
        found: list[bytes] = []
        while True:
            try:
                found.append(self._socket.recv(2048))
            except BlockingIOError:
                return found
