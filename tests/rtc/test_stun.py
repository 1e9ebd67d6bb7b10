"""The vectors are those of RFC 5769, sections 2.1 to 2.3, with their padding of spaces."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.rtc.stun import (
    BindingRequest,
    binding_request,
    binding_response,
    parse_binding_request,
    parse_binding_response,
)

REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1"
    "51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE_V4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
RESPONSE_V6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5"
    "bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
KEY = b"VOkJxbRl1RmTxUk/WvJxBt"


def check(username: str = "ours:theirs", *, use_candidate: bool = False) -> bytes:
    return binding_request(
        TRANSACTION, username, KEY, priority=0x6E0001FF, tie_breaker=1 << 63, use_candidate=use_candidate
    )


def parsed(datagram: bytes) -> BindingRequest:
    request = parse_binding_request(datagram)
    assert request is not None
    return request


def with_length(message: bytes) -> bytes:
    return message[:2] + (len(message) - 20).to_bytes(2) + message[4:]


def test_the_standard_request_is_read_and_verified() -> None:
    request = parsed(REQUEST)
    assert (request.transaction_id, request.username) == (TRANSACTION, "evtj:h6vY")
    assert (request.priority, request.use_candidate) == (0x6E0001FF, False)
    assert request.verify(KEY)


@pytest.mark.parametrize(
    ("datagram", "address"), [(RESPONSE_V4, "192.0.2.1"), (RESPONSE_V6, "2001:db8:1234:5678:11:2233:4455:6677")]
)
def test_the_standard_responses_are_read_and_verified(datagram: bytes, address: str) -> None:
    response = parse_binding_response(datagram)
    assert response is not None
    assert (response.transaction_id, response.address, response.port) == (TRANSACTION, address, 32853)
    assert response.verify(KEY)
    assert not response.verify(b"other")


@pytest.mark.parametrize(
    ("came_from", "told"),
    [
        (("192.0.2.1", 32853), "192.0.2.1"),
        (("2001:db8::7", 1), "2001:db8::7"),
        (("fe80::1%eth0", 65535), "fe80::1"),
        (("::ffff:192.0.2.9", 5), "192.0.2.9"),
    ],
)
def test_a_response_tells_from_where_the_request_came(came_from: tuple[str, int], told: str) -> None:
    response = parse_binding_response(binding_response(parsed(check()), came_from, KEY))
    assert response is not None
    assert (response.address, response.port) == (told, came_from[1])
    assert response.transaction_id == TRANSACTION
    assert response.verify(KEY)


@pytest.mark.parametrize("use_candidate", [False, True])
def test_a_request_is_read_as_it_was_made(use_candidate: bool) -> None:
    request = parsed(check("a:b", use_candidate=use_candidate))
    assert (request.username, request.priority, request.use_candidate) == ("a:b", 0x6E0001FF, use_candidate)
    assert request.verify(KEY)


def test_a_request_signed_with_another_key_does_not_verify() -> None:
    assert not parsed(REQUEST).verify(KEY[:-1])
    assert not parsed(REQUEST).verify(b"")


def test_a_request_without_fingerprint_is_taken_and_verified() -> None:
    assert parsed(with_length(REQUEST[:-8])).verify(KEY)


def test_what_stands_behind_the_signature_does_not_count() -> None:
    nomination = b"\x00\x25\x00\x00"
    request = parsed(with_length(REQUEST[:-8] + nomination))
    assert not request.use_candidate
    assert request.verify(KEY)


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(b"", id="empty"),
        pytest.param(REQUEST[:19], id="cut header"),
        pytest.param(REQUEST[:-1], id="cut"),
        pytest.param(REQUEST[:-4], id="cut attribute"),
        pytest.param(REQUEST + bytes(4), id="longer than it says"),
        pytest.param(RESPONSE_V4, id="response"),
        pytest.param(b"\x00\x03" + REQUEST[2:], id="another method"),
        pytest.param(REQUEST[:4] + b"\x21\x12\xa4\x43" + REQUEST[8:], id="no cookie"),
        pytest.param(REQUEST[:-1] + b"\x00", id="wrong fingerprint"),
        pytest.param(with_length(REQUEST[:-32]), id="not signed"),
        pytest.param(with_length(REQUEST[:-32] + REQUEST[-8:]), id="fingerprint but not signed"),
        pytest.param(with_length(REQUEST[:20] + REQUEST[-32:-8]), id="no user name"),
        pytest.param(with_length(REQUEST + b"\x00\x25\x00\x00"), id="fingerprint not last"),
        pytest.param(with_length(REQUEST[:-32] + b"\x00\x08\x00\x10" + bytes(16)), id="short signature"),
        pytest.param(with_length(REQUEST[:-32] + b"\x00\x08\xff\xff" + bytes(16)), id="attribute beyond the end"),
        pytest.param(with_length(REQUEST[:60] + b"\x00\x06\x00\x01\xff   " + REQUEST[-32:-8]), id="name not UTF-8"),
    ],
)
def test_what_is_no_signed_request_is_none(datagram: bytes) -> None:
    assert parse_binding_request(datagram) is None


@pytest.mark.parametrize(
    "datagram",
    [REQUEST, RESPONSE_V4[:-1], with_length(RESPONSE_V4[:36] + RESPONSE_V4[-32:]), b""],
    ids=["request", "cut", "no address", "empty"],
)
def test_what_is_no_signed_response_with_an_address_is_none(datagram: bytes) -> None:
    assert parse_binding_response(datagram) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_none(datagram: bytes) -> None:
    parse_binding_request(datagram)
    parse_binding_response(datagram)
    header = (0x0001).to_bytes(2) + (len(datagram) & 0xFFFF).to_bytes(2) + REQUEST[4:20]
    parse_binding_request(header + datagram)


@given(at=st.integers(0, len(REQUEST) - 9), flip=st.integers(1, 255), fingerprint=st.booleans())
def test_no_changed_byte_of_what_is_signed_verifies(at: int, flip: int, fingerprint: bool) -> None:
    whole = REQUEST if fingerprint else with_length(REQUEST[:-8])
    changed = parse_binding_request(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
    assert changed is None or not changed.verify(KEY)


@given(at=st.integers(0, len(RESPONSE_V6) - 1), flip=st.integers(1, 255))
def test_a_response_with_a_changed_byte_is_none(at: int, flip: int) -> None:
    assert parse_binding_response(RESPONSE_V6[:at] + bytes([RESPONSE_V6[at] ^ flip]) + RESPONSE_V6[at + 1 :]) is None


def test_two_reads_of_one_request_are_equal() -> None:
    assert parsed(REQUEST) == parsed(REQUEST)
    assert parsed(REQUEST) != replace(parsed(REQUEST), use_candidate=True)
