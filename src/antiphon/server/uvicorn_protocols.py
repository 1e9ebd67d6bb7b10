"""uvicorn's HTTP and WebSocket protocols with the bounds that a server open to strangers needs.

What uvicorn 0.54 leaves open, and these classes close:

- Connections are accepted until the process has no file descriptor left, and then each failure is logged, thousands of
  times a second. Here connections get half of the descriptors; those beyond are cut at once.
- Over-long headers: h11 bounds only a request that is still *incomplete*; one that arrives in a single read passes, and
  an upgrade then fails in websockets' own parser, whose answer uvicorn never writes. Here both get 431 at once.
- A connection that never sends a whole request, its body included, stays for ever. Here it has ``REQUEST_TIMEOUT_S``,
  and as long again whenever its body kept to ``LEAST_BYTES_PER_S`` meanwhile.
- A request whose length is given twice (``Transfer-Encoding`` and ``Content-Length``) passes, although a proxy before
  us may read it differently. Here it gets 400.
- A handshake that is none is answered with plain text; one that h11 can read and websockets cannot is not answered at
  all, and its connection stays for ever. Here both get an error in the API's shape.
- A handshake that the application refuses is logged as an error of the application. Here it is none.
- A message that breaks the rules is answered with a close frame and the connection cut, so that a peer that is still
  sending never reads the reason. Here what it sends is discarded until it is quiet, for ``close_timeout`` at most.
- Frames are read, joined and decoded while the application is still looking at the handshake. Here nothing is read
  before the application asks for its first message, and nothing is parsed, and soon nothing read, before it has taken
  the last one (uvicorn's ``ws_max_queue`` is not used by this implementation: its queue is one socket read long).
- A message may consist of any number of empty fragments. Here their number is bounded.
- All of one read is parsed at once: 256 KiB hold 40,000 empty frames. Here a slice is parsed at a time, and frames that
  are no messages (pings, pongs, fragments) are paced.
- Every ping is answered, whether or not its sender reads the answers. Here only the latest one waits to be answered.
- Closing waits until a slow peer has read everything sent before. Here the close frame is queued behind that data, and
  the connection is cut ``close_timeout`` seconds later.

And what it does more often than is needed: it stops and starts reading for every message, sends a machine of generators
through every frame, and writes each event by itself. Here reading stops only where more comes than is taken; a whole
text frame that comes alone, as audio does, is taken as it is; and an application may give several texts to one
``websocket.send``, in ``texts`` (encoded), where the scope's extensions have ``TEXTS``: they leave in one write.
"""

import asyncio
import binascii
import functools
import re
import secrets
import sys
from collections.abc import Sequence
from typing import Any, cast

import h11
import msgspec
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled wheel for this platform
    from websockets.utils import apply_mask

__all__ = ["HEADERS_MAX_BYTES", "REQUEST_TIMEOUT_S", "TEXTS", "HttpProtocol", "WebSocketProtocol", "connections_max"]

TEXTS = "antiphon.texts"
"""The extension of ASGI by which several texts are sent at once."""
HEADERS_MAX_BYTES = 32 * 1024
"""Request line and all headers together (node: 16 KiB, h11: 64 KiB)."""
HEADER_MAX_BYTES = 8 * 1024 - 256
"""One header line; websockets' own parser refuses 8 KiB."""
HEADERS_MAX = 100
REQUEST_TIMEOUT_S = 10.0
LEAST_BYTES_PER_S = 16 * 1024
"""A body that comes at this pace has the time it needs; all of them are bounded in size."""
LINGER_S = 1.0
CLOSE_TIMEOUT_S = 5.0
QUIET_S = 0.5
FRAGMENTS_MAX = 4_096
SLICE_BYTES = 8 * 1024
"""Parsed at a time; between two slices others have their turn."""
IDLE_FRAMES_MAX = 64
"""Frames of one slice that are no messages before they are paced."""
IDLE_FRAMES_PER_S = 10_000.0

_WHOLE_TEXT = 0x81
"""The first byte of a text frame that is a whole message."""
_MASKED = 0x80
_MASK_BYTES = 4

_HEADER_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
"""h11 takes other control characters too; websockets' own parser does not."""

_REFUSALS = {
    400: ("bad_request", "The request is not valid HTTP."),
    405: ("method_not_allowed", "A WebSocket handshake is a GET request."),
    414: ("uri_too_long", "The request's address is too long."),
    426: ("upgrade_required", "This server speaks version 13 of the WebSocket protocol."),
    431: ("headers_too_large", "The request's headers are too large."),
}


@functools.cache
def connections_max() -> int:
    """Half of the file descriptors; models, sockets to model servers and log files need others."""
    try:
        import resource  # not there on Windows
    except ImportError:
        return 256
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, soft // 2)


