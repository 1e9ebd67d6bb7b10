"""The contract of noise reducers."""

from collections.abc import Sequence

import numpy as np

from antiphon.audio.pcm import pcm_to_samples
from antiphon.engines.base import NoiseReducer, Samples
from antiphon.testing.conformance.calls import check_of, lifecycle_checks
from antiphon.testing.conformance.check import Check, Material, require, require_natural, require_positive
from antiphon.vocabulary.speech import NoiseKind

__all__ = ["checks"]

_KINDS: tuple[NoiseKind, ...] = ("near_field", "far_field")
_SPEECH_S = 2.0
_TOLERANCE = 1e-4


async def rate_frame_and_delay_are_stated(engine: NoiseReducer, material: Material) -> None:
    """sample_rate_hz and frame_samples are positive integers, delay_samples is one from 0."""
    require_positive(engine.sample_rate_hz, "sample_rate_hz")
    require_positive(engine.frame_samples, "frame_samples")
    require_natural(engine.delay_samples, "delay_samples")


async def warm_up_may_be_called_again(engine: NoiseReducer, material: Material) -> None:
    """Warming up twice does no harm."""
    await engine.warm_up()
    await engine.warm_up()
    _filtered(engine, "near_field", np.zeros((1, engine.frame_samples), np.float32))


async def frames_keep_their_shape_type_and_range(engine: NoiseReducer, material: Material) -> None:
    """filter() returns float32 of the frame's shape, each from -1 to 1, whatever the audio."""
    full = np.where(np.arange(engine.frame_samples) % 16 < 8, np.float32(1), np.float32(-1))
    for kind in _KINDS:
        filter_ = engine.new_filter(kind)
        for frame in (np.zeros_like(full), full, full):
            result = filter_.filter(frame)
            require(isinstance(result, np.ndarray), f"filter() returned {type(result).__name__}, no array")
            require(result.dtype == np.float32, f"the dtype is {result.dtype}, not float32")
            require(result.shape == full.shape, f"the shape is {result.shape}, not {full.shape}")
            loudest = float(np.max(np.abs(result)))
            require(loudest <= 1, f"outside -1..1: {loudest}")


async def speech_comes_delay_samples_later(engine: NoiseReducer, material: Material) -> None:
    """What is filtered of speech resembles it most when it is moved back by delay_samples."""
    speech = _frames(engine, material)
    for kind in _KINDS:
        late = np.fft.rfft(_filtered(engine, kind, speech).ravel(), 2 * speech.size)
        likeness = np.fft.irfft(late * np.conj(np.fft.rfft(speech.ravel(), 2 * speech.size)))
        delay = int(np.argmax(likeness[: engine.sample_rate_hz // 2]))
        near = abs(delay - engine.delay_samples) <= engine.sample_rate_hz // 1000
        require(near, f"{kind} speech comes {delay} samples later, not {engine.delay_samples}")


async def filters_do_not_hear_each_other(engine: NoiseReducer, material: Material) -> None:
    """What one session hears changes nothing for another."""
    speech = _frames(engine, material)
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, speech.shape).astype(np.float32)
    alone = _filtered(engine, "far_field", speech)
    ours, theirs = engine.new_filter("far_field"), engine.new_filter("far_field")
    beside = []
    for frame, other in zip(speech, noise, strict=True):
        theirs.filter(other)
        beside.append(ours.filter(frame))
    gap = float(np.max(np.abs(np.stack(beside) - alone)))
    require(gap <= _TOLERANCE, f"beside another session a sample differs by {gap:.4f}")


async def frames_are_not_changed(engine: NoiseReducer, material: Material) -> None:
    """The audio belongs to the caller."""
    frame = _frames(engine, material)[0]
    before = frame.copy()
    engine.new_filter("near_field").filter(frame)
    require(np.array_equal(frame, before), "filter() wrote into the frame")


def checks() -> Sequence[Check]:
    first, last = lifecycle_checks()
    rules = (
        rate_frame_and_delay_are_stated,
        warm_up_may_be_called_again,
        frames_keep_their_shape_type_and_range,
        speech_comes_delay_samples_later,
        filters_do_not_hear_each_other,
        frames_are_not_changed,
    )
    return (first, *map(check_of, rules), last)


def _frames(engine: NoiseReducer, material: Material) -> Samples:
    """Speech, of shape (frames, frame_samples)."""
    speech = pcm_to_samples(material.pcm(engine.sample_rate_hz, at_least_s=_SPEECH_S))
    count = int(_SPEECH_S * engine.sample_rate_hz) // engine.frame_samples
    return speech[: count * engine.frame_samples].reshape(count, engine.frame_samples)


def _filtered(engine: NoiseReducer, kind: NoiseKind, frames: Samples) -> Samples:
    filter_ = engine.new_filter(kind)
    return np.stack([filter_.filter(frame) for frame in frames])
