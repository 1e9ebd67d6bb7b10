"""Between audio and the payload of RTP packets. Whatever the codec, audio is s16le mono at 24 kHz."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from antiphon.audio.g711 import G711_HZ, decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from antiphon.audio.pcm import BYTES_PER_SAMPLE, S16LE, ms_to_samples, pcm_samples, silence
from antiphon.audio.resample import Resampler
from antiphon.rtc.opus import OpusDecoder, OpusEncoder
from antiphon.rtc.playout import FRAME_SAMPLES, PLAYOUT_HZ
from antiphon.rtc.sdp import Codec

__all__ = ["EncoderSettings", "FrameDecoder", "FrameEncoder", "make_decoder", "make_encoder"]

_LONGEST_G711_BYTES = ms_to_samples(200, G711_HZ)
_CONCEALED_SAMPLES = ms_to_samples(60, PLAYOUT_HZ)


class EncoderSettings(Protocol):
    """What may be chosen of an encoder."""

    @property
    def complexity(self) -> int: ...
    @property
    def bitrate_bps(self) -> int: ...


class FrameEncoder(Protocol):
    def encode(self, pcm: bytes) -> bytes:
        """The payload of one frame of 20 ms (480 samples)."""

    def close(self) -> None: ...


class FrameDecoder(Protocol):
    def decode(self, packet: bytes) -> bytes:
        """The audio of a payload, as long as it is. Raises ``ValueError`` on what is none of the codec."""

    def recover(self, packet: bytes, samples: int) -> bytes:
        """The last ``samples`` before this payload, which were lost; may be less. Raises ``ValueError`` like decode."""

    def conceal(self, samples: int) -> bytes:
        """``samples`` as they may have gone on; may be less."""

    def close(self) -> None: ...


def make_encoder(codec: Codec, settings: EncoderSettings) -> FrameEncoder:
    """Raises ``OpusError`` where libopus is missing or does not know these settings."""
    if codec.name == "opus":
        return OpusEncoder(PLAYOUT_HZ, bitrate_bps=settings.bitrate_bps, complexity=settings.complexity)
    return _G711Encoder(encode_ulaw if codec.name == "PCMU" else encode_alaw)


def make_decoder(codec: Codec) -> FrameDecoder:
    """Raises ``OpusError`` where libopus is missing."""
    if codec.name == "opus":
        return OpusDecoder(PLAYOUT_HZ)
    return _G711Decoder(decode_ulaw if codec.name == "PCMU" else decode_alaw)


class _G711Encoder:
    def __init__(self, encode: Callable[[bytes], bytes]) -> None:
        self._encode = encode
        self._stream = _EvenResampler(PLAYOUT_HZ, G711_HZ)

    def encode(self, pcm: bytes) -> bytes:
        return self._encode(self._stream.push(pcm))

    def close(self) -> None: ...


class _G711Decoder:
    """Conceals by repeating the last 20 ms, which fall silent within 60 ms. Payloads tell nothing of the one before."""

    def __init__(self, decode: Callable[[bytes], bytes]) -> None:
        self._decode = decode
        self._stream = _EvenResampler(G711_HZ, PLAYOUT_HZ)
        self._last_samples = np.zeros(FRAME_SAMPLES, S16LE)
        self._concealed_samples = 0

    def decode(self, packet: bytes) -> bytes:
        if not 0 < len(packet) <= _LONGEST_G711_BYTES:
            raise ValueError(f"{len(packet)} bytes are no packet of G.711 that anybody sends")
        pcm = self._stream.push(self._decode(packet))
        self._last_samples = np.frombuffer(pcm, S16LE)[-FRAME_SAMPLES:]
        self._concealed_samples = 0
        return pcm

    def recover(self, packet: bytes, samples: int) -> bytes:
        return self.conceal(samples)

    def conceal(self, samples: int) -> bytes:
        samples = max(0, min(samples, 2 * _CONCEALED_SAMPLES))
        first = self._concealed_samples
        self._concealed_samples = min(first + samples, _CONCEALED_SAMPLES)
        places = np.arange(first, first + samples)
        falling = np.maximum(0.0, 1 - places / _CONCEALED_SAMPLES)
        repeated = self._last_samples[places % len(self._last_samples)]
        return (repeated * falling).astype(S16LE).tobytes()

    def close(self) -> None: ...


class _EvenResampler:
    """Gives for every chunk what the chunk lasts, from the first on; that is some milliseconds late."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz = from_hz
        self._to_hz = to_hz
        self._stream = Resampler(from_hz, to_hz)
        # The filter works in blocks of up to 1 ms.
        self._ready = bytearray(self._stream.push(silence(self._stream.lag_samples + ms_to_samples(1, from_hz))))

    def push(self, pcm: bytes) -> bytes:
        self._ready += self._stream.push(pcm)
        size_bytes = pcm_samples(pcm) * self._to_hz // self._from_hz * BYTES_PER_SAMPLE
        even = bytes(self._ready[:size_bytes])
        del self._ready[:size_bytes]
        return even
