"""The audio of one connected call: from encrypted packets to PCM, and from PCM to packets at the tick."""

import random
import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, Protocol

from antiphon.rtc.codecs import FrameEncoder, make_encoder
from antiphon.rtc.playout import Frame, PlayoutQueue
from antiphon.rtc.receiving import AudioReceiver
from antiphon.rtc.reports import Reports
from antiphon.rtc.rtp import RtpPacket, is_rtcp, pack_rtp, parse_rtp
from antiphon.rtc.sdp import Codec
from antiphon.rtc.sdp_answer import Negotiated, SendStream
from antiphon.rtc.settings import EndpointSettings
from antiphon.rtc.srtp import Srtp

__all__ = ["Media", "MediaEvents"]

_FRAME_S: Final = 0.02
_PLAYER_DELAY_MS: Final = 40
"""What a browser's jitter buffer holds at rest."""
_MAX_HEARD_DELAY_MS: Final = 1000


class MediaEvents(Protocol):
    """To whom the audio of a call is told; none of these raises."""

    def audio_received(self, pcm: bytes) -> None: ...
    def playout_started(self, tag: Hashable) -> None: ...
    def playout_ended(self, tag: Hashable, sent_samples: int) -> None: ...
    def playout_taken(self) -> None: ...


class Media:
    """Driven by arriving packets and by the pacer's ticks.

    What a peer does not want to hear (``recvonly`` on our side, or no audio at all) is not sent, but plays all the
    same: it leaves in its time, so that what was said ends and is told to have ended.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        srtp: Srtp,
        send: Callable[[bytes], None],
        queue: PlayoutQueue,
        ssrc: int,
        dropped: Counter[str],
        now_s: float,
    ) -> None:
        self._srtp = srtp
        self._send = send
        self._queue = queue
        self._dropped = dropped
        self._output_latency_ms = settings.output_latency_ms
        self._receive: dict[int, Codec] = {}
        self._receiver = AudioReceiver()
        self._reports = Reports(ssrc, "antiphon", now_s, time.time())
        self._voice = _Voice(settings, now_s)
        self._stream: SendStream | None = None

    def negotiated(self, agreed: Negotiated) -> None:
        """What both sides send from now on."""
        self._receive = dict(agreed.receive)
        self._stream = agreed.send

    def arrived(self, datagram: bytes, now_s: float, events: MediaEvents) -> bool:
        """A packet, RTP or RTCP; whether it is the peer's. What is broken, forged or not negotiated is dropped and
        counted."""
        if is_rtcp(datagram):
            report = self._srtp.unprotect_rtcp(datagram)
            if report is None:
                self._dropped["srtcp"] += 1
            elif not self._reports.arrived(report, now_s):
                self._dropped["rtcp"] += 1
            return report is not None
        clear = self._srtp.unprotect_rtp(datagram)
        if clear is None:
            self._dropped["srtp"] += 1
            return False
        packet = parse_rtp(clear)
        codec = self._receive.get(packet.payload_type) if packet else None
        if packet is None or codec is None:
            self._dropped["rtp"] += 1
            return True
        self._reports.received(packet, codec.clock_hz, now_s)
        _deliver(self._receiver.push(packet, codec, now_s), events)
        return True

    def tick(self, now_s: float, events: MediaEvents) -> None:
        """Each 20 ms: what was received and waited, one frame to play, a report if it is time."""
        _deliver(self._receiver.tick(now_s), events)
        frame = self._queue.next_frame()
        if frame is None:
            self._voice.pause()
        else:
            self._play(frame, now_s, events)
        report = self._reports.due(now_s)
        if report is not None:
            self._send(self._srtp.protect_rtcp(report))

    def heard_delay_ms(self) -> int:
        """How long what is sent now is on its way to the ear, estimated."""
        network_s = self._reports.round_trip_s / 2 + 2 * self._reports.peer_jitter_s
        return min(round(network_s * 1000) + _PLAYER_DELAY_MS + self._output_latency_ms, _MAX_HEARD_DELAY_MS)

    def close(self) -> None:
        """Frees the codecs."""
        self._receiver.close()
        self._voice.close()

    def _play(self, frame: Frame, now_s: float, events: MediaEvents) -> None:
        if self._stream is not None:
            packet = self._voice.packet(frame.pcm, self._stream, now_s)
            self._send(self._srtp.protect_rtp(pack_rtp(packet)))
            self._reports.sent(packet, self._stream.codec.clock_hz, now_s)
        if frame.started:
            events.playout_started(frame.tag)
        if frame.ended:
            events.playout_ended(frame.tag, frame.sent_samples)
        events.playout_taken()


class _Voice:
    """Numbers and times of the packets we send. Where nothing was sent, the time stamps go on by the clock."""

    def __init__(self, settings: EndpointSettings, now_s: float) -> None:
        self._settings = settings
        self._encoder: FrameEncoder | None = None
        self._codec: Codec | None = None
        self._sequence = random.getrandbits(15)
        self._timestamp = random.getrandbits(31)
        self._sent_at_s = now_s
        self._talking = False

    def pause(self) -> None:
        self._talking = False

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    def packet(self, pcm: bytes, stream: SendStream, now_s: float) -> RtpPacket:
        codec = stream.codec
        if self._encoder is None or self._codec != codec:
            self.close()
            self._encoder, self._codec, self._talking = make_encoder(codec, self._settings), codec, False
        frames = 1 if self._talking else max(1, round((now_s - self._sent_at_s) / _FRAME_S))
        self._timestamp = (self._timestamp + frames * codec.clock_hz // 50) & 0xFFFFFFFF
        self._sequence = (self._sequence + 1) & 0xFFFF
        marker, self._talking = not self._talking, True
        self._sent_at_s = now_s
        return RtpPacket(
            codec.payload_type, marker, self._sequence, self._timestamp, stream.ssrc, self._encoder.encode(pcm)
        )


def _deliver(pcm: bytes, events: MediaEvents) -> None:
    if pcm:
        events.audio_received(pcm)