class _BoundedConnection(h11.Connection):
    """Bounds a request's headers whether they came in one read or in many."""

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            if len(event.target) > HEADER_MAX_BYTES:
                raise h11.RemoteProtocolError("address too long", error_status_hint=414)
            sizes = [len(name) + len(value) for name, value in event.headers]
            if len(sizes) > HEADERS_MAX or max(sizes, default=0) > HEADER_MAX_BYTES or sum(sizes) > HEADERS_MAX_BYTES:
                raise h11.RemoteProtocolError("headers too large", error_status_hint=431)
            if {b"content-length", b"transfer-encoding"} <= {name for name, _ in event.headers}:
                raise h11.RemoteProtocolError("two lengths", error_status_hint=400)
        return event


class HttpProtocol(H11Protocol):
    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = _BoundedConnection(h11.SERVER, HEADERS_MAX_BYTES)
        self._timer: asyncio.TimerHandle | None = None
        self._timed_bytes = 0
        self._refused = False
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > connections_max():
            transport.abort()
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._timed_bytes += len(data)
        super().data_received(data)
        if self._refused:
            return
        if self._upgraded or self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_timer()
        elif self._timer is None:
            self._start_timer()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        status = _handshake_status(event)
        if status is not None:
            self._refuse(status)
            return
        self._upgraded = True
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        # uvicorn calls this while it handles h11's exception, which knows the better status.
        error = sys.exception()
        self._refuse(error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400)

    def _refuse(self, status: int) -> None:
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            # The answer to this request is on its way already.
            self._linger()
            return
        if self.cycle is not None:
            # The application may be about to answer, too.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        code, message = _REFUSALS.get(status, _REFUSALS[400])
        body = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        content = msgspec.json.encode({"error": body})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"x-request-id", f"req_{secrets.token_hex(16)}".encode()),
            (b"connection", b"close"),
        ]
        if status == 426:
            headers += [(b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")]
        head = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES.get(status, b""))
        for event in (head, h11.Data(data=content), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self._linger()

    def _linger(self) -> None:
        """Close such that the answer arrives: closing while the peer still sends would reset the connection."""
        self._refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._stop_timer()
            self._timer = self.loop.call_later(LINGER_S, self.transport.abort)
        else:
            self.transport.close()

    def _start_timer(self) -> None:
        self._timed_bytes = 0
        self._timer = self.loop.call_later(REQUEST_TIMEOUT_S, self._expire)

    def _expire(self) -> None:
        body = self.conn.their_state is h11.SEND_BODY
        # What we do not read ourselves cannot come.
        if body and (self.flow.read_paused or self._timed_bytes >= REQUEST_TIMEOUT_S * LEAST_BYTES_PER_S):
            self._start_timer()
        else:
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _handshake_status(request: h11.Request) -> int | None:
    """How a WebSocket handshake is refused that is none by RFC 6455, section 4.2.1; None: it is one."""
    headers: dict[bytes, bytes] = dict(request.headers)
    if request.method != b"GET":
        return 405
    if headers.get(b"sec-websocket-version") != b"13":
        return 426
    has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
    names = [name for name, _ in request.headers]
    if request.http_version != b"1.1" or has_body or names.count(b"sec-websocket-key") != 1:
        return 400
    if not all(_HEADER_VALUE.fullmatch(value) for _, value in request.headers):
        return 400
    try:
        key = binascii.a2b_base64(headers[b"sec-websocket-key"], strict_mode=True)
    except binascii.Error:
        return 400
    return None if len(key) == 16 else 400


class WebSocketProtocol(WebSocketsSansIOProtocol):
    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.close_timeout = CLOSE_TIMEOUT_S
        self._listening = False
        self._unparsed = bytearray()
        self._parsing: asyncio.TimerHandle | None = None
        self._idle_frames = 0
        self._owed_pong = b""
        self._refused = False
        self._quiet: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._unparsed.clear()
        if self._quiet is not None:
            self._quiet.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._close_when_quiet()
            return
        if not self._unparsed and not self._must_wait and (text := self._whole_text(data)) is not None:
            self._deliver({"type": "websocket.receive", "text": text})
            return
        self._unparsed += data
        if self._must_wait:
            self._go_on()
        elif self._parsing is None:
            self._parse()

    def _whole_text(self, data: bytes) -> str | None:
        """The text, if this is one ordinary frame and nothing is under way that it could be a part of."""
        if not _MASK_BYTES < len(data) <= SLICE_BYTES or data[0] != _WHOLE_TEXT:
            return None
        conn = self.conn
        if conn.state is not State.OPEN or conn.reader.buffer or conn.cur_size is not None or self.close_sent:
            return None
        size, start = data[1] ^ _MASKED, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        if (size >= 126 and start == 2) or start + _MASK_BYTES + size != len(data):
            return None
        try:
            return str(apply_mask(data[start + _MASK_BYTES :], data[start : start + _MASK_BYTES]), "utf-8")
        except UnicodeDecodeError:
            return None

    def _deliver(self, message: ASGIReceiveEvent) -> None:
        """A message for the application; none is parsed after it before it is taken."""
        self.queue.put_nowait(message)
        self.read_paused = True

    @property
    def _must_wait(self) -> bool:
        """The application has not asked yet, or has not taken the last message."""
        return self.handshake_initiated and (self.read_paused or not self._listening)

    def _parse(self) -> None:
        self._parsing = None
        if self._refused or self.transport.is_closing():
            return
        data = bytes(self._unparsed[:SLICE_BYTES])
        del self._unparsed[:SLICE_BYTES]
        self._idle_frames = 0
        if data:
            super().data_received(data)
        self._go_on()

    def _go_on(self) -> None:
        """Parse what is left, soon; or read on."""
        if self._refused or self._parsing is not None:
            return
        if self.transport.is_closing():  # over TLS, a transport that is gone can be neither paused nor resumed
            return
        if self._must_wait:
            if self._unparsed:
                self.transport.pause_reading()
            return
        surplus = self._idle_frames - IDLE_FRAMES_MAX
        if self._unparsed or surplus > 0:
            self.transport.pause_reading()
            self._parsing = self.loop.call_later(max(0, surplus) / IDLE_FRAMES_PER_S, self._parse)
        else:
            self.transport.resume_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.transport.write(self._owed_pong)
        self._owed_pong = b""

    def handle_ping(self) -> None:
        self._idle_frames += 1
        if self.writable.is_set():
            super().handle_ping()
        elif frames := self.conn.data_to_send():
            self._owed_pong = frames[-1]

    def handle_pong(self, event: Frame) -> None:
        self._idle_frames += 1
        super().handle_pong(event)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        self.transport.pause_reading()
        if self.handshake_initiated and not self.handshake_complete:
            self.scope["extensions"][TEXTS] = {}

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= FRAGMENTS_MAX:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()
            return
        self._idle_frames += 1
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.curr_msg_data_type == "bytes":
            message: ASGIReceiveEvent = {"type": "websocket.receive", "bytes": data}
        else:
            try:
                message = {"type": "websocket.receive", "text": str(data, "utf-8")}
            except UnicodeDecodeError:
                self.conn.fail(CloseCode.INVALID_DATA, "not UTF-8")
                self.handle_parser_exception()
                return
        if not self.close_sent:
            self._deliver(message)

    def handle_parser_exception(self) -> None:
        close = self.conn.close_sent
        assert close is not None
        self._refused = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        # Closing now would reset the connection of a peer that is still sending: it would never read the reason.
        self.transport.resume_reading()
        self._close_when_quiet()
        self.close_timer = self.loop.call_later(self.close_timeout, self._cut)

    def _close_when_quiet(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = self.loop.call_later(QUIET_S, self.transport.close)

    async def receive(self) -> ASGIReceiveEvent:
        if self.handshake_complete:
            self._listen()
        message = await self.queue.get()
        if self.queue.empty():
            self.read_paused = False
        self._go_on()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        if (texts := message.get("texts")) is not None:
            await self._send_texts(cast("Sequence[bytes]", texts))
            return
        is_close = message["type"] == "websocket.close" and self.handshake_complete
        if is_close:
            # The close frame goes behind what a slow peer has not read yet, rather than waiting for it here.
            self.writable.set()
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True
        if is_close:
            self._listen()
            self._go_on()
            if self.close_timer is not None:
                self.close_timer.cancel()
                self.close_timer = self.loop.call_later(self.close_timeout, self._cut)

    async def _send_texts(self, texts: Sequence[bytes]) -> None:
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.conn.state is not State.OPEN:
            raise ClientDisconnected
        parts: list[bytes] = []
        for text in texts:
            parts += (_text_head(len(text)), text)
        self.transport.write(b"".join(parts))

    async def run_asgi(self) -> None:
        await super().run_asgi()
        # Closing a transport waits until its peer has read everything: not longer than this.
        self.loop.call_later(self.close_timeout, self._cut)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut()

    def _cut(self) -> None:
        # asyncio's abort fails on a transport that was closed while it still had something to write.
        if not self.disconnected:
            self.transport.abort()

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            self._go_on()


def _text_head(size: int) -> bytes:
    """Of an unmasked text frame."""
    if size < 126:
        return bytes((_WHOLE_TEXT, size))
    if size < 65_536:
        return bytes((_WHOLE_TEXT, 126)) + size.to_bytes(2)
    return bytes((_WHOLE_TEXT, 127)) + size.to_bytes(8)
