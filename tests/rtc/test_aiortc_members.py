"""What rtc/dtls.py and rtc/sctp.py use of aiortc is private: a version that changes it must be looked at."""

import inspect
from importlib.metadata import version
from typing import Any

import pytest
from aiortc import rtcdtlstransport, rtcsctptransport
from aiortc.rtcdatachannel import RTCDataChannel
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpTransport

from antiphon.rtc import dtls, sctp


class Wire:
    role = "controlled"


@pytest.fixture
def certificate() -> RTCCertificate:
    return RTCCertificate.generateCertificate()


def test_the_version_is_the_one_whose_private_members_are_known() -> None:
    assert version("aiortc").startswith("1.16."), (
        "compare rtc/dtls.py and rtc/sctp.py with the new version, line by line"
    )


def test_a_dtls_transport_has_what_is_used_of_it(certificate: RTCCertificate) -> None:
    wire: Any = Wire()
    transport = RTCDtlsTransport(wire, [certificate])
    for name in ("_ssl", "_task", "_rx_srtp", "_tx_srtp", "_srtp_profiles", "_data_receiver"):
        assert name in vars(transport)
    assert inspect.iscoroutinefunction(RTCDtlsTransport._recv_next)
    assert inspect.iscoroutinefunction(RTCDtlsTransport.stop)
    assert {"_cert", "_key"} <= vars(certificate).keys()


def test_an_sctp_transport_has_what_is_used_of_it() -> None:
    source = inspect.getsource(RTCSctpTransport.__init__)
    for name in (
        *("_association_state", "_data_channels", "_data_channel_queue", "_last_received_tsn", "_local_tsn"),
        *("_remote_verification_tag", "_sack_needed", "_sent_queue", "_outbound_queue", "_flight_size"),
        *("_cwnd", "_rto", "_srtt", "_rttvar"),
    ):
        assert f"self.{name}" in source
    assert {"CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED"} <= RTCSctpTransport.State.__members__.keys()
    assert list(inspect.signature(RTCSctpTransport._data_channel_close).parameters) == ["self", "channel"]
    assert list(inspect.signature(RTCDataChannel.send).parameters) == ["self", "data"]


@pytest.mark.parametrize(
    ("ours", "base"),
    [
        (sctp._Association, RTCSctpTransport),
        (dtls._Transport, RTCDtlsTransport),
        (dtls._SharedCertificate, RTCCertificate),
    ],
)
def test_every_method_that_is_overridden_exists_with_the_same_parameters(ours: type, base: type) -> None:
    known = {
        *("__init__", "progress", "announce_window", "close_channel", "release", "channel_lives", "buffered_bytes"),
        *("_receive_init", "_deliver", "_open", "_is_ours", "_guarded", "_look_for_end", "_advance", "_drop"),
    }
    methods = {name for name, value in vars(ours).items() if inspect.isfunction(value)}
    assert methods - known, "nothing is overridden"
    for name in methods - known:
        theirs = inspect.signature(getattr(base, name)).parameters
        assert list(inspect.signature(getattr(ours, name)).parameters) == list(theirs), name
    assert not {name for name in known - {"__init__"} if hasattr(base, name)}, "one of our own names is taken"


def test_the_modules_have_what_is_used_of_them() -> None:
    for name in ("SRTP_AEAD_AES_128_GCM", "SRTP_PROFILES", "certificate_digest", "State"):
        assert hasattr(rtcdtlstransport, name)
    for name in ("parse_packet", "SackChunk", "InitChunk", "InitAckChunk", "WEBRTC_DCEP", "DATA_CHANNEL_OPEN"):
        assert hasattr(rtcsctptransport, name)
