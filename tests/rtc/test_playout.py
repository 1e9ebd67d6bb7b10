import math
from collections.abc import Callable, Hashable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.pcm import S16LE
from antiphon.rtc.ducking import DUCKED_GAIN
from antiphon.rtc.playout import FRAME_SAMPLES, Cleared, Frame, PlayoutQueue
from tests.support.properties import bounded

_FADE_SAMPLES = 120


def _pcm(samples: int, value: int = 1000) -> bytes:
    return np.full(samples, value, S16LE).tobytes()


def _values(frame: Frame | None) -> list[int]:
    assert frame is not None
    values: list[int] = np.frombuffer(frame.pcm, S16LE).tolist()
    return values


def _is(tag: Hashable) -> Callable[[Hashable], bool]:
    return lambda other: other == tag


def test_a_tag_begins_with_its_first_frame_and_ends_with_its_last() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(2 * FRAME_SAMPLES))
    assert queue.pending_samples == 2 * FRAME_SAMPLES
    frame = _pcm(FRAME_SAMPLES)
    assert queue.next_frame() == Frame(frame, "a", started=True, ended=False, sent_samples=FRAME_SAMPLES)
    assert queue.next_frame() == Frame(frame, "a", started=False, ended=True, sent_samples=2 * FRAME_SAMPLES)
    assert queue.next_frame() is None
    assert queue.pending_samples == 0


def test_a_rest_waits_one_tick_for_more_and_is_padded_then() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(100))
    assert queue.next_frame() is None
    frame = queue.next_frame()
    assert _values(frame) == [1000] * 100 + [0] * 380
    assert frame is not None
    assert (frame.started, frame.ended, frame.sent_samples) == (True, True, 100)


def test_a_rest_is_completed_by_what_comes_within_a_tick() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(100))
    assert queue.next_frame() is None
    queue.push("a", _pcm(380, 2000))
    assert _values(queue.next_frame()) == [1000] * 100 + [2000] * 380


def test_a_rest_does_not_wait_where_another_tag_does() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(100))
    queue.push("b", _pcm(FRAME_SAMPLES, 2000))
    assert _values(queue.next_frame()) == [1000] * 100 + [0] * 380
    assert _values(queue.next_frame()) == [2000] * FRAME_SAMPLES


def test_a_tag_of_which_more_comes_later_ends_again() -> None:
    queue = PlayoutQueue()
    ends = []
    for _ in range(2):
        queue.push("a", _pcm(FRAME_SAMPLES))
        frame = queue.next_frame()
        assert frame is not None
        ends.append((frame.started, frame.ended, frame.sent_samples))
    assert ends == [(True, True, FRAME_SAMPLES), (False, True, 2 * FRAME_SAMPLES)]


def test_a_tag_that_comes_back_behind_another_ends_once() -> None:
    queue = PlayoutQueue()
    for tag in "aba":
        queue.push(tag, _pcm(FRAME_SAMPLES))
    frames = [queue.next_frame() for _ in range(3)]
    assert [(frame.tag, frame.started, frame.ended, frame.sent_samples) for frame in frames if frame] == [
        ("a", True, False, 480),
        ("b", True, True, 480),
        ("a", False, True, 960),
    ]


def test_a_clear_is_silence_within_one_frame_after_a_fade_of_5_ms() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(10 * FRAME_SAMPLES))
    queue.next_frame()
    assert queue.clear(_is("a")) == [Cleared("a", FRAME_SAMPLES)]
    assert queue.pending_samples == 0
    fade = queue.next_frame()
    assert fade is not None
    assert not fade.started
    assert not fade.ended
    values = _values(fade)
    assert values[0] == 1000
    assert values[:_FADE_SAMPLES] == sorted(values[:_FADE_SAMPLES], reverse=True)
    assert values[_FADE_SAMPLES - 1 :] == [0] * (FRAME_SAMPLES - _FADE_SAMPLES + 1)
    assert queue.next_frame() is None


def test_what_was_not_begun_is_cleared_without_a_sound() -> None:
    queue = PlayoutQueue()
    for tag in "abcb":
        queue.push(tag, _pcm(FRAME_SAMPLES))
    assert queue.next_frame() is not None
    assert queue.clear(lambda tag: tag != "c") == [Cleared("b", 0)]
    frame = queue.next_frame()
    assert frame is not None
    assert (frame.tag, frame.started) == ("c", True)


def test_what_is_kept_plays_after_the_fade_of_what_is_cleared() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(2 * FRAME_SAMPLES))
    queue.push("b", _pcm(FRAME_SAMPLES, 2000))
    queue.next_frame()
    assert queue.clear(_is("a")) == [Cleared("a", FRAME_SAMPLES)]
    assert max(_values(queue.next_frame())) == 1000
    assert _values(queue.next_frame()) == [2000] * FRAME_SAMPLES


