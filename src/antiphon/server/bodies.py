"""Bodies of HTTP requests: bounded, and read by the rules of client events."""

from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from antiphon.protocol.codec import decode_body
from antiphon.protocol.errors import ProtocolError
from antiphon.server.context import context_of
from antiphon.server.errors import ApiError

__all__ = ["BODY_MAX_BYTES", "announced_bytes", "api_error", "read_body", "read_content"]

BODY_MAX_BYTES = 1024 * 1024
"""A session of any legal size fits in."""

_T = TypeVar("_T")


async def read_body(request: Request, wire_type: type[_T]) -> _T:
    """The request's JSON body; an empty one counts as ``{}``. Raises ``ApiError``."""
    content = await read_content(request, BODY_MAX_BYTES)
    try:
        return decode_body(content or b"{}", wire_type, strict=context_of(request).settings.strict).event
    except ProtocolError as error:
        raise api_error(error) from None


def api_error(error: ProtocolError) -> ApiError:
    return ApiError(400, error.message, code=error.code, param=error.param, type=error.type)


def announced_bytes(request: Request, max_bytes: int) -> int:
    """How large the request's body will be, ``max_bytes`` at most; that many where it is not said."""
    length = request.headers.get("content-length", "")
    return min(max_bytes, int(length)) if length.isascii() and length.isdigit() and len(length) < 20 else max_bytes


async def read_content(request: Request, max_bytes: int) -> bytes:
    """The request's body. Raises ``ApiError`` where it is larger, or ends too early."""
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > max_bytes:
                message = f"The request's body is too large: at most {max_bytes} bytes are allowed."
                raise ApiError(413, message, code="request_too_large")
    except ClientDisconnect:
        raise ApiError(400, "The request's body ended too early.", code="bad_request") from None
    return bytes(content)
