"""The answer to a caller's offer: which media both sides take, and the SDP that says so. Pure."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from antiphon.rtc.sdp import Codec, CodecName, Direction, Offer, Section

__all__ = ["Candidate", "Local", "Negotiated", "SendStream", "negotiate"]

_STREAM: Final = "realtime"
_TRACK: Final = "voice"
_DISCARD_PORT: Final = 9
_MIRRORED: Final[dict[Direction, Direction]] = {  # by the caller's direction
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_SILENCED: Final[dict[Direction, Direction]] = {  # the same without our voice
    "sendrecv": "recvonly",
    "sendonly": "recvonly",
    "recvonly": "inactive",
    "inactive": "inactive",
}
_G711: Final[tuple[CodecName, ...]] = ("PCMU", "PCMA")
_RTPMAPS: Final = {"opus": "opus/48000/2", "PCMU": "PCMU/8000", "PCMA": "PCMA/8000"}
_UDP_PREFERENCE: Final = 126
_TCP_PREFERENCE: Final = 90
_PASSIVE_PREFERENCE: Final = 4 << 13
"""RFC 6544, section 4.2: direction preference of a passive host candidate."""


@dataclass(frozen=True, slots=True)
class Candidate:
    address: str
    """IP literal."""
    port: int
    protocol: Literal["udp", "tcp"]
    """``tcp``: passive, the caller connects (RFC 6544)."""


@dataclass(frozen=True, slots=True)
class Local:
    """What this side of a call is known by."""

    session_id: int
    """Below 2**63, the same for all answers of a call."""
    version: int
    """One more with each answer."""
    ufrag: str
    pwd: str
    fingerprint: str
    """SHA-256 of our certificate, upper-case hex with colons."""
    candidates: tuple[Candidate, ...]
    """The best first."""
    ssrc: int
    max_message_size: int
    cname: str = "antiphon"
    """The name of the sender in RTCP."""


@dataclass(frozen=True, slots=True)
class SendStream:
    """Where our voice goes."""

    mid: str
    codec: Codec
    ssrc: int


@dataclass(frozen=True, slots=True)
class Negotiated:
    answer: str
    receive: Mapping[int, Codec]
    """What the caller may send, by payload type."""
    send: SendStream | None
    """None: the caller takes no audio."""
    data: bool
    hears: bool
    """Whether any section lets the caller send audio."""


def negotiate(offer: Offer, local: Local) -> Negotiated:
    """Answer an offer. Of the codecs Opus is taken, else PCMU and PCMA.

    Our voice goes on the first section whose caller takes audio, and stays there; later ones only receive.
    """
    receive: dict[int, Codec] = {}
    send: SendStream | None = None
    hears = False
    lines = _session_lines(offer, local)
    for section in offer.sections:
        if not section.accepted:
            lines += _refused(section)
            continue
        codecs = _chosen(section.codecs)
        lines += _head(section, codecs, local) + _transport(section, offer, local)
        if not codecs:
            lines += ["a=sctp-port:5000", f"a=max-message-size:{local.max_message_size}"]
            continue
        receive |= {codec.payload_type: codec for codec in codecs}
        direction = _MIRRORED[section.direction] if send is None else _SILENCED[section.direction]
        hears = hears or direction in ("sendrecv", "recvonly")
        lines += _audio_lines(section, codecs, direction)
        if direction in ("sendrecv", "sendonly"):
            send = SendStream(section.mid, codecs[0], local.ssrc)
            lines += _voice_lines(local)
    return Negotiated(
        answer="\r\n".join(lines) + "\r\n",
        receive=receive,
        send=send,
        data=offer.sctp_port is not None,
        hears=hears,
    )


def _chosen(codecs: Sequence[Codec]) -> tuple[Codec, ...]:
    """Those to speak, the one to be sent first."""
    first = {codec.name: codec for codec in reversed(codecs)}
    if "opus" in first:
        return (first["opus"],)
    return tuple(first[name] for name in _G711 if name in first)


def _session_lines(offer: Offer, local: Local) -> list[str]:
    lines = ["v=0", f"o=- {local.session_id} {local.version} IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite"]
    if offer.bundle:
        lines.append(" ".join(["a=group:BUNDLE", *offer.bundle]))
    return [*lines, f"a=msid-semantic: WMS {_STREAM}"]


def _refused(section: Section) -> list[str]:
    lines = [f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}", "c=IN IP4 0.0.0.0"]
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    return [*lines, "a=inactive"]


def _head(section: Section, codecs: tuple[Codec, ...], local: Local) -> list[str]:
    formats = " ".join(str(codec.payload_type) for codec in codecs) or " ".join(section.formats)
    default = next((candidate for candidate in local.candidates if candidate.protocol == "udp"), None)
    port, address = (default.port, _connection(default.address)) if default else (_DISCARD_PORT, "IP4 0.0.0.0")
    lines = [f"m={section.kind} {port} {section.protocol} {formats}", f"c=IN {address}"]
    return [*lines, f"a=mid:{section.mid}"] if section.mid else lines


def _connection(address: str) -> str:
    return f"IP{ipaddress.ip_address(address).version} {address}"


def _transport(section: Section, offer: Offer, local: Local) -> list[str]:
    """The transport of all; its candidates stand at the tagged section alone."""
    lines = [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.pwd}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        "a=setup:passive",
    ]
    return lines if offer.bundle and section.mid != offer.bundle[0] else lines + _candidate_lines(local)


def _candidate_lines(local: Local) -> list[str]:
    lines = []
    for order, candidate in enumerate(local.candidates):
        head = f"a=candidate:{order + 1} 1 {candidate.protocol}"
        where = f"{candidate.address} {candidate.port} typ host"
        if candidate.protocol == "udp":
            lines.append(f"{head} {_priority(_UDP_PREFERENCE, 65_535 - order)} {where}")
        else:
            preference = _PASSIVE_PREFERENCE + 8_191 - order
            lines.append(f"{head} {_priority(_TCP_PREFERENCE, preference)} {where} tcptype passive")
    return [*lines, "a=end-of-candidates"]


def _priority(kind: int, local: int) -> int:
    return kind << 24 | local << 8 | 255


def _audio_lines(section: Section, codecs: tuple[Codec, ...], direction: Direction) -> list[str]:
    lines = [f"a={direction}", "a=rtcp-mux"]
    if section.reduced_size:
        lines.append("a=rtcp-rsize")
    for codec in codecs:
        lines.append(f"a=rtpmap:{codec.payload_type} {_RTPMAPS[codec.name]}")
        if codec.name == "opus":
            lines.append(f"a=fmtp:{codec.payload_type} minptime=10;useinbandfec=1")
    return lines


def _voice_lines(local: Local) -> list[str]:
    return [f"a=msid:{_STREAM} {_TRACK}", f"a=ssrc:{local.ssrc} cname:{local.cname}"]
