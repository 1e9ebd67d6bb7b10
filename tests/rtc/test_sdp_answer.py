import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.rtc.sdp import Codec, SdpError, parse_offer
from antiphon.rtc.sdp_answer import Candidate, Local, Negotiated, SendStream, negotiate
from tests.rtc.offers import AIORTC, FIREFOX, OFFERS, OTHER_FINGERPRINT, chromium

LOCAL = Local(
    session_id=(1 << 62) + 7,
    version=1,
    ufrag="Ours",
    pwd="a" * 24,
    fingerprint=OTHER_FINGERPRINT,
    candidates=(Candidate("192.0.2.1", 8001, "udp"), Candidate("2001:db8::1", 8001, "tcp")),
    ssrc=0xC0FFEE,
    max_message_size=262_144,
)
OPUS = Codec(111, "opus", 48_000)
PCMU = Codec(0, "PCMU", 8_000)
PCMA = Codec(8, "PCMA", 8_000)


def answered(offer: str, local: Local = LOCAL) -> Negotiated:
    return negotiate(parse_offer(offer), local)


def sections(answer: str) -> list[list[str]]:
    """The session's lines, then those of each section."""
    assert answer.endswith("\r\n")
    return [part.split("\r\n") for part in re.split(r"\r\n(?=m=)", answer.removesuffix("\r\n"))]


def test_a_browsers_offer_is_answered_in_full() -> None:
    transport = f"""a=ice-ufrag:Ours
a=ice-pwd:{"a" * 24}
a=fingerprint:sha-256 {OTHER_FINGERPRINT}
a=setup:passive
"""
    expected = f"""v=0
o=- 4611686018427387911 1 IN IP4 127.0.0.1
s=-
t=0 0
a=ice-lite
a=group:BUNDLE 0 1
a=msid-semantic: WMS realtime
m=audio 8001 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.1
a=mid:0
{transport}a=candidate:1 1 udp 2130706431 192.0.2.1 8001 typ host
a=candidate:2 1 tcp 1520434943 2001:db8::1 8001 typ host tcptype passive
a=end-of-candidates
a=sendrecv
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=msid:realtime voice
a=ssrc:12648430 cname:antiphon
m=application 8001 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.1
a=mid:1
{transport}a=sctp-port:5000
a=max-message-size:262144
"""
    negotiated = answered(chromium("sendrecv", "data"))
    assert negotiated.answer == expected.replace("\n", "\r\n")
    assert negotiated == Negotiated(
        negotiated.answer, {111: OPUS}, SendStream("0", OPUS, 0xC0FFEE), data=True, hears=True
    )


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_sections_are_answered_in_the_offers_order_with_its_mids(offer: str) -> None:
    offered, given_back = sections(offer.removesuffix("\r\n") + "\r\n")[1:], sections(answered(offer).answer)[1:]
    for ours, theirs in zip(given_back, offered, strict=True):
        assert ours[0].split()[0::2][:2] == theirs[0].split()[0::2][:2]
        assert [line for line in ours if line.startswith("a=mid")] == [
            line for line in theirs if line.startswith("a=mid")
        ]


@pytest.mark.parametrize(
    ("kinds", "directions", "voice", "hears"),
    [
        (["sendrecv"], ["sendrecv"], "0", True),
        (["recvonly"], ["sendonly"], "0", False),
        (["sendonly"], ["recvonly"], None, True),
        (["inactive", "data"], ["inactive"], None, False),
        (["data"], [], None, False),
        (["data", "sendrecv"], ["sendrecv"], "1", True),
        (["sendrecv", "sendrecv"], ["sendrecv", "recvonly"], "0", True),
        (["sendonly", "sendrecv", "recvonly"], ["recvonly", "sendrecv", "inactive"], "1", True),
        (["recvonly", "data", "sendrecv", "sendonly"], ["sendonly", "recvonly", "recvonly"], "0", True),
        (["inactive", "recvonly"], ["inactive", "sendonly"], "1", False),
    ],
)
def test_our_voice_goes_on_the_first_section_that_takes_it_and_later_ones_only_receive(
    kinds: list[str], directions: list[str], voice: str | None, hears: bool
) -> None:
    negotiated = answered(chromium(*kinds))
    ways = [line[2:] for line in negotiated.answer.split("\r\n") if line[2:] in ("sendrecv", "sendonly", "recvonly")]
    assert ways == [way for way in directions if way != "inactive"]
    assert negotiated.answer.count("a=inactive") == directions.count("inactive")
    assert (negotiated.send.mid if negotiated.send else None) == voice
    assert negotiated.answer.count("a=ssrc:") == negotiated.answer.count("a=msid:") == (voice is not None)
    assert negotiated.hears is hears
    assert negotiated.data is ("data" in kinds)


