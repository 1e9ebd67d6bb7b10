"""Bodies that pages send: bounded in size and time, whoever reads them."""

import asyncio
from typing import Final

import msgspec
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from antiphon.web.errors import ApiError

__all__ = ["NOT_JSON", "bounded", "read_body"]

NOT_JSON: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What ``msgspec.json.decode`` raises for a text that is none, or nested too deep."""

_READ_S: Final = 10.0


def bounded(receive: Receive, headers: Headers, max_bytes: int) -> Receive:
    """``receive`` for a hook and for us: raises ``ApiError`` for a body that is too large, or too slow to come."""
    due_s = asyncio.get_running_loop().time() + _READ_S
    size_bytes = 0
    complete = False

    async def receive_bounded() -> Message:
        nonlocal size_bytes, complete
        if complete:
            return await receive()
        if _announced_bytes(headers) > max_bytes:
            raise _too_large(max_bytes)
        try:
            async with asyncio.timeout_at(due_s):
                message = await receive()
        except TimeoutError:
            raise ApiError(408, "The request's body did not come in time.", code="request_timeout") from None
        size_bytes += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if size_bytes > max_bytes:
            raise _too_large(max_bytes)
        return message

    return receive_bounded


async def read_body(request: Request) -> bytes:
    """The whole body; a hook may have read it before, and may read it again. Raises ``ApiError``."""
    try:
        return await request.body()
    except ClientDisconnect:
        raise ApiError(400, "The request's body ended too early.", code="bad_request") from None


def _announced_bytes(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _too_large(max_bytes: int) -> ApiError:
    message = f"The request's body is too large: at most {max_bytes} bytes are allowed."
    return ApiError(413, message, code="request_too_large")
