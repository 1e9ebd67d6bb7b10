"""What is heard of a call: packets of its streams in, one unbroken input out that keeps to the clock.

Nothing is heard before the first packet. From then on audio is delivered as it comes, and time stamps decide where it
belongs: what was lost is made up for, a pause is silence. While nothing comes, silence goes on by the clock, because
whoever listens counts samples. What comes after its time has passed as silence replaces nothing.
"""

from collections.abc import Callable, Sequence

from antiphon.audio.pcm import BYTES_PER_SAMPLE, ms_to_samples, silence
from antiphon.rtc.codecs import FrameDecoder, make_decoder
from antiphon.rtc.jitter import JitterBuffer, Ordered
from antiphon.rtc.playout import FRAME_SAMPLES
from antiphon.rtc.rtp import RtpPacket
from antiphon.rtc.sdp import Codec

__all__ = ["INPUT_HZ", "AudioReceiver"]

INPUT_HZ = 24_000
_MS_SAMPLES = ms_to_samples(1, INPUT_HZ)
_QUIET_S = 0.16
"""After so long without audio the input goes on with silence."""
_LONGEST_TICK_S = 0.03
"""A tick that took longer tells of a stall of our own, in which nothing could be heard: it counts as one."""
_SLACK_SAMPLES = ms_to_samples(20, INPUT_HZ)
"""Silence stays so much behind the packet that might come just now, for packets are late, too."""
_CONCEALED_SAMPLES = ms_to_samples(100, INPUT_HZ)
_JUMP_SAMPLES = ms_to_samples(2_000, INPUT_HZ)
_BURST_SAMPLES = ms_to_samples(2_000, INPUT_HZ)
_RESUMED_SAMPLES = ms_to_samples(200, INPUT_HZ)
"""The same for a stream that goes on after it seemed late: what it sends from then on comes as fast as it is spoken."""
_FASTEST = 1.01
"""No peer's clock is faster. More than this is not delivered, but for a burst."""
_STREAMS = 4


