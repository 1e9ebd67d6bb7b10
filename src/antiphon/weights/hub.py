"""Downloads from the places where the makers publish, over HTTP, resumed where an earlier one stopped."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Self

import httpx

from antiphon.weights.errors import WeightsError, one_line
from antiphon.weights.manifest import File, Host, Upstream
from antiphon.weights.part_file import PartFile

__all__ = ["Hub", "HubError"]

_ATTEMPTS = 5
_TROUBLES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError, ImportError)
"""What httpx raises for a bad network, a bad proxy setting, or a proxy kind that it has no package for."""

_Opened = httpx.Response | Exception


class HubError(WeightsError):
    """A hub did not give a file."""


class Hub:
    """The upstream hosts.

    ``reach_s`` bounds what hosts that do not answer may cost over the whole life of this object, name resolution
    included; a host that did not answer is not asked again. ``stall_s`` bounds a pause inside a download.
    ``endpoints`` says which server answers for each host; by default the hosts themselves, or ``HF_ENDPOINT`` for the
    Hugging Face hub. With ``HF_HUB_OFFLINE`` set, nothing is asked.
    """

    def __init__(
        self, endpoints: Mapping[Host, str] | None = None, *, reach_s: float = 3.0, stall_s: float = 15.0
    ) -> None:
        self._endpoints = _endpoints() if endpoints is None else endpoints
        self._reach_left_s = reach_s
        self._timeout = httpx.Timeout(stall_s, connect=reach_s)
        self._silent: dict[Host, str] = {}
        self._client: httpx.Client | None = None
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            self._silent = dict.fromkeys(Host, "HF_HUB_OFFLINE is set")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()

    def download(self, file: File, part: PartFile, on_bytes: Callable[[], object]) -> None:
        """Bring ``part`` to the size of ``file``, from where it stands; ``on_bytes`` is called after each piece.

        Raises ``HubError``; ``part`` then holds what has arrived so far. The hash is not looked at.
        """
        upstream = file.upstream
        if upstream is None:
            raise HubError("is published on no hub")
        for attempt in range(1, _ATTEMPTS + 1):
            start_bytes = part.bytes
            try:
                self._attempt(upstream, file, part, on_bytes)
                return
            except _TROUBLES as trouble:
                if part.bytes == start_bytes or attempt == _ATTEMPTS:
                    raise HubError(f"{_name(upstream.host)}: the download broke off ({_reason(trouble)})") from trouble

    def _attempt(self, upstream: Upstream, file: File, part: PartFile, on_bytes: Callable[[], object]) -> None:
        if part.bytes == file.bytes:
            return
        with self._response(upstream, part.bytes) as response:
            _align(response, upstream, file, part)
            for piece in response.iter_raw():
                if part.bytes + len(piece) > file.bytes:
                    raise HubError(f"{_name(upstream.host)}: sends more than the {file.bytes} bytes of the file")
                part.write(piece)
                on_bytes()
        if part.bytes < file.bytes:
            raise httpx.ReadError("it ended early")

    @contextmanager
    def _response(self, upstream: Upstream, from_bytes: int) -> Iterator[httpx.Response]:
        headers = {"Accept-Encoding": "identity"}
        if from_bytes:
            headers["Range"] = f"bytes={from_bytes}-"
        response = self._open(upstream, headers)
        try:
            yield response
        finally:
            response.close()

    def _open(self, upstream: Upstream, headers: Mapping[str, str]) -> httpx.Response:
        """The response's head, within what is left of the time for hosts that do not answer.

        A thread of its own, because neither name resolution nor a chain of redirects can be timed as a whole.
        """
        host = upstream.host
        if host in self._silent:
            raise HubError(f"{_name(host)}: {self._silent[host]}")
        attempt = _Opening(self._client, self._timeout, upstream.url(self._endpoints), headers)
        self._client = None
        began_s = time.monotonic()
        opened = attempt.wait(self._reach_left_s)
        if isinstance(opened, httpx.Response):
            self._client = attempt.client
            return opened
        if opened is not None and attempt.client is not None:
            attempt.client.close()
        self._reach_left_s = max(0.0, self._reach_left_s - (time.monotonic() - began_s))
        self._silent[host] = f"cannot be reached ({'no answer' if opened is None else _reason(opened)})"
        raise HubError(f"{_name(host)}: {self._silent[host]}") from opened


class _Opening:
    """One request up to the response's head, in a thread that may be left behind; it then clears up after itself."""

    def __init__(
        self, client: httpx.Client | None, timeout: httpx.Timeout, url: str, headers: Mapping[str, str]
    ) -> None:
        self.client = client
        self._timeout = timeout
        self._url = url
        self._headers = headers
        self._results: queue.SimpleQueue[_Opened] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._abandoned = False
        threading.Thread(target=self._run, name="weights-hub", daemon=True).start()

    def wait(self, timeout_s: float) -> _Opened | None:
        """What came of it; None if nothing did in time."""
        with suppress(queue.Empty):
            return self._results.get(timeout=timeout_s)
        with self._lock:
            self._abandoned = True
            with suppress(queue.Empty):
                return self._results.get_nowait()
        return None

    def _run(self) -> None:
        opened = self._request()
        with self._lock:
            if not self._abandoned:
                self._results.put(opened)
                return
        if isinstance(opened, httpx.Response):
            opened.close()
        if self.client is not None:
            self.client.close()

    def _request(self) -> _Opened:
        try:
            if self.client is None:
                self.client = httpx.Client(timeout=self._timeout, follow_redirects=True)
            return self.client.send(self.client.build_request("GET", self._url, headers=self._headers), stream=True)
        except Exception as trouble:
            return trouble


def _align(response: httpx.Response, upstream: Upstream, file: File, part: PartFile) -> None:
    """Make ``part`` end where the response's body begins, or raise ``HubError``."""
    if response.status_code == httpx.codes.OK:
        if part.bytes:
            part.restart()
    elif response.status_code == httpx.codes.PARTIAL_CONTENT and part.bytes:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {part.bytes}-"):
            raise HubError(f"{_name(upstream.host)}: resumes at another place than asked")
    else:
        raise HubError(f"{_name(upstream.host)}: answers {response.status_code}")
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and part.bytes + int(announced) != file.bytes:
        raise HubError(f"{_name(upstream.host)}: has another file (its size differs)")


def _endpoints() -> Mapping[Host, str]:
    return {host: host.value for host in Host} | {
        Host.HUGGING_FACE: os.environ.get("HF_ENDPOINT") or Host.HUGGING_FACE.value
    }


def _name(host: Host) -> str:
    return host.value.removeprefix("https://")


def _reason(trouble: BaseException) -> str:
    return one_line(str(trouble)) or type(trouble).__name__
