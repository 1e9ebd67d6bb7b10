"""Bodies that come too slowly, end too early or lie about their length."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from starlette.types import Message

from antiphon.broker import BrokerSettings, create_broker
from antiphon.testing.clock import run_virtual
from tests.support.broker import OFFER, ScriptedUpstream

CHUNK: Message = {"type": "http.request", "body": OFFER, "more_body": True}
END: Message = {"type": "http.request", "body": b"", "more_body": False}
GONE: Message = {"type": "http.disconnect"}


async def _post(upstream: ScriptedUpstream, messages: Iterator[Message], **headers: str) -> tuple[int, str | None]:
    """Status and code of the answer to a body that comes in these pieces, and then not any further."""
    settings = BrokerSettings(upstream="https://upstream.example/v1", allow_anonymous=True)
    broker = create_broker(settings, transport=upstream.transport)
    sent: list[Message] = []

    async def receive() -> Message:
        message = next(messages, None)
        if message is None:
            await asyncio.sleep(60.0)
        assert message is not None
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    given = {"host": "app.example.com", "content-type": "application/sdp", **headers}
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/session",
        "scheme": "http",
        "query_string": b"",
    }
    scope |= {"headers": [(name.encode(), value.encode()) for name, value in given.items()], "client": ("192.0.2.1", 1)}
    await broker(scope, receive, send)
    status = sent[0]["status"]
    return status, None if status < 400 else msgspec.json.decode(sent[1]["body"])["error"]["code"]


@pytest.mark.parametrize(
    ("messages", "expected", "heard"),
    [
        ([], (408, "request_timeout"), 0),
        ([CHUNK], (408, "request_timeout"), 0),
        ([GONE], (400, "bad_request"), 0),
        ([CHUNK, GONE], (400, "bad_request"), 0),
        ([CHUNK] * 8000, (413, "request_too_large"), 0),
        ([CHUNK, END], (201, None), 1),
    ],
)
def test_a_body_comes_whole_in_time_and_within_its_bound(
    messages: list[Message], expected: tuple[int, str | None], heard: int
) -> None:
    upstream = ScriptedUpstream()
    assert run_virtual(_post(upstream, iter(messages))) == expected
    assert [one.body for one in upstream.heard] == [OFFER] * heard


def test_a_body_that_is_announced_too_large_is_not_read() -> None:
    unread = iter([CHUNK, END])
    answer = run_virtual(_post(ScriptedUpstream(), unread, **{"content-length": "262145"}))
    assert answer == (413, "request_too_large")
    assert list(unread) == [CHUNK, END]


@pytest.mark.parametrize("length", ["", "x", "-1", "٣٠٠٠٠٠", "9" * 5000])
def test_a_length_that_is_no_number_announces_nothing(length: str) -> None:
    answer = run_virtual(_post(ScriptedUpstream(), iter([CHUNK, END]), **{"content-length": length}))
    assert answer == (201, None)