class AudioReceiver:
    """The input of one call: s16le mono at 24 kHz, as long as real time to within 1 %, whatever the network does.

    Every source (SSRC) is a stream of its own. One is heard at a time: a new one at once, one that is known already
    when the present one has fallen silent. Four are remembered.
    """

    def __init__(self, make_decoder: Callable[[Codec], FrameDecoder] = make_decoder) -> None:
        self._make_decoder = make_decoder
        self._streams: dict[int, _Stream] = {}
        self._current: _Stream | None = None
        self._clock_s = 0.0
        """When audio was delivered last."""
        self._owed_samples = 0.0
        """What real time was ahead of the input then, counted from the last packet."""
        self._credit_samples = float(_BURST_SAMPLES)
        self._quiet_s = 0.0
        self._ticked_s = 0.0
        self._dropped_packets = 0
        self.concealed_samples = 0
        """Of the audio that was delivered, what was made up for lost packets: recovered from others, or invented."""

    @property
    def dropped_packets(self) -> int:
        """Those that were not heard: double, late, broken, too many, or not of the stream that is heard."""
        return self._dropped_packets + sum(stream.jitter.dropped for stream in self._streams.values())

    def push(self, packet: RtpPacket, codec: Codec, now_s: float) -> bytes:
        """Take a packet, whose payload is of ``codec``; return the audio to deliver now, which may be none."""
        stream = self._stream_of(packet, codec, now_s)
        if stream is None:
            self._dropped_packets += 1
            return b""
        return self._hear(stream, stream.jitter.push(packet, now_s), now_s)

    def tick(self, now_s: float) -> bytes:
        """To be called every 20 ms; return the audio to deliver now: packets that waited for others, or silence."""
        stream = self._current
        if stream is None:
            return b""
        self._quiet_s += min(max(0.0, now_s - self._ticked_s), _LONGEST_TICK_S)
        self._ticked_s = now_s
        pcm = self._hear(stream, stream.jitter.due(now_s), now_s)
        if self._quiet_s < _QUIET_S or stream.jitter.waiting:
            return pcm
        self._count_time(now_s)
        return pcm + self._silence(stream, self._owed_samples - stream.packet_samples - _SLACK_SAMPLES)

    def close(self) -> None:
        """Free the decoders; nothing is heard any more."""
        for stream in self._streams.values():
            stream.decoder.close()
        self._streams.clear()
        self._current = None

    def _stream_of(self, packet: RtpPacket, codec: Codec, now_s: float) -> "_Stream | None":
        stream = self._streams.get(packet.ssrc)
        if stream is None or (stream.codec is not codec and stream.codec != codec):
            return self._begin(packet.ssrc, codec, now_s) if packet.payload else None
        if stream is not self._current:
            if self._quiet_s < _QUIET_S:
                return None
            self._streams[packet.ssrc] = self._streams.pop(packet.ssrc)
            self._dropped_packets += stream.jitter.dropped
            stream.jitter = JitterBuffer()
            stream.placed = False
            self._current = stream
        return stream

    def _begin(self, ssrc: int, codec: Codec, now_s: float) -> "_Stream":
        if self._current is None:
            self._clock_s = self._ticked_s = now_s
        if ssrc in self._streams:
            self._forget(ssrc)
        elif len(self._streams) == _STREAMS:
            self._forget(next(iter(self._streams)))
        self._current = self._streams[ssrc] = _Stream(codec, self._make_decoder(codec))
        return self._current

    def _forget(self, ssrc: int) -> None:
        stream = self._streams.pop(ssrc)
        self._dropped_packets += stream.jitter.dropped
        stream.decoder.close()

    def _hear(self, stream: "_Stream", packets: Sequence[Ordered], now_s: float) -> bytes:
        if not packets:
            return b""
        if len(packets) == 1:
            return self._hear_one(stream, *packets[0], now_s)
        return b"".join([self._hear_one(stream, packet, missing, now_s) for packet, missing in packets])

    def _hear_one(self, stream: "_Stream", packet: RtpPacket, missing: int, now_s: float) -> bytes:
        stream.missing += missing
        if not packet.payload:
            return b""
        self._count_time(now_s)
        if self._credit_samples <= 0:
            self._dropped_packets += 1
            stream.placed = False
            return b""
        pause = b""
        gap_samples = stream.gap_samples(packet)
        if not stream.placed or gap_samples > min(_JUMP_SAMPLES, self._credit_samples):
            pause = self._place(stream, packet)
            gap_samples = 0
        if gap_samples <= -stream.packet_samples:
            return self._hear_late(stream, packet, now_s)
        self._drop_waiting(stream)
        return pause + self._play(stream, packet, gap_samples)

    def _hear_late(self, stream: "_Stream", packet: RtpPacket, now_s: float) -> bytes:
        """``packet`` came after its time had passed. After a jam such packets come all at once: they are dropped. If
        they come as fast as they were spoken, the sender paused, or its way became longer: the stream goes on now.
        """
        earlier = stream.waiting
        stream.waiting = packet, now_s
        if earlier is None:
            return b""
        first, since_s = earlier
        spacing_s = stream.signed_ticks(packet.timestamp - first.timestamp) / stream.codec.clock_hz
        if spacing_s < 0 or now_s - since_s < spacing_s / 2:
            self._dropped_packets += 1
            return b""
        stream.waiting = None
        # Two packets of a jam may look like that too: then no more than this of it is heard.
        self._credit_samples = min(self._credit_samples, _RESUMED_SAMPLES)
        pause = self._place(stream, first)
        pcm = pause + self._play(stream, first, 0)
        if spacing_s > _QUIET_S:  # silence has been delivered for what lies between them
            pcm += self._place(stream, packet)
        return pcm + self._play(stream, packet, max(0, stream.gap_samples(packet)))

    def _drop_waiting(self, stream: "_Stream") -> None:
        if stream.waiting is not None:
            stream.waiting = None
            self._dropped_packets += 1

    def _place(self, stream: "_Stream", packet: RtpPacket) -> bytes:
        """Let ``packet`` be heard now, whatever its time stamp; return the silence up to it."""
        pause = self._silence(stream, self._owed_samples - stream.packet_samples)
        stream.placed = True
        stream.silent = True
        stream.timestamp = packet.timestamp
        stream.missing = 0
        return pause

    def _play(self, stream: "_Stream", packet: RtpPacket, gap_samples: int) -> bytes:
        """The audio of ``packet`` after that of the gap before it; if the gap is negative, without what overlaps."""
        try:
            before = self._bridge(stream, packet, gap_samples) if gap_samples > 0 else b""
            pcm = stream.decoder.decode(packet.payload)
        except ValueError:
            self._dropped_packets += 1
            stream.missing += 1
            return b""
        samples = len(pcm) // BYTES_PER_SAMPLE
        self._credit_samples -= len(before) // BYTES_PER_SAMPLE + samples
        if samples <= -gap_samples:
            self._dropped_packets += 1
            return b""
        stream.played(packet, samples)
        self._owed_samples = 0.0
        self._quiet_s = max(-_LONGEST_TICK_S, self._ticked_s - self._clock_s)
        if gap_samples < 0:
            return pcm[-gap_samples * BYTES_PER_SAMPLE :]
        return before + pcm if before else pcm

    def _bridge(self, stream: "_Stream", packet: RtpPacket, gap_samples: int) -> bytes:
        """As long as the gap: for lost packets, what the decoder makes of them; the packet tells the last of them.

        A pause, or what is too long to invent, is silence.
        """
        if not stream.missing:
            return silence(gap_samples)
        lost_samples = min(gap_samples, stream.missing * stream.packet_samples)
        told_samples = min(lost_samples, stream.packet_samples)
        invented_samples = 0 if stream.silent else min(lost_samples - told_samples, _CONCEALED_SAMPLES)
        invented = stream.decoder.conceal(invented_samples)
        told = stream.decoder.recover(packet.payload, told_samples)
        concealed_samples = (len(invented) + len(told)) // BYTES_PER_SAMPLE
        self.concealed_samples += concealed_samples
        return invented + silence(gap_samples - concealed_samples) + told

    def _silence(self, stream: "_Stream", samples: float) -> bytes:
        """Silence of ``samples`` by the clock, in whole milliseconds; none where that is negative."""
        whole_ms = int(samples) // _MS_SAMPLES
        if whole_ms <= 0:
            return b""
        stream.pass_silence(whole_ms)
        self._owed_samples -= whole_ms * _MS_SAMPLES
        self._credit_samples -= whole_ms * _MS_SAMPLES
        return silence(whole_ms * _MS_SAMPLES)

    def _count_time(self, now_s: float) -> None:
        passed_samples = max(0.0, now_s - self._clock_s) * INPUT_HZ
        self._clock_s = now_s
        self._owed_samples += passed_samples
        self._credit_samples = min(
            self._credit_samples + passed_samples * _FASTEST, _BURST_SAMPLES + self._owed_samples
        )


