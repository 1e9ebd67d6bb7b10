"""Smart-Turn v3.2: from the sound of a turn, whether the thought is complete.

Source of the model's interface: https://github.com/pipecat-ai/smart-turn (BSD-2-Clause): the last 8 s at 16 kHz, zeros
in front of shorter turns, zero mean and unit variance, Whisper's log-mel of shape (80, 800); out comes a probability.
"""

import asyncio
import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from antiphon.audio.logmel import log_mel
from antiphon.engines.base import CallContext, EngineInfo, Samples, parse_options
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.onnx_session import open_session
from antiphon.engines.registry import requires
from antiphon.engines.worker import Worker
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = ["SmartTurn", "SmartTurnOptions", "create"]

_MODEL = "smart-turn-v3.2"
_RATE_HZ = 16_000
_HEARD_SAMPLES = 8 * _RATE_HZ
_VARIANCE_FLOOR = 1e-7
"""Added to the variance, as in the model's training: silence stays silence."""


class SmartTurnOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: str = ""
    """The model's file, or a directory that holds it; empty: the weights of the manifest."""
    queue_limit: Annotated[int, msgspec.Meta(ge=0)] = 16
    """Judgements that may wait for the engine's one thread; more are refused as overloaded."""


@requires("onnxruntime", weights=lambda options: () if options.get("path") else (_MODEL,))
def create(options: Mapping[str, Any]) -> "SmartTurn":
    """Build the engine. Raises ``EngineSettingsError``."""
    from antiphon import weights

    chosen = parse_options("smart_turn", options, SmartTurnOptions)
    try:
        path = weights.single_file(_MODEL, configured=chosen.path or None)
    except weights.WeightsError as error:
        raise EngineSettingsError(f"smart_turn: {error}") from error
    return SmartTurn(open_session("smart_turn", path), queue_limit=chosen.queue_limit)


class SmartTurn:
    """A ``TurnJudge``. One judgement takes about 30 ms of one core, however long the turn."""

    def __init__(self, session: Any, *, queue_limit: int = 16) -> None:
        self._session = session
        self._worker = Worker("smart_turn", queue_limit=queue_limit)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("smart_turn", version="3.2", residual_ms=300)

    @property
    def sample_rate_hz(self) -> int:
        return _RATE_HZ

    async def warm_up(self) -> None:
        await self._worker.run(self._judge, np.zeros(_RATE_HZ, np.float32))

    async def aclose(self) -> None:
        self._worker.close()

    async def judge(self, samples: Samples, *, text: str, context: CallContext) -> float:
        """Probability that the thought is complete; see the Protocol. ``text`` is not looked at."""
        if not len(samples):
            raise EngineError(EngineErrorKind.BAD_INPUT, "smart_turn: there is no audio to judge")
        try:
            async with asyncio.timeout(context.deadline_s):
                return await self._worker.run(self._judge, samples)
        except TimeoutError as error:
            raise EngineError(EngineErrorKind.TIMEOUT, "smart_turn: no judgement came in time") from error

    def _judge(self, samples: Samples) -> float:
        (output,) = self._session.run(None, {"input_features": _features(samples)})
        probability = float(output[0, 0])
        if math.isnan(probability):
            raise EngineError(EngineErrorKind.BAD_INPUT, "smart_turn: the audio holds values that are no numbers")
        return probability


def _features(samples: Samples) -> NDArray[np.float32]:
    """Shape (1, 80, 800)."""
    heard = np.zeros(_HEARD_SAMPLES, np.float32)
    last = samples[-_HEARD_SAMPLES:]
    heard[_HEARD_SAMPLES - len(last) :] = last
    normal = (heard - heard.mean()) / np.sqrt(heard.var() + np.float32(_VARIANCE_FLOOR))
    return log_mel(normal)[np.newaxis]
