import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from antiphon.audio.pcm import S16LE
from antiphon.audio.resample import Resampler, resample, resample_recording

RATES_HZ = [
    (24000, 16000),
    (16000, 24000),
    (8000, 24000),
    (24000, 8000),
    (8000, 16000),
    (48000, 24000),
    (24000, 48000),
    (22050, 24000),
    (44100, 16000),
    (24000, 24000),
    (23999, 16000),  # too fine a ratio for the polyphase filter
]


def noise(samples: int, seed: int = 7) -> bytes:
    return np.random.default_rng(seed).integers(-20000, 20000, samples).astype(S16LE).tobytes()


def sine(frequency_hz: float, rate_hz: int, samples: int) -> NDArray[np.float64]:
    return 16000 * np.sin(2 * np.pi * frequency_hz * np.arange(samples) / rate_hz)


def level_db(values: NDArray[np.float64]) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(values**2)) / (16000 / np.sqrt(2)) + 1e-12))


def converted_sine(frequency_hz: float, from_hz: int, to_hz: int) -> NDArray[np.float64]:
    tone = np.rint(sine(frequency_hz, from_hz, from_hz)).astype(S16LE).tobytes()
    return np.frombuffer(resample(tone, from_hz, to_hz), S16LE).astype(np.float64)


def in_chunks(pcm: bytes, sizes_samples: list[int], from_hz: int, to_hz: int) -> bytes:
    resampler = Resampler(from_hz, to_hz)
    output, at, turn = b"", 0, 0
    while at < len(pcm):
        size = 2 * sizes_samples[turn % len(sizes_samples)]
        output += resampler.push(pcm[at : at + size])
        at, turn = at + size, turn + 1
    return output + resampler.flush()


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
def test_output_is_the_same_at_every_chunk_size(from_hz: int, to_hz: int) -> None:
    pcm = noise(from_hz)
    whole = resample(pcm, from_hz, to_hz)
    for chunk_ms in (10, 20, 60, 100, 200):
        assert in_chunks(pcm, [from_hz * chunk_ms // 1000], from_hz, to_hz) == whole, f"{chunk_ms} ms"


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(RATES_HZ),
    st.integers(0, 3000),
    st.lists(st.integers(1, 700), min_size=1, max_size=5),
    st.integers(),
)
def test_output_does_not_depend_on_the_chunks_and_lasts_as_long_as_the_input(
    rates_hz: tuple[int, int], samples: int, sizes_samples: list[int], seed: int
) -> None:
    pcm = noise(samples, abs(seed))
    output = in_chunks(pcm, sizes_samples, *rates_hz)
    assert output == resample(pcm, *rates_hz)
    assert len(output) % 2 == 0
    assert abs(len(output) // 2 - samples * rates_hz[1] / rates_hz[0]) <= 1


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "frequency_hz"),
    [
        (24000, 16000, 300),
        (24000, 16000, 6500),
        (16000, 24000, 6500),
        (8000, 24000, 3300),
        (24000, 8000, 3300),
        (48000, 24000, 10000),
        (24000, 48000, 10000),
        (22050, 24000, 9000),
        (44100, 16000, 6500),
        (23999, 16000, 6500),
    ],
)
def test_speech_frequencies_pass_unchanged_and_undelayed(from_hz: int, to_hz: int, frequency_hz: int) -> None:
    output = converted_sine(frequency_hz, from_hz, to_hz)
    middle = slice(to_hz // 4, -to_hz // 4)
    error = (output - sine(frequency_hz, to_hz, len(output)))[middle]
    assert level_db(error) < -70


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "frequency_hz"),
    [(24000, 16000, 8100), (24000, 16000, 11000), (24000, 8000, 4100), (48000, 24000, 12500), (44100, 16000, 9000)],
)
def test_what_the_lower_rate_cannot_hold_is_removed(from_hz: int, to_hz: int, frequency_hz: int) -> None:
    middle = slice(to_hz // 4, -to_hz // 4)
    assert level_db(converted_sine(frequency_hz, from_hz, to_hz)[middle]) < -75


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "lag_ms"), [(24000, 16000, 3), (8000, 24000, 5), (24000, 8000, 5), (22050, 24000, 9)]
)
def test_a_stream_holds_back_only_a_few_milliseconds(from_hz: int, to_hz: int, lag_ms: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    chunk_samples = from_hz // 100
    given_s = 0.0
    for pushes in range(1, 100):
        given_s += len(resampler.push(bytes(chunk_samples * 2))) / 2 / to_hz
        assert given_s >= pushes * chunk_samples / from_hz - lag_ms / 1000


def test_loud_input_is_clipped_not_wrapped() -> None:
    square = np.where(np.arange(2400) // 12 % 2, 32767, -32768).astype(S16LE)
    output = np.frombuffer(resample(square.tobytes(), 24000, 16000), S16LE).astype(np.int32)
    assert output.max() == 32767
    assert output.min() == -32768
    # Wrapped values would change sign inside a half period (8 samples).
    assert np.abs(np.diff(np.sign(output[output != 0])) // 2).sum() == 199


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
def test_half_a_sample_is_refused_and_changes_nothing(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    pcm = noise(from_hz // 10)
    output = resampler.push(pcm)
    with pytest.raises(ValueError, match="even number of bytes, not 3"):
        resampler.push(b"abc")
    assert output + resampler.flush() == resample(pcm, from_hz, to_hz)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
def test_after_a_flush_a_new_stream_begins(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    resampler.push(noise(1000, 1))
    resampler.flush()
    pcm = noise(1000, 2)
    assert resampler.push(pcm) + resampler.flush() == resample(pcm, from_hz, to_hz)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(0, 24000), (24000, 0), (-1, 16000)])
def test_a_rate_that_is_not_positive_is_refused(from_hz: int, to_hz: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Resampler(from_hz, to_hz)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(8000, 24000), (24000, 8000)])
@pytest.mark.parametrize("frequency_hz", [300, 3300])
def test_a_recording_converted_at_once_is_the_stream_s_in_all_that_is_heard(
    from_hz: int, to_hz: int, frequency_hz: int
) -> None:
    tone = np.rint(sine(frequency_hz, from_hz, from_hz)).astype(S16LE).tobytes()
    at_once = np.frombuffer(resample_recording(tone, from_hz, to_hz), S16LE).astype(np.float64)
    assert len(at_once) == to_hz
    middle = slice(to_hz // 4, -to_hz // 4)
    assert level_db((at_once - converted_sine(frequency_hz, from_hz, to_hz))[middle]) < -70


def test_no_recording_is_no_recording() -> None:
    assert resample_recording(b"", 8000, 24000) == b""


@pytest.mark.parametrize(("to_hz", "block_samples"), [(16_000, 768), (8_000, 768), (48_000, 480), (24_000, 480)])
def test_a_stream_may_be_taken_up_after_a_block_without_what_came_before(to_hz: int, block_samples: int) -> None:
    pcm = np.random.default_rng(2).integers(-20_000, 20_000, 12 * block_samples, "<i2").tobytes()
    whole, later = Resampler(24_000, to_hz), Resampler(24_000, to_hz)
    assert not block_samples % whole.block_samples
    first = (block_samples + whole.lag_samples) * 2
    whole.push(pcm[:first])
    blocks = [pcm[start : start + 2 * block_samples] for start in range(first, len(pcm), 2 * block_samples)]
    converted = [whole.push(block) for block in blocks]
    later.resume(blocks[4])
    assert [later.push(block) for block in blocks[5:]] == converted[5:]
    assert later.flush() == whole.flush()
