"""A caller's SDP offer, read (RFC 8866, JSEP RFC 8829, BUNDLE RFC 8843). Pure.

Candidates are passed over: the endpoint is ICE-lite and learns addresses from connectivity checks alone. All accepted
sections share one transport; its ICE name and certificate are those of the first of them (BUNDLE's tagged section).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["MAX_OFFER_BYTES", "Codec", "CodecName", "Direction", "Offer", "SdpError", "Section", "parse_offer"]

MAX_OFFER_BYTES: Final = 262_144
_MAX_LINES: Final = 16_384
_MAX_SECTIONS: Final = 128
_MAX_FORMATS: Final = 256
_MAX_FINGERPRINTS: Final = 8
_MAX_ECHOED: Final = 256
"""Characters of a word that the answer repeats."""
_DEFAULT_SCTP_PORT: Final = 5000
_DEFAULT_MAX_MESSAGE_BYTES: Final = 65_536

CodecName = Literal["opus", "PCMU", "PCMA"]
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

_CODECS: Final[dict[str, tuple[CodecName, int]]] = {
    "opus/48000/2": ("opus", 48_000),
    "pcmu/8000": ("PCMU", 8_000),
    "pcmu/8000/1": ("PCMU", 8_000),
    "pcma/8000": ("PCMA", 8_000),
    "pcma/8000/1": ("PCMA", 8_000),
}
_STATIC_MAPS: Final = {"0": "pcmu/8000", "8": "pcma/8000"}
_DIRECTIONS: Final[dict[str, Direction]] = {
    "sendrecv": "sendrecv",
    "sendonly": "sendonly",
    "recvonly": "recvonly",
    "inactive": "inactive",
}
_AUDIO_PROTOCOLS: Final = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF"})
_DATA_PROTOCOLS: Final = frozenset({"UDP/DTLS/SCTP", "TCP/DTLS/SCTP"})
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_MEDIA: Final = re.compile(r"([!-~]+) ([0-9]{1,5})(?:/[0-9]{1,5})? ([!-~]+) ([!-~][ -~]*)")
_WORD: Final = re.compile(r"[!-~]+")
_ICE_NAME: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_FINGERPRINT: Final = re.compile(r"sha-256\s+([0-9a-f]{2}(?::[0-9a-f]{2}){31})", re.IGNORECASE)
_NO_SECTIONS: Final = (
    "the offer has no media section: create the data channel and an audio transceiver "
    "(or add a microphone track) before calling createOffer"
)


class SdpError(ValueError):
    """This offer cannot be answered; the text is for the caller and says what to mend."""


@dataclass(frozen=True, slots=True)
class Codec:
    payload_type: int
    name: CodecName
    clock_hz: int


@dataclass(frozen=True, slots=True)
class Section:
    """An m-line and what follows it."""

    kind: str
    """``audio``, ``application``, ``video``, ..."""
    protocol: str
    formats: tuple[str, ...]
    mid: str
    """Empty where the offer names none."""
    accepted: bool
    """It can be answered: an audio section with a codec we know, or the data channel's."""
    direction: Direction = "inactive"
    """As the caller sees it."""
    codecs: tuple[Codec, ...] = ()
    """Those we know, in the offer's order."""
    reduced_size: bool = False
    """RTCP of reduced size is understood."""


@dataclass(frozen=True, slots=True)
class Offer:
    ufrag: str
    """The caller's ICE name; another one than before asks for an ICE restart."""
    fingerprints: tuple[str, ...]
    """SHA-256 of the caller's certificates, upper-case hex with colons; at least one."""
    sections: tuple[Section, ...]
    """All, in order; at least one is accepted."""
    bundle: tuple[str, ...]
    """The mids of the accepted sections in the order of the caller's BUNDLE group; empty where it has none."""
    sctp_port: int | None
    """Where a data channel is accepted."""
    max_message_size: int
    """Bytes of a message that the caller says it takes; 0: any."""


