"""Input audio on its way to the core: from the wire format to ``INPUT_HZ``, no faster than the detector hears it."""

from asyncio import sleep
from collections.abc import Callable

from antiphon.audio.g711 import G711_HZ, decode_alaw, decode_ulaw
from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.item_checks import check_whole_samples
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import FormatName
from antiphon.runtime.listener import Listener
from antiphon.runtime.vad_batch import VadBatcher

__all__ = ["Hearing"]

_STEP_MS = 240
"""Audio that comes in larger chunks is taken in such steps, between which others have their turn."""
_STEP_BYTES: dict[FormatName, int] = {
    "audio/pcm": INPUT_HZ * _STEP_MS // 1000 * 2,
    "audio/pcmu": G711_HZ * _STEP_MS // 1000,
    "audio/pcma": G711_HZ * _STEP_MS // 1000,
}
_MAX_BEHIND = 8
"""Pieces that may wait for the detector; more are heard before anything else is read."""


class Hearing:
    """The input audio of one session. ``detects_turns`` says whether the detector is to be asked now."""

    def __init__(self, batcher: VadBatcher, listener: Listener, detects_turns: Callable[[], bool]) -> None:
        self._batcher = batcher
        self._listener = listener
        self._detects_turns = detects_turns
        self._format: FormatName = "audio/pcm"
        self._resampler = Resampler(G711_HZ, INPUT_HZ)

    async def append(self, audio: bytes, format: FormatName) -> None:
        """One ``input_audio_buffer.append``. Raises ``ProtocolError``; refused audio is not heard at all."""
        self._check(audio, format)
        step = _STEP_BYTES[format]
        if len(audio) <= step:
            self._hear(audio)
        else:
            for start in range(0, len(audio), step):
                self._hear(audio[start : start + step])
                await self._batcher.flush(self._listener)
                await sleep(0)
        if self._listener.behind > _MAX_BEHIND:
            await self._batcher.flush(self._listener)

    async def settle(self) -> None:
        """Hand on everything: an event that comes after audio is handled after it."""
        if self._listener.behind:
            await self._batcher.flush(self._listener)
        self._listener.give_rest()

    def _hear(self, audio: bytes) -> None:
        pcm = self._decoded(audio)
        if not pcm:
            return
        if self._detects_turns():
            self._listener.push(pcm)
            self._batcher.wake(self._listener)
        else:
            self._listener.pass_on(pcm)

    def _check(self, audio: bytes, format: FormatName) -> None:
        if not audio:
            raise ProtocolError("invalid_value", "Invalid 'audio': it is empty.", "audio")
        check_whole_samples(audio, format, "audio")
        if format != self._format:
            self._format = format
            self._resampler = Resampler(G711_HZ, INPUT_HZ)

    def _decoded(self, audio: bytes) -> bytes:
        match self._format:
            case "audio/pcm":
                return audio
            case "audio/pcmu":
                return self._resampler.push(decode_ulaw(audio))
            case "audio/pcma":
                return self._resampler.push(decode_alaw(audio))
