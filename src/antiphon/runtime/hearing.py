"""Input audio on its way to the core: from the wire format to ``INPUT_HZ``, in steps that the detector keeps up with."""

from collections.abc import Callable

from antiphon.audio.g711 import decode_alaw, decode_ulaw
from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ, AudioReceived
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import FormatName
from antiphon.runtime.vad_batch import Listener

__all__ = ["Hearing"]

_G711_HZ = 8_000
_PIECE_BYTES = INPUT_HZ // 10 * 2
"""Audio that comes faster than real time is heard in steps of 100 ms, as if it had been spoken."""
_DIRECT_BYTES = INPUT_HZ // 4 * 2
_MAX_BEHIND = 16


class Hearing:
    def __init__(self, listener: Listener, received: Callable[[AudioReceived], None]) -> None:
        self._listener = listener
        self._received = received
        self._format: FormatName = "audio/pcm"
        self._resampler = Resampler(_G711_HZ, INPUT_HZ)
        self._end = 0

    async def append(self, audio: bytes, format: FormatName, *, detects_turns: Callable[[], bool]) -> None:
        """One ``input_audio_buffer.append``. Raises ``ProtocolError``; refused audio is not heard at all."""
        pcm = self._decoded(audio, format)
        if len(pcm) <= _DIRECT_BYTES:
            self._hear(pcm, detects_turns())
            if self._listener.behind > _MAX_BEHIND:
                await self._listener.flush()
            return
        for start in range(0, len(pcm), _PIECE_BYTES):
            self._hear(pcm[start : start + _PIECE_BYTES], detects_turns())
            await self._listener.flush()

    async def settle(self) -> None:
        """Hear what waits: an event that comes after audio is handled after it."""
        if self._listener.behind:
            await self._listener.flush()

    def _hear(self, pcm: bytes, detects_turns: bool) -> None:
        if not pcm:
            return
        self._end += len(pcm) // 2
        self._received(AudioReceived(pcm))
        if detects_turns:
            self._listener.push(pcm, self._end)
        else:
            self._listener.forget()

    def _decoded(self, audio: bytes, format: FormatName) -> bytes:
        if not audio:
            raise ProtocolError("invalid_value", "Invalid 'audio': it is empty.", "audio")
        if format != self._format:
            self._format = format
            self._resampler = Resampler(_G711_HZ, INPUT_HZ)
        if format == "audio/pcm":
            if len(audio) % 2:
                raise ProtocolError(
                    "invalid_value",
                    f"Invalid 'audio': {len(audio)} bytes are not whole 16-bit samples (audio/pcm, 24 kHz, mono).",
                    "audio",
                )
            return audio
        return self._resampler.push(decode_ulaw(audio) if format == "audio/pcmu" else decode_alaw(audio))
