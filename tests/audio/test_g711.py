"""The expected tables come from the text of Recommendation G.711 (tables 1a to 2b), not from the code under test."""

import bisect
from collections.abc import Callable

import pytest

from antiphon.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw

ALL_CODES = bytes(range(256))
ALL_SAMPLES = range(-32768, 32768)
ALL_PCM = b"".join(sample.to_bytes(2, "little", signed=True) for sample in ALL_SAMPLES)


def samples_of(pcm: bytes) -> list[int]:
    return [int.from_bytes(pcm[at : at + 2], "little", signed=True) for at in range(0, len(pcm), 2)]


def ulaw_edges() -> list[int]:
    """Lower decision value of each of the 128 mu-law steps, in 14-bit units (table 2a, column 3)."""
    edges = [0, *range(1, 31, 2)]
    for segment in range(1, 8):
        start = 31 if segment == 1 else edges[-1] + 2**segment
        edges += [start + step * 2 ** (segment + 1) for step in range(16)]
    return edges


def alaw_edges() -> list[int]:
    """Lower decision value of each of the 128 A-law steps, in 13-bit units (table 1a, column 3)."""
    edges = list(range(0, 64, 2))
    for segment in range(2, 8):
        edges += [2 ** (segment + 4) + step * 2**segment for step in range(16)]
    return edges


def ulaw_values() -> list[int]:
    """Quantised values (table 2a, column 8): the middle between a step's edges; the first step is zero."""
    edges = [*ulaw_edges(), 8159]
    return [0] + [(edges[step] + edges[step + 1]) // 2 for step in range(1, 128)]


def alaw_values() -> list[int]:
    edges = [*alaw_edges(), 4096]
    return [(edges[step] + edges[step + 1]) // 2 for step in range(128)]


def ulaw_code(step: int, negative: bool) -> int:
    """Mu-law sends the inverted step; the first bit is 1 for positive values."""
    return (0x7F - step) | (0 if negative else 0x80)


def alaw_code(step: int, negative: bool) -> int:
    """A-law inverts the even bits; the first bit is 1 for positive values."""
    return (step | (0 if negative else 0x80)) ^ 0x55


def test_the_tables_of_the_recommendation_are_typed_in_correctly() -> None:
    assert ulaw_edges()[15:18] == [29, 31, 35]
    assert ulaw_edges()[-1] == 7903
    assert ulaw_values()[16] == 33
    assert ulaw_values()[127] == 8031
    assert alaw_edges()[32:34] == [64, 68]
    assert alaw_edges()[-1] == 3968
    assert alaw_values()[127] == 4032


@pytest.mark.parametrize(
    ("decode", "code_of", "values", "shift"),
    [(decode_ulaw, ulaw_code, ulaw_values(), 2), (decode_alaw, alaw_code, alaw_values(), 3)],
)
def test_every_code_decodes_to_the_recommended_value(
    decode: Callable[[bytes], bytes], code_of: Callable[[int, bool], int], values: list[int], shift: int
) -> None:
    expected = {
        code_of(step, negative): (-value if negative else value) << shift
        for step, value in enumerate(values)
        for negative in (False, True)
    }
    assert dict(enumerate(samples_of(decode(ALL_CODES)))) == expected


@pytest.mark.parametrize(
    ("encode", "code_of", "edges", "shift"),
    [(encode_ulaw, ulaw_code, ulaw_edges(), 2), (encode_alaw, alaw_code, alaw_edges(), 3)],
)
def test_every_sample_encodes_to_the_step_it_lies_in(
    encode: Callable[[bytes], bytes], code_of: Callable[[int, bool], int], edges: list[int], shift: int
) -> None:
    def expected(sample: int) -> int:
        magnitude = ~sample if sample < 0 else sample
        return code_of(bisect.bisect_right(edges, magnitude >> shift) - 1, sample < 0)

    assert list(encode(ALL_PCM)) == [expected(sample) for sample in ALL_SAMPLES]


@pytest.mark.parametrize(
    ("encode", "sample", "code"),
    [
        (encode_ulaw, 0, 0xFF),
        (encode_ulaw, 32767, 0x80),
        (encode_ulaw, -32768, 0x00),
        (encode_ulaw, 1000, 0xCE),
        (encode_ulaw, -1000, 0x4E),
        (encode_alaw, 0, 0xD5),
        (encode_alaw, -1, 0x55),
        (encode_alaw, 32767, 0xAA),
        (encode_alaw, -32768, 0x2A),
        (encode_alaw, 1000, 0xFA),
    ],
)
def test_known_codes(encode: Callable[[bytes], bytes], sample: int, code: int) -> None:
    assert encode(sample.to_bytes(2, "little", signed=True)) == bytes([code])


@pytest.mark.parametrize(("decode", "encode"), [(decode_ulaw, encode_ulaw), (decode_alaw, encode_alaw)])
def test_a_decoded_code_encodes_to_itself(decode: Callable[[bytes], bytes], encode: Callable[[bytes], bytes]) -> None:
    # Mu-law has two zeros; both are heard as 0, which is sent as the positive one.
    expected = ALL_CODES.replace(b"\x7f", b"\xff") if encode is encode_ulaw else ALL_CODES
    assert encode(decode(ALL_CODES)) == expected


@pytest.mark.parametrize("encode", [encode_ulaw, encode_alaw])
def test_half_a_sample_is_refused(encode: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ValueError, match="even number of bytes"):
        encode(b"\x00\x01\x02")


@pytest.mark.parametrize("convert", [decode_ulaw, decode_alaw, encode_ulaw, encode_alaw])
def test_nothing_becomes_nothing(convert: Callable[[bytes], bytes]) -> None:
    assert convert(b"") == b""
