"""Packets on their way to an ``AudioReceiver``, and what it makes of them: audio in which every frame has a number."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from antiphon.audio.pcm import S16LE, silence
from antiphon.rtc.codecs import FrameDecoder
from antiphon.rtc.receiving import AudioReceiver
from antiphon.rtc.rtp import RtpPacket
from antiphon.rtc.sdp import Codec

__all__ = ["CODEC", "CONCEALED", "SILENCE", "Arrival", "deliver", "numbered", "numbered_receiver", "runs", "told"]

CODEC = Codec(111, "opus", 48_000)
SILENCE = 0
CONCEALED = -1
_TICK_S = 0.02


@dataclass(frozen=True, slots=True)
class Arrival:
    at_s: float
    packet: RtpPacket
    codec: Codec = CODEC


def numbered(
    number: int,
    *,
    sequence: int | None = None,
    timestamp: int | None = None,
    duration_ms: int = 20,
    ssrc: int = 1,
) -> RtpPacket:
    """A packet whose audio is ``number`` in every sample; ``sequence`` and ``timestamp`` follow from it."""
    sequence = number if sequence is None else sequence
    timestamp = number * 48 * duration_ms if timestamp is None else timestamp
    payload = number.to_bytes(2) + duration_ms.to_bytes(1)
    return RtpPacket(111, False, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload)


def told(number: int) -> int:
    """The value of audio that the packet ``number`` told of the one before it."""
    return -number


class _NumberedDecoder:
    def decode(self, packet: bytes) -> bytes:
        if len(packet) != 3:
            raise ValueError("broken")
        return np.full(24 * packet[2], int.from_bytes(packet[:2]), S16LE).tobytes()

    def recover(self, packet: bytes, samples: int) -> bytes:
        return np.full(samples, told(int.from_bytes(packet[:2])), S16LE).tobytes() if len(packet) == 3 else b""

    def conceal(self, samples: int) -> bytes:
        return np.full(samples, CONCEALED, S16LE).tobytes() if samples else silence(0)

    def close(self) -> None: ...


def numbered_receiver() -> AudioReceiver:
    """Of packets made by ``numbered``, whatever their codec."""
    return AudioReceiver(_numbered_decoder)


def _numbered_decoder(_: Codec) -> FrameDecoder:
    return _NumberedDecoder()


def deliver(
    arrivals: Iterable[Arrival], until_s: float, receiver: AudioReceiver | None = None
) -> list[tuple[float, bytes]]:
    """What is delivered, and when: packets at their time, a tick every 20 ms (5 ms after whole ones)."""
    receiver = receiver or numbered_receiver()
    events: list[tuple[float, Arrival | None]] = [(arrival.at_s, arrival) for arrival in arrivals]
    events += [(0.005 + _TICK_S * number, None) for number in range(int(until_s / _TICK_S))]
    delivered = []
    for at_s, arrival in sorted(events, key=lambda event: event[0]):
        served = receiver.tick(at_s) if arrival is None else receiver.push(arrival.packet, arrival.codec, at_s)
        delivered.append((at_s, served))
    return delivered


def runs(delivered: Sequence[tuple[float, bytes]]) -> list[tuple[int, float]]:
    """The values that follow one another, each with its length in ms."""
    samples = np.frombuffer(b"".join(pcm for _, pcm in delivered), S16LE).tolist()
    return [(value, len(list(group)) / 24) for value, group in groupby(samples)]
