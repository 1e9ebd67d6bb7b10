"""Input audio on its way to the core: from the wire format to ``INPUT_HZ``, no faster than the detector hears it, and
without its noise where the session says so."""

from asyncio import sleep
from collections.abc import Callable
from typing import Protocol

from antiphon.audio.g711 import G711_HZ, decode_alaw, decode_ulaw
from antiphon.audio.resample import Resampler
from antiphon.core.inputs import INPUT_HZ
from antiphon.core.item_checks import check_whole_samples
from antiphon.engines.base import NoiseReducer
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import AudioInput, FormatName, NoiseReduction
from antiphon.runtime.listener import Listener
from antiphon.runtime.noise_reducing import NoiseReducing
from antiphon.runtime.vad_batch import VadBatcher
from antiphon.turns.energy_gate import WARMING_WINDOWS

__all__ = ["Hearing"]

_STEP_MS = 240
"""Audio that comes in larger chunks is taken in such steps, between which others have their turn."""
_STEP_BYTES: dict[FormatName, int] = {
    "audio/pcm": INPUT_HZ * _STEP_MS // 1000 * 2,
    "audio/pcmu": G711_HZ * _STEP_MS // 1000,
    "audio/pcma": G711_HZ * _STEP_MS // 1000,
}
_MAX_BEHIND = 8 + WARMING_WINDOWS
"""Pieces that may wait for the detector; more are heard before anything else is read."""
_MAX_BEHIND_TRACK = 64
"""The same where nobody can be kept waiting (2 s); of more, the oldest go unheard by the detector."""
_TRACK = (
    "'input_audio_buffer.append' is not available any more: the call's own audio track has been heard, and is the "
    "input from then on."
)


class _Observed(Protocol):
    def noise_kept(self, error: BaseException | None) -> None: ...
    def windows_skipped(self, windows: int) -> None: ...


class Hearing:
    """The input audio of one session, by its settings as they are when the audio comes."""

    def __init__(
        self,
        batcher: VadBatcher,
        listener: Listener,
        settings: Callable[[], AudioInput],
        noise_reducer: NoiseReducer | None,
        observer: _Observed,
    ) -> None:
        """``observer`` is told where noise reduction was asked for and there is none (no engine, or a failed one), and
        what a detector that is too slow did not hear of a track."""
        self._batcher = batcher
        self._listener = listener
        self._settings = settings
        self._noise_reducer = noise_reducer
        self._observer = observer
        self._format: FormatName = "audio/pcm"
        self._resampler = Resampler(INPUT_HZ, INPUT_HZ)
        self._noise: NoiseReduction | None = None
        """What the filter was made for."""
        self._reducing: NoiseReducing | None = None
        self._has_track = False
        self._closed = False

    async def append(self, audio: bytes) -> None:
        """One ``input_audio_buffer.append``. Raises ``ProtocolError``; refused audio is not heard at all."""
        self._check_no_track()
        format = self._settings().format.type
        if not audio:
            raise ProtocolError("invalid_value", "Invalid 'audio': it is empty.", "audio")
        check_whole_samples(audio, format, "audio")
        step = _STEP_BYTES[format]
        if len(audio) <= step:
            self._hear(audio, format)
        else:
            for start in range(0, len(audio), step):
                self._check_no_track()
                self._hear(audio[start : start + step], format)
                await self._batcher.flush(self._listener)
                await sleep(0)
        if self._listener.behind > _MAX_BEHIND:
            await self._batcher.flush(self._listener)

    def hear(self, pcm: bytes) -> None:
        """Audio of a call's track, at ``INPUT_HZ`` whatever the format of the session's events is."""
        if self._closed:
            return
        self._has_track = True
        self._hear(pcm, "audio/pcm")
        if self._listener.behind > _MAX_BEHIND_TRACK:
            self._observer.windows_skipped(self._listener.skip(_MAX_BEHIND_TRACK))

    async def settle(self) -> None:
        """Hand on everything: an event that comes after audio is handled after it."""
        if self._listener.behind:
            await self._batcher.flush(self._listener)
        rest = self._resampler.rest()
        self._listener.give_rest(rest if self._reducing is None else self._reducing.rest(rest))

    def close(self) -> None:
        """The session is over: its filter goes at once, not when memory is swept. Nothing more is heard."""
        self._closed = True
        self._reducing = None

    def _check_no_track(self) -> None:
        if self._has_track:
            raise ProtocolError("invalid_value", _TRACK, "type")

    # --- on its way ------------------------------------------------------------------------------------------------

    def _hear(self, audio: bytes, format: FormatName) -> None:
        """Audio by the settings as they are now; what came before them ends as it began."""
        if format != self._format:
            self._reduce(self._resampler.flush())
            self._format = format
            self._resampler = Resampler(INPUT_HZ if format == "audio/pcm" else G711_HZ, INPUT_HZ)
        wanted = self._settings().noise_reduction
        if wanted != self._noise:
            self._follow(wanted)
        self._reduce(self._resampler.push(_decoded(audio, format)))

    def _follow(self, wanted: NoiseReduction | None) -> None:
        before, self._noise = self._noise, wanted
        if wanted is None or wanted.strength == 0:
            self._stop_reducing()
        elif self._reducing is not None and before is not None and before.type == wanted.type:
            self._reducing.strength = wanted.strength
        else:
            self._stop_reducing()
            if self._noise_reducer is None:
                self._observer.noise_kept(None)
            else:
                self._reducing = NoiseReducing(self._noise_reducer, wanted.type, wanted.strength)

    def _stop_reducing(self) -> None:
        if self._reducing is not None:
            reducing, self._reducing = self._reducing, None
            self._listen(reducing.rest())

    def _reduce(self, pcm: bytes) -> None:
        if self._reducing is not None:
            try:
                pcm = self._reducing.push(pcm)
            except Exception as error:
                # Noise is better than silence: the session goes on without the filter until its settings change.
                self._observer.noise_kept(error)
                self._stop_reducing()
                return
        self._listen(pcm)

    def _listen(self, pcm: bytes) -> None:
        if not pcm:
            return
        if self._settings().turn_detection is None:
            self._listener.pass_on(pcm)
        else:
            self._listener.push(pcm)
            self._batcher.wake(self._listener)


def _decoded(audio: bytes, format: FormatName) -> bytes:
    match format:
        case "audio/pcm":
            return audio
        case "audio/pcmu":
            return decode_ulaw(audio)
        case "audio/pcma":
            return decode_alaw(audio)
