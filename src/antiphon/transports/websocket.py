"""Events over a WebSocket that the HTTP application has accepted."""

from collections.abc import Sequence

from starlette.websockets import WebSocket, WebSocketDisconnect

from antiphon.runtime.transport import TransportClosedError

__all__ = ["WebSocketTransport"]

_CLEAN_CODES = frozenset({1000, 1001, 1005})
_LOST = 1006
_TEXTS = "antiphon.texts"
"""The ASGI server writes all the encoded texts of one message at once."""
_REASON_MAX_BYTES = 123
"""RFC 6455 5.5: a control frame holds 125 bytes, two of them the code."""


class WebSocketTransport:
    """One client's connection. Input pauses on the network while nobody calls ``receive``."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._takes_many = _TEXTS in socket.scope.get("extensions", {})

    @property
    def media(self) -> None:
        return None

    async def receive(self) -> str | bytes:
        try:
            message = await self._socket.receive()
        except RuntimeError as error:  # asked again after the end
            raise TransportClosedError(clean=False, code=_LOST) from error
        if message["type"] == "websocket.disconnect":
            # Without a reason there was no close frame: the connection was lost.
            code: int = message["code"] if "reason" in message else _LOST
            raise TransportClosedError(clean=code in _CLEAN_CODES, code=code)
        text: str | None = message.get("text")
        if text is not None:
            return text
        content: bytes = message["bytes"]
        return content

    async def send(self, frames: Sequence[bytes]) -> None:
        try:
            if self._takes_many:
                await self._socket.send({"type": "websocket.send", "texts": frames})
                return
            for frame in frames:
                await self._socket.send({"type": "websocket.send", "text": str(frame, "utf-8")})
        except (WebSocketDisconnect, RuntimeError) as error:
            raise TransportClosedError(clean=False, code=_LOST) from error

    async def close(self, code: int, reason: str) -> None:
        cut = reason.encode()[:_REASON_MAX_BYTES].decode("utf-8", "ignore")
        try:
            await self._socket.close(code, cut)
        except (WebSocketDisconnect, RuntimeError):
            return  # it is closed already, which is what was asked for
