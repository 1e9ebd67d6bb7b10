"""Encrypts and decrypts the media of one call (RFC 3711), with a bounded number of streams."""

from typing import Final

import pylibsrtp

__all__ = ["MAX_PACKET_BYTES", "Srtp"]

MAX_PACKET_BYTES: Final = 1500
_MAX_STREAMS: Final = 32
"""Streams of the peer whose state is kept. A browser needs two, and one more for each new microphone."""


class Srtp:
    """Both directions, over two sessions of libsrtp."""

    def __init__(self, outbound: pylibsrtp.Session, inbound: pylibsrtp.Session) -> None:
        self._outbound = outbound
        self._inbound = inbound
        self._streams: dict[int, None] = {}

    def protect_rtp(self, packet: bytes) -> bytes:
        protected: bytes = self._outbound.protect(packet)
        return protected

    def protect_rtcp(self, packet: bytes) -> bytes:
        protected: bytes = self._outbound.protect_rtcp(packet)
        return protected

    def unprotect_rtp(self, packet: bytes) -> bytes | None:
        """The packet in clear; None if it is not the peer's, or came before."""
        if not 12 <= len(packet) <= MAX_PACKET_BYTES:
            return None
        try:
            clear: bytes = self._inbound.unprotect(packet)
        except pylibsrtp.Error:
            return None
        self._remember(int.from_bytes(packet[8:12]))
        return clear

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The packet in clear; None if it is not the peer's, or came before."""
        if not 8 <= len(packet) <= MAX_PACKET_BYTES:
            return None
        try:
            clear: bytes = self._inbound.unprotect_rtcp(packet)
        except pylibsrtp.Error:
            return None
        self._remember(int.from_bytes(packet[4:8]))
        return clear

    def _remember(self, ssrc: int) -> None:
        """libsrtp keeps state for each stream that was ever heard: the one silent for longest goes."""
        self._streams.pop(ssrc, None)
        self._streams[ssrc] = None
        if len(self._streams) > _MAX_STREAMS:
            oldest = next(iter(self._streams))
            del self._streams[oldest]
            self._inbound.remove_stream(oldest)
