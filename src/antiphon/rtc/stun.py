"""STUN binding requests and responses, as ICE uses them for connectivity checks (RFC 8489, RFC 8445 section 7). Pure.

A request is worth nothing before it is verified: whoever knows the password of the call signed it.
"""

import hmac
import ipaddress
import struct
from binascii import crc32
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "TRANSACTION_ID_BYTES",
    "BindingRequest",
    "BindingResponse",
    "binding_request",
    "binding_response",
    "parse_binding_request",
    "parse_binding_response",
]

TRANSACTION_ID_BYTES: Final = 12
_COOKIE: Final = 0x2112A442
_HEADER: Final = struct.Struct("!HHI12s")
_ATTRIBUTE: Final = struct.Struct("!HH")
_REQUEST: Final = 0x0001
_RESPONSE: Final = 0x0101

_USERNAME: Final = 0x0006
_MESSAGE_INTEGRITY: Final = 0x0008
_XOR_MAPPED_ADDRESS: Final = 0x0020
_PRIORITY: Final = 0x0024
_USE_CANDIDATE: Final = 0x0025
_FINGERPRINT: Final = 0x8028
_ICE_CONTROLLING: Final = 0x802A

_INTEGRITY_BYTES: Final = 20
_FINGERPRINT_BYTES: Final = 4
_FINGERPRINT_MASK: Final = 0x5354554E
_FAMILIES: Final = {4: 1, 16: 2}
"""STUN's number of an address family, by the bytes of its addresses."""


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a message's MESSAGE-INTEGRITY covers, and its value."""

    text: bytes
    digest: bytes

    def verify(self, key: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(key, self.text, "sha1"), self.digest)


@dataclass(frozen=True, slots=True)
class BindingRequest:
    transaction_id: bytes
    username: str
    """Who is asked and who asks: the ufrag of the receiver, a colon, the ufrag of the sender."""
    priority: int | None
    use_candidate: bool
    """The sender nominates this pair of addresses."""
    _signed: _Signed = field(repr=False)

    def verify(self, key: bytes) -> bool:
        """Whether ``key`` (the receiver's ICE password) signed this request; in constant time."""
        return self._signed.verify(key)


@dataclass(frozen=True, slots=True)
class BindingResponse:
    transaction_id: bytes
    address: str
    port: int
    """From where the request came, as its receiver saw it."""
    _signed: _Signed = field(repr=False)

    def verify(self, key: bytes) -> bool:
        """Whether ``key`` (the password of who was asked) signed this response; in constant time."""
        return self._signed.verify(key)


def parse_binding_request(datagram: bytes) -> BindingRequest | None:
    """The binding request in ``datagram``; None if it is none, is broken, names nobody or is not signed."""
    message = _parse(datagram, _REQUEST)
    if message is None:
        return None
    username = message.attributes.get(_USERNAME)
    priority = message.attributes.get(_PRIORITY, b"")
    if not username:
        return None
    try:
        name = username.decode()
    except UnicodeDecodeError:
        return None
    return BindingRequest(
        transaction_id=message.transaction_id,
        username=name,
        priority=int.from_bytes(priority) if len(priority) == 4 else None,
        use_candidate=_USE_CANDIDATE in message.attributes,
        _signed=message.signed,
    )


def binding_response(request: BindingRequest, address: tuple[str, int], key: bytes) -> bytes:
    """The answer to a request that came from ``address`` (IP literal and port), signed with the same key."""
    mapped = _xor_address(address, request.transaction_id)
    return _message(_RESPONSE, request.transaction_id, {_XOR_MAPPED_ADDRESS: mapped}, key)


def binding_request(
    transaction_id: bytes, username: str, key: bytes, *, priority: int, tie_breaker: int, use_candidate: bool = False
) -> bytes:
    """The connectivity check of a controlling agent; ``key`` is the password of who is asked.

    ``transaction_id`` has 12 bytes; ``tie_breaker`` is a number of 64 bits.
    """
    attributes = {
        _USERNAME: username.encode(),
        _PRIORITY: priority.to_bytes(4),
        _ICE_CONTROLLING: tie_breaker.to_bytes(8),
    }
    if use_candidate:
        attributes[_USE_CANDIDATE] = b""
    return _message(_REQUEST, transaction_id, attributes, key)


