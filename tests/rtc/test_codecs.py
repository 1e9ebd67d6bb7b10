from dataclasses import dataclass

import numpy as np
import pytest

from antiphon.audio.pcm import S16LE, pcm_to_samples
from antiphon.rtc.codecs import make_decoder, make_encoder
from antiphon.rtc.sdp import Codec
from tests.support.rtc_audio import frames_of

_CODECS = (Codec(111, "opus", 48_000), Codec(0, "PCMU", 8_000), Codec(8, "PCMA", 8_000))
_G711 = _CODECS[1:]


@dataclass
class _Settings:
    complexity: int = 5
    bitrate_bps: int = 32_000


def _tone(duration_s: float) -> bytes:
    time_s = np.arange(round(24_000 * duration_s)) / 24_000
    return (8000 * np.sin(2 * np.pi * 700 * time_s)).astype(S16LE).tobytes()


@pytest.mark.parametrize("codec", _CODECS, ids=lambda codec: codec.name)
def test_a_tone_survives_at_its_level_and_length(codec: Codec) -> None:
    encoder, decoder = make_encoder(codec, _Settings()), make_decoder(codec)
    tone = _tone(1.0)
    heard = [decoder.decode(encoder.encode(frame)) for frame in frames_of(tone)]
    assert {len(frame) for frame in heard} == {960}
    settled = pcm_to_samples(b"".join(heard[10:40]))
    spectrum = np.abs(np.fft.rfft(settled * np.hanning(len(settled))))
    assert np.argmax(spectrum) * 24_000 / len(settled) == pytest.approx(700, abs=2)
    assert np.abs(settled).max() == pytest.approx(8000 / 32768, rel=0.1)
    encoder.close()
    decoder.close()


@pytest.mark.parametrize("codec", _G711, ids=lambda codec: codec.name)
@pytest.mark.parametrize("duration_ms", [1, 10, 30, 60, 120])
def test_a_packet_of_g711_lasts_a_sample_for_each_byte(codec: Codec, duration_ms: int) -> None:
    decoder = make_decoder(codec)
    for _ in range(3):
        assert len(decoder.decode(bytes(8 * duration_ms))) == 48 * duration_ms
    assert len(decoder.decode(bytes(7))) == 42


@pytest.mark.parametrize("codec", _G711, ids=lambda codec: codec.name)
@pytest.mark.parametrize("size_bytes", [0, 1601, 60_000])
def test_what_nobody_sends_as_g711_is_refused(codec: Codec, size_bytes: int) -> None:
    with pytest.raises(ValueError, match="no packet of G"):
        make_decoder(codec).decode(bytes(size_bytes))


@pytest.mark.parametrize("codec", _G711, ids=lambda codec: codec.name)
def test_lost_g711_repeats_and_falls_silent_within_60_ms(codec: Codec) -> None:
    encoder, decoder = make_encoder(codec, _Settings()), make_decoder(codec)
    for frame in frames_of(_tone(0.2)):
        payload = encoder.encode(frame)
        decoder.decode(payload)
    levels = [np.abs(pcm_to_samples(decoder.conceal(480))).max() for _ in range(3)]
    levels.append(np.abs(pcm_to_samples(decoder.recover(payload, 480))).max())
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == pytest.approx(0.24, rel=0.1)
    assert levels[-1] == 0
    decoder.decode(payload)
    assert np.abs(pcm_to_samples(decoder.conceal(480))).max() > 0.2


@pytest.mark.parametrize("codec", _CODECS, ids=lambda codec: codec.name)
def test_what_is_concealed_is_bounded(codec: Codec) -> None:
    decoder = make_decoder(codec)
    assert len(decoder.conceal(480)) == 960
    assert len(decoder.conceal(10**8)) <= 5760
    assert decoder.conceal(0) == decoder.conceal(-1) == b""
