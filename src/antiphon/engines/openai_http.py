"""What the engines behind OpenAI-compatible HTTP servers share: the client, the errors, the event stream."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, cast

import httpx
import msgspec

from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.vocabulary.errors import EngineErrorKind

__all__ = [
    "EndpointOptions",
    "body_chunks",
    "due_s_of",
    "ensure_success",
    "error_for_status",
    "next_before",
    "open_client",
    "probe",
    "sse_events",
    "translate_errors",
]

_CONNECT_TIMEOUT_S = 5.0
_KEEP_ALIVE_S = 60.0
_MAX_CONNECTIONS = 128
_MAX_ERROR_BYTES = 16 * 1024
_MAX_EVENT_BYTES = 16 * 1024 * 1024

_BAD_INPUT_STATUS = frozenset({400, 413, 415, 422})
_TIMEOUT_STATUS = frozenset({408, 504})
_OVERFLOW_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_OVERFLOW_WORDS = re.compile(r"context (length|size|window)", re.IGNORECASE)
_SAFE_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class EndpointOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of every engine behind an OpenAI-compatible server; an engine adds its own in a subclass."""

    base_url: str = "https://api.openai.com/v1"
    """Up to and including the version, usually ``/v1``."""
    api_key: str = ""
    """Sent as a bearer token; empty: no ``Authorization`` header."""
    timeout_s: float = 30.0
    """Longest silence of the server: until its first byte, and between two."""


class _ErrorBody(msgspec.Struct):
    """Servers differ in the types of these fields; what is no text is not looked at."""

    message: Any = None
    type: Any = None
    code: Any = None


class _ErrorEnvelope(msgspec.Struct):
    error: _ErrorBody | str | None = None


