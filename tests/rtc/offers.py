"""Offers as callers make them: Chromium, Firefox and aiortc."""

FINGERPRINT = ":".join(["AB"] * 31 + ["0F"])
OTHER_FINGERPRINT = ":".join(["CD"] * 32)

_CHROMIUM_HEAD = """v=0
o=- 4611732891374421112 2 IN IP4 127.0.0.1
s=-
t=0 0
{group}a=extmap-allow-mixed
a=msid-semantic: WMS 7d3f0b1c-2f2b-4a0e-8a6d-0c7f3e0f9a11
"""
_CHROMIUM_TRANSPORT = f"""c=IN IP4 0.0.0.0
{{candidates}}a=ice-ufrag:{{ufrag}}
a=ice-pwd:U8RIQGGe44rcqqYZgH6H0zkZ
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:{{mid}}
"""
_CHROMIUM_AUDIO = """a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a={direction}
a=msid:- 5bbc229c-b775-4693-bffa-031d1ba029c0
a=rtcp-mux
a=rtcp-rsize
"""
_CHROMIUM_OPUS = """a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
"""
_CHROMIUM_G711 = """a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:126 telephone-event/8000
"""
_CHROMIUM_SSRC = """a=ssrc:164088490 cname:spxZ09Ffpp+Qx8UO
a=ssrc:164088490 msid:- 5bbc229c-b775-4693-bffa-031d1ba029c0
"""
_MDNS = """a=candidate:2999745851 1 udp 2113937151 8b2b8a4e-5a4f-4c1f-9d3f-1a2b3c4d5e6f.local 53124 typ host \
generation 0 network-cost 999
a=candidate:233762139 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0 network-cost 999
"""


def _transport(mid: str, ufrag: str, candidates: bool) -> str:
    return _CHROMIUM_TRANSPORT.format(mid=mid, ufrag=ufrag, candidates=_MDNS if candidates else "")


def chromium(*kinds: str, ufrag: str = "qOI9", candidates: bool = False) -> str:
    """Sections by kind: a direction (audio with Opus), ``g711:`` and a direction, ``data``, ``video``, ``stopped``."""
    mids = " ".join(str(mid) for mid, kind in enumerate(kinds) if kind != "stopped")
    text = _CHROMIUM_HEAD.format(group=f"a=group:BUNDLE {mids}\n" if mids else "")
    for mid, kind in enumerate(kinds):
        transport = _transport(str(mid), ufrag, candidates)
        if kind == "data":
            text += f"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\n{transport}"
            text += "a=sctp-port:5000\na=max-message-size:262144\n"
        elif kind == "video":
            text += f"m=video 9 UDP/TLS/RTP/SAVPF 96 97\n{transport}a=sendrecv\na=rtcp-mux\na=rtcp-rsize\n"
            text += "a=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n"
        elif kind == "stopped":
            text += f"m=audio 0 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 0.0.0.0\na=mid:{mid}\na=inactive\na=rtcp-mux\n"
            text += "a=rtpmap:111 opus/48000/2\n"
        else:
            codecs, _, direction = kind.rpartition(":")
            formats, maps = ("0 8 13 126", _CHROMIUM_G711) if codecs else ("111 63 9 0 8 13 110 126", _CHROMIUM_OPUS)
            text += f"m=audio 9 UDP/TLS/RTP/SAVPF {formats}\n{transport.replace('c=IN', 'c=IN', 1)}"
            text += _CHROMIUM_AUDIO.format(direction=direction) + maps
            text += _CHROMIUM_SSRC if direction.startswith("send") else ""
    return text.replace("\n", "\r\n")


FIREFOX = f"""v=0
o=mozilla...THIS_IS_SDPARTA-99.0 7283914650217749432 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {FINGERPRINT}
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=sendrecv
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=fmtp:101 0-15
a=ice-pwd:9aa6e1cd5b0b4b1fbb6cbb3bd2f4c1a8
a=ice-ufrag:5c8a1f3e
a=mid:0
a=msid:- {{c3b5a0f2-1f7c-4e0a-9b1d-000000000001}}
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000/1
a=setup:actpass
a=ssrc:3011884310 cname:{{c3b5a0f2-1f7c-4e0a-9b1d-000000000002}}
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=sendrecv
a=ice-pwd:9aa6e1cd5b0b4b1fbb6cbb3bd2f4c1a8
a=ice-ufrag:5c8a1f3e
a=mid:1
a=setup:actpass
a=sctp-port:5000
a=max-message-size:1073741823
""".replace("\n", "\r\n")

AIORTC = f"""v=0
o=- 4004369449 4004369449 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic:WMS *
m=audio 43107 UDP/TLS/RTP/SAVPF 96 9 0 8
c=IN IP4 192.0.2.2
a=sendrecv
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=mid:0
a=msid:96c12c89-6033-44e4-841f-5b637e7e4baa 528f01ee-1e8d-4fad-b9b0-70a9a0fea0e8
a=rtcp:9 IN IP4 0.0.0.0
a=rtcp-mux
a=ssrc:2649797763 cname:771696df-01ed-4ed3-b3ae-d7bf08cefdf3
a=rtpmap:96 opus/48000/2
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=candidate:f957a2332b1715da3b0ef8ba684454eb 1 udp 2130706431 192.0.2.2 43107 typ host
a=end-of-candidates
a=ice-ufrag:RS1w
a=ice-pwd:HMqaJ5Hxk68aBgZ3aw27Y0
a=fingerprint:sha-256 {FINGERPRINT}
a=fingerprint:sha-384 {":".join(["AA"] * 48)}
a=fingerprint:sha-512 {":".join(["BB"] * 64)}
a=setup:actpass
m=application 38638 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.2
a=mid:1
a=sctp-port:5000
a=max-message-size:65536
a=ice-ufrag:xxxx
a=ice-pwd:HMqaJ5Hxk68aBgZ3aw27Y0
a=fingerprint:sha-256 {OTHER_FINGERPRINT}
a=setup:actpass
""".replace("\n", "\r\n")

OFFERS = {
    "chromium, data channel only": chromium("data"),
    "chromium, microphone and data channel": chromium("sendrecv", "data"),
    "chromium, listening only": chromium("recvonly", "data", candidates=True),
    "chromium, several microphones": chromium("data", "sendrecv", "recvonly", "sendonly", "inactive", "sendrecv"),
    "chromium, camera": chromium("video", "sendrecv", "data"),
    "chromium, G.711 only": chromium("g711:sendrecv", "data"),
    "chromium, a stopped section": chromium("stopped", "sendrecv", "data"),
    "firefox": FIREFOX,
    "aiortc": AIORTC,
}
