"""RTP packets (RFC 3550 section 5.1), and how they are told from RTCP on one port (RFC 5761). Pure."""

import struct
from dataclasses import dataclass
from typing import Final

__all__ = ["RtpPacket", "is_rtcp", "pack_rtp", "parse_rtp"]

_HEADER: Final = struct.Struct("!BBHII")
_VERSION_2: Final = 0x80
_PADDING: Final = 0x20
_EXTENSION: Final = 0x10
_MARKER: Final = 0x80


@dataclass(frozen=True, slots=True)
class RtpPacket:
    payload_type: int
    marker: bool
    """For audio: the first packet after a pause."""
    sequence: int
    """16 bits, one more with each packet of its stream."""
    timestamp: int
    """32 bits, in units of the codec's clock."""
    ssrc: int
    """The stream to which it belongs."""
    payload: bytes
    """May be empty: a packet that only pads or keeps alive."""


def is_rtcp(packet: bytes) -> bool:
    """Whether this packet, RTP or RTCP, encrypted or not, is RTCP."""
    return len(packet) > 1 and 192 <= packet[1] <= 223


def parse_rtp(data: bytes) -> RtpPacket | None:
    """The packet in ``data``, without contributing sources, header extension and padding; None if it is broken."""
    if len(data) < _HEADER.size:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first & 0xC0 != _VERSION_2:
        return None
    start = _HEADER.size + 4 * (first & 0x0F)
    if first & _EXTENSION:
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
    end = len(data)
    if first & _PADDING:
        padding = data[-1]
        end = end - padding if padding else -1
    if start > end:
        return None
    return RtpPacket(second & 0x7F, bool(second & _MARKER), sequence, timestamp, ssrc, data[start:end])


def pack_rtp(packet: RtpPacket) -> bytes:
    """The packet as it goes on the wire, without any header extension. Numbers wrap to their width."""
    head = _HEADER.pack(
        _VERSION_2,
        packet.payload_type | (_MARKER if packet.marker else 0),
        packet.sequence & 0xFFFF,
        packet.timestamp & 0xFFFFFFFF,
        packet.ssrc,
    )
    return head + packet.payload