def open_client(options: EndpointOptions, *, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """One client for all calls of an engine; it keeps connections alive. Request paths are relative to ``base_url``.

    Raises ``EngineSettingsError`` if the address or the key cannot be used.
    """
    try:
        url = httpx.URL(options.base_url)
    except httpx.InvalidURL as error:
        raise EngineSettingsError(f"base_url is not an address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise EngineSettingsError("base_url must look like http://host:port/v1")
    if options.timeout_s <= 0:
        raise EngineSettingsError("timeout_s must be above 0")
    if not (options.api_key.isascii() and options.api_key.isprintable()):
        raise EngineSettingsError("api_key must be printable ASCII")
    headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
    return httpx.AsyncClient(
        base_url=url,
        headers=headers,
        timeout=httpx.Timeout(options.timeout_s, connect=min(_CONNECT_TIMEOUT_S, options.timeout_s)),
        limits=httpx.Limits(max_connections=_MAX_CONNECTIONS, keepalive_expiry=_KEEP_ALIVE_S),
        transport=transport,
    )


@contextmanager
def translate_errors(engine: str) -> Iterator[None]:
    """Turn what httpx, a time-out or an unreadable answer raises into an ``EngineError`` with a text safe to show.

    May stand around a ``yield`` of an async generator: it awaits nothing.
    """
    try:
        yield
    except httpx.PoolTimeout as error:
        raise EngineError(EngineErrorKind.OVERLOADED, f"{engine}: too many calls are under way") from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise EngineError(EngineErrorKind.TIMEOUT, f"{engine}: the server did not answer in time") from error
    except httpx.TransportError as error:
        raise EngineError(EngineErrorKind.UNAVAILABLE, f"{engine}: the server cannot be reached") from error
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
        raise EngineError(EngineErrorKind.FAILED, f"{engine}: the request failed") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError(EngineErrorKind.FAILED, f"{engine}: the server's answer cannot be read") from error


async def ensure_success(response: httpx.Response, engine: str) -> None:
    """Raise the ``EngineError`` that the status stands for; the body of a 2xx answer is left unread."""
    if response.is_success:
        return
    body = bytearray()
    async with aclosing(body_chunks(response)) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > _MAX_ERROR_BYTES:
                break
    raise error_for_status(response.status_code, bytes(body), engine)


def error_for_status(status: int, body: bytes, engine: str) -> EngineError:
    """The meaning of an HTTP error. Of the body only a code word is passed on: its message may repeat a key."""
    error = _error_in(body) or _ErrorBody()
    code = _code_word(error)
    text = f"{engine}: the server answered {status}" + (f" ({code})" if code else "")
    if status in _BAD_INPUT_STATUS:
        return EngineError(_bad_input_kind(error), text)
    if status == 429:
        kind = EngineErrorKind.FAILED if code == "insufficient_quota" else EngineErrorKind.OVERLOADED
        return EngineError(kind, text)
    if status in _TIMEOUT_STATUS:
        return EngineError(EngineErrorKind.TIMEOUT, text)
    return EngineError(EngineErrorKind.UNAVAILABLE if status >= 500 else EngineErrorKind.FAILED, text)


async def probe(client: httpx.AsyncClient, engine: str) -> None:
    """Open a connection ahead of the first call, and learn early of a server that is absent or refuses the key.

    Asks for ``models``; a server without that path is fine.
    """
    with translate_errors(engine):
        response = await client.get("models")
    if response.status_code in (401, 403):
        raise error_for_status(response.status_code, response.content, engine)


def due_s_of(deadline_s: float | None) -> float | None:
    """When ``deadline_s`` from now is, on the loop's clock; None: never."""
    return None if deadline_s is None else asyncio.get_running_loop().time() + deadline_s


async def next_before(due_s: float | None, stream: AsyncGenerator[bytes, None]) -> bytes | None:
    """The stream's next value; None at its end. Raises ``TimeoutError`` at ``due_s``."""
    async with asyncio.timeout_at(due_s):
        return await anext(stream, None)


async def sse_events(response: httpx.Response, engine: str) -> AsyncGenerator[bytes, None]:
    """The ``data`` of each server-sent event up to ``[DONE]`` or the end of the body.

    An event that carries an ``error`` object is raised as an ``EngineError``. Call it inside ``translate_errors``.
    """
    data: list[bytes] = []
    async with aclosing(_lines(response, engine)) as lines:
        async for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
                continue
            if line or not data:  # a comment, another field, or a blank line after neither
                continue
            event = b"\n".join(data)
            data.clear()
            if event == b"[DONE]":
                return
            _refuse_error(event, engine)
            yield event


async def _lines(response: httpx.Response, engine: str) -> AsyncGenerator[bytes, None]:
    """Lines without their end. Split here, not by httpx, which also breaks at U+2028 and its like inside JSON texts.

    A blank line is added at the end of the body, so that a last event without one is not lost.
    """
    line = bytearray()
    async with aclosing(body_chunks(response)) as chunks:
        async for chunk in chunks:
            head, *others = chunk.split(b"\n")
            line += head
            if len(line) > _MAX_EVENT_BYTES:
                raise EngineError(EngineErrorKind.FAILED, f"{engine}: the server sent an event without end")
            for following in others:
                yield bytes(line.removesuffix(b"\r"))
                line = bytearray(following)
    yield bytes(line.removesuffix(b"\r"))
    yield b""


def body_chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it comes, decompressed."""
    # httpx declares less than it returns: this is a generator, which must be closed.
    return cast(AsyncGenerator[bytes, None], response.aiter_bytes())


def _refuse_error(event: bytes, engine: str) -> None:
    if b'"error"' not in event:
        return
    error = _error_in(event)
    if error is None:
        return
    code = _code_word(error)
    text = f"{engine}: the server reported an error" + (f" ({code})" if code else "")
    kind = _bad_input_kind(error)
    raise EngineError(EngineErrorKind.FAILED if kind is EngineErrorKind.BAD_INPUT else kind, text)


def _error_in(body: bytes) -> _ErrorBody | None:
    try:
        error = msgspec.json.decode(body, type=_ErrorEnvelope).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return _ErrorBody(message=error) if isinstance(error, str) else error


def _code_word(error: _ErrorBody) -> str:
    for word in (error.code, error.type):
        if isinstance(word, str) and _SAFE_CODE.fullmatch(word):
            return word
    return ""


def _bad_input_kind(error: _ErrorBody) -> EngineErrorKind:
    overflow = _OVERFLOW_CODES.intersection(word for word in (error.code, error.type) if isinstance(word, str))
    if overflow or (isinstance(error.message, str) and _OVERFLOW_WORDS.search(error.message)):
        return EngineErrorKind.CONTEXT_OVERFLOW
    return EngineErrorKind.BAD_INPUT
