"""RTCP: reports on what was sent and received (RFC 3550 section 6, RFC 5506). Pure: time is an argument.

Times of day travel as NTP times: 64 bits, the upper 32 of them seconds since 1900. The middle 32 bits ("short") come
back in the other side's reports, from which the round trip is computed.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = [
    "Goodbye",
    "ReceiverReport",
    "ReceptionStatistics",
    "ReportBlock",
    "SenderReport",
    "goodbye",
    "ntp_time",
    "parse_rtcp",
    "receiver_report",
    "round_trip_s",
    "sender_report",
]

_UNIX_EPOCH_IN_NTP_S: Final = 2_208_988_800
_HEADER: Final = struct.Struct("!BBH")
_SENDER: Final = struct.Struct("!IQIII")
_BLOCK: Final = struct.Struct("!IIIIII")
_SR: Final = 200
_RR: Final = 201
_SDES: Final = 202
_BYE: Final = 203
_CNAME: Final = 1
_VERSION_2: Final = 0x80
_PADDING: Final = 0x20
_MAX_BLOCKS: Final = 31

_MAX_LOST: Final = 0x7FFFFF
_MAX_DROPOUT: Final = 3000
_MAX_MISORDER: Final = 100


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What one side received of one stream."""

    ssrc: int
    fraction_lost: int
    """Since the report before, in 256ths."""
    lost: int
    """Since the beginning; below zero when duplicates came."""
    highest_sequence: int
    """Extended: the upper 16 bits count how often the number wrapped."""
    jitter: int
    """In units of the stream's clock."""
    last_sender_report: int
    """The short NTP time in the last sender report that came; 0 if none."""
    delay_since_last_sender_report: int
    """In 65,536ths of a second."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    ssrc: int
    ntp_time: int
    rtp_timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class Goodbye:
    ssrcs: tuple[int, ...]


Report = SenderReport | ReceiverReport | Goodbye


def ntp_time(unix_s: float) -> int:
    """The NTP time of a time of day in seconds since 1970."""
    return int((unix_s + _UNIX_EPOCH_IN_NTP_S) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def round_trip_s(block: ReportBlock, now_ntp: int) -> float | None:
    """How long a packet needed there and back, from a report on our stream; None if the other side cannot tell yet."""
    if not block.last_sender_report:
        return None
    passed = (_short(now_ntp) - block.last_sender_report - block.delay_since_last_sender_report) & 0xFFFFFFFF
    return passed / 65536 if passed < 1 << 31 else 0.0


def parse_rtcp(data: bytes) -> tuple[Report, ...]:
    """The reports and goodbyes in a packet, in order; other kinds are passed over. () if any part is broken."""
    try:
        return tuple(report for kind, count, body in _parts(data) if (report := _report(kind, count, body)))
    except (_BrokenError, struct.error):
        return ()


def sender_report(report: SenderReport, cname: str) -> bytes:
    """A whole RTCP packet: this report and the name of its sender."""
    counts = (report.rtp_timestamp & 0xFFFFFFFF, report.packets & 0xFFFFFFFF, report.octets & 0xFFFFFFFF)
    head = _SENDER.pack(report.ssrc, report.ntp_time, *counts)
    return _part(_SR, head, report.blocks) + _description(report.ssrc, cname)


def receiver_report(report: ReceiverReport, cname: str) -> bytes:
    """A whole RTCP packet: this report and the name of its sender."""
    return _part(_RR, report.ssrc.to_bytes(4), report.blocks) + _description(report.ssrc, cname)


def goodbye(report: Goodbye) -> bytes:
    """A whole RTCP packet that ends these streams (at most 31)."""
    body = b"".join(ssrc.to_bytes(4) for ssrc in report.ssrcs)
    return receiver_report(ReceiverReport(report.ssrcs[0] if report.ssrcs else 0), "") + _packed(
        _BYE, len(report.ssrcs), body
    )


class ReceptionStatistics:
    """Counts one received stream (RFC 3550, appendices A.1, A.3 and A.8); no probation: packets are authenticated."""

    def __init__(self, clock_hz: int) -> None:
        self._clock_hz = clock_hz
        self._base = 0
        self._highest = -1
        self._cycles = 0
        self._bad = -1
        self._received = 0
        self._expected_before = 0
        self._received_before = 0
        self._transit: float | None = None
        self._jitter = 0.0
        self._sender_report: tuple[int, float] | None = None

    @property
    def extended_highest_sequence(self) -> int:
        """0 before the first packet."""
        return self._cycles + max(self._highest, 0)

    @property
    def expected(self) -> int:
        return self.extended_highest_sequence - self._base + 1 if self._highest >= 0 else 0

    @property
    def lost(self) -> int:
        return self.expected - self._received

    @property
    def jitter_s(self) -> float:
        """How much the packets' times of arrival scatter, smoothed."""
        return self._jitter / self._clock_hz

    def push(self, sequence: int, timestamp: int, now_s: float) -> None:
        """A packet arrived."""
        if self._highest < 0:
            self._restart(sequence)
        elif not self._follows(sequence):
            return
        self._received += 1
        self._measure(timestamp, now_s)

    def sender_reported(self, report: SenderReport, now_s: float) -> None:
        """The sender told its times: the next block says when."""
        self._sender_report = _short(report.ntp_time), now_s

    def block(self, ssrc: int, now_s: float) -> ReportBlock:
        """What to report on this stream now; the share of lost packets is that since the call before."""
        expected = self.expected - self._expected_before
        lost = expected - (self._received - self._received_before)
        self._expected_before, self._received_before = self.expected, self._received
        last, since = 0, 0
        if self._sender_report:
            last, since = self._sender_report[0], round((now_s - self._sender_report[1]) * 65536)
        return ReportBlock(
            ssrc=ssrc,
            fraction_lost=min(lost * 256 // expected, 255) if expected > 0 and lost > 0 else 0,
            lost=max(-_MAX_LOST - 1, min(self.lost, _MAX_LOST)),
            highest_sequence=self.extended_highest_sequence & 0xFFFFFFFF,
            jitter=min(int(self._jitter), 0xFFFFFFFF),
            last_sender_report=last,
            delay_since_last_sender_report=max(0, min(since, 0xFFFFFFFF)),
        )

    def _restart(self, sequence: int) -> None:
        self._base = self._highest = sequence
        self._cycles = 0
        self._bad = -1
        self._received = self._received_before = self._expected_before = 0
        self._transit = None

    def _follows(self, sequence: int) -> bool:
        """Whether the packet counts. Two in a row far from all before: the sender began anew."""
        ahead = (sequence - self._highest) & 0xFFFF
        if ahead < _MAX_DROPOUT:
            if sequence < self._highest:
                self._cycles += 1 << 16
            self._highest = sequence
        elif ahead <= (1 << 16) - _MAX_MISORDER:
            if sequence != self._bad:
                self._bad = (sequence + 1) & 0xFFFF
                return False
            self._restart(sequence)
        return True

    def _measure(self, timestamp: int, now_s: float) -> None:
        transit = now_s * self._clock_hz - timestamp
        if self._transit is not None:
            difference = abs((transit - self._transit + (1 << 31)) % (1 << 32) - (1 << 31))
            if difference < self._clock_hz:  # more is no jitter: the sender's clock jumped
                self._jitter += (difference - self._jitter) / 16
        self._transit = transit


class _BrokenError(Exception):
    """The packet does not hold what it says."""


def _parts(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, count and body of each part of a compound packet."""
    at = 0
    if not data:
        raise _BrokenError
    while at < len(data):
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 + 4 * words
        if first & 0xC0 != _VERSION_2 or end > len(data):
            raise _BrokenError
        body = data[at + 4 : end]
        if first & _PADDING:
            if end != len(data) or not body or not 0 < body[-1] <= len(body):
                raise _BrokenError
            body = body[: -body[-1]]
        yield kind, first & 0x1F, body
        at = end


def _report(kind: int, count: int, body: bytes) -> Report | None:
    if kind == _SR:
        ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
        return SenderReport(ssrc, ntp, timestamp, packets, octets, _blocks(body, _SENDER.size, count))
    if kind == _RR:
        if len(body) < 4:
            raise _BrokenError
        return ReceiverReport(int.from_bytes(body[:4]), _blocks(body, 4, count))
    if kind == _BYE:
        return Goodbye(struct.unpack_from(f"!{count}I", body))
    return None


def _blocks(body: bytes, at: int, count: int) -> tuple[ReportBlock, ...]:
    return tuple(_block(_BLOCK.unpack_from(body, at + _BLOCK.size * place)) for place in range(count))


def _block(fields: tuple[int, ...]) -> ReportBlock:
    ssrc, losses, highest, jitter, last, since = fields
    lost = losses & 0xFFFFFF
    return ReportBlock(ssrc, losses >> 24, lost - (1 << 24) if lost >> 23 else lost, highest, jitter, last, since)


def _part(kind: int, head: bytes, blocks: Sequence[ReportBlock]) -> bytes:
    if len(blocks) > _MAX_BLOCKS:
        raise ValueError(f"a report holds at most {_MAX_BLOCKS} blocks")
    return _packed(kind, len(blocks), head + b"".join(map(_packed_block, blocks)))


def _packed_block(block: ReportBlock) -> bytes:
    return _BLOCK.pack(
        block.ssrc,
        block.fraction_lost << 24 | block.lost & 0xFFFFFF,
        block.highest_sequence,
        block.jitter,
        block.last_sender_report,
        block.delay_since_last_sender_report,
    )


def _description(ssrc: int, cname: str) -> bytes:
    name = cname.encode()[:255]
    chunk = ssrc.to_bytes(4) + bytes([_CNAME, len(name)]) + name + b"\0"
    return _packed(_SDES, 1, chunk + bytes(-len(chunk) % 4))


def _packed(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(_VERSION_2 | count, kind, len(body) // 4) + body


def _short(ntp: int) -> int:
    return ntp >> 16 & 0xFFFFFFFF
