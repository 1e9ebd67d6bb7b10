"""A WebSocket proxy in front of a server, which spoils what the server says in one planted way."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import websockets
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

__all__ = ["Bend", "Event", "bent_server"]

Event = dict[str, Any]
Bend = Callable[[Event], Iterable[Event | bytes]]
"""What a client gets instead of an event; called for each event of one connection, in order."""

_PASSED_ON = ("authorization",)


class _Proxy:
    def __init__(self, url: str, new_bends: Iterable[Callable[[], Bend]], *, deaf: bool, open: bool) -> None:
        self._url = url
        self._new_bends = list(new_bends)
        self._selects_no_protocol = deaf
        self._opens_any_call = open
        self._upstream: dict[websockets.ServerConnection, websockets.ClientConnection] = {}

    async def process_request(self, connection: websockets.ServerConnection, request: Request) -> Response | None:
        """Connect to the server behind first: what it refuses is refused here."""
        parts = urlsplit(request.path)
        query = parts.query.replace("call_id=", "model=") if self._opens_any_call else parts.query
        url = urlunsplit((*urlsplit(self._url)[:2], parts.path, query, ""))
        headers = {name: value for name, value in request.headers.raw_items() if name.lower() in _PASSED_ON}
        offered = [
            Subprotocol(one.strip()) for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if one
        ]
        try:
            upstream = await websockets.connect(
                url,
                additional_headers=headers,
                subprotocols=offered or None,
                compression=None,
                max_size=None,
                proxy=None,
            )
        except websockets.InvalidStatus as error:
            status = HTTPStatus(error.response.status_code)
            body = bytes(error.response.body or b"")
            length = Headers({"Content-Length": str(len(body)), "Connection": "close"})
            return Response(status.value, status.phrase, length, body)
        self._upstream[connection] = upstream
        return None

    def select_subprotocol(
        self, connection: websockets.ServerConnection, offered: Iterable[Subprotocol]
    ) -> Subprotocol | None:
        return None if self._selects_no_protocol else self._upstream[connection].subprotocol

    async def serve(self, client: websockets.ServerConnection) -> None:
        server = self._upstream.pop(client)
        bends = [new_bend() for new_bend in self._new_bends]
        async with server, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pass_on(client, server))
            with contextlib.suppress(websockets.ConnectionClosed):
                async for data in server:
                    for bent in _bent([json.loads(data)], bends):
                        await client.send(bent)
            close = server.close_code, server.close_reason or ""
            with contextlib.suppress(websockets.WebSocketException):
                await client.close(close[0] if close[0] in (1000, 1001, 3000, 4000) else 1000, close[1])

    async def _pass_on(self, client: websockets.ServerConnection, server: websockets.ClientConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for data in client:
                await server.send(data)
        await server.close(1000)


def _bent(events: Iterable[Event | bytes], bends: Iterable[Bend]) -> list[str | bytes]:
    for bend in bends:
        events = [bent for event in events for bent in ([event] if isinstance(event, bytes) else bend(event))]
    return [event if isinstance(event, bytes) else json.dumps(event) for event in events]


@asynccontextmanager
async def bent_server(
    url: str,
    bends: Iterable[Callable[[], Bend]] = (),
    *,
    selects_no_protocol: bool = False,
    opens_any_call: bool = False,
) -> AsyncIterator[str]:
    """The address of a server like the one at ``url``, but for what ``bends`` do. Each makes one for a connection."""
    proxy = _Proxy(url, bends, deaf=selects_no_protocol, open=opens_any_call)
    async with websockets.serve(
        proxy.serve,
        "127.0.0.1",
        0,
        process_request=proxy.process_request,
        select_subprotocol=proxy.select_subprotocol,
        compression=None,
        max_size=None,
    ) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield urlunsplit(("ws", f"127.0.0.1:{port}", *urlsplit(url)[2:]))
