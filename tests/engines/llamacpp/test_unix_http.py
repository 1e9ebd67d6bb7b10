"""The HTTP client for the child process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.llamacpp.http_reader import HttpReader
from antiphon.engines.llamacpp.unix_http import Exchange, Reply, UnixHttp

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=1\r\nlo\r\n0\r\n\r\n"
REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.sampled_from([PLAIN, CHUNKED]), st.lists(st.integers(1, 200), max_size=10))
def test_a_response_is_the_same_however_it_is_cut(response: bytes, places: list[int]) -> None:
    reader = HttpReader()
    body = b""
    for piece in cut(response, places):
        body += reader.feed(piece)
    assert (reader.status, body, reader.complete) == (200, b"hello", True)


def test_a_response_without_a_body_is_complete_with_its_head() -> None:
    reader = HttpReader()
    assert reader.feed(EMPTY) == b""
    assert (reader.status, reader.complete) == (204, True)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"x" * 70_000,
    ],
)
def test_what_is_no_response_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        HttpReader().feed(data)


# --- over a socket -----------------------------------------------------------------------------------------------


class Server:
    """Answers each request with ``pieces``, then closes, or keeps the connection if ``hold``."""

    def __init__(self, pieces: list[bytes], *, hold: bool = False) -> None:
        self._pieces = pieces
        self._hold = hold
        self.requests: list[bytes] = []
        self.closed_by_client = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.requests.append(head + await reader.readexactly(size))
        for piece in self._pieces:
            writer.write(piece)
            await writer.drain()
        if self._hold:
            await reader.read()
            self.closed_by_client.set()
        writer.close()


@asynccontextmanager
async def served(server: Server, directory: Path) -> AsyncGenerator[UnixHttp, None]:
    socket = directory / "llm.sock"
    async with await asyncio.start_unix_server(server.serve, socket):
        yield UnixHttp(socket, "the-key")


class Listener:
    """Keeps what it is told; ``on_first`` is called with the first event."""

    def __init__(self, on_first: Callable[[], None] = lambda: None) -> None:
        self.told: list[object] = []
        self.over = asyncio.Event()
        self._on_first = on_first

    def on_event(self, data: bytes) -> None:
        self.told.append(data)
        if len(self.told) == 1:
            self._on_first()

    def on_end(self, refusal: Reply | None) -> None:
        self.told.append(refusal)
        self.over.set()

    def on_lost(self) -> None:
        self.told.append("lost")
        self.over.set()


def posted(server: Server, directory: Path) -> Reply:
    async def post() -> Reply:
        async with served(server, directory) as http:
            return await http.post("/tokenize", {"content": "ä"})

    return asyncio.run(post())


def test_a_request_carries_the_key_and_its_json(tmp_path: Path) -> None:
    server = Server([PLAIN])
    assert posted(server, tmp_path) == Reply(200, b"hello")
    (request,) = server.requests
    head, body = request.split(b"\r\n\r\n", 1)
    assert head.startswith(b"POST /tokenize HTTP/1.1\r\n")
    assert b"Authorization: Bearer the-key" in head
    assert body == '{"content":"ä"}'.encode()


def test_a_refusal_is_a_reply_with_its_status(tmp_path: Path) -> None:
    assert posted(Server([REFUSED]), tmp_path) == Reply(400, b"{}")


@pytest.mark.parametrize("pieces", [[], [PLAIN[:-1]], [CHUNKED[:-9]], [b"nonsense\r\n\r\n"]])
def test_a_reply_that_breaks_off_is_a_connection_error(pieces: list[bytes], tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        posted(Server(pieces), tmp_path)


def test_nobody_listening_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"."):
        asyncio.run(UnixHttp(tmp_path / "none.sock", "k").post("/", {}))


def streamed(server: Server, directory: Path) -> list[object]:
    async def stream() -> list[object]:
        listener = Listener()
        async with served(server, directory) as http:
            await http.stream("/completion", {}, listener)
            await listener.over.wait()
        return listener.told

    return asyncio.run(stream())


def chunked(*pieces: bytes) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)]


LAST = b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        ([*chunked(b"data: 1\n\n", b"data: 2\n\ndata: 3\n\n"), LAST], [b"1", b"2", b"3", None]),
        ([*chunked(b"data: 1", b"\n\nda", b"ta: 2\n\n"), LAST], [b"1", b"2", None]),
        ([*chunked(b": ping\n\ndata: 1\n\n"), LAST], [b"1", None]),
        (chunked(b"data: 1\n\n"), [b"1", "lost"]),
        ([REFUSED], [Reply(400, b"{}")]),
        ([], ["lost"]),
    ],
)
def test_a_stream_is_told_event_by_event(pieces: list[bytes], told: list[object], tmp_path: Path) -> None:
    assert streamed(Server(pieces), tmp_path) == told


def test_nothing_is_told_after_a_stream_was_dropped(tmp_path: Path) -> None:
    server = Server(chunked(b"data: 1\n\ndata: 2\n\n"), hold=True)

    async def stream() -> list[object]:
        exchanges: list[Exchange] = []
        listener = Listener(lambda: exchanges[0].abort())
        async with served(server, tmp_path) as http:
            exchanges.append(await http.stream("/completion", {}, listener))
            await server.closed_by_client.wait()
        return listener.told

    assert asyncio.run(stream()) == [b"1"]
