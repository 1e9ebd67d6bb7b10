import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.rtc.rtcp import (
    Goodbye,
    ReceiverReport,
    ReceptionStatistics,
    ReportBlock,
    SenderReport,
    goodbye,
    ntp_time,
    parse_rtcp,
    receiver_report,
    round_trip_s,
    sender_report,
)

BLOCK = ReportBlock(0xAABBCCDD, 51, -3, 0x0001_0005, 240, 0x12345678, 65536)
SENDER = SenderReport(0x11223344, 0xE8D4A51000000001, 4_000_000_000, 1500, 90_000, (BLOCK,))
RECEIVER = ReceiverReport(0x11223344, (BLOCK, BLOCK))
HZ = 48_000

numbers = st.integers(0, 0xFFFFFFFF)
blocks = st.lists(
    st.builds(
        ReportBlock,
        numbers,
        st.integers(0, 255),
        st.integers(-0x800000, 0x7FFFFF),
        numbers,
        numbers,
        numbers,
        numbers,
    ),
    max_size=31,
).map(tuple)


def received(sequences: list[int], *, step_s: float = 0.02) -> ReceptionStatistics:
    statistics = ReceptionStatistics(HZ)
    for place, sequence in enumerate(sequences):
        statistics.push(sequence & 0xFFFF, round(sequence * HZ * step_s) & 0xFFFFFFFF, place * step_s)
    return statistics


def test_a_sender_report_has_the_layout_of_the_standard() -> None:
    head = bytes.fromhex("81c8000c11223344e8d4a51000000001ee6b2800000005dc00015f90")
    block = bytes.fromhex("aabbccdd33fffffd00010005000000f01234567800010000")
    name = bytes.fromhex("81ca0003112233440105") + b"voice" + bytes(1)
    assert sender_report(SENDER, "voice") == head + block + name


def test_reports_are_read_as_they_were_made() -> None:
    assert parse_rtcp(sender_report(SENDER, "a")) == (SENDER,)
    assert parse_rtcp(receiver_report(RECEIVER, "ab")) == (RECEIVER,)
    assert parse_rtcp(goodbye(Goodbye((7, 8)))) == (ReceiverReport(7), Goodbye((7, 8)))


def test_all_parts_of_a_compound_packet_are_read_in_order() -> None:
    assert parse_rtcp(sender_report(SENDER, "a") + goodbye(Goodbye((1,)))) == (
        SENDER,
        ReceiverReport(1),
        Goodbye((1,)),
    )


def test_other_kinds_are_passed_over() -> None:
    feedback = b"\x8f\xcd\x00\x02" + bytes(8)
    assert parse_rtcp(feedback) == ()
    assert parse_rtcp(feedback + receiver_report(RECEIVER, "a")) == (RECEIVER,)


def test_padding_and_a_reason_for_leaving_are_passed_over() -> None:
    left = b"\xa1\xcb\x00\x03" + (7).to_bytes(4) + b"\x03bye" + b"\x00\x00\x00\x04"
    assert parse_rtcp(left) == (Goodbye((7,)),)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x80\xc9\x00", id="cut header"),
        pytest.param(b"\x40\xc9\x00\x01" + bytes(4), id="version 1"),
        pytest.param(b"\x80\xc9\x00\x02" + bytes(4), id="longer than the packet"),
        pytest.param(b"\x80\xc9\x00\x00", id="no sender"),
        pytest.param(b"\x80\xc8\x00\x02" + bytes(8), id="cut sender report"),
        pytest.param(b"\x81\xc9\x00\x01" + bytes(4), id="block that is not there"),
        pytest.param(b"\x82\xcb\x00\x01" + bytes(4), id="goodbye of one too few"),
        pytest.param(b"\xa0\xc9\x00\x01" + b"\x00\x00\x00\x09", id="too much padding"),
        pytest.param(b"\xa0\xc9\x00\x01" + bytes(4), id="padding of 0 bytes"),
        pytest.param(b"\xa0\xcd\x00\x00", id="padding of nothing"),
        pytest.param(b"\xa0\xc9\x00\x01" + bytes(3) + b"\x04\x80\xc9\x00\x01" + bytes(4), id="padding before the end"),
        pytest.param(receiver_report(RECEIVER, "a") + b"\x80", id="trailing byte"),
    ],
)
def test_nothing_is_read_from_a_broken_packet(data: bytes) -> None:
    assert parse_rtcp(data) == ()


def test_a_name_is_cut_to_the_length_that_fits() -> None:
    assert parse_rtcp(receiver_report(RECEIVER, "x" * 1000)) == (RECEIVER,)


def test_more_blocks_than_a_report_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="31 blocks"):
        receiver_report(ReceiverReport(1, (BLOCK,) * 32), "a")


@given(st.builds(SenderReport, numbers, st.integers(0, (1 << 64) - 1), numbers, numbers, numbers, blocks))
def test_every_sender_report_is_read_as_it_was_made(report: SenderReport) -> None:
    assert parse_rtcp(sender_report(report, "name")) == (report,)


