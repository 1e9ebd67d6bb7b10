"""Noise reduction by the audio processing of WebRTC, as browsers have it.

``near_field`` takes up to 12 dB off steady noise and hardly touches speech; ``far_field`` takes up to 21 dB off and
then raises a voice that is far away. Both cut what lies below the voice. It works at 16 kHz: at other rates this
library's suppressor splits the band and takes off no more than 7 dB, whatever its level.
"""

from collections.abc import Mapping
from importlib import metadata
from typing import Annotated, Any

import msgspec
import numpy as np

from antiphon.engines.base import EngineInfo, Samples, parse_options
from antiphon.engines.registry import requires
from antiphon.vocabulary.speech import NoiseKind

__all__ = ["WebRtcNoiseOptions", "WebRtcNoiseReducer", "create"]

_PACKAGE = "pywebrtc-audio"
_RATE_HZ = 16_000
_FRAME = 160
_DELAY = 96
"""The suppressor overlaps its windows by 6 ms."""

_Level = Annotated[int, msgspec.Meta(ge=0, le=3)]


class WebRtcNoiseOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    near_level: _Level = 1
    """0 to 3: 6, 12, 18 or 21 dB."""
    far_level: _Level = 3
    far_gain_db: Annotated[float, msgspec.Meta(ge=0, le=50)] = 20.0
    """How far a distant voice may be raised; 0: not at all."""


@requires("pywebrtc_audio")
def create(options: Mapping[str, Any]) -> "WebRtcNoiseReducer":
    """Build the engine. Raises ``EngineSettingsError``."""
    return WebRtcNoiseReducer(parse_options("webrtc", options, WebRtcNoiseOptions))


class WebRtcNoiseReducer:
    """A ``NoiseReducer``."""

    sample_rate_hz = _RATE_HZ
    frame_samples = _FRAME
    delay_samples = _DELAY

    def __init__(self, options: WebRtcNoiseOptions | None = None) -> None:
        from pywebrtc_audio import AudioProcessor

        self._new_processor = AudioProcessor
        self._options = options or WebRtcNoiseOptions()
        self.info = EngineInfo("webrtc", version=metadata.version(_PACKAGE), residual_ms=0)

    def new_filter(self, kind: NoiseKind) -> "_WebRtcFilter":
        options = self._options
        near = kind == "near_field"
        raises = not near and options.far_gain_db > 0
        return _WebRtcFilter(
            self._new_processor(
                sample_rate=_RATE_HZ,
                noise_suppression=True,
                high_pass_filter=True,
                ns_level=options.near_level if near else options.far_level,
                auto_gain_control=raises,
                agc_max_gain_db=options.far_gain_db,
            )
        )

    async def warm_up(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class _WebRtcFilter:
    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def filter(self, frame: Samples) -> Samples:
        filtered: Samples = self._processor.process(frame)
        return np.clip(filtered, -1.0, 1.0, out=filtered)  # its limiter overshoots by a rounding error
