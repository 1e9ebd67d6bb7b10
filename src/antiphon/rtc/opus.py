"""libopus: one encoder or decoder for each stream of a call.

The library is the one that the PyAV wheel carries, so that nothing is to be installed besides; where there is none, the
system's. PyAV itself is not loaded.
"""

import ctypes
import ctypes.util
import importlib.util
import weakref
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Any

from antiphon.audio.pcm import BYTES_PER_SAMPLE, pcm_samples

__all__ = ["OpusDecoder", "OpusEncoder", "OpusError", "opus_version"]

_APPLICATION_VOIP = 2048
_SIGNAL_VOICE = 3001
_SET_BITRATE = 4002
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS_PERC = 4014
_SET_DTX = 4016
_SET_SIGNAL = 4024

_LONGEST_PACKET_MS = 120
_LARGEST_PACKET_BYTES = 1275
_LARGEST_RECEIVED_BYTES = 64_000
_LOSS_STEPS_PER_S = 400
"""Lost audio is made up for in steps of 2.5 ms."""


class OpusError(ValueError):
    """libopus is missing, or it refused something: a packet that is none, or settings that it does not know."""


class OpusEncoder:
    """Turns mono s16le into packets. With ``fec`` a packet tells the frame before it, too, if ``loss_percent`` > 0.

    Frames are 2.5, 5, 10, 20, 40 or 60 ms. Nothing is left out while it is silent (no DTX).
    """

    def __init__(
        self,
        sample_rate_hz: int = 24_000,
        bitrate_bps: int = 32_000,
        complexity: int = 5,
        loss_percent: int = 5,
        fec: bool = True,
    ) -> None:
        library = _library()
        error = c_int()
        state: int | None = library.opus_encoder_create(sample_rate_hz, 1, _APPLICATION_VOIP, byref(error))
        _check(error.value)
        self._state = state
        self._free = _freed_with(self, library.opus_encoder_destroy, state)
        self._encode = library.opus_encode
        self._packet = ctypes.create_string_buffer(_LARGEST_PACKET_BYTES)
        for request, value in (
            (_SET_SIGNAL, _SIGNAL_VOICE),
            (_SET_BITRATE, bitrate_bps),
            (_SET_COMPLEXITY, complexity),
            (_SET_INBAND_FEC, int(fec)),
            (_SET_PACKET_LOSS_PERC, loss_percent),
            (_SET_DTX, 0),
        ):
            _check(library.opus_encoder_ctl(state, request, c_int32(value)))

    def encode(self, pcm: bytes) -> bytes:
        """The packet of one frame. Raises ``OpusError`` on a length that is none of a frame."""
        if self._state is None:
            raise OpusError("the encoder is closed")
        packet = self._packet
        size_bytes = self._encode(self._state, pcm, pcm_samples(pcm), packet, _LARGEST_PACKET_BYTES)
        _check(size_bytes)
        return ctypes.string_at(packet, size_bytes)

    def close(self) -> None:
        """Free it; harmless when repeated. What is not closed is freed with the object."""
        self._state = None
        self._free()


