import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.rtc.sdp import MAX_OFFER_BYTES, Codec, Offer, SdpError, parse_offer
from tests.rtc.offers import AIORTC, FINGERPRINT, FIREFOX, OFFERS, OTHER_FINGERPRINT, chromium

CHROMIUM = chromium("sendrecv", "data")
OPUS = Codec(111, "opus", 48_000)
FINGERPRINT_LINE = f"a=fingerprint:sha-256 {FINGERPRINT}"


def refusal(text: str) -> str:
    with pytest.raises(SdpError) as refused:
        parse_offer(text)
    return str(refused.value)


def accepted_mids(offer: Offer) -> list[str]:
    return [section.mid for section in offer.sections if section.accepted]


def test_a_browsers_offer_is_read() -> None:
    offer = parse_offer(CHROMIUM)
    assert (offer.ufrag, offer.fingerprints, offer.bundle) == ("qOI9", (FINGERPRINT,), ("0", "1"))
    assert (offer.sctp_port, offer.max_message_size) == (5000, 262_144)
    audio, data = offer.sections
    assert (audio.kind, audio.mid, audio.direction, audio.reduced_size) == ("audio", "0", "sendrecv", True)
    assert audio.codecs == (OPUS, Codec(0, "PCMU", 8_000), Codec(8, "PCMA", 8_000))
    assert (data.kind, data.mid, data.formats) == ("application", "1", ("webrtc-datachannel",))


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_offers_of_known_callers_are_read(offer: str) -> None:
    assert parse_offer(offer).fingerprints == (FINGERPRINT,)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("end", ["\n", "\r"], ids=["LF", "CR"])
def test_the_kind_of_line_ends_makes_no_difference(offer: str, end: str) -> None:
    assert parse_offer(offer.replace("\r\n", end)) == parse_offer(offer)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_unknown_lines_and_candidates_make_no_difference(offer: str) -> None:
    strange = offer.replace("\r\nt=0 0\r\n", "\r\nt=0 0\r\nx=1\r\na\r\na=\r\n\r\na=candidate:nonsense\r\nb=AS:50\r\n")
    assert strange != offer
    assert parse_offer(strange) == parse_offer(offer)


def test_what_stands_at_the_session_holds_for_its_sections() -> None:
    moved = FIREFOX.replace("a=ice-ufrag:5c8a1f3e\r\n", "").replace("t=0 0\r\n", "t=0 0\r\na=ice-ufrag:5c8a1f3e\r\n")
    assert parse_offer(moved).ufrag == "5c8a1f3e"


def test_name_and_certificate_are_those_of_the_first_section_of_the_group() -> None:
    offer = parse_offer(AIORTC)
    assert (offer.ufrag, offer.fingerprints) == ("RS1w", (FINGERPRINT,))
    other_way = parse_offer(AIORTC.replace("BUNDLE 0 1", "BUNDLE 1 0"))
    assert (other_way.ufrag, other_way.fingerprints) == ("xxxx", (OTHER_FINGERPRINT,))
    assert other_way.bundle == ("1", "0")


def test_a_refused_section_gives_neither_name_nor_certificate() -> None:
    offer = chromium("video", "sendrecv").replace("a=ice-ufrag:qOI9", "a=ice-ufrag:video", 1)
    assert parse_offer(offer).ufrag == "qOI9"


@pytest.mark.parametrize(
    ("offer", "accepted"),
    [
        pytest.param(chromium("video", "sendrecv", "data"), ["1", "2"], id="video"),
        pytest.param(chromium("stopped", "recvonly"), ["1"], id="stopped section"),
        pytest.param(chromium("data", "data"), ["0"], id="second data channel"),
        pytest.param(CHROMIUM.replace("a=group:BUNDLE 0 1\r\n", ""), ["0"], id="no group"),
        pytest.param(CHROMIUM.replace("BUNDLE 0 1", "BUNDLE 1"), ["1"], id="outside the group"),
        pytest.param(CHROMIUM.replace("BUNDLE 0 1", "LS 0 1"), ["0"], id="another kind of group"),
        pytest.param(CHROMIUM.replace("RTP/SAVPF", "RTP/FAST"), ["1"], id="unknown protocol"),
        pytest.param(CHROMIUM.replace("webrtc-datachannel", "t38"), ["0"], id="not a data channel"),
        pytest.param(chromium("g711:sendrecv").replace("0 8 13 126", "0"), ["0"], id="static payload type"),
        pytest.param(
            chromium("data", "sendrecv")
            .replace("m=audio 9", "m=audio 0")
            .replace("a=mid:1", "a=mid:1\r\na=bundle-only"),
            ["0", "1"],
            id="bundle-only",
        ),
    ],
)
def test_only_what_can_share_one_transport_is_accepted(offer: str, accepted: list[str]) -> None:
    assert accepted_mids(parse_offer(offer)) == accepted


def test_codecs_are_found_by_their_maps_in_any_case() -> None:
    offer = chromium("sendrecv").replace("111 opus/48000/2", "111 OPUS/48000/2").replace("0 PCMU/8000", "0 pcmu/8000/1")
    assert [codec.name for codec in parse_offer(offer).sections[0].codecs] == ["opus", "PCMU", "PCMA"]


def test_a_map_overrides_the_static_meaning_of_a_payload_type() -> None:
    offer = chromium("sendrecv").replace("a=rtpmap:0 PCMU/8000", "a=rtpmap:0 G722/8000")
    assert [codec.payload_type for codec in parse_offer(offer).sections[0].codecs] == [111, 8]


