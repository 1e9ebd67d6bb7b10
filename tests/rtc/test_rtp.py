import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.rtc.rtp import RtpPacket, is_rtcp, pack_rtp, parse_rtp

PACKET = RtpPacket(111, True, 0xFFFE, 0xFFFFFF00, 0xDEADBEEF, b"sound")
HEAD = bytes.fromhex("806f0102030405060708090a")


def parsed_payload(data: bytes) -> bytes | None:
    packet = parse_rtp(data)
    return packet.payload if packet else None


def test_a_packet_has_the_layout_of_the_standard() -> None:
    assert pack_rtp(PACKET) == bytes.fromhex("80effffeffffff00deadbeef") + b"sound"
    assert parse_rtp(pack_rtp(PACKET)) == PACKET


def test_numbers_of_a_packed_packet_wrap() -> None:
    packet = parse_rtp(pack_rtp(RtpPacket(0, False, 0x10000, 0x100000005, 1, b"")))
    assert packet is not None
    assert (packet.sequence, packet.timestamp) == (0, 5)


@pytest.mark.parametrize(
    ("data", "payload"),
    [
        pytest.param(HEAD + b"abc", b"abc", id="plain"),
        pytest.param(HEAD, b"", id="empty payload"),
        pytest.param(b"\x82" + HEAD[1:] + bytes(8) + b"abc", b"abc", id="two contributing sources"),
        pytest.param(b"\x90" + HEAD[1:] + b"\xbe\xde\x00\x01" + bytes(4) + b"abc", b"abc", id="header extension"),
        pytest.param(b"\x91" + HEAD[1:] + bytes(4) + b"\xbe\xde\x00\x00abc", b"abc", id="source and empty extension"),
        pytest.param(b"\xa0" + HEAD[1:] + b"abc\x00\x00\x03", b"abc", id="padding"),
        pytest.param(b"\xa0" + HEAD[1:] + b"\x00\x02", b"", id="nothing but padding"),
    ],
)
def test_the_payload_is_what_follows_header_and_extension_without_padding(data: bytes, payload: bytes) -> None:
    assert parsed_payload(data) == payload


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(HEAD[:-1], id="cut header"),
        pytest.param(b"\x40" + HEAD[1:] + b"abc", id="version 1"),
        pytest.param(b"\x81" + HEAD[1:] + bytes(3), id="cut source"),
        pytest.param(b"\x90" + HEAD[1:], id="no extension"),
        pytest.param(b"\x90" + HEAD[1:] + b"\xbe\xde\xff\xff" + bytes(100), id="extension beyond the end"),
        pytest.param(b"\xa0" + HEAD[1:] + b"abc\x00", id="padding of 0 bytes"),
        pytest.param(b"\xa0" + HEAD[1:] + b"abc\x05", id="padding longer than the payload"),
        pytest.param(b"\xa0" + HEAD[1:], id="padding, yet empty"),
    ],
)
def test_a_broken_packet_is_none(data: bytes) -> None:
    assert parse_rtp(data) is None


@pytest.mark.parametrize(
    ("second", "is_report"), [(191, False), (192, True), (200, True), (223, True), (224, False), (111 | 128, False)]
)
def test_the_second_byte_tells_reports_from_media(second: int, is_report: bool) -> None:
    assert is_rtcp(bytes([0x80, second])) is is_report


def test_too_short_for_a_second_byte_is_no_report() -> None:
    assert not is_rtcp(b"\x80")
    assert not is_rtcp(b"")


@given(st.binary(max_size=100), st.binary(max_size=64))
def test_any_bytes_are_read_or_none_and_never_grow(head: bytes, rest: bytes) -> None:
    for data in (head, bytes([0x80 | (head[0] if head else 0) & 0x3F]) + HEAD[1:] + rest):
        payload = parsed_payload(data)
        assert payload is None or (len(payload) <= len(data) - 12 and payload in data)


@given(
    st.builds(
        RtpPacket,
        st.integers(0, 127),
        st.booleans(),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.binary(max_size=50),
    )
)
def test_every_packet_is_read_as_it_was_packed(packet: RtpPacket) -> None:
    assert parse_rtp(pack_rtp(packet)) == packet