class OpusDecoder:
    """Turns the packets of one stream into mono s16le at ``sample_rate_hz``, whatever was encoded."""

    def __init__(self, sample_rate_hz: int = 24_000) -> None:
        library = _library()
        error = c_int()
        state: int | None = library.opus_decoder_create(sample_rate_hz, 1, byref(error))
        _check(error.value)
        self._state = state
        self._free = _freed_with(self, library.opus_decoder_destroy, state)
        self._decode = library.opus_decode
        self._longest_samples = sample_rate_hz * _LONGEST_PACKET_MS // 1000
        self._step_samples = sample_rate_hz // _LOSS_STEPS_PER_S
        self._pcm = ctypes.create_string_buffer(self._longest_samples * BYTES_PER_SAMPLE)

    def decode(self, packet: bytes) -> bytes:
        """The audio of ``packet``, 2.5 to 120 ms. Raises ``OpusError`` if it is none."""
        return self._decoded(_checked(packet), self._longest_samples, 0)

    def recover(self, packet: bytes, samples: int) -> bytes:
        """The last ``samples`` before ``packet``, which were lost: as far as it tells them, else as they may have been.

        To be called before ``packet`` is decoded. Whole steps of 2.5 ms, at most 120 ms: may be less than ``samples``.
        """
        return self._lost(_checked(packet), samples)

    def conceal(self, samples: int) -> bytes:
        """``samples`` as they may have gone on; they fall silent. Whole steps of 2.5 ms, at most 120 ms."""
        return self._lost(None, samples)

    def close(self) -> None:
        """Free it; harmless when repeated. What is not closed is freed with the object."""
        self._state = None
        self._free()

    def _lost(self, packet: bytes | None, samples: int) -> bytes:
        samples = min(samples, self._longest_samples) // self._step_samples * self._step_samples
        return self._decoded(packet, samples, 1) if samples > 0 else b""

    def _decoded(self, packet: bytes | None, samples: int, fec: int) -> bytes:
        if self._state is None:
            raise OpusError("the decoder is closed")
        pcm = self._pcm
        decoded = self._decode(self._state, packet, len(packet) if packet else 0, pcm, samples, fec)
        _check(decoded)
        return ctypes.string_at(pcm, decoded * BYTES_PER_SAMPLE)


def opus_version() -> str:
    """What libopus calls itself. Raises ``OpusError`` where there is none."""
    version: bytes = _library().opus_get_version_string()
    return version.decode()


def _checked(packet: bytes) -> bytes:
    """To libopus an empty packet is a lost one."""
    if not 0 < len(packet) <= _LARGEST_RECEIVED_BYTES:
        raise OpusError(f"a packet of {len(packet)} bytes is none of Opus")
    return packet


def _check(result: int) -> None:
    if result < 0:
        reason: bytes = _library().opus_strerror(result)
        raise OpusError(f"libopus: {reason.decode()}")


def _freed_with(owner: object, destroy: Any, state: int | None) -> "weakref.finalize[[int | None], Any]":
    free = weakref.finalize(owner, destroy, state)
    free.atexit = False  # the process's end frees it, and the library may be gone by then
    return free


@lru_cache(maxsize=1)
def _library() -> Any:
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
            library.opus_encoder_create  # noqa: B018 - other libraries have similar names
        except (OSError, AttributeError):
            continue
        return _declared(library)
    raise OpusError("libopus is missing: install the package av as a wheel, which carries it, or the system's libopus")


def _candidates() -> Iterator[str]:
    spec = importlib.util.find_spec("av")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        for folder, pattern in (
            (package.parent / "av.libs", "libopus*"),
            (package / ".dylibs", "libopus*"),
            (package.parent / "av.libs", "opus*.dll"),
        ):
            yield from map(str, sorted(folder.glob(pattern)))
    system = ctypes.util.find_library("opus")
    if system is not None:
        yield system


def _declared(library: Any) -> Any:
    library.opus_get_version_string.restype = c_char_p
    library.opus_strerror.argtypes = [c_int]
    library.opus_strerror.restype = c_char_p
    library.opus_encoder_create.argtypes = [c_int32, c_int, c_int, POINTER(c_int)]
    library.opus_encoder_create.restype = c_void_p
    library.opus_encoder_destroy.argtypes = [c_void_p]
    library.opus_encoder_destroy.restype = None
    library.opus_encode.argtypes = [c_void_p, c_char_p, c_int, c_char_p, c_int32]
    # Variadic: only the fixed arguments are declared, so that ctypes passes the rest as such. On arm64 macOS these go
    # another way than declared ones.
    library.opus_encoder_ctl.argtypes = [c_void_p, c_int]
    library.opus_decoder_create.argtypes = [c_int32, c_int, POINTER(c_int)]
    library.opus_decoder_create.restype = c_void_p
    library.opus_decoder_destroy.argtypes = [c_void_p]
    library.opus_decoder_destroy.restype = None
    library.opus_decode.argtypes = [c_void_p, c_char_p, c_int32, c_char_p, c_int, c_int]
    return library
