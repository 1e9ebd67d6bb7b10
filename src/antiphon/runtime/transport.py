"""What the runtime needs of a connection. Transports implement it; they know nothing of conversations."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from antiphon.core.inputs import PlayoutCleared, PlayoutEnded, PlayoutStarted

__all__ = ["CallMedia", "Transport", "TransportClosedError"]


class TransportClosedError(Exception):
    """The peer is gone. ``clean``: it closed the connection properly."""

    def __init__(self, *, clean: bool, code: int | None = None) -> None:
        super().__init__(f"connection closed (code {code})")
        self.clean = clean
        self.code = code


class CallMedia(Protocol):
    """The audio of a call: a track in each direction, and a playout that the server paces. All PCM is s16le mono at
    24 kHz. Everything but ``room`` is synchronous."""

    @property
    def hears(self) -> bool:
        """Whether the peer may send audio."""

    def attach(self, hear: Callable[[bytes], None], report: Callable[[PlayoutStarted | PlayoutEnded], None]) -> None:
        """Called once, when the session begins; both are called in the event loop and never raise."""

    def play(self, response_id: str, item_id: str, pcm: bytes) -> None:
        """Behind all that is to be played already."""

    def clear(self, response_ids: Collection[str]) -> list[PlayoutCleared]:
        """Drop what has not left of these responses: one fact for each item that is cut, in their order."""

    def duck(self, on: bool) -> None:
        """Play more quietly (``on``), or as loud as before, without a click; ``clear`` ends it too. What counts as sent
        stays the same."""

    async def room(self) -> None:
        """Wait while more is to be played than should wait."""


class Transport(Protocol):
    @property
    def media(self) -> CallMedia | None:
        """Of a call; None where audio travels in events."""

    async def receive(self) -> str | bytes:
        """One text frame; ``bytes`` is a binary frame.

        Raises ``TransportClosedError`` at the end, and ``ProtocolError`` for a frame that could not be carried.
        """

    async def send(self, frames: Sequence[bytes]) -> None:
        """Encoded events, one text frame each; returns when they are handed to the network.

        A call waits until its data channel is open.
        """

    async def close(self, code: int, reason: str) -> None:
        """Close; never raises."""
