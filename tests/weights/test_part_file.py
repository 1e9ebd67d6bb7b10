"""A file on its way."""

import hashlib
from pathlib import Path

import pytest

from antiphon.weights.errors import CacheError, WeightsError
from antiphon.weights.part_file import PartFile

CONTENT = b"0123456789"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_what_was_written_is_moved_into_place_once_it_is_the_file(tmp_path: Path) -> None:
    with PartFile(tmp_path / "f.part") as part:
        part.write(CONTENT[:4])
        part.write(CONTENT[4:])
        part.finish(tmp_path / "f", len(CONTENT), sha256(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert not (tmp_path / "f.part").exists()


@pytest.mark.parametrize("written", [CONTENT[:-1], CONTENT + b"x", CONTENT[::-1]], ids=["short", "long", "other"])
def test_what_is_not_the_file_is_dropped(tmp_path: Path, written: bytes) -> None:
    with PartFile(tmp_path / "f.part") as part:
        part.write(written)
        with pytest.raises(WeightsError, match="its sha256 differs"):
            part.finish(tmp_path / "f", len(CONTENT), sha256(CONTENT))
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_beginning_is_kept_and_continued(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:7])
    with PartFile(tmp_path / "f.part") as part:
        assert part.left_bytes == 7
        assert part.keep(4, sha256(CONTENT[:4]))
        part.write(CONTENT[4:])
        part.finish(tmp_path / "f", len(CONTENT), sha256(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("count_bytes", "expected"), [(8, None), (4, sha256(b"else"))], ids=["more than there is", "another hash"]
)
def test_a_beginning_that_is_not_there_is_not_kept(tmp_path: Path, count_bytes: int, expected: str | None) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT[:7])
    with PartFile(tmp_path / "f.part") as part:
        assert not part.keep(count_bytes, expected)
        part.write(CONTENT)
        part.finish(tmp_path / "f", len(CONTENT), sha256(CONTENT))


def test_rewinding_forgets_on_disk_too(tmp_path: Path) -> None:
    with PartFile(tmp_path / "f.part") as part:
        part.write(CONTENT[:4])
        mark = part.mark()
        part.write(b"wrong, and longer than the rest")
        part.rewind(mark)
        assert (tmp_path / "f.part").stat().st_size == 4
        part.write(CONTENT[4:])
        part.finish(tmp_path / "f", len(CONTENT), sha256(CONTENT))


def test_a_part_that_never_got_a_byte_leaves_nothing(tmp_path: Path) -> None:
    with PartFile(tmp_path / "f.part"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError, match=r"cannot write .*f\.part: (File exists|Not a directory)"):
        PartFile(tmp_path / "file" / "f.part")