@given(st.binary(max_size=120), st.integers(0, 31), st.sampled_from([200, 201, 202, 203, 205]))
def test_any_bytes_are_read_or_nothing(data: bytes, count: int, kind: int) -> None:
    parse_rtcp(data)
    whole = data[: len(data) // 4 * 4]
    parse_rtcp(struct.pack("!BBH", 0x80 | count, kind, len(whole) // 4) + whole)


def test_the_round_trip_is_what_passed_since_our_report_without_its_rest_there() -> None:
    sent = ntp_time(1_800_000_000.25)
    block = ReportBlock(1, 0, 0, 0, 0, sent >> 16 & 0xFFFFFFFF, round(0.5 * 65536))
    assert round_trip_s(block, ntp_time(1_800_000_000.25 + 0.5 + 0.08)) == pytest.approx(0.08, abs=0.0001)


def test_the_round_trip_is_unknown_before_the_other_side_has_our_report() -> None:
    assert round_trip_s(ReportBlock(1, 0, 0, 0, 0, 0, 0), ntp_time(1_800_000_000.0)) is None


def test_a_round_trip_below_zero_is_none_at_all() -> None:
    block = ReportBlock(1, 0, 0, 0, 0, ntp_time(1_800_000_000.0) >> 16 & 0xFFFFFFFF, 65536)
    assert round_trip_s(block, ntp_time(1_800_000_000.5)) == 0.0


@pytest.mark.parametrize(
    ("sequences", "lost", "highest"),
    [
        pytest.param([], 0, 0, id="nothing came"),
        pytest.param([10, 11, 12], 0, 12, id="all came"),
        pytest.param([10, 12, 13, 16], 3, 16, id="gaps"),
        pytest.param([10, 12, 11, 13], 0, 13, id="out of order"),
        pytest.param([10, 11, 11, 12], -1, 12, id="one twice"),
        pytest.param([65534, 65535, 65536, 65537], 0, 65537, id="the number wraps"),
        pytest.param([65535, 65536, 65534, 65537], -1, 65537, id="late across the wrap"),
        pytest.param([10, 11, 30_000, 12], 0, 12, id="one stray packet does not count"),
        pytest.param([10, 11, 30_000, 30_001, 30_002], 0, 30_002, id="two in a row: the sender began anew"),
    ],
)
def test_losses_are_those_of_the_standard(sequences: list[int], lost: int, highest: int) -> None:
    statistics = received(sequences)
    assert (statistics.lost, statistics.extended_highest_sequence) == (lost, highest)
    assert statistics.block(1, 0.0).lost == lost


def test_the_lost_share_is_that_since_the_block_before() -> None:
    statistics = received([0, 1, 2, 5])
    assert statistics.block(9, 0.0).fraction_lost == 2 * 256 // 6
    assert statistics.block(9, 0.0).fraction_lost == 0
    statistics.push(6, 0, 0.0)
    assert statistics.block(9, 0.0).fraction_lost == 0
    statistics.push(8, 0, 0.0)
    assert statistics.block(9, 0.0).fraction_lost == 128


def test_jitter_of_even_arrivals_is_zero_and_of_scattered_ones_approaches_their_scatter() -> None:
    assert received(list(range(100))).jitter_s == pytest.approx(0, abs=1e-6)
    scattered = ReceptionStatistics(HZ)
    for sequence in range(500):
        scattered.push(sequence, sequence * 960, sequence * 0.02 + 0.01 * (sequence % 2))
    assert scattered.jitter_s == pytest.approx(0.01, rel=0.02)
    assert scattered.block(1, 10.0).jitter == pytest.approx(480, rel=0.02)


def test_a_jump_of_the_senders_clock_is_no_jitter() -> None:
    statistics = received(list(range(10)))
    statistics.push(10, 3_000_000_000, 0.2)
    assert statistics.jitter_s == pytest.approx(0, abs=1e-6)


def test_the_time_stamp_wraps_without_jitter() -> None:
    statistics = ReceptionStatistics(HZ)
    for sequence in range(20):
        statistics.push(sequence, (0xFFFFFFFF - 960 * 10 + 960 * sequence) & 0xFFFFFFFF, sequence * 0.02)
    assert statistics.jitter_s == pytest.approx(0, abs=1e-6)


def test_a_block_tells_when_the_last_sender_report_came() -> None:
    statistics = received([1])
    assert statistics.block(1, 5.0).last_sender_report == 0
    statistics.sender_reported(SENDER, 5.0)
    block = statistics.block(1, 5.5)
    assert block.last_sender_report == 0xA5100000
    assert block.delay_since_last_sender_report == 32768


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), numbers, st.floats(0, 1e6)), max_size=50))
def test_any_packets_give_a_block_that_can_be_sent(packets: list[tuple[int, int, float]]) -> None:
    statistics = ReceptionStatistics(8_000)
    for sequence, timestamp, now_s in packets:
        statistics.push(sequence, timestamp, now_s)
    report = ReceiverReport(1, (statistics.block(2, 1e6),))
    assert parse_rtcp(receiver_report(report, "a")) == (report,)
