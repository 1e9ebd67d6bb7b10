"""The body of ``POST /v1/realtime/calls``: an SDP offer alone, or a form with the offer and the session."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

import msgspec
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from antiphon.protocol.base import given
from antiphon.protocol.codec import decode_body
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.rest import CallCreateRequest
from antiphon.protocol.session_config import SessionUpdateBody
from antiphon.server.bodies import BODY_MAX_BYTES, api_error, read_content
from antiphon.server.errors import ApiError

__all__ = ["OFFER_MAX_BYTES", "CallForm", "read_call_form", "read_offer"]

OFFER_MAX_BYTES: Final = 256 * 1024
_SDP: Final = "application/sdp"
_FORM: Final = "multipart/form-data"
_FORM_OVERHEAD_BYTES: Final = 16 * 1024
_PARTS: Final = {"sdp": OFFER_MAX_BYTES, "session": BODY_MAX_BYTES}
_MAX_PARTS: Final = 8
_CHARSETS: Final = (b"utf-8", b"utf8", b"us-ascii")


@dataclass(frozen=True, slots=True)
class CallForm:
    offer: str
    session: SessionUpdateBody | None = None


async def read_call_form(request: Request, *, strict: bool) -> CallForm:
    """The offer, and the session where one came with it. Raises ``ApiError``."""
    kind = _content_type(request)
    if kind == _FORM:
        return await _read_form(request, strict=strict)
    _require(kind, _SDP, _FORM)
    return CallForm(await _read_sdp(request))


async def read_offer(request: Request) -> str:
    """The offer alone. Raises ``ApiError``."""
    _require(_content_type(request), _SDP)
    return await _read_sdp(request)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _require(kind: str, *allowed: str) -> None:
    if kind in allowed:
        return
    choice = " or ".join(f"'{one}'" for one in allowed)
    if not kind:
        raise ApiError(400, f"Missing header: 'Content-Type' must be {choice}.", code="missing_content_type")
    message = f"Unsupported content type: 'Content-Type' must be {choice}."
    raise ApiError(415, message, code="unsupported_content_type")


async def _read_sdp(request: Request) -> str:
    return _text(await read_content(request, OFFER_MAX_BYTES), None)


async def _read_form(request: Request, *, strict: bool) -> CallForm:
    # The parser would decode by any codec that Python has, and some take time with the square of the text.
    if parse_options_header(request.headers["content-type"])[1].get(b"charset", b"utf-8").lower() not in _CHARSETS:
        raise ApiError(415, "Unsupported charset: the form must be UTF-8.", code="unsupported_content_type")
    content = await read_content(request, sum(_PARTS.values()) + _FORM_OVERHEAD_BYTES)
    parts = await _parts(request, content)
    if "sdp" not in parts:
        raise api_error(ProtocolError("missing_required_parameter", "Missing required parameter: 'sdp'.", "sdp"))
    offer = _text(parts["sdp"], "sdp")
    if "session" not in parts:
        return CallForm(offer)
    return CallForm(offer, _session(parts["session"], strict=strict))


async def _parts(request: Request, content: bytes) -> dict[str, bytes]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield content

    parser = MultiPartParser(
        request.headers, stream(), max_files=_MAX_PARTS, max_fields=_MAX_PARTS, max_part_size=BODY_MAX_BYTES
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise ApiError(400, f"The form cannot be read: {error}.", code="bad_request") from None
    parts: dict[str, bytes] = {}
    try:
        for name, value in form.multi_items():
            _check_name(name, parts)
            parts[name] = await value.read() if isinstance(value, UploadFile) else value.encode()
            if len(parts[name]) > _PARTS[name]:
                message = f"'{name}' is too large: at most {_PARTS[name]} bytes are allowed."
                raise ApiError(413, message, code="request_too_large", param=name)
    finally:
        await form.close()
    return parts


def _check_name(name: str, parts: dict[str, bytes]) -> None:
    if name not in _PARTS:
        shown = name[:64].encode("unicode_escape").decode("ascii")
        raise api_error(ProtocolError("unknown_parameter", f"Unknown parameter: '{shown}'.", shown))
    if name in parts:
        raise api_error(ProtocolError("invalid_value", f"Invalid form: '{name}' stands in it twice.", name))


def _session(content: bytes, *, strict: bool) -> SessionUpdateBody | None:
    try:
        raw = msgspec.json.decode(_text(content, "session"), type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        message = "Invalid value: 'session' must be the JSON object of a session."
        raise api_error(ProtocolError("invalid_value", message, "session")) from None
    try:
        whole = msgspec.json.encode({"sdp": "", "session": raw})
        return given(decode_body(whole, CallCreateRequest, strict=strict).event.session, None)
    except ProtocolError as error:
        raise api_error(error) from None


def _text(content: bytes, param: str | None) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        what = f"'{param}'" if param else "the body"
        raise api_error(ProtocolError("invalid_value", f"Invalid value: {what} must be UTF-8 text.", param)) from None
