"""The offers of ``tests.support.rtc_caller``, and what it needs to know of the answers."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from antiphon.rtc.sdp import Codec, CodecName, Direction

__all__ = ["CODECS", "Answer", "Callee", "Plan", "new_credentials", "read_answer", "write_offer"]

CODECS: dict[CodecName, Codec] = {
    "opus": Codec(111, "opus", 48_000),
    "PCMU": Codec(0, "PCMU", 8_000),
    "PCMA": Codec(8, "PCMA", 8_000),
}
_MAPS = {"opus": "opus/48000/2", "PCMU": "PCMU/8000", "PCMA": "PCMA/8000"}


def new_credentials() -> tuple[str, str]:
    """ufrag and password."""
    return secrets.token_hex(4), secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a caller offers."""

    audio: Sequence[Direction] = ("sendrecv",)
    """One section for each."""
    data: bool = True
    codecs: Sequence[CodecName] = ("opus", "PCMU", "PCMA")
    credentials: tuple[str, str] = field(default_factory=new_credentials)
    version: int = 1

    def next(self, audio: Sequence[Direction] | None, restart_ice: bool) -> "Plan":
        return replace(
            self,
            audio=self.audio if audio is None else audio,
            credentials=new_credentials() if restart_ice else self.credentials,
            version=self.version + 1,
        )


@dataclass(frozen=True, slots=True)
class Callee:
    """Where a candidate of the answer listens."""

    protocol: Literal["udp", "tcp"]
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Answer:
    ufrag: str
    pwd: str
    fingerprint: str
    active: bool
    """The callee begins the DTLS handshake."""
    callees: tuple[Callee, ...]
    """In the answer's order."""
    codec: Codec | None
    """The first of the first audio section that is accepted."""
    directions: tuple[str, ...]
    """Of the audio sections, as the callee sees them."""
    data: bool


def write_offer(plan: Plan, fingerprint: str, ssrc: int) -> str:
    """The data channel first, as most pages create it."""
    kinds: list[Direction | None] = [*([None] if plan.data else []), *plan.audio]
    mids = " ".join(str(mid) for mid in range(len(kinds)))
    lines = ["v=0", f"o=- {ssrc} {plan.version} IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mids}"]
    for mid, direction in enumerate(kinds):
        transport = [
            "c=IN IP4 0.0.0.0",
            f"a=ice-ufrag:{plan.credentials[0]}",
            f"a=ice-pwd:{plan.credentials[1]}",
            f"a=fingerprint:sha-256 {fingerprint}",
            "a=setup:actpass",
            f"a=mid:{mid}",
        ]
        lines += _data(transport) if direction is None else _audio(plan, transport, direction)
    return "\r\n".join(lines) + "\r\n"


def _data(transport: list[str]) -> list[str]:
    head = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
    return [head, *transport, "a=sctp-port:5000", "a=max-message-size:262144"]


def _audio(plan: Plan, transport: list[str], direction: Direction) -> list[str]:
    codecs = [CODECS[name] for name in plan.codecs]
    head = "m=audio 9 UDP/TLS/RTP/SAVPF " + " ".join(str(codec.payload_type) for codec in codecs)
    maps = [f"a=rtpmap:{codec.payload_type} {_MAPS[codec.name]}" for codec in codecs]
    return [head, *transport, f"a={direction}", "a=rtcp-mux", "a=rtcp-rsize", *maps]


def read_answer(text: str) -> Answer:
    """AssertionError if the answer lacks what every answer has."""
    sections = [section for section in re.split(r"\r\n(?=m=)", text)[1:] if not re.match(r"m=\S+ 0 ", section)]
    audio = [section for section in sections if section.startswith("m=audio")]
    directions = re.findall(r"^a=(sendrecv|sendonly|recvonly|inactive)\r$", "\n".join(audio) + "\r\n", re.MULTILINE)
    callees = re.findall(r"^a=candidate:\S+ 1 (udp|tcp) \d+ (\S+) (\d+) typ host", text, re.MULTILINE)
    return Answer(
        ufrag=_attribute(text, "ice-ufrag"),
        pwd=_attribute(text, "ice-pwd"),
        fingerprint=_attribute(text, "fingerprint").removeprefix("sha-256 "),
        active=_attribute(text, "setup") == "active",
        callees=tuple(
            Callee("udp" if protocol == "udp" else "tcp", address, int(port)) for protocol, address, port in callees
        ),
        codec=_codec(audio[0]) if audio else None,
        directions=tuple(directions),
        data=any(section.startswith("m=application") for section in sections),
    )


def _attribute(text: str, name: str) -> str:
    found = re.search(rf"^a={name}:([^\r\n]+)", text, re.MULTILINE)
    assert found, f"the answer lacks a={name}:\n{text}"
    return found[1]


def _codec(section: str) -> Codec:
    payload_type = int(section.split()[3])
    return next(codec for codec in CODECS.values() if codec.payload_type == payload_type)