def parse_offer(text: str) -> Offer:
    """Read an offer, bounded in size, lines and sections; line ends are CRLF, LF or CR, unknown lines are passed over.

    Raises ``SdpError`` if it is none, or holds nothing that can be answered.
    """
    blocks = _blocks(text)
    session = blocks[0]
    if len(blocks) == 1:
        raise SdpError(_NO_SECTIONS)
    if session.has("ice-lite"):
        raise SdpError("the offer says a=ice-lite, and so does this endpoint: one side must send connectivity checks")
    drafts = [_draft(block, session) for block in blocks[1:]]
    group = _group(session)
    accepted = _accepted(drafts, group)
    _check_payload_types([drafts[at] for at in accepted])
    first, data = drafts[accepted[0]], next((drafts[at] for at in accepted if drafts[at].sctp_port is not None), None)
    _check_setup(first.block, session)
    return Offer(
        ufrag=_ufrag(first.block, session),
        fingerprints=_fingerprints(first.block, session),
        sections=tuple(draft.section(at in accepted) for at, draft in enumerate(drafts)),
        bundle=() if group is None else tuple(drafts[at].mid for at in accepted),
        sctp_port=data.sctp_port if data else None,
        max_message_size=data.max_message_size if data else _DEFAULT_MAX_MESSAGE_BYTES,
    )


class _Block:
    """The lines of the session, or of one section: attributes by name; of several of one name all, in order."""

    def __init__(self, first: str) -> None:
        self.first = first
        self._attributes: dict[str, list[str]] = {}

    def add(self, line: str) -> None:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            self._attributes.setdefault(name.strip(), []).append(value.strip())

    def has(self, name: str) -> bool:
        return name in self._attributes

    def get(self, name: str) -> str | None:
        values = self._attributes.get(name)
        return values[0] if values else None

    def all(self, name: str) -> Sequence[str]:
        return self._attributes.get(name, ())

    def direction(self) -> Direction | None:
        return next((_DIRECTIONS[name] for name in self._attributes if name in _DIRECTIONS), None)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A section before it is known which others share its transport."""

    block: _Block
    kind: str
    protocol: str
    formats: tuple[str, ...]
    mid: str
    usable: bool
    direction: Direction
    codecs: tuple[Codec, ...]
    sctp_port: int | None
    max_message_size: int

    def section(self, accepted: bool) -> Section:
        if not accepted:
            return Section(self.kind, self.protocol, self.formats, self.mid, accepted=False)
        return Section(
            self.kind,
            self.protocol,
            self.formats,
            self.mid,
            accepted=True,
            direction=self.direction,
            codecs=self.codecs,
            reduced_size=self.block.has("rtcp-rsize"),
        )


def _blocks(text: str) -> list[_Block]:
    """The session's lines first, then those of each section."""
    if len(text) > MAX_OFFER_BYTES:
        raise SdpError(f"the offer is larger than {MAX_OFFER_BYTES} bytes")
    lines = _LINE_END.split(text.strip())
    if lines[0].strip() != "v=0":
        raise SdpError("this is no SDP offer: its first line must be v=0 (send the text of offer.sdp as it is)")
    if len(lines) > _MAX_LINES:
        raise SdpError(f"the offer has more than {_MAX_LINES} lines")
    blocks = [_Block(lines[0])]
    for line in lines[1:]:
        if not line.startswith("m="):
            blocks[-1].add(line)
        elif len(blocks) > _MAX_SECTIONS:
            raise SdpError(f"the offer has more than {_MAX_SECTIONS} media sections: make a new connection")
        else:
            blocks.append(_Block(line[2:].strip()))
    return blocks


def _draft(block: _Block, session: _Block) -> _Draft:
    line = _MEDIA.fullmatch(block.first)
    if line is None:
        raise SdpError(f"the offer has a broken media line: m={block.first[:40]!r}")
    kind, port, protocol = line[1], int(line[2]), line[3]
    formats = tuple(line[4].split())
    if max(len(kind), len(protocol), *map(len, formats)) > _MAX_ECHOED or len(formats) > _MAX_FORMATS:
        raise SdpError(f"the offer has a media line that is too long: m={block.first[:40]!r}")
    codecs = tuple(_codecs(block, formats)) if kind == "audio" and protocol in _AUDIO_PROTOCOLS else ()
    data = kind == "application" and protocol in _DATA_PROTOCOLS and formats == ("webrtc-datachannel",)
    if codecs and port and not block.has("rtcp-mux"):
        raise SdpError("the offer's audio section lacks a=rtcp-mux: media and reports share one port here")
    return _Draft(
        block=block,
        kind=kind,
        protocol=protocol,
        formats=formats,
        mid=_mid(block),
        usable=bool(codecs or data) and (port > 0 or block.has("bundle-only")),
        direction=block.direction() or session.direction() or "sendrecv",
        codecs=codecs,
        sctp_port=_number(block.get("sctp-port"), _DEFAULT_SCTP_PORT, 1, 65_535, "a=sctp-port") if data else None,
        max_message_size=_number(
            block.get("max-message-size"), _DEFAULT_MAX_MESSAGE_BYTES, 0, (1 << 64) - 1, "a=max-message-size"
        ),
    )


