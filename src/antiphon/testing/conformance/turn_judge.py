"""The contract of turn judges."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np

from antiphon.audio.pcm import pcm_to_samples
from antiphon.engines.base import CallContext, Samples, TurnJudge
from antiphon.testing.conformance.calls import Calls, check_of, common_checks, lifecycle_checks
from antiphon.testing.conformance.check import Check, Material, context, require, tolerated

__all__ = ["checks"]


async def any_length_of_audio_is_judged(engine: TurnJudge, material: Material) -> None:
    """No audio, a moment and 30 seconds give a probability or an EngineError."""
    speech = _samples(engine, material, at_least_s=30)
    for size in (0, 1, engine.sample_rate_hz // 100, len(speech)):
        probability = await tolerated(engine.judge(speech[:size], text="", context=context()))
        if probability is not None:
            _require_probability(probability)


async def the_audio_is_not_changed(engine: TurnJudge, material: Material) -> None:
    """The audio belongs to the caller."""
    samples = _samples(engine, material)
    before = samples.copy()
    await engine.judge(samples, text="Good morning", context=context())
    require(np.array_equal(samples, before), "judge() wrote into the samples")


def checks() -> Sequence[Check]:
    first, last = lifecycle_checks()
    rules = (any_length_of_audio_is_judged, the_audio_is_not_changed)
    return (first, *common_checks(_CALLS), *map(check_of, rules), last)


async def _judge(engine: TurnJudge, material: Material, context: CallContext) -> AsyncGenerator[float, None]:
    yield await engine.judge(_samples(engine, material), text="I would like", context=context)


async def _judge_much(engine: TurnJudge, material: Material, context: CallContext) -> AsyncGenerator[float, None]:
    yield await engine.judge(_samples(engine, material, at_least_s=30), text="I would like " * 20, context=context)


def _hold(engine: TurnJudge, results: list[Any], material: Material) -> None:
    for probability in results:
        _require_probability(probability)


def _require_probability(value: object) -> None:
    require(isinstance(value, float), f"judge() returned {value!r}, no float")
    require(isinstance(value, float) and 0 <= value <= 1, f"judge() returned {value!r}, outside 0..1")


def _samples(engine: TurnJudge, material: Material, *, at_least_s: float = 0.0) -> Samples:
    return pcm_to_samples(material.pcm(engine.sample_rate_hz, at_least_s=at_least_s))


_CALLS = Calls(plain=_judge, long=_judge, heavy=_judge_much, judge=_hold, streams=False)