@pytest.mark.parametrize(
    ("offer", "receive", "send"),
    [
        pytest.param(chromium("sendrecv"), {111: OPUS}, OPUS, id="Opus alone where it is offered"),
        pytest.param(chromium("g711:sendrecv"), {0: PCMU, 8: PCMA}, PCMU, id="both kinds of G.711"),
        pytest.param(chromium("g711:sendrecv").replace("0 8 13", "8 13 0"), {0: PCMU, 8: PCMA}, PCMU, id="PCMU first"),
        pytest.param(chromium("g711:sendrecv").replace("0 8 13 126", "8 13"), {8: PCMA}, PCMA, id="PCMA alone"),
        pytest.param(FIREFOX, {109: replace(OPUS, payload_type=109)}, replace(OPUS, payload_type=109), id="Firefox"),
        pytest.param(AIORTC, {96: replace(OPUS, payload_type=96)}, replace(OPUS, payload_type=96), id="aiortc"),
        pytest.param(chromium("sendrecv", "g711:sendonly"), {111: OPUS, 0: PCMU, 8: PCMA}, OPUS, id="one each"),
        pytest.param(chromium("data"), {}, None, id="no audio"),
    ],
)
def test_opus_is_taken_else_g711(offer: str, receive: dict[int, Codec], send: Codec | None) -> None:
    negotiated = answered(offer)
    assert negotiated.receive == receive
    assert (negotiated.send.codec if negotiated.send else None) == send


def test_g711_is_answered_by_its_maps() -> None:
    answer = answered(chromium("g711:sendrecv")).answer
    assert "m=audio 8001 UDP/TLS/RTP/SAVPF 0 8\r\n" in answer
    assert "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n" in answer
    assert "a=fmtp" not in answer


def test_a_refused_section_keeps_its_place_with_port_0_and_stays_out_of_the_group() -> None:
    answer = answered(chromium("video", "sendrecv", "stopped", "data")).answer
    session, video, audio, stopped, data = sections(answer)
    assert video == ["m=video 0 UDP/TLS/RTP/SAVPF 96 97", "c=IN IP4 0.0.0.0", "a=mid:0", "a=inactive"]
    assert stopped[0] == "m=audio 0 UDP/TLS/RTP/SAVPF 111"
    assert "a=group:BUNDLE 1 3" in session
    assert any("a=candidate" in line for line in audio)
    assert not any("a=candidate" in line for line in data)


def test_candidates_stand_at_the_first_section_of_the_callers_group() -> None:
    session, audio, data = sections(answered(AIORTC.replace("BUNDLE 0 1", "BUNDLE 1 0")).answer)
    assert "a=group:BUNDLE 1 0" in session
    assert not any("a=candidate" in line for line in audio)
    assert any("a=candidate" in line for line in data)


def test_an_offer_without_group_or_mid_is_answered_without() -> None:
    bare = chromium("sendrecv").replace("a=group:BUNDLE 0\r\n", "").replace("a=mid:0\r\n", "")
    negotiated = answered(bare)
    assert "BUNDLE" not in negotiated.answer
    assert "a=mid" not in negotiated.answer
    assert negotiated.send == SendStream("", OPUS, 0xC0FFEE)


def test_reduced_size_reports_are_answered_only_where_offered() -> None:
    assert "a=rtcp-rsize" not in answered(FIREFOX).answer


@pytest.mark.parametrize(
    ("candidates", "head"),
    [
        pytest.param((), "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n", id="none"),
        pytest.param(
            (Candidate("192.0.2.1", 8001, "tcp"),),
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n",
            id="TCP alone",
        ),
        pytest.param(
            (Candidate("2001:db8::1", 8001, "udp"),),
            "m=audio 8001 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP6 2001:db8::1\r\n",
            id="IPv6",
        ),
    ],
)
def test_the_default_address_is_that_of_the_first_udp_candidate(candidates: tuple[Candidate, ...], head: str) -> None:
    assert head in answered(chromium("sendrecv"), replace(LOCAL, candidates=candidates)).answer


def test_candidates_are_preferred_in_their_order_and_udp_before_tcp() -> None:
    addresses = [f"192.0.2.{last}" for last in range(1, 5)]
    candidates = tuple(Candidate(address, 1, protocol) for address in addresses for protocol in ("tcp", "udp"))
    lines = re.findall(
        r"a=candidate:(\S+) 1 (\S+) (\d+) (\S+)",
        answered(chromium("data"), replace(LOCAL, candidates=candidates)).answer,
    )
    by_priority = sorted(lines, key=lambda line: -int(line[2]))
    assert [(line[1], line[3]) for line in by_priority] == [
        (protocol, address) for protocol in ("udp", "tcp") for address in addresses
    ]
    assert len({line[0] for line in lines}) == len({line[2] for line in lines}) == 8


def test_a_second_answer_has_the_same_session_and_the_next_version() -> None:
    again = answered(chromium("sendrecv", "data"), replace(LOCAL, version=2)).answer
    assert again == answered(chromium("sendrecv", "data")).answer.replace("11 1 IN", "11 2 IN")


lines = st.sampled_from(sorted({line for offer in OFFERS.values() for line in offer.split("\r\n")}))


@given(
    kinds=st.lists(st.sampled_from(["sendrecv", "recvonly", "sendonly", "g711:sendrecv", "data", "video", "stopped"])),
    mixed=st.lists(st.tuples(st.integers(0, 100), st.one_of(lines, st.text(max_size=12))), max_size=5),
)
def test_whatever_is_read_is_answered_section_by_section(kinds: list[str], mixed: list[tuple[int, str]]) -> None:
    offered = chromium(*kinds).split("\r\n")
    for place, line in mixed:
        offered.insert(place + 1, line)
    try:
        offer = parse_offer("\r\n".join(offered))
    except SdpError:
        return
    negotiated = negotiate(offer, LOCAL)
    parts = sections(negotiated.answer)
    assert len(parts) == len(offer.sections) + 1
    assert all(re.fullmatch(r"[a-z]=[ -~]+", line) for part in parts for line in part)
    assert [part[0].split()[1] != "0" for part in parts[1:]] == [section.accepted for section in offer.sections]
