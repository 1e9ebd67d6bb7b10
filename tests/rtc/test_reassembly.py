"""Fragments in any order in, whole messages out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.rtc.reassembly import Fragment, Message, Oversized, Reassembly

TEXT = 51
WRAPPING = 2**32 - 2
"""The first TSN of each test: they wrap soon."""


def inbox(tsn: int = WRAPPING) -> Reassembly:
    return Reassembly(tsn - 1, max_message_bytes=100, window_bytes=400, max_early=16)


def fragment(number: int, data: bytes = b"x", *, first: bool = True, last: bool = True, stream: int = 1) -> Fragment:
    return Fragment((WRAPPING + number) % 2**32, stream, TEXT, first, last, data)


def message(parts: list[bytes], begin: int = 0) -> list[Fragment]:
    end = len(parts) - 1
    return [fragment(begin + at, data, first=at == 0, last=at == end) for at, data in enumerate(parts)]


def push(reassembly: Reassembly, fragments: list[Fragment]) -> list[Message | Oversized]:
    return [done for one in fragments for done in reassembly.push(one)]


def test_a_message_is_whole_when_its_last_fragment_is_there() -> None:
    reassembly = inbox()
    first, last = message([b"a", b"b"])
    assert reassembly.push(first) == []
    assert reassembly.push(last) == [Message(1, TEXT, b"ab")]
    assert reassembly.held_bytes == 0


@given(st.data())
def test_whatever_the_order_and_repetition_every_message_comes_once_and_in_order(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=4), max_size=5))
    fragments: list[Fragment] = []
    for parts in texts:
        fragments += message(parts, len(fragments))
    shuffled = data.draw(st.permutations(fragments + fragments[:3])) if len(fragments) <= 16 else fragments
    reassembly = inbox()
    assert push(reassembly, shuffled) == [Message(1, TEXT, b"".join(parts)) for parts in texts]
    assert reassembly.gaps(9) == []


def test_a_message_that_is_too_large_is_thrown_away_while_it_comes_and_the_next_one_is_whole() -> None:
    reassembly = inbox()
    large = message([b"x" * 60] * 50)
    for one in large[:-1]:
        assert reassembly.push(one) == []
        assert reassembly.held_bytes <= 100
    assert reassembly.push(large[-1]) == [Oversized(1, 3000)]
    assert reassembly.push(fragment(50, b"small")) == [Message(1, TEXT, b"small")]


def test_what_comes_early_is_bounded_in_bytes_and_in_number() -> None:
    reassembly = inbox()
    for number in range(1, 1000):
        assert reassembly.push(fragment(number, b"x" * 50)) == []
    assert reassembly.held_bytes == 400
    assert reassembly.free_bytes == 0
    assert reassembly.gaps(9) == [(2, 9)]
    assert len(reassembly.push(fragment(0))) == 9


def test_fragments_without_a_beginning_and_of_another_stream_are_dropped() -> None:
    reassembly = inbox()
    assert reassembly.push(fragment(0, first=False)) == []
    assert reassembly.push(fragment(1, first=True, last=False)) == []
    assert reassembly.push(fragment(2, first=False, last=True, stream=7)) == []
    assert reassembly.push(fragment(3, b"next")) == [Message(1, TEXT, b"next")]
    assert reassembly.held_bytes == 0


def test_what_the_sender_gave_up_is_skipped_and_what_waited_for_it_comes() -> None:
    reassembly = inbox()
    given_up = message([b"a", b"b", b"c"])
    assert push(reassembly, [given_up[0], fragment(3, b"kept"), fragment(5, b"later")]) == []
    assert reassembly.skip_to(fragment(2).tsn) == [Message(1, TEXT, b"kept")]
    assert reassembly.skip_to(fragment(4).tsn) == [Message(1, TEXT, b"later")]
    assert reassembly.held_bytes == 0


@pytest.mark.parametrize("distance", [2**31 - 1, 2**20])
def test_a_skip_over_any_distance_costs_nothing(distance: int) -> None:
    reassembly = inbox()
    reassembly.push(fragment(5))
    assert len(reassembly.skip_to((WRAPPING + distance - 1) % 2**32)) == 1
    assert reassembly.tsn == (WRAPPING + distance - 1) % 2**32
    assert reassembly.skip_to(WRAPPING) == []


def test_duplicates_are_told_once_and_few() -> None:
    reassembly = inbox()
    push(reassembly, [fragment(0)] * 100)
    assert len(reassembly.take_duplicates()) == 16
    assert reassembly.take_duplicates() == []
