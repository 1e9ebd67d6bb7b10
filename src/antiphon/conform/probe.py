"""What a check works with: connections to the server under test, HTTP requests, speech, words for the model."""

import asyncio
import base64
import functools
import io
import struct
import wave
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

import httpx
import websockets
from websockets.typing import Subprotocol

from antiphon.audio.g711 import encode_alaw, encode_ulaw
from antiphon.audio.resample import resample
from antiphon.conform.check import BlockedError, RuleError
from antiphon.conform.connection import Connection
from antiphon.conform.observed import Observer
from antiphon.conform.target import Target

__all__ = ["INPUT_HZ", "HandshakeError", "Probe", "append", "bundled_speech", "png", "read_speech"]

INPUT_HZ = 24_000
_CHUNK_MS = 100
_G711_HZ = 8_000
_FRAME_BYTES_MAX = 64 * 2**20


class HandshakeError(Exception):
    """The handshake was answered by an HTTP status other than 101."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


class _Connect(websockets.connect):
    def process_redirect(self, exc: Exception) -> Exception:
        """The key goes to the given address only."""
        return exc


class Probe:
    """One for all checks of a run."""

    def __init__(self, target: Target, observer: Observer, speech: bytes) -> None:
        self.target = target
        self.observer = observer
        self.speech_pcm = speech
        """A sentence, s16le mono, 24 kHz."""

    # --- WebSocket -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def socket(
        self,
        query: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        compression: str | None = None,
    ) -> AsyncIterator[websockets.ClientConnection]:
        """A connection whose handshake is done. Raises ``HandshakeError``, or ``RuleError`` where nothing answers.

        With ``subprotocols`` no Authorization header is sent.
        """
        key = self.target.key if key is None else key
        sent = dict(headers or {})
        if not subprotocols and key:
            sent["Authorization"] = f"Bearer {key}"
        asked = {"model": self.target.model} if query is None else query
        connecting = _Connect(
            self.target.websocket_url(asked),
            additional_headers=sent,
            subprotocols=[Subprotocol(one) for one in subprotocols] or None,
            compression=compression,
            proxy=None,
            ssl=self.target.tls,
            max_size=_FRAME_BYTES_MAX,
            open_timeout=self.target.timeout_s,
            close_timeout=2,
        )
        try:
            socket = await connecting
        except websockets.InvalidStatus as error:
            answer = error.response
            raise HandshakeError(answer.status_code, bytes(answer.body or b""), dict(answer.headers)) from error
        except (websockets.InvalidHandshake, OSError, TimeoutError) as error:
            raise RuleError("a WebSocket handshake", f"{type(error).__name__}: {error}") from error
        try:
            yield socket
        finally:
            await socket.close()

    @asynccontextmanager
    async def connect(self, query: Mapping[str, str] | None = None, **options: Any) -> AsyncIterator[Connection]:
        """A connection on which the session was announced."""
        async with self.opened(query, **options) as connection:
            if self.observer.is_given_up("session.created"):
                raise BlockedError("needs session.created, which does not come")
            try:
                async with asyncio.timeout(self.target.timeout_s):
                    first = await connection.next()
            except TimeoutError:
                self.observer.missed("session.created")
                raise BlockedError(
                    f"needs session.created, which did not come in {self.target.timeout_s:g} s"
                ) from None
            session = first.get("session")
            if first.get("type") != "session.created" or not isinstance(session, dict):
                raise BlockedError(f"needs session.created, but the first event is {first.get('type')}")
            connection.session = session
            yield connection

    @asynccontextmanager
    async def opened(self, query: Mapping[str, str] | None = None, **options: Any) -> AsyncIterator[Connection]:
        """A connection of which nothing was read."""
        try:
            async with self.socket(query, **options) as socket:
                yield Connection(socket, self.observer, self.target.timeout_s)
        except HandshakeError as refused:
            raise RuleError("a WebSocket handshake", f"HTTP {refused.status}: {_text(refused.body)}") from refused

    def transcription(self) -> Any:
        """A connection that only transcribes."""
        return self.connect({"intent": "transcription"})

    # --- HTTP ------------------------------------------------------------------------------------------------------

    async def http(self, method: str, path: str, *, key: str | None = None, **options: Any) -> httpx.Response:
        """A request to a path below ``/v1``, with the key unless another one is given."""
        key = self.target.key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        verify = self.target.tls or True
        try:
            async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=self.target.timeout_s) as client:
                return await client.request(method, self.target.base_url + path, headers=headers, **options)
        except httpx.HTTPError as error:
            raise RuleError("an HTTP answer", f"{type(error).__name__}: {error}") from error

    # --- words -----------------------------------------------------------------------------------------------------

    def lasting(self) -> str:
        """A request whose answer begins at once and is not over until it is stopped."""
        if self.target.scripted:
            return "say Here is the beginning. And it goes\nsay on and on.\nhang"
        return "Tell me a long story about a dog who crosses the sea. Use at least thirty sentences."

    def long(self) -> str:
        """A request whose answer has more than twenty words."""
        return "long 60" if self.target.scripted else "Count from one to fifty, in words."

    def calling(self) -> str:
        """A request that is answered by a call of ``get_weather``, where that is asked for."""
        return 'call get_weather {"city": "Paris"}' if self.target.scripted else "What is the weather in Paris?"

    # --- sounds ----------------------------------------------------------------------------------------------------

    async def speak(self, connection: Connection, *, silence_ms: int = 1200, format: str = "audio/pcm") -> None:
        """Send the sentence and a silence after it, in pieces."""
        await append(connection, self.speech_pcm + bytes(silence_ms * INPUT_HZ // 1000 * 2), format)


async def append(connection: Connection, pcm: bytes, format: str = "audio/pcm") -> None:
    """Send audio in pieces of 100 ms."""
    if format != "audio/pcm":
        encode = encode_ulaw if format == "audio/pcmu" else encode_alaw
        pcm = encode(resample(pcm, INPUT_HZ, _G711_HZ))
        step = _G711_HZ * _CHUNK_MS // 1000
    else:
        step = INPUT_HZ * _CHUNK_MS // 1000 * 2
    for start in range(0, len(pcm), step):
        audio = base64.b64encode(pcm[start : start + step]).decode()
        await connection.send("input_audio_buffer.append", audio=audio)


@functools.cache
def bundled_speech() -> bytes:
    """The sentence that comes with the suite."""
    return read_speech(resources.files("antiphon.conform").joinpath("speech.wav").read_bytes())


def read_speech(wav: bytes) -> bytes:
    """The audio of a wav file as s16le mono, 24 kHz. Raises ``ValueError`` unless it is 16-bit mono."""
    try:
        with wave.open(io.BytesIO(wav)) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise ValueError("expected a wav file of 16-bit mono audio")
            pcm = file.readframes(file.getnframes())
            return resample(pcm, file.getframerate(), INPUT_HZ)
    except (wave.Error, EOFError) as error:
        raise ValueError(f"no wav file: {error}") from error


def png(width: int = 16, height: int = 16, *, compressed: bool = True) -> str:
    """A red picture, as a data URL."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + b"\xff\0\0" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 6 if compressed else 0))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _text(body: bytes) -> str:
    return body[:200].decode("utf-8", "replace")
