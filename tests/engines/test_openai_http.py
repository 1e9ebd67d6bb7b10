import asyncio
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.openai_http import (
    EndpointOptions,
    ensure_success,
    error_for_status,
    open_client,
    probe,
    sse_events,
    translate_errors,
)
from antiphon.vocabulary.errors import EngineErrorKind as Kind


class Chunks(httpx.AsyncByteStream):
    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def events_of(*chunks: bytes) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [event async for event in sse_events(httpx.Response(200, stream=Chunks(chunks)), "x")]

    return asyncio.run(collect())


@pytest.mark.parametrize(
    ("chunks", "events"),
    [
        ([b"data: a\n\ndata: b\n\n"], [b"a", b"b"]),
        ([b"da", b"ta: a\r\n\r", b"\ndata:b\r\n\r\n"], [b"a", b"b"]),
        ([b": comment\nevent: x\nid: 1\ndata: a\ndata: b\n\n"], [b"a\nb"]),
        ([b"data: a\n\ndata: [DONE]\n\ndata: late\n\n"], [b"a"]),
        ([b"\n\n\n"], []),
        ([b"data: last, without a blank line"], [b"last, without a blank line"]),
        (["data: a\u2028b\u0085c\n\n".encode()], ["a\u2028b\u0085c".encode()]),
        ([b'data: {"error": null}\n\n'], [b'{"error": null}']),
        ([], []),
    ],
)
def test_event_stream_yields_the_data_of_each_event(chunks: list[bytes], events: list[bytes]) -> None:
    assert events_of(*chunks) == events


def test_event_stream_is_the_same_however_it_is_cut() -> None:
    body = b'event: x\r\ndata: {"a":\r\ndata: 1}\r\n\r\n: hi\r\n\r\ndata: [DONE]\r\n\r\n'
    for size in range(1, len(body)):
        assert events_of(*(body[at : at + size] for at in range(0, len(body), size))) == [b'{"a":\n1}']


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (b'{"error": {"message": "boom", "code": "server_error"}}', Kind.FAILED),
        (b'{"type": "error", "error": {"code": "context_length_exceeded"}}', Kind.CONTEXT_OVERFLOW),
    ],
)
def test_an_error_event_ends_the_stream_as_an_engine_error(error: bytes, kind: Kind) -> None:
    with pytest.raises(EngineError) as caught:
        events_of(b"data: a\n\ndata: " + error + b"\n\n")
    assert caught.value.kind is kind
    assert "boom" not in caught.value.message


def test_an_event_without_end_is_refused() -> None:
    with pytest.raises(EngineError) as caught:
        events_of(*([b"data: " + b"x" * 1_000_000] * 20))
    assert caught.value.kind is Kind.FAILED


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, b"", Kind.BAD_INPUT, False),
        (400, b'{"error": {"code": "context_length_exceeded"}}', Kind.CONTEXT_OVERFLOW, False),
        (400, b'{"error": {"type": "exceed_context_size_error"}}', Kind.CONTEXT_OVERFLOW, False),
        (400, b'{"error": "This model\'s maximum context length is 4096 tokens"}', Kind.CONTEXT_OVERFLOW, False),
        (413, b"<html>", Kind.BAD_INPUT, False),
        (422, b"\xff", Kind.BAD_INPUT, False),
        (401, b"", Kind.FAILED, False),
        (403, b"", Kind.FAILED, False),
        (404, b"", Kind.FAILED, False),
        (302, b"", Kind.FAILED, False),
        (408, b"", Kind.TIMEOUT, True),
        (429, b"", Kind.OVERLOADED, True),
        (429, b'{"error": {"code": "insufficient_quota"}}', Kind.FAILED, False),
        (500, b"", Kind.UNAVAILABLE, True),
        (503, b"[]", Kind.UNAVAILABLE, True),
        (504, b"", Kind.TIMEOUT, True),
    ],
)
def test_status_becomes_an_error_kind(status: int, body: bytes, kind: Kind, retryable: bool) -> None:
    error = error_for_status(status, body, "x")
    assert (error.kind, error.retryable) == (kind, retryable)
    assert str(status) in error.message


