"""G.711: mu-law and A-law, 8 bits a sample, by lookup tables.

The tables follow ITU-T Recommendation G.711 with the conventions of the ITU software tool library (G.191): 14 bits of
magnitude and sign for mu-law, 13 for A-law, least significant bits of the 16-bit sample dropped; a negative sample is
coded by its one's complement.
"""

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.pcm import S16LE, pcm_samples

__all__ = ["G711_HZ", "decode_alaw", "decode_ulaw", "encode_alaw", "encode_ulaw"]

G711_HZ = 8_000
"""The rate at which G.711 is spoken on the wire."""

_U16LE: np.dtype[np.uint16] = np.dtype("<u2")


def decode_ulaw(encoded: bytes) -> bytes:
    """s16le of mu-law bytes; any byte is valid."""
    return _ULAW_TO_PCM[np.frombuffer(encoded, np.uint8)].tobytes()


def decode_alaw(encoded: bytes) -> bytes:
    """s16le of A-law bytes; any byte is valid."""
    return _ALAW_TO_PCM[np.frombuffer(encoded, np.uint8)].tobytes()


def encode_ulaw(pcm: bytes) -> bytes:
    """Mu-law bytes of s16le. Raises ``ValueError`` on half a sample."""
    pcm_samples(pcm)
    return _PCM_TO_ULAW[np.frombuffer(pcm, _U16LE)].tobytes()


def encode_alaw(pcm: bytes) -> bytes:
    """A-law bytes of s16le. Raises ``ValueError`` on half a sample."""
    pcm_samples(pcm)
    return _PCM_TO_ALAW[np.frombuffer(pcm, _U16LE)].tobytes()


def _ulaw_decoding() -> NDArray[np.int16]:
    inverted = ~np.arange(256) & 0xFF
    segment, step = (inverted >> 4) & 7, inverted & 15
    magnitude = (((step << 1) + 33) << segment) - 33
    return (np.where(inverted & 0x80, -magnitude, magnitude) << 2).astype(S16LE)


def _alaw_decoding() -> NDArray[np.int16]:
    toggled = np.arange(256) ^ 0x55
    segment, step = (toggled >> 4) & 7, toggled & 15
    magnitude = np.where(segment == 0, (step << 1) + 1, ((step << 1) + 33) << np.maximum(segment - 1, 0))
    return (np.where(toggled & 0x80, magnitude, -magnitude) << 3).astype(S16LE)


def _by_bit_pattern() -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each 16-bit pattern of a sample: its magnitude (one's complement if negative) and whether it is negative."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int64)
    return np.where(sample < 0, ~sample, sample), sample < 0


def _ulaw_encoding() -> NDArray[np.uint8]:
    magnitude, negative = _by_bit_pattern()
    biased = np.minimum((magnitude >> 2) + 33, 8191)
    segment = np.frexp(biased)[1] - 6
    step = (biased >> (segment + 1)) & 15
    return np.asarray((~((segment << 4) | step) & 0x7F) | np.where(negative, 0, 0x80), np.uint8)


def _alaw_encoding() -> NDArray[np.uint8]:
    magnitude, negative = _by_bit_pattern()
    reduced = magnitude >> 4
    segment = np.maximum(np.frexp(reduced)[1] - 4, 0)
    step = (reduced >> np.maximum(segment - 1, 0)) & 15
    return np.asarray(((segment << 4) | step | np.where(negative, 0, 0x80)) ^ 0x55, np.uint8)


_ULAW_TO_PCM = _ulaw_decoding()
_ALAW_TO_PCM = _alaw_decoding()
_PCM_TO_ULAW = _ulaw_encoding()
_PCM_TO_ALAW = _alaw_encoding()