def _codecs(block: _Block, formats: Sequence[str]) -> Iterator[Codec]:
    maps = dict(_STATIC_MAPS)
    for value in block.all("rtpmap"):
        number, _, encoding = value.partition(" ")
        maps[number] = encoding.strip().lower()
    for number in dict.fromkeys(formats):
        known = _CODECS.get(maps.get(number, ""))
        if known and number.isascii() and number.isdigit() and int(number) < 128:
            yield Codec(int(number), *known)


def _mid(block: _Block) -> str:
    mid = block.get("mid") or ""
    if mid and (not _WORD.fullmatch(mid) or len(mid) > _MAX_ECHOED):
        raise SdpError(f"the offer has a broken a=mid: {mid[:40]!r}")
    return mid


def _group(session: _Block) -> list[str] | None:
    groups = (value.split() for value in session.all("group"))
    return next((words[1:] for words in groups if words[:1] == ["BUNDLE"]), None)


def _accepted(drafts: Sequence[_Draft], group: Sequence[str] | None) -> list[int]:
    """The places of the sections that share one transport, the tagged one first; only one without a group."""
    mids = [draft.mid for draft in drafts if draft.mid]
    if len(set(mids)) < len(mids):
        raise SdpError("the offer has two sections with one a=mid")
    usable = [at for at, draft in enumerate(drafts) if draft.usable]
    if group is None:
        usable = usable[:1]
    else:
        place = {mid: order for order, mid in reversed(list(enumerate(group)))}
        usable = sorted((at for at in usable if drafts[at].mid in place), key=lambda at: place[drafts[at].mid])
    channels = [at for at in usable if drafts[at].sctp_port is not None]
    accepted = [at for at in usable if at not in channels[1:]]
    if not accepted:
        raise SdpError(
            "the offer has nothing that can be answered: it needs a data channel or an audio section "
            "with opus, PCMU or PCMA, in its BUNDLE group"
        )
    return accepted


def _check_payload_types(drafts: Sequence[_Draft]) -> None:
    meanings: dict[int, Codec] = {}
    for codec in (codec for draft in drafts for codec in draft.codecs):
        if meanings.setdefault(codec.payload_type, codec) != codec:
            raise SdpError(f"payload type {codec.payload_type} means two codecs in the offer's BUNDLE group")


def _ufrag(block: _Block, session: _Block) -> str:
    ufrag = block.get("ice-ufrag") or session.get("ice-ufrag")
    if ufrag is None:
        raise SdpError("the offer lacks a=ice-ufrag")
    if not _ICE_NAME.fullmatch(ufrag):
        raise SdpError("the offer has a broken a=ice-ufrag: 4 to 256 letters, digits, + and /")
    return ufrag


def _fingerprints(block: _Block, session: _Block) -> tuple[str, ...]:
    values = block.all("fingerprint") or session.all("fingerprint")
    found = dict.fromkeys(match[1].upper() for value in values if (match := _FINGERPRINT.fullmatch(value)))
    if not found:
        raise SdpError("the offer lacks an a=fingerprint by sha-256: no other is taken")
    if len(found) > _MAX_FINGERPRINTS:
        raise SdpError(f"the offer has more than {_MAX_FINGERPRINTS} fingerprints")
    return tuple(found)


def _check_setup(block: _Block, session: _Block) -> None:
    setup = block.get("setup") or session.get("setup") or "actpass"
    if setup not in ("actpass", "active"):
        raise SdpError(f"the offer says a=setup:{setup[:20]!r}: it must be actpass or active")


def _number(value: str | None, default: int, least: int, most: int, name: str) -> int:
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 20 and least <= int(value) <= most):
        raise SdpError(f"the offer has a broken {name}: {value[:40]!r}")
    return int(value)
