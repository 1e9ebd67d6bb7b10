"""Recorded speech over calls that lose packets: the words survive."""

import asyncio

import numpy as np
import pytest

from antiphon.engines.stt_whisper import create as create_whisper
from antiphon.rtc.codecs import make_encoder
from antiphon.rtc.receiving import AudioReceiver
from antiphon.rtc.rtp import RtpPacket
from antiphon.rtc.sdp import Codec
from antiphon.rtc.settings import EndpointSettings
from tests.support.audio import recording, silence_ms
from tests.support.noise import RECORDINGS, wrong_words
from tests.support.rtc_audio import frames_of
from tests.support.rtc_network import Arrival, deliver

_LEAD = silence_ms(3_000)  # what the judge of the words leaves out
_OPUS = Codec(111, "opus", 48_000)


def _over_a_call(pcm: bytes, loss: float, seed: int) -> bytes:
    encoder = make_encoder(_OPUS, EndpointSettings(("127.0.0.1",), 0))
    packets = [
        RtpPacket(111, False, number, number * 960, 1, encoder.encode(frame))
        for number, frame in enumerate(frames_of(pcm))
    ]
    random = np.random.default_rng(seed)
    arrivals = [Arrival(packet.sequence / 50, packet) for packet in packets if random.random() >= loss]
    receiver = AudioReceiver()
    heard = b"".join(pcm for _, pcm in deliver(arrivals, len(packets) / 50 + 1, receiver))
    receiver.close()
    return heard


@pytest.mark.engines
def test_lost_packets_cost_hardly_a_word() -> None:
    stt = create_whisper({"model": "tiny.en", "window": "full"})

    async def main() -> dict[float, int]:
        wrong = dict.fromkeys((0.0, 0.05, 0.2), 0)
        for loss in wrong:
            for seed, name in enumerate(RECORDINGS[:3]):
                wrong[loss] += await wrong_words(stt, name, _LEAD + _over_a_call(recording(name), loss, seed))
        await stt.aclose()
        return wrong

    wrong = asyncio.run(main())
    assert wrong[0.05] <= wrong[0.0] + 1
    assert wrong[0.2] <= wrong[0.0] + 2