def parse_binding_response(datagram: bytes) -> BindingResponse | None:
    """The successful response in ``datagram``; None if it is none, is broken, holds no address or is not signed."""
    message = _parse(datagram, _RESPONSE)
    if message is None:
        return None
    address = _address(message.attributes.get(_XOR_MAPPED_ADDRESS, b""), message.transaction_id)
    if address is None:
        return None
    return BindingResponse(message.transaction_id, address[0], address[1], message.signed)


@dataclass(frozen=True, slots=True)
class _Message:
    transaction_id: bytes
    attributes: dict[int, bytes]
    """Those that the signature covers; of several of one kind the first."""
    signed: _Signed


def _parse(datagram: bytes, kind: int) -> _Message | None:
    """A whole, signed message of this kind whose FINGERPRINT, where there is one, is right."""
    if len(datagram) < _HEADER.size or len(datagram) % 4:
        return None
    found, length, cookie, transaction_id = _HEADER.unpack_from(datagram)
    if found != kind or cookie != _COOKIE or length != len(datagram) - _HEADER.size:
        return None
    attributes: dict[int, bytes] = {}
    signed: _Signed | None = None
    at = _HEADER.size
    while at < len(datagram):
        name, size = _ATTRIBUTE.unpack_from(datagram, at)
        value = datagram[at + 4 : at + 4 + size]
        if len(value) != size:
            return None
        if name == _FINGERPRINT:
            return _checked(datagram, at, value, signed, attributes)
        if signed is None:
            if name == _MESSAGE_INTEGRITY:
                if size != _INTEGRITY_BYTES:
                    return None
                signed = _Signed(_up_to(datagram, at, at + 4 + size), value)
            else:
                attributes.setdefault(name, value)
        at += 4 + size + -size % 4
    return _Message(transaction_id, attributes, signed) if signed else None


def _checked(
    datagram: bytes, at: int, value: bytes, signed: _Signed | None, attributes: dict[int, bytes]
) -> _Message | None:
    """The message that ends with this FINGERPRINT, if that is its last attribute and true."""
    if signed is None or at + 4 + _FINGERPRINT_BYTES != len(datagram):
        return None
    if value != _fingerprint(datagram[:at]):
        return None
    return _Message(datagram[8 : _HEADER.size], attributes, signed)


def _up_to(message: bytes, end: int, claimed_end: int) -> bytes:
    """The first ``end`` bytes, with the length in the header that a message ending at ``claimed_end`` has."""
    return message[:2] + (claimed_end - _HEADER.size).to_bytes(2) + message[4:end]


def _fingerprint(message: bytes) -> bytes:
    return (crc32(message) ^ _FINGERPRINT_MASK).to_bytes(4)


def _message(kind: int, transaction_id: bytes, attributes: dict[int, bytes], key: bytes) -> bytes:
    body = b"".join(
        _ATTRIBUTE.pack(name, len(value)) + value + bytes(-len(value) % 4) for name, value in attributes.items()
    )
    message = _HEADER.pack(kind, 0, _COOKIE, transaction_id) + body
    end = len(message) + 4 + _INTEGRITY_BYTES
    digest = hmac.digest(key, _up_to(message, len(message), end), "sha1")
    message += _ATTRIBUTE.pack(_MESSAGE_INTEGRITY, _INTEGRITY_BYTES) + digest
    message = _up_to(message, end, end + 4 + _FINGERPRINT_BYTES)
    return message + _ATTRIBUTE.pack(_FINGERPRINT, _FINGERPRINT_BYTES) + _fingerprint(message)


def _xor_address(address: tuple[str, int], transaction_id: bytes) -> bytes:
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    if ip.version == 6 and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    packed = ip.packed
    return struct.pack("!BBH", 0, _FAMILIES[len(packed)], address[1] ^ _COOKIE >> 16) + _xor(packed, transaction_id)


def _address(value: bytes, transaction_id: bytes) -> tuple[str, int] | None:
    if len(value) < 4 or _FAMILIES.get(len(value) - 4) != value[1]:
        return None
    port = int.from_bytes(value[2:4]) ^ _COOKIE >> 16
    return str(ipaddress.ip_address(_xor(value[4:], transaction_id))), port


def _xor(address: bytes, transaction_id: bytes) -> bytes:
    mask = _COOKIE.to_bytes(4) + transaction_id
    return bytes(byte ^ pad for byte, pad in zip(address, mask, strict=False))
