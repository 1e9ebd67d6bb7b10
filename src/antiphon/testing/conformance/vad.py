"""The contract of voice activity detectors."""

from collections.abc import Sequence

import numpy as np

from antiphon.audio.pcm import pcm_to_samples
from antiphon.engines.base import Samples, VoiceActivityDetector
from antiphon.testing.conformance.calls import check_of, lifecycle_checks
from antiphon.testing.conformance.check import Check, Material, require, require_positive

__all__ = ["checks"]

_STEPS = 12
_TOLERANCE = 2e-3
"""Batches may be computed in another order of operations than single windows."""


async def rate_and_window_are_stated(engine: VoiceActivityDetector, material: Material) -> None:
    """sample_rate_hz and window_samples are positive integers."""
    require_positive(engine.sample_rate_hz, "sample_rate_hz")
    require_positive(engine.window_samples, "window_samples")


async def probabilities_have_shape_type_and_range(engine: VoiceActivityDetector, material: Material) -> None:
    """detect() returns float32 of shape (batch,), each from 0 to 1, whatever the audio."""
    full = np.where(np.arange(engine.window_samples) % 16 < 8, np.float32(1), np.float32(-1))
    silent = np.zeros_like(full)
    click = silent.copy()
    click[0] = 1
    for rows in ([full], [silent, full, click], [full] * 17):
        windows = np.stack(rows)
        probabilities = engine.detect(windows, [engine.new_state() for _ in rows])
        require(isinstance(probabilities, np.ndarray), f"detect() returned {type(probabilities).__name__}, no array")
        require(probabilities.dtype == np.float32, f"the dtype is {probabilities.dtype}, not float32")
        require(probabilities.shape == (len(rows),), f"the shape is {probabilities.shape}, not ({len(rows)},)")
        require(np.all((probabilities >= 0) & (probabilities <= 1)), f"outside 0..1: {probabilities}")


async def a_batch_gives_what_its_rows_give_alone(engine: VoiceActivityDetector, material: Material) -> None:
    """A window's probability does not depend on the other rows, nor on its place in the batch."""
    streams = _streams(engine, material)
    alone = [_alone(engine, stream) for stream in streams]
    states = [engine.new_state() for _ in streams]
    done = [0] * len(streams)
    for step in range(_STEPS):
        rows = [(step + turn) % len(streams) for turn in range(len(streams) - step % 2)]  # sessions come, go, move
        windows = np.stack([streams[row][done[row]] for row in rows])
        probabilities = engine.detect(windows, [states[row] for row in rows])
        expected = np.array([alone[row][done[row]] for row in rows])
        gap = float(np.max(np.abs(probabilities - expected)))
        require(gap <= _TOLERANCE, f"in a batch of {len(rows)} a probability differs by {gap:.4f}")
        for row in rows:
            done[row] += 1


async def sessions_do_not_hear_each_other(engine: VoiceActivityDetector, material: Material) -> None:
    """What one session hears changes nothing for another: all memory is in the state that the caller holds."""
    ours, theirs = _streams(engine, material)[:2]
    expected = _alone(engine, ours)
    our_state, their_state = engine.new_state(), engine.new_state()
    heard = []
    for window, other in zip(ours, theirs, strict=True):
        heard.append(float(engine.detect(window[np.newaxis], [our_state])[0]))
        engine.detect(other[np.newaxis], [their_state])
    gap = float(np.max(np.abs(np.array(heard) - expected)))
    require(gap <= _TOLERANCE, f"beside another session a probability differs by {gap:.4f}")


async def windows_are_not_changed(engine: VoiceActivityDetector, material: Material) -> None:
    """The audio belongs to the caller."""
    windows = np.stack([stream[0] for stream in _streams(engine, material)])
    before = windows.copy()
    engine.detect(windows, [engine.new_state() for _ in windows])
    require(np.array_equal(windows, before), "detect() wrote into the windows")


async def warm_up_may_be_called_again(engine: VoiceActivityDetector, material: Material) -> None:
    """Warming up twice does no harm."""
    await engine.warm_up()
    await engine.warm_up()
    engine.detect(np.zeros((1, engine.window_samples), np.float32), [engine.new_state()])


def checks() -> Sequence[Check]:
    first, last = lifecycle_checks()
    rules = (
        rate_and_window_are_stated,
        warm_up_may_be_called_again,
        probabilities_have_shape_type_and_range,
        a_batch_gives_what_its_rows_give_alone,
        sessions_do_not_hear_each_other,
        windows_are_not_changed,
    )
    return (first, *map(check_of, rules), last)


def _streams(engine: VoiceActivityDetector, material: Material) -> list[Samples]:
    """Streams that differ, of shape (steps, window_samples): speech, speech from elsewhere, noise, silence."""
    size = _STEPS * engine.window_samples
    speech = pcm_to_samples(material.pcm(engine.sample_rate_hz, at_least_s=2 * size / engine.sample_rate_hz + 1))
    loudest = int(np.argmax(np.abs(speech)))
    start = min(max(0, loudest - size // 2), len(speech) - 2 * size)
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, size).astype(np.float32)
    parts = (speech[start : start + size], noise, speech[start + size : start + 2 * size], np.zeros(size, np.float32))
    return [np.ascontiguousarray(part).reshape(_STEPS, engine.window_samples) for part in parts]


def _alone(engine: VoiceActivityDetector, stream: Samples) -> Samples:
    state = engine.new_state()
    return np.array([engine.detect(window[np.newaxis], [state])[0] for window in stream], np.float32)