@pytest.mark.parametrize(
    ("line", "direction"),
    [("a=recvonly", "recvonly"), ("a=sendonly", "sendonly"), ("a=inactive", "inactive"), ("a=x", "sendrecv")],
)
def test_an_audio_section_without_direction_sends_and_receives(line: str, direction: str) -> None:
    assert parse_offer(CHROMIUM.replace("a=sendrecv", line)).sections[0].direction == direction


def test_a_message_size_that_is_not_told_is_64_kibibytes() -> None:
    assert parse_offer(CHROMIUM.replace("a=max-message-size:262144\r\n", "")).max_message_size == 65_536
    assert parse_offer(CHROMIUM.replace("size:262144", "size:0")).max_message_size == 0


def test_without_a_data_channel_there_is_no_sctp_port() -> None:
    assert parse_offer(chromium("sendrecv")).sctp_port is None


def test_an_offer_without_sections_is_told_how_to_mend_it() -> None:
    told = refusal(chromium())
    assert "data channel" in told
    assert "audio transceiver" in told
    assert "before calling createOffer" in told


@pytest.mark.parametrize(
    ("offer", "told"),
    [
        pytest.param("", "v=0", id="empty"),
        pytest.param('{"sdp": "v=0"}', "v=0", id="JSON"),
        pytest.param(CHROMIUM + " " * MAX_OFFER_BYTES + "x", "262144 bytes", id="too large"),
        pytest.param("v=0" + "\n" * 20_000 + "x", "16384 lines", id="too many lines"),
        pytest.param(CHROMIUM + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 200, "128 media sections", id="many sections"),
        pytest.param(CHROMIUM.replace("m=audio 9", "m=audio nine"), "broken media line", id="port"),
        pytest.param(
            chromium("sendrecv").replace("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9"), "nothing", id="no protocol"
        ),
        pytest.param(CHROMIUM.replace("m=audio", "m=" + "a" * 300), "too long", id="long kind"),
        pytest.param(CHROMIUM.replace("111 63", "1 " * 300), "too long", id="many formats"),
        pytest.param(CHROMIUM.replace("a=mid:1", "a=mid:0"), "one a=mid", id="mid twice"),
        pytest.param(CHROMIUM.replace("a=mid:1", "a=mid:1 2"), "broken a=mid", id="mid of two words"),
        pytest.param(CHROMIUM.replace("a=ice-ufrag:qOI9\r\n", ""), "lacks a=ice-ufrag", id="no ufrag"),
        pytest.param(CHROMIUM.replace("qOI9", "q:I9"), "broken a=ice-ufrag", id="ufrag with a colon"),
        pytest.param(CHROMIUM.replace(FINGERPRINT_LINE, ""), "sha-256", id="no fingerprint"),
        pytest.param(CHROMIUM.replace("sha-256", "sha-1"), "sha-256", id="another digest"),
        pytest.param(CHROMIUM.replace(":0F\r", "\r"), "sha-256", id="short digest"),
        pytest.param(
            CHROMIUM.replace(
                FINGERPRINT_LINE,
                "\r\n".join(f"a=fingerprint:sha-256 {FINGERPRINT[:-2]}{place:02X}" for place in range(9)),
            ),
            "more than 8",
            id="many fingerprints",
        ),
        pytest.param(CHROMIUM.replace("actpass", "passive"), "must be actpass or active", id="wants to be passive"),
        pytest.param(CHROMIUM.replace("t=0 0", "t=0 0\r\na=ice-lite"), "ice-lite", id="ice-lite"),
        pytest.param(CHROMIUM.replace("a=rtcp-mux\r\n", ""), "rtcp-mux", id="no rtcp-mux"),
        pytest.param(CHROMIUM.replace("sctp-port:5000", "sctp-port:70000"), "sctp-port", id="SCTP port"),
        pytest.param(CHROMIUM.replace("size:262144", "size:-1"), "max-message-size", id="message size"),
        pytest.param(chromium("video"), "nothing that can be answered", id="only video"),
        pytest.param(chromium("stopped"), "nothing that can be answered", id="only stopped"),
        pytest.param(
            chromium("sendrecv", "g711:sendrecv").replace("a=rtpmap:8 PCMA/8000", "a=rtpmap:8 PCMU/8000", 1),
            "payload type 8",
            id="payload type of two meanings",
        ),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused_with_the_reason(offer: str, told: str) -> None:
    assert told in refusal(offer)


def test_reasons_do_not_repeat_much_of_the_offer() -> None:
    assert len(refusal(CHROMIUM.replace("actpass", "x" * 100_000))) < 300
    assert len(refusal(CHROMIUM.replace("m=audio 9", "m=" + "?" * 100_000))) < 300


def read_or_refused(text: str) -> Offer | str:
    try:
        return parse_offer(text)
    except SdpError as error:
        return str(error)


@given(st.text(max_size=300))
def test_any_text_is_an_offer_or_refused(text: str) -> None:
    for offer in (text, f"v=0\r\n{text}", f"{CHROMIUM}{text}"):
        read = read_or_refused(offer)
        assert any(section.accepted for section in read.sections) if isinstance(read, Offer) else len(read) < 500


lines = st.sampled_from(sorted({line for offer in OFFERS.values() for line in offer.split("\r\n")}))


@given(st.lists(st.one_of(lines, st.text(max_size=20)), max_size=60))
def test_any_mixture_of_lines_is_an_offer_or_refused(mixed: list[str]) -> None:
    read = read_or_refused("\r\n".join(["v=0", *mixed]))
    assert any(section.accepted for section in read.sections) if isinstance(read, Offer) else len(read) < 500
