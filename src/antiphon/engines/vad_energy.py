"""Voice activity by energy: speech is what stands out of the noise floor between 200 and 1500 Hz. Needs no model.

The floor of a session is the quietest window of its last four seconds: speech dips to the background between words,
steady noise lies close above its own minimum. Against Silero it finds 89 % of the voiced windows of clean speech and
60 to 75 % in noise 10 to 20 dB below the speech, with false alarms in at most 2 % of the others; music and changing
noise it takes for speech.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from antiphon.engines.base import EngineInfo, Samples, VadState, parse_options
from antiphon.engines.errors import EngineError
from antiphon.engines.registry import requires
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["EnergyOptions", "EnergyState", "EnergyVad", "create"]

_RATE_HZ = 16_000
_WINDOW = 512
_BAND_HZ = (200, 1500)
_FLOOR_WINDOWS = 125
"""Four seconds: longer than a stretch of speech without any dip."""
_FLOOR_RANGE_DBFS = (-65.0, -30.0)
"""In digital silence nothing quieter than this counts; and speech from the first sample on is not its own floor."""
_SLOPE_DB = 2.0
_SMALLEST_POWER = 1e-12


class EnergyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    margin_db: float = 8.0
    """How far above the floor a window's probability is 0.5."""


@requires()
def create(options: Mapping[str, Any]) -> "EnergyVad":
    """Build the engine. Raises ``EngineSettingsError``."""
    return EnergyVad(parse_options("energy", options, EnergyOptions).margin_db)


@dataclass(slots=True)
class EnergyState:
    """Levels of a session's last windows, in a ring."""

    levels_dbfs: NDArray[np.float64] = field(default_factory=lambda: np.full(_FLOOR_WINDOWS, math.inf))
    next_place: int = 0


class EnergyVad:
    """A ``VoiceActivityDetector``."""

    def __init__(self, margin_db: float = 8.0) -> None:
        self._margin_db = margin_db
        self._taper = np.hanning(_WINDOW + 1)[:-1]
        self._bins = slice(*(_WINDOW * edge_hz // _RATE_HZ for edge_hz in _BAND_HZ))

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("energy", version="1", residual_ms=0)

    @property
    def sample_rate_hz(self) -> int:
        return _RATE_HZ

    @property
    def window_samples(self) -> int:
        return _WINDOW

    def new_state(self) -> EnergyState:
        return EnergyState()

    async def warm_up(self) -> None:
        self.detect(np.zeros((1, _WINDOW), np.float32), [self.new_state()])

    async def aclose(self) -> None:
        pass

    def detect(self, windows: Samples, states: Sequence[VadState]) -> Samples:
        """Speech probability of one window for each of several sessions; see the Protocol."""
        if windows.shape != (len(states), _WINDOW) or len({id(state) for state in states}) != len(states):
            raise EngineError(EngineErrorKind.BAD_INPUT, "energy: one window of 512 samples is needed for each state")
        levels_dbfs = self._levels_dbfs(windows)
        above_floor_db = np.array(
            [level - _floor_dbfs(state, level) for level, state in zip(levels_dbfs, states, strict=True)]
        )
        return (1.0 / (1.0 + np.exp((self._margin_db - above_floor_db) / _SLOPE_DB))).astype(np.float32)

    def _levels_dbfs(self, windows: Samples) -> NDArray[np.float64]:
        spectrum = np.fft.rfft(windows * self._taper, axis=1)[:, self._bins]
        power = np.sum(np.square(spectrum.real) + np.square(spectrum.imag), axis=1)
        scale = 2.0 / (_WINDOW * float(np.sum(np.square(self._taper))))
        return np.asarray(10.0 * np.log10(power * scale + _SMALLEST_POWER))


def _floor_dbfs(state: EnergyState, level_dbfs: float) -> float:
    """Remember the level of the newest window; the noise floor that it is seen against."""
    state.levels_dbfs[state.next_place] = level_dbfs
    state.next_place = (state.next_place + 1) % _FLOOR_WINDOWS
    lowest, highest = _FLOOR_RANGE_DBFS
    return min(highest, max(lowest, float(state.levels_dbfs.min())))