@pytest.mark.parametrize("code", ["sk-secret", "/etc/passwd", "a" * 65, "Bad", "x y"])
def test_only_a_plain_code_word_of_the_server_reaches_the_message(code: str) -> None:
    body = b'{"error": {"message": "key sk-secret is wrong", "code": "%s"}}' % code.encode()
    assert error_for_status(401, body, "x").message == "x: the server answered 401"


def test_the_code_word_is_named() -> None:
    body = b'{"error": {"code": 40, "type": "invalid_api_key"}}'
    assert error_for_status(401, body, "x").message == "x: the server answered 401 (invalid_api_key)"


def test_a_success_is_left_unread_and_a_failure_is_read_to_a_limit() -> None:
    async def check() -> None:
        success = httpx.Response(200, stream=Chunks([b"body"]))
        await ensure_success(success, "x")
        assert not success.is_stream_consumed
        failure = httpx.Response(429, stream=Chunks([b"x" * 10_000] * 1_000))
        with pytest.raises(EngineError) as caught:
            await ensure_success(failure, "x")
        assert caught.value.kind is Kind.OVERLOADED

    asyncio.run(check())


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("/home/x"), Kind.UNAVAILABLE),
        (httpx.RemoteProtocolError("closed"), Kind.UNAVAILABLE),
        (httpx.ReadTimeout("slow"), Kind.TIMEOUT),
        (TimeoutError(), Kind.TIMEOUT),
        (httpx.PoolTimeout("full"), Kind.OVERLOADED),
        (httpx.DecodingError("gzip"), Kind.FAILED),
        (httpx.StreamClosed(), Kind.FAILED),
    ],
)
def test_foreign_exceptions_become_engine_errors_with_a_safe_text(raised: Exception, kind: Kind) -> None:
    with pytest.raises(EngineError) as caught, translate_errors("x"):
        raise raised
    assert caught.value.kind is kind
    assert caught.value.__cause__ is raised
    assert str(raised) == "" or str(raised) not in caught.value.message


def test_cancellation_and_bugs_pass_unchanged() -> None:
    for error in (asyncio.CancelledError(), KeyError("bug"), EngineError(Kind.FAILED, "own")):
        with pytest.raises(type(error)), translate_errors("x"):
            raise error


@pytest.mark.parametrize(
    "options",
    [
        EndpointOptions(base_url="localhost:8000/v1"),
        EndpointOptions(base_url="ftp://host/v1"),
        EndpointOptions(base_url="http://"),
        EndpointOptions(base_url=""),
        EndpointOptions(base_url="http://[::1"),
        EndpointOptions(timeout_s=0),
        EndpointOptions(api_key="line\nbreak"),
        EndpointOptions(api_key="schlüssel"),
    ],
)
def test_unusable_endpoint_settings_are_refused(options: EndpointOptions) -> None:
    with pytest.raises(EngineSettingsError) as caught:
        open_client(options)
    assert options.api_key == "" or options.api_key not in str(caught.value)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1/"])
def test_paths_are_relative_to_the_base_url_and_the_key_is_a_bearer(base_url: str) -> None:
    client = open_client(EndpointOptions(base_url=base_url, api_key="k"))
    request = client.build_request("POST", "audio/speech")
    assert str(request.url) == "http://127.0.0.1:1/v1/audio/speech"
    assert request.headers["authorization"] == "Bearer k"
    assert "authorization" not in open_client(EndpointOptions()).headers


def probe_answered_by(status: int) -> None:
    async def run() -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(status))
        async with open_client(EndpointOptions(), transport=transport) as client:
            await probe(client, "x")

    asyncio.run(run())


@pytest.mark.parametrize("status", [401, 403])
def test_probe_refuses_a_wrong_key(status: int) -> None:
    with pytest.raises(EngineError) as caught:
        probe_answered_by(status)
    assert caught.value.kind is Kind.FAILED


@pytest.mark.parametrize("status", [200, 404, 405, 500])
def test_probe_accepts_a_server_that_lists_no_models(status: int) -> None:
    probe_answered_by(status)


def test_probe_of_an_absent_server_is_unavailable() -> None:
    async def run() -> None:
        async with open_client(EndpointOptions(base_url="http://127.0.0.1:9/v1")) as client:
            await probe(client, "x")

    with pytest.raises(EngineError) as caught:
        asyncio.run(run())
    assert caught.value.kind is Kind.UNAVAILABLE
