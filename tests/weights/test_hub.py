"""Downloads from a hub, against a server on this machine."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from antiphon.weights.hub import Hub, HubError
from antiphon.weights.manifest import File, Host, Upstream
from antiphon.weights.part_file import PartFile

CONTENT = bytes(range(256)) * 4096
REFUSING = "http://127.0.0.1:9"


class Server:
    """A hub that serves ``content`` at any path, and can be told to misbehave."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.status: int | None = None
        self.redirects = 0
        self.cuts_after_bytes: list[int] = []
        """For each coming response, where its connection breaks."""
        self.ranges = True
        self.shift_bytes = 0
        self.silent = False
        self.closing = threading.Event()
        self.requests: list[tuple[str, str | None]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._respond)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    def _respond(self, *connection: Any) -> BaseHTTPRequestHandler:
        server = self

        class Responder(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                server.requests.append((self.path, self.headers.get("Range")))
                server.answer(self)

        return Responder(*connection)

    def answer(self, responder: BaseHTTPRequestHandler) -> None:
        responder.close_connection = True
        if self.silent:
            self.closing.wait()
        elif self.redirects:
            self.redirects -= 1
            responder.send_response(302)
            responder.send_header("Location", f"{self.url}/elsewhere?signature=secret")
            responder.end_headers()
        elif self.status is not None:
            responder.send_error(self.status)
        else:
            self._serve(responder)

    def _serve(self, responder: BaseHTTPRequestHandler) -> None:
        asked = responder.headers.get("Range")
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.ranges else 0
        body = self.content[first:]
        responder.send_response(206 if first else 200)
        if first:
            last = len(self.content) - 1
            responder.send_header("Content-Range", f"bytes {first + self.shift_bytes}-{last}/{len(self.content)}")
        responder.send_header("Content-Length", str(len(body)))
        responder.end_headers()
        responder.wfile.write(body[: self.cuts_after_bytes.pop(0)] if self.cuts_after_bytes else body)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def file_at(host: Host = Host.HUGGING_FACE, path: str = "dir/model.bin") -> File:
    upstream = Upstream(host, "maker/model", "0123abc", path)
    return File("model.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), upstream)


@contextmanager
def hub_at(url: str, *, reach_s: float = 3.0) -> Iterator[Hub]:
    with Hub(dict.fromkeys(Host, url), reach_s=reach_s, stall_s=5.0) as hub:
        yield hub


def download(hub: Hub, directory: Path, file: File | None = None, *, left: bytes = b"") -> bytes:
    """What arrived, after ``left`` from an earlier run."""
    place = directory / "model.bin.part"
    place.write_bytes(left)
    with PartFile(place) as part:
        part.keep(len(left))
        hub.download(file or file_at(), part, lambda: None)
    return place.read_bytes()


def test_a_file_is_downloaded_from_its_revision(server: Server, tmp_path: Path) -> None:
    with hub_at(server.url) as hub:
        assert download(hub, tmp_path) == CONTENT
        assert download(hub, tmp_path, file_at(Host.GITHUB)) == CONTENT
    assert server.requests == [
        ("/maker/model/resolve/0123abc/dir/model.bin", None),
        ("/maker/model/0123abc/dir/model.bin", None),
    ]


def test_an_interrupted_download_asks_only_for_the_rest(server: Server, tmp_path: Path) -> None:
    with hub_at(server.url) as hub:
        assert download(hub, tmp_path, left=CONTENT[:1000]) == CONTENT
    assert [asked for _, asked in server.requests] == ["bytes=1000-"]


def test_a_hub_that_knows_no_ranges_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    with hub_at(server.url) as hub:
        assert download(hub, tmp_path, left=CONTENT[:1000]) == CONTENT


def test_a_connection_that_breaks_is_resumed_at_once(server: Server, tmp_path: Path) -> None:
    server.cuts_after_bytes = [500_000, 300_000]
    with hub_at(server.url) as hub:
        assert download(hub, tmp_path) == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=500000-", "bytes=800000-"]


def test_what_arrived_before_a_connection_broke_for_good_stays(server: Server, tmp_path: Path) -> None:
    server.cuts_after_bytes = [500_000, 0]
    with hub_at(server.url) as hub, pytest.raises(HubError, match="broke off"):
        download(hub, tmp_path)
    assert (tmp_path / "model.bin.part").read_bytes() == CONTENT[:500_000]


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.redirects = 2
    with hub_at(server.url) as hub:
        assert download(hub, tmp_path, left=CONTENT[:1000]) == CONTENT
    assert server.requests[-1] == ("/elsewhere?signature=secret", "bytes=1000-")


def test_a_file_that_is_complete_costs_no_request(server: Server, tmp_path: Path) -> None:
    with hub_at(server.url) as hub:
        assert download(hub, tmp_path, left=CONTENT) == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_an_error_answer_is_named_and_does_not_make_the_hub_silent(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    with hub_at(server.url) as hub:
        with pytest.raises(HubError, match=f"huggingface.co: answers {status}"):
            download(hub, tmp_path)
        server.status = None
        assert download(hub, tmp_path) == CONTENT


@pytest.mark.parametrize("content", [b"<html>log in first</html>", CONTENT + b"x"], ids=["shorter", "longer"])
def test_a_file_of_another_size_is_refused_before_it_is_read(server: Server, tmp_path: Path, content: bytes) -> None:
    server.content = content
    with hub_at(server.url) as hub, pytest.raises(HubError, match="its size differs"):
        download(hub, tmp_path)


def test_a_range_other_than_asked_is_refused(server: Server, tmp_path: Path) -> None:
    server.shift_bytes = 1
    with hub_at(server.url) as hub, pytest.raises(HubError, match="another place"):
        download(hub, tmp_path, left=CONTENT[:1000])


def test_hubs_that_do_not_answer_cost_their_time_once_for_all_hosts_and_files(server: Server, tmp_path: Path) -> None:
    server.silent = True
    began_s = time.monotonic()
    with hub_at(server.url, reach_s=0.3) as hub:
        for host in (Host.HUGGING_FACE, Host.GITHUB, Host.HUGGING_FACE, Host.GITHUB):
            with pytest.raises(HubError, match=r"cannot be reached \(no answer\)"):
                download(hub, tmp_path, file_at(host))
    assert 0.3 <= time.monotonic() - began_s < 1.0


def test_a_host_that_refuses_is_asked_once(tmp_path: Path) -> None:
    with hub_at(REFUSING) as hub:
        for _ in range(2):
            with pytest.raises(HubError, match=r"cannot be reached \(.*refused"):
                download(hub, tmp_path)


def test_nothing_is_asked_while_the_hub_is_declared_offline(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with hub_at(server.url) as hub, pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        download(hub, tmp_path)
    assert server.requests == []


def test_the_endpoint_follows_the_environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/mirror/")
    with Hub() as hub:
        assert download(hub, tmp_path) == CONTENT
    assert server.requests[0][0] == "/mirror/maker/model/resolve/0123abc/dir/model.bin"


@pytest.mark.parametrize(
    "endpoint", ["http://me:secret@127.0.0.1:9", "http://me:secret@[bad", "ftp://me:secret@127.0.0.1"]
)
def test_a_useless_endpoint_is_an_error_without_its_credentials(tmp_path: Path, endpoint: str) -> None:
    with hub_at(endpoint) as hub, pytest.raises(HubError) as refusal:
        download(hub, tmp_path)
    assert "secret" not in str(refusal.value)


def test_a_proxy_kind_that_is_not_supported_is_an_error_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://me:secret@127.0.0.1:9")
    with hub_at(REFUSING) as hub, pytest.raises(HubError) as refusal:
        download(hub, tmp_path)
    assert "secret" not in str(refusal.value)
