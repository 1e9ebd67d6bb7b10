"""Which RTCP reports a call sends when, and what its peer's tell (RFC 3550 section 6). Time is an argument."""

import random
from typing import Final

from antiphon.rtc.rtcp import (
    ReceiverReport,
    ReceptionStatistics,
    ReportBlock,
    SenderReport,
    ntp_time,
    parse_rtcp,
    receiver_report,
    round_trip_s,
    sender_report,
)
from antiphon.rtc.rtp import RtpPacket

__all__ = ["Reports"]

_INTERVAL_S: Final = 2.5
_MAX_STREAMS: Final = 4
_SMOOTHING: Final = 0.25
_MAX_ROUND_TRIP_S: Final = 10.0


class Reports:
    """Reports every 2.5 s, jittered: as a sender after voice was sent, else as a receiver.

    ``unix_s`` is the time of day at ``now_s``; from then on the argument's clock goes on counting it.
    """

    def __init__(self, ssrc: int, cname: str, now_s: float, unix_s: float) -> None:
        self._ssrc = ssrc
        self._cname = cname
        self._to_unix_s = unix_s - now_s
        self._streams: dict[int, ReceptionStatistics] = {}
        self._due_at_s = now_s + _interval_s() / 2
        self._packets = 0
        self._octets = 0
        self._packets_reported = 0
        self._sent: tuple[int, int, float] = 0, 8000, now_s
        self.round_trip_s = 0.0
        """Smoothed; 0 as long as the peer did not tell."""
        self.peer_jitter_s = 0.0
        """How much our packets scatter when they arrive there."""

    def received(self, packet: RtpPacket, clock_hz: int, now_s: float) -> None:
        """A packet of the peer's arrived. Of its streams, the four heard last are reported."""
        stream = self._streams.pop(packet.ssrc, None) or ReceptionStatistics(clock_hz)
        self._streams[packet.ssrc] = stream
        if len(self._streams) > _MAX_STREAMS:
            del self._streams[next(iter(self._streams))]
        stream.push(packet.sequence, packet.timestamp, now_s)

    def sent(self, packet: RtpPacket, clock_hz: int, now_s: float) -> None:
        self._packets += 1
        self._octets += len(packet.payload)
        self._sent = packet.timestamp, clock_hz, now_s

    def arrived(self, data: bytes, now_s: float) -> bool:
        """The peer reported; False if that could not be read."""
        reports = parse_rtcp(data)
        for report in reports:
            if isinstance(report, SenderReport) and report.ssrc in self._streams:
                self._streams[report.ssrc].sender_reported(report, now_s)
            if isinstance(report, SenderReport | ReceiverReport):
                for block in report.blocks:
                    if block.ssrc == self._ssrc:
                        self._learn(block, now_s)
        return bool(reports)

    def due(self, now_s: float) -> bytes | None:
        """The report to send now, if it is time."""
        if now_s < self._due_at_s:
            return None
        self._due_at_s = now_s + _interval_s()
        blocks = tuple(stream.block(ssrc, now_s) for ssrc, stream in self._streams.items())
        if self._packets == self._packets_reported:
            return receiver_report(ReceiverReport(self._ssrc, blocks), self._cname) if blocks else None
        self._packets_reported = self._packets
        timestamp, clock_hz, sent_at_s = self._sent
        report = SenderReport(
            ssrc=self._ssrc,
            ntp_time=self._ntp(now_s),
            rtp_timestamp=(timestamp + round((now_s - sent_at_s) * clock_hz)) & 0xFFFFFFFF,
            packets=self._packets,
            octets=self._octets,
            blocks=blocks,
        )
        return sender_report(report, self._cname)

    def _learn(self, block: ReportBlock, now_s: float) -> None:
        self.peer_jitter_s = block.jitter / self._sent[1]
        measured_s = round_trip_s(block, self._ntp(now_s))
        if measured_s is None or measured_s > _MAX_ROUND_TRIP_S:
            return
        self.round_trip_s += (measured_s - self.round_trip_s) * (_SMOOTHING if self.round_trip_s else 1)

    def _ntp(self, now_s: float) -> int:
        return ntp_time(now_s + self._to_unix_s)


def _interval_s() -> float:
    return _INTERVAL_S * random.uniform(0.5, 1.5)