class _Stream:
    """Packets of one source: they have one numbering, one clock and one decoder."""

    __slots__ = (
        "codec", "decoder", "jitter", "missing", "packet_samples", "placed", "silent", "ticks_per_ms", "timestamp",
        "waiting",
    )  # fmt: skip

    def __init__(self, codec: Codec, decoder: FrameDecoder) -> None:
        self.codec = codec
        self.ticks_per_ms = codec.clock_hz // 1000
        self.decoder = decoder
        self.jitter = JitterBuffer()
        self.packet_samples = FRAME_SAMPLES
        """Of the last packet that was played."""
        self.placed = False
        """Whether its time stamps are tied to the input."""
        self.timestamp = 0
        """That of the audio which comes next."""
        self.missing = 0
        """Packets given up since the last one that was played."""
        self.silent = False
        """Silence has been delivered since the last one that was played."""
        self.waiting: tuple[RtpPacket, float] | None = None
        """A late packet, and when it came: the next one tells what it is."""

    def gap_samples(self, packet: RtpPacket) -> int:
        """Between what was delivered and ``packet``; negative if they overlap."""
        ticks = self.signed_ticks(packet.timestamp - self.timestamp)
        return ticks * _MS_SAMPLES // self.ticks_per_ms if ticks else 0

    def played(self, packet: RtpPacket, samples: int) -> None:
        self.timestamp = (packet.timestamp + samples * self.ticks_per_ms // _MS_SAMPLES) & 0xFFFFFFFF
        self.packet_samples = samples
        self.missing = 0
        self.silent = False

    def pass_silence(self, duration_ms: int) -> None:
        self.timestamp = (self.timestamp + duration_ms * self.ticks_per_ms) & 0xFFFFFFFF
        self.silent = True

    @staticmethod
    def signed_ticks(ticks: int) -> int:
        """The difference of two time stamps of 32 bits, the nearer way round."""
        return ((ticks + 0x80000000) & 0xFFFFFFFF) - 0x80000000
