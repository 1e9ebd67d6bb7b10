from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.rtc.jitter import JitterBuffer
from antiphon.rtc.rtp import RtpPacket
from tests.support.properties import bounded


def _packet(sequence: int) -> RtpPacket:
    return RtpPacket(111, False, sequence & 0xFFFF, 0, 1, b"x")


def _order(sequences: Sequence[int], window: int = 2) -> list[tuple[int, int]]:
    """Sequence numbers as they are passed on, each with how many were given up before it; 1 ms between arrivals."""
    buffer = JitterBuffer(window)
    passed = [one for number, each in enumerate(sequences) for one in buffer.push(_packet(each), number / 1000)]
    return [(packet.sequence, missing) for packet, missing in passed]


@pytest.mark.parametrize(
    ("sequences", "passed"),
    [
        ([1, 2, 3], [(1, 0), (2, 0), (3, 0)]),
        ([1, 3, 2, 4], [(1, 0), (2, 0), (3, 0), (4, 0)]),
        ([1, 3, 4, 2, 5], [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]),
        ([1, 3, 4], [(1, 0)]),
        ([1, 3, 4, 5], [(1, 0), (3, 1), (4, 0), (5, 0)]),
        ([1, 3, 4, 5, 2, 6], [(1, 0), (3, 1), (4, 0), (5, 0), (6, 0)]),
        ([1, 3, 5, 6], [(1, 0), (3, 1)]),
        ([1, 3, 5, 6, 7], [(1, 0), (3, 1), (5, 1), (6, 0), (7, 0)]),
        ([1, 1, 2, 2, 1, 3], [(1, 0), (2, 0), (3, 0)]),
        ([1, 3, 3, 2], [(1, 0), (2, 0), (3, 0)]),
        ([65535, 0, 1], [(65535, 0), (0, 0), (1, 0)]),
        ([65534, 0, 65535, 1], [(65534, 0), (65535, 0), (0, 0), (1, 0)]),
        ([65534, 1, 2, 3], [(65534, 0), (1, 2), (2, 0), (3, 0)]),
        ([1, 20000, 2, 3], [(1, 0), (2, 0), (3, 0)]),
        ([1, 20000, 20001, 20002], [(1, 0), (20001, 0), (20002, 0)]),
        ([20000, 1, 2, 3], [(20000, 0), (2, 0), (3, 0)]),
        ([1, 2000, 2001, 2002], [(1, 0), (2000, 1998), (2001, 0), (2002, 0)]),
    ],
    ids=lambda case: " ".join(map(str, case)) if isinstance(case[0], int) else "passed",
)
def test_packets_are_put_in_order(sequences: list[int], passed: list[tuple[int, int]]) -> None:
    assert _order(sequences) == passed


def test_without_a_window_a_missing_packet_is_given_up_at_once() -> None:
    assert _order([1, 3, 2, 4], window=0) == [(1, 0), (3, 1), (4, 0)]


def test_nothing_waits_longer_than_50_ms() -> None:
    buffer = JitterBuffer()
    buffer.push(_packet(1), 0.0)
    buffer.push(_packet(3), 0.02)
    assert not buffer.due(0.069)
    assert [(packet.sequence, missing) for packet, missing in buffer.due(0.071)] == [(3, 1)]
    assert not buffer.due(1.0)


def test_a_second_gap_has_a_time_of_its_own() -> None:
    buffer = JitterBuffer()
    buffer.push(_packet(1), 0.0)
    buffer.push(_packet(3), 0.02)
    buffer.push(_packet(5), 0.06)
    assert [packet.sequence for packet, _ in buffer.due(0.08)] == [3]
    assert [packet.sequence for packet, _ in buffer.due(0.12)] == [5]


def test_late_ones_and_duplicates_are_counted() -> None:
    buffer = JitterBuffer()
    for number, sequence in enumerate([1, 3, 4, 5, 2, 2, 5, 6, 6]):
        buffer.push(_packet(sequence), number / 1000)
    assert (buffer.late, buffer.duplicates, buffer.dropped) == (1, 3, 4)


@bounded(300)
@given(
    st.integers(0, 0xFFFF),
    st.lists(st.one_of(st.integers(-5, 5), st.integers(0, 0xFFFF)), max_size=200),
    st.integers(0, 3),
)
def test_nothing_passes_out_of_order_and_little_is_held(start: int, steps: list[int], window: int) -> None:
    buffer = JitterBuffer(window)
    sequence = start
    last = None
    for number, step in enumerate(steps):
        sequence = (sequence + 1 + step) & 0xFFFF
        for packet, missing in buffer.push(_packet(sequence), number / 1000):
            if last is not None and missing:
                assert packet.sequence == (last + 1 + missing) & 0xFFFF
            last = packet.sequence
        assert len(buffer._held) <= window


@bounded(200)
@given(st.data(), st.integers(0, 0xFFFF), st.integers(1, 100))
def test_packets_displaced_by_no_more_than_the_window_all_pass(data: st.DataObject, start: int, count: int) -> None:
    delays = data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    order = sorted(range(count), key=lambda number: (number + delays[number], number))
    buffer = JitterBuffer(2)
    buffer.push(_packet(start - 1), 0.0)
    passed = [one for place in order for one in buffer.push(_packet(start + place), 0.0)]
    assert [packet.sequence for packet, _ in passed] == [(start + place) & 0xFFFF for place in range(count)]
    assert not any(missing for _, missing in passed)
