"""What the runtime needs of a connection. Transports implement it; they know nothing of conversations."""

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Transport", "TransportClosedError"]


class TransportClosedError(Exception):
    """The peer is gone. ``clean``: it closed the connection properly."""

    def __init__(self, *, clean: bool, code: int | None = None) -> None:
        super().__init__(f"connection closed (code {code})")
        self.clean = clean
        self.code = code


class Transport(Protocol):
    @property
    def paces_playout(self) -> bool:
        """True where the server knows what was played (WebRTC)."""

    async def receive(self) -> str | bytes:
        """One text frame; ``bytes`` is a binary frame. Raises ``TransportClosedError`` at the end."""

    async def send(self, frames: Sequence[bytes]) -> None:
        """Encoded events, one text frame each; returns when they are handed to the network."""

    async def close(self, code: int, reason: str) -> None:
        """Close; never raises."""