def test_a_clear_that_drops_nothing_changes_nothing() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(2 * FRAME_SAMPLES))
    queue.next_frame()
    assert queue.clear(_is("b")) == []
    assert _values(queue.next_frame()) == [1000] * FRAME_SAMPLES


def test_the_end_of_another_tag_does_not_fade_into_what_was_not_played_last() -> None:
    queue = PlayoutQueue()
    for tag in "aba":
        queue.push(tag, _pcm(FRAME_SAMPLES))
    queue.next_frame()
    queue.next_frame()
    assert queue.clear(_is("a")) == [Cleared("a", FRAME_SAMPLES)]
    assert queue.next_frame() is None


def test_half_a_sample_is_refused_and_changes_nothing() -> None:
    queue = PlayoutQueue()
    with pytest.raises(ValueError, match="even number of bytes"):
        queue.push("a", b"123")
    assert queue.pending_samples == 0


def test_an_empty_push_plays_nothing() -> None:
    queue = PlayoutQueue()
    queue.push("a", b"")
    assert queue.next_frame() is None
    assert queue.clear(_is("a")) == []


def test_many_tags_leave_no_trace() -> None:
    queue = PlayoutQueue()
    for tag in range(3000):
        queue.push(tag, _pcm(FRAME_SAMPLES))
        queue.next_frame()
        queue.push(-tag, _pcm(FRAME_SAMPLES))
        queue.clear(lambda _: True)
    assert len(queue._ended_samples) <= 1024
    assert not queue._sent_samples


def test_what_was_sent_of_a_tag_is_known_as_long_as_an_engine_may_pause() -> None:
    queue = PlayoutQueue()
    queue.push("slow", _pcm(FRAME_SAMPLES))
    assert queue.next_frame() is not None
    for tag in range(1000):
        queue.push(tag, _pcm(1))
        while queue.pending_samples:
            queue.next_frame()
    queue.push("slow", _pcm(FRAME_SAMPLES))
    assert queue.next_frame() == Frame(_pcm(FRAME_SAMPLES), "slow", False, True, 2 * FRAME_SAMPLES)


def test_what_was_sent_of_a_tag_is_known_however_much_plays_before_its_next_piece() -> None:
    queue = PlayoutQueue()
    queue.push("slow", _pcm(FRAME_SAMPLES))
    assert queue.next_frame() is not None
    for tag in range(1500):
        queue.push(tag, _pcm(FRAME_SAMPLES))
    queue.push("slow", _pcm(FRAME_SAMPLES))
    *_, last = [queue.next_frame() for _ in range(1501)]
    assert last == Frame(_pcm(FRAME_SAMPLES), "slow", False, True, 2 * FRAME_SAMPLES)


# --- ducking -------------------------------------------------------------------------------------------------------

_LOUD, _DUCKED = 20_000, round(20_000 * DUCKED_GAIN)
_STEP = 60
"""A ramp of 20 ms over such a level has no larger step: what leaps further clicks."""


def _is_smooth(values: list[int]) -> bool:
    return all(abs(after - before) <= _STEP for before, after in pairwise(values))


def test_ducking_turns_the_voice_down_within_one_frame_and_up_again_without_a_click() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(7 * FRAME_SAMPLES, _LOUD))
    heard: list[list[int]] = []
    for duck in (None, True, None, False, None, True, False):
        if duck is not None:
            queue.duck(duck)
        heard.append(_values(queue.next_frame()))
    assert [(frame[0], frame[-1]) for frame in heard] == [
        (_LOUD, _LOUD),
        (_LOUD, _DUCKED),
        (_DUCKED, _DUCKED),
        (_DUCKED, _LOUD),
        (_LOUD, _LOUD),
        (_LOUD, _DUCKED),
        (_DUCKED, _LOUD),
    ]
    assert _is_smooth([value for frame in heard for value in frame])
    assert 17.5 < 20 * math.log10(_LOUD / _DUCKED) < 18.5


def test_what_begins_while_it_is_ducked_begins_quietly() -> None:
    queue = PlayoutQueue()
    queue.duck(True)
    queue.push("a", _pcm(FRAME_SAMPLES, _LOUD))
    assert set(_values(queue.next_frame())) == {_DUCKED}


def test_a_clear_fades_from_the_ducked_level_and_what_comes_next_is_as_loud_as_ever() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(9 * FRAME_SAMPLES, _LOUD))
    queue.duck(True)
    ducked = _values(queue.next_frame()) + _values(queue.next_frame())
    queue.clear(_is("a"))
    queue.push("b", _pcm(FRAME_SAMPLES, _LOUD))
    assert _is_smooth(ducked + _values(queue.next_frame()))
    assert set(_values(queue.next_frame())) == {_LOUD}


