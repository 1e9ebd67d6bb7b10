"""Smart-Turn v3.2: from the sound of a turn, whether the thought is complete.

Source of the model's interface: https://github.com/pipecat-ai/smart-turn (BSD-2-Clause): the last 8 s at 16 kHz, zeros
in front of shorter turns, zero mean and unit variance, Whisper's log-mel of shape (80, 800); out comes a probability.
"""

import asyncio
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    batch: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    """Of those that wait, so many are judged in one call of the model."""


@requires("onnxruntime", weights=lambda options: () if options.get("path") else (_MODEL,))
def create(options: Mapping[str, Any]) -> "SmartTurn":
    """Build the engine. Raises ``EngineSettingsError``."""
    from antiphon import weights

    chosen = parse_options("smart_turn", options, SmartTurnOptions)
    try:
        path = weights.single_file(_MODEL, configured=chosen.path or None)
    except weights.WeightsError as error:
        raise EngineSettingsError(f"smart_turn: {error}") from error
    return SmartTurn(open_session("smart_turn", path), queue_limit=chosen.queue_limit, batch=chosen.batch)


@dataclass(slots=True, eq=False)
class _Asked:
    samples: Samples
    probability: float | None = None


class SmartTurn:
    """A ``TurnJudge``. One judgement takes about 30 ms of one core, however long the turn.

    What waits together is judged in one call, in the order of its coming. That saves no computation (30 ms a turn, as
    one by one), so a call is kept short: all that are in it have to wait for the last.
    """

    def __init__(self, session: Any, *, queue_limit: int = 16, batch: int = 4) -> None:
        self._session = session
        self._batch = batch
        self._worker = Worker("smart_turn", queue_limit=queue_limit)
        self._waiting: deque[_Asked] = deque()
        self._lock = threading.Lock()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("smart_turn", version="3.2", residual_ms=300)

    @property
    def sample_rate_hz(self) -> int:
        return _RATE_HZ

    async def warm_up(self) -> None:
        await self._worker.run(self._judge, _Asked(np.zeros(_RATE_HZ, np.float32)))

    async def aclose(self) -> None:
        self._worker.close()

    async def judge(self, samples: Samples, *, text: str, context: CallContext) -> float:
        """Probability that the thought is complete; see the Protocol. ``text`` is not looked at."""
        if not len(samples):
            raise EngineError(EngineErrorKind.BAD_INPUT, "smart_turn: there is no audio to judge")
        asked = _Asked(samples)
        with self._lock:
            self._waiting.append(asked)
        try:
            async with asyncio.timeout(context.deadline_s):
                return await self._worker.run(self._judge, asked)
        except TimeoutError as error:
            raise EngineError(EngineErrorKind.TIMEOUT, "smart_turn: no judgement came in time") from error
        finally:
            self._forget(asked)

    def _judge(self, asked: _Asked) -> float:
        """Runs on the worker's thread, once for each judgement; a call before may have judged it already."""
        if asked.probability is None:
            batch = [asked, *self._others(asked)]
            for one, probability in zip(batch, self._judged(batch), strict=True):
                one.probability = probability
        assert asked.probability is not None
        if math.isnan(asked.probability):
            raise EngineError(EngineErrorKind.BAD_INPUT, "smart_turn: the audio holds values that are no numbers")
        return asked.probability

    def _judged(self, batch: Sequence[_Asked]) -> list[float]:
        features = np.stack([_features(asked.samples) for asked in batch])
        (output,) = self._session.run(None, {"input_features": features})
        return [float(row[0]) for row in output]

    def _others(self, asked: _Asked) -> list[_Asked]:
        with self._lock:
            waiting = [other for other in self._waiting if other is not asked and other.probability is None]
        return waiting[: self._batch - 1]

    def _forget(self, asked: _Asked) -> None:
        with self._lock:
            self._waiting.remove(asked)


def _features(samples: Samples) -> NDArray[np.float32]:
    """Shape (80, 800)."""
    heard = np.zeros(_HEARD_SAMPLES, np.float32)
    last = samples[-_HEARD_SAMPLES:]
    heard[_HEARD_SAMPLES - len(last) :] = last
    normal = (heard - heard.mean()) / np.sqrt(heard.var() + np.float32(_VARIANCE_FLOOR))
    return log_mel(normal)
