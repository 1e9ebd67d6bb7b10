import gc
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from antiphon.audio.pcm import S16LE, pcm_to_samples
from antiphon.rtc.opus import OpusDecoder, OpusEncoder, OpusError, opus_version
from tests.support.properties import bounded
from tests.support.rtc_audio import frames_of, voice

_FRAME_BYTES = 960


def _likeness(one: bytes, other: bytes) -> float:
    """The correlation of two pieces, 1 if they are the same but for the level."""
    a, b = pcm_to_samples(one), pcm_to_samples(other)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))


def _spectrum(pcm: bytes) -> NDArray[np.float64]:
    return np.abs(np.fft.rfft(pcm_to_samples(pcm)))


def test_libopus_is_found_without_loading_pyav() -> None:
    code = (
        "import sys; from antiphon.rtc.opus import opus_version; print(opus_version()); "
        "sys.exit(sum(name.split('.')[0] == 'av' for name in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("libopus 1.")
    assert found.stdout.strip() == opus_version()


def test_a_tone_survives() -> None:
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(S16LE).tobytes()
    encoder, decoder = OpusEncoder(), OpusDecoder()
    heard = b"".join(decoder.decode(encoder.encode(frame)) for frame in frames_of(tone))
    assert len(heard) == len(tone)
    assert np.argmax(_spectrum(heard)) == 440


@pytest.mark.parametrize("duration_ms", [10, 20, 40, 60])
def test_a_packet_says_itself_how_long_it_is(duration_ms: int) -> None:
    packet = OpusEncoder().encode(bytes(48 * duration_ms))
    assert len(OpusDecoder().decode(packet)) == 48 * duration_ms


def test_packets_of_120_ms_are_the_longest() -> None:
    packet = OpusEncoder().encode(bytes(_FRAME_BYTES))
    six = bytes([packet[0] | 3, 0x80 | 6])  # six frames, each of its own size, all empty
    assert len(OpusDecoder().decode(six + bytes(5))) == 6 * _FRAME_BYTES
    with pytest.raises(OpusError):
        OpusDecoder().decode(bytes([packet[0] | 3, 0x80 | 7]) + bytes(6))


def test_stereo_is_heard_as_mono() -> None:
    mono = OpusEncoder().encode(bytes(_FRAME_BYTES))
    stereo = bytes([mono[0] | 4]) + bytes(40)
    assert len(OpusDecoder().decode(stereo)) == _FRAME_BYTES


def test_a_packet_tells_the_frame_just_before_it() -> None:
    encoder, whole = OpusEncoder(loss_percent=20), OpusDecoder()
    packets = [encoder.encode(frame) for frame in frames_of(voice(2.0))]
    heard = [whole.decode(packet) for packet in packets]
    recovered: list[float] = []
    concealed: list[float] = []
    for lost in range(20, 90, 5):
        for likenesses, fec in ((recovered, True), (concealed, False)):
            decoder = OpusDecoder()
            for packet in packets[:lost]:
                decoder.decode(packet)
            made_up = decoder.recover(packets[lost + 1], 480) if fec else decoder.conceal(480)
            likenesses.append(_likeness(made_up, heard[lost]))
    assert np.median(recovered) > 0.9
    assert np.median(recovered) > np.median(concealed)


@pytest.mark.parametrize(
    ("samples", "made_up"), [(480, 480), (960, 960), (70, 60), (59, 0), (0, 0), (-5, 0), (10**6, 2880)]
)
def test_what_is_lost_is_made_up_for_in_steps_of_2_5_ms_up_to_120_ms(samples: int, made_up: int) -> None:
    packet = OpusEncoder().encode(bytes(_FRAME_BYTES))
    assert len(OpusDecoder().conceal(samples)) == 2 * made_up
    assert len(OpusDecoder().recover(packet, samples)) == 2 * made_up


def test_what_is_concealed_falls_silent() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    for frame in frames_of(voice(1.0)):
        loud = decoder.decode(encoder.encode(frame))
    for _ in range(25):
        concealed = decoder.conceal(480)
    assert np.abs(pcm_to_samples(concealed)).max() < 0.1 * np.abs(pcm_to_samples(loud)).max()


_REFUSED: dict[str, Callable[[], object]] = {
    "encoder's rate": lambda: OpusEncoder(sample_rate_hz=44_100),
    "decoder's rate": lambda: OpusDecoder(sample_rate_hz=44_100),
    "complexity": lambda: OpusEncoder(complexity=11),
    "loss": lambda: OpusEncoder(loss_percent=101),
    "frame too long": lambda: OpusEncoder().encode(bytes(_FRAME_BYTES + 2)),
    "no frame": lambda: OpusEncoder().encode(b""),
    "no packet": lambda: OpusDecoder().decode(b""),
    "broken packet": lambda: OpusDecoder().decode(b"\xff\xff\xff"),
    "large packet": lambda: OpusDecoder().decode(bytes(70_000)),
    "nothing to recover from": lambda: OpusDecoder().recover(b"", 480),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_what_is_none_of_opus_is_refused(case: str) -> None:
    with pytest.raises(OpusError):
        _REFUSED[case]()


def test_what_is_closed_says_so() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    packet = encoder.encode(bytes(_FRAME_BYTES))
    for _ in range(2):
        encoder.close()
        decoder.close()
    with pytest.raises(OpusError, match="closed"):
        encoder.encode(bytes(_FRAME_BYTES))
    with pytest.raises(OpusError, match="closed"):
        decoder.decode(packet)
    with pytest.raises(OpusError, match="closed"):
        decoder.conceal(480)


def test_what_is_forgotten_is_freed() -> None:
    def use() -> None:
        for _ in range(400):
            OpusEncoder()
            OpusDecoder().close()

    use()
    gc.collect()
    before = psutil.Process().memory_info().rss
    use()
    assert psutil.Process().memory_info().rss - before < 4_000_000


@bounded(300)
@given(st.lists(st.binary(min_size=1, max_size=80), max_size=5))
def test_whatever_comes_is_audio_or_an_error(packets: list[bytes]) -> None:
    decoder = OpusDecoder()
    for packet in packets:
        try:
            recovered = decoder.recover(packet, 480)
            heard = decoder.decode(packet)
        except OpusError:
            continue
        assert len(recovered) == _FRAME_BYTES
        assert 0 < len(heard) <= 6 * _FRAME_BYTES
        assert len(heard) % 120 == 0
    assert len(decoder.decode(OpusEncoder().encode(bytes(_FRAME_BYTES)))) == _FRAME_BYTES
