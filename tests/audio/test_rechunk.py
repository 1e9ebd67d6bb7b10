import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.rechunk import GrowingRechunker, Rechunker, delta_sizes_bytes


@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_pieces_have_the_wanted_sizes_whatever_the_chunks(chunks: list[bytes], sizes_bytes: list[int]) -> None:
    rechunker = GrowingRechunker(sizes_bytes)
    pieces = [piece for chunk in chunks for piece in rechunker.push(chunk)]
    wanted = sizes_bytes + sizes_bytes[-1:] * len(pieces)
    assert [len(piece) for piece in pieces] == wanted[: len(pieces)]
    assert rechunker.pending_bytes < wanted[len(pieces)]
    assert b"".join(pieces) + rechunker.flush() == b"".join(chunks)


def test_windows_of_one_size() -> None:
    rechunker = Rechunker(4)
    assert rechunker.push(b"abc") == []
    assert rechunker.push(b"defghij") == [b"abcd", b"efgh"]
    assert rechunker.pending_bytes == 2
    assert rechunker.push(b"kl") == [b"ijkl"]


@pytest.mark.parametrize("end", ["flush", "clear"])
def test_after_its_end_a_stream_begins_anew_with_the_first_size(end: str) -> None:
    rechunker = GrowingRechunker((1, 3))
    rechunker.push(b"abcde")
    getattr(rechunker, end)()
    assert rechunker.pending_bytes == 0
    assert rechunker.push(b"vwxyz") == [b"v", b"wxy"]


def test_pieces_are_independent_of_a_chunk_that_changes_later() -> None:
    chunk = bytearray(b"abcd")
    (piece,) = Rechunker(4).push(bytes(chunk))
    chunk[0] = 0
    assert piece == b"abcd"


def test_a_long_chunk_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        start = time.process_time()
        Rechunker(1024).push(bytes(size))
        return time.process_time() - start

    seconds(1 << 20)
    # Quadratic copying would take 256 times as long; the wide margin is for a busy machine.
    assert seconds(1 << 24) < 100 * max(seconds(1 << 20), 0.001)


@pytest.mark.parametrize("sizes_bytes", [(), (0,), (4, -1)])
def test_a_piece_without_a_byte_is_refused(sizes_bytes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        GrowingRechunker(sizes_bytes)


@pytest.mark.parametrize(
    ("rate_hz", "bytes_per_sample", "sizes_bytes"), [(24000, 2, (1920, 4800, 9600)), (8000, 1, (320, 800, 1600))]
)
def test_output_deltas_grow_from_40_to_200_ms(
    rate_hz: int, bytes_per_sample: int, sizes_bytes: tuple[int, ...]
) -> None:
    assert delta_sizes_bytes(rate_hz, bytes_per_sample) == sizes_bytes
