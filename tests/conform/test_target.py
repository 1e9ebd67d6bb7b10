"""The address that is given, and the key that never leaves it."""

import asyncio
from http import HTTPStatus

import pytest
import websockets
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from antiphon.conform.run import UnreachableError, run_checks
from antiphon.conform.target import Target, TargetError

KEY = "a-key-of-ours"


@pytest.mark.parametrize(
    ("given", "websocket", "http"),
    [
        ("ws://host:1/v1/realtime", "ws://host:1/v1/realtime?model=m", "http://host:1/v1"),
        ("ws://host:1", "ws://host:1/v1/realtime?model=m", "http://host:1/v1"),
        ("http://host:1/", "ws://host:1/v1/realtime?model=m", "http://host:1/v1"),
        ("https://host/v1", "wss://host/v1/realtime?model=m", "https://host/v1"),
        ("wss://host/openai/v1/realtime", "wss://host/openai/v1/realtime?model=m", "https://host/openai/v1"),
        ("ws://host/v1/realtime?model=m&version=2", "ws://host/v1/realtime?version=2&model=m", "http://host/v1"),
    ],
)
def test_an_address_may_be_given_in_several_forms(given: str, websocket: str, http: str) -> None:
    target = Target.of(given, model="m")
    assert target.websocket_url({"model": target.model}) == websocket
    assert target.base_url == http


def test_the_model_of_the_address_wins() -> None:
    assert Target.of("ws://host?model=other", model="m").model == "other"


@pytest.mark.parametrize("given", ["", "host:8000", "ftp://host", "ws://", "ws://user:secret@host/"])
def test_anything_else_is_no_address(given: str) -> None:
    with pytest.raises(TargetError):
        Target.of(given, model="m")


def test_the_key_is_in_no_text() -> None:
    target = Target.of("ws://host", model="m", key=KEY)
    assert KEY not in repr(target)
    assert target.hidden(f"Incorrect API key provided: {KEY}.") == "Incorrect API key provided: ***."


def test_a_redirect_does_not_take_the_key_along() -> None:
    keys: list[str | None] = []

    async def process(connection: websockets.ServerConnection, request: Request) -> Response:
        keys.append(request.headers.get("Authorization"))
        status = HTTPStatus.TEMPORARY_REDIRECT
        return Response(status.value, status.phrase, Headers({"Location": "/elsewhere", "Content-Length": "0"}))

    async def never(connection: websockets.ServerConnection) -> None:
        raise AssertionError("no handshake succeeds")

    async def main() -> None:
        async with websockets.serve(never, "127.0.0.1", 0, process_request=process) as listening:
            port = next(iter(listening.sockets)).getsockname()[1]
            target = Target.of(f"ws://127.0.0.1:{port}", model="m", key=KEY)
            with pytest.raises(UnreachableError, match="HTTP 307"):
                await run_checks(target, [], speech=b"", jobs=1)

    asyncio.run(main())
    assert keys == [f"Bearer {KEY}"]