def test_a_clear_of_something_else_lets_the_voice_come_up_smoothly() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(3 * FRAME_SAMPLES, _LOUD))
    queue.push("b", _pcm(FRAME_SAMPLES, _LOUD))
    queue.duck(True)
    heard = _values(queue.next_frame())
    queue.clear(_is("b"))
    heard += _values(queue.next_frame()) + _values(queue.next_frame())
    assert _is_smooth(heard)
    assert heard[-1] == _LOUD


def test_after_silence_there_is_nothing_to_turn_up() -> None:
    queue = PlayoutQueue()
    queue.push("a", _pcm(FRAME_SAMPLES, _LOUD))
    queue.duck(True)
    queue.next_frame()
    queue.duck(False)
    assert queue.next_frame() is None
    queue.push("a", _pcm(FRAME_SAMPLES, _LOUD))
    assert set(_values(queue.next_frame())) == {_LOUD}


@bounded(100)
@given(st.lists(st.sampled_from(["duck", "loud", "push", "clear", "tick"]), max_size=60))
def test_ducking_changes_how_loud_it_is_and_nothing_else(steps: list[str]) -> None:
    """Two queues do the same, but for the ducking: frame for frame the same samples are sent of the same tags."""
    ducked, plain = PlayoutQueue(), PlayoutQueue()
    for number, step in enumerate(steps):
        if step in ("duck", "loud"):
            ducked.duck(step == "duck")
        for queue in (ducked, plain):
            if step == "push":
                queue.push(number // 8, _pcm(100 + 150 * (number % 8), _LOUD))
            elif step == "clear":
                queue.clear(_is(number // 8))
        if step == "tick":
            frame, expected = ducked.next_frame(), plain.next_frame()
            assert (frame is None) == (expected is None)
            if frame is not None and expected is not None:
                assert frame[1:] == expected[1:]
                levels = zip(_values(frame), _values(expected), strict=True)
                assert all(math.floor(DUCKED_GAIN * loud) <= value <= loud for value, loud in levels)
        assert ducked.pending_samples == plain.pending_samples


_PUSHES = st.tuples(st.just("push"), st.integers(0, 4), st.integers(0, 1500))
_CLEARS = st.tuples(st.just("clear"), st.integers(0, 4), st.just(0))
_TICKS = st.tuples(st.just("tick"), st.just(0), st.integers(1, 4))


@bounded(200)
@given(st.lists(st.one_of(_PUSHES, _PUSHES, _CLEARS, _TICKS), max_size=60))
def test_every_sample_that_was_pushed_is_sent_once_or_cleared(steps: list[tuple[str, int, int]]) -> None:
    """Each sample of a tag has its own value: what was heard is compared with what was pushed."""
    queue = PlayoutQueue()
    pushed = dict.fromkeys(range(5), 0)
    heard: dict[int, list[int]] = {tag: [] for tag in range(5)}
    waiting: dict[int, list[int]] = {tag: [] for tag in range(5)}
    reported = dict.fromkeys(range(5), 0)

    def value(tag: int, position: int) -> int:
        return 1 + (tag * 6000 + position) % 30_000

    def tick() -> None:
        frame = queue.next_frame()
        if frame is None:
            return
        assert len(frame.pcm) == 960
        if not isinstance(frame.tag, int):
            return
        tag = frame.tag
        new = frame.sent_samples - reported[tag]
        assert frame.started == (not reported[tag])
        reported[tag] = frame.sent_samples
        values = _values(frame)
        heard[tag] += values[:new]
        assert values[:new] == waiting[tag][:new]
        assert values[new:] == [0] * (FRAME_SAMPLES - new)
        del waiting[tag][:new]
        assert frame.ended == (not waiting[tag])

    for kind, tag, count in steps:
        if kind == "push":
            new = [value(tag, pushed[tag] + number) for number in range(count)]
            pushed[tag] += count
            waiting[tag] += new
            queue.push(tag, np.array(new, S16LE).tobytes())
        elif kind == "clear":
            cleared = queue.clear(_is(tag))
            assert cleared == ([Cleared(tag, reported[tag])] if waiting[tag] else [])
            waiting[tag] = []
        else:
            for _ in range(count):
                tick()
        assert queue.pending_samples == sum(map(len, waiting.values()))
    for _ in range(2 * math.ceil(queue.pending_samples / FRAME_SAMPLES) + 2 * len(steps) + 2):
        tick()
    assert queue.pending_samples == 0
    assert not any(waiting.values())
