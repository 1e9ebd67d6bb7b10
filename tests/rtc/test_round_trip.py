"""Speech through encoder, network and input, with the codecs of calls."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.pcm import pcm_to_samples
from antiphon.rtc.codecs import make_decoder, make_encoder
from antiphon.rtc.receiving import AudioReceiver
from antiphon.rtc.rtp import RtpPacket
from antiphon.rtc.sdp import Codec
from antiphon.rtc.settings import EndpointSettings
from tests.support.properties import bounded
from tests.support.rtc_audio import frames_of, voice
from tests.support.rtc_network import Arrival, deliver

_OPUS = Codec(111, "opus", 48_000)
_CODECS = (_OPUS, Codec(0, "PCMU", 8_000), Codec(8, "PCMA", 8_000))
_SECONDS = 6


@cache
def _sent(codec: Codec) -> list[Arrival]:
    encoder = make_encoder(codec, EndpointSettings(("127.0.0.1",), 0))
    step = codec.clock_hz // 50
    return [
        Arrival(
            number / 50, RtpPacket(codec.payload_type, False, number, number * step, 1, encoder.encode(frame)), codec
        )
        for number, frame in enumerate(frames_of(voice(_SECONDS)))
    ]


def _heard(arrivals: list[Arrival]) -> bytes:
    receiver = AudioReceiver()
    pcm = b"".join(pcm for _, pcm in deliver(arrivals, _SECONDS, receiver))
    receiver.close()
    return pcm


@pytest.mark.parametrize("codec", _CODECS, ids=lambda codec: codec.name)
def test_over_a_good_network_the_input_is_what_the_decoder_makes(codec: Codec) -> None:
    decoder = make_decoder(codec)
    assert _heard(_sent(codec)) == b"".join(decoder.decode(arrival.packet.payload) for arrival in _sent(codec))


@bounded(30)
@given(
    st.sampled_from(_CODECS), st.integers(0, 2**32), st.floats(0, 0.2), st.floats(0, 0.03), st.sampled_from([0, 0.2])
)
def test_the_input_lasts_as_long_as_real_time(
    codec: Codec, seed: int, loss: float, jitter_s: float, doubled: float
) -> None:
    random = np.random.default_rng(seed)
    arrivals = [
        Arrival(arrival.at_s + random.exponential(jitter_s), arrival.packet, codec)
        for arrival in _sent(codec)
        for _ in range(0 if random.random() < loss else 2 if random.random() < doubled else 1)
    ]
    assert len(_heard(arrivals)) / 48_000 == pytest.approx(_SECONDS, abs=0.01 * _SECONDS + 0.06)


@pytest.mark.parametrize(("loss", "whole"), [(0.05, 0.95), (0.1, 0.89), (0.2, 0.75)])
def test_most_of_what_is_lost_is_recovered(loss: float, whole: float) -> None:
    """``whole``: the share of frames that sound as if nothing had been lost."""
    random = np.random.default_rng(1)
    first = _sent(_OPUS)[:1]
    arrivals = first + [arrival for arrival in _sent(_OPUS)[1:] if random.random() >= loss]
    good, heard = _heard(_sent(_OPUS)), _heard(arrivals)
    alike = [_likeness(one, other) > 0.85 for one, other in zip(frames_of(good), frames_of(heard), strict=False)]
    assert len(arrivals) < (1 - loss / 2) * len(_sent(_OPUS))
    assert np.mean(alike) >= whole


def _likeness(one: bytes, other: bytes) -> float:
    a, b = pcm_to_samples(one), pcm_to_samples(other)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))
