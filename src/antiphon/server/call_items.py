"""``POST /v1/realtime/calls/{call_id}/items``: an item that is too large for a data channel."""

import asyncio
import contextlib
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from antiphon.protocol.errors import ProtocolError
from antiphon.runtime.ids import new_id
from antiphon.server.bodies import announced_bytes, api_error, read_content
from antiphon.server.call_registry import LiveCall
from antiphon.server.calls import call_not_found, own_call
from antiphon.server.context import context_of
from antiphon.server.errors import ApiError
from antiphon.server.openings import connection_id_of, refusing
from antiphon.transports.upload import ItemUpload

__all__ = ["ITEM_MAX_BYTES", "add_item"]

ITEM_MAX_BYTES: Final = 15 * 1024 * 1024
_EVENT: Final = "conversation.item.create"
_BODY_S: Final = 60.0
_NULL: Final = msgspec.Raw(b"null")
_Fields = dict[str, msgspec.Raw]


async def add_item(request: Request) -> Response:
    """200 once the session has taken the item, or its own error."""
    call = own_call(request)
    context = context_of(request)
    with refusing(context, request):
        session = call.room()
        async with contextlib.AsyncExitStack() as held:
            held.enter_context(call.uploading())
            upload, item_id = _upload(await _read(request, call, held))
            await session.attach(upload, connection_id=connection_id_of(request))
        if upload.error is not None:
            raise _refused(upload)
        if not upload.added:
            raise call_not_found()  # it ended meanwhile
    body = msgspec.json.encode({"id": item_id, "object": "realtime.item"})
    return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")


async def _read(request: Request, call: LiveCall, held: contextlib.AsyncExitStack) -> bytes:
    """The body; ``held`` takes the memory for it, for which it may have to wait."""
    budget = context_of(request).calls.uploads.hold(announced_bytes(request, ITEM_MAX_BYTES))
    try:
        async with asyncio.timeout(_BODY_S) as limit:
            with call.ending(limit):
                await held.enter_async_context(budget)
                return await read_content(request, ITEM_MAX_BYTES)
    except TimeoutError:
        if not call.session.active:
            raise call_not_found() from None
        raise ApiError(408, f"The body took longer than {_BODY_S:.0f} s.", code="request_timeout") from None


def _upload(content: bytes) -> tuple[ItemUpload, str]:
    event = _fields(content, "the body")
    _check_text(content)
    kind = _text(event.get("type", msgspec.Raw(msgspec.json.encode(_EVENT))))
    if kind != _EVENT:
        message = f"Invalid value: 'type' must be '{_EVENT}', or be left out."
        raise api_error(ProtocolError("invalid_value", message, "type"))
    if "item" not in event:
        raise api_error(ProtocolError("missing_required_parameter", "Missing required parameter: 'item'.", "item"))
    item = _fields(event["item"], "'item'", "item")
    if msgspec.json.decode(item.get("id", _NULL)) is None:
        # The answer names it, and it is by its id that the session's answer is known.
        item["id"] = msgspec.Raw(msgspec.json.encode(new_id("item")))
    item_id = _text(item["id"])
    whole = {**event, "type": _EVENT, "item": item}
    return ItemUpload(msgspec.json.encode(whole).decode(), item_id), item_id


def _fields(content: bytes | msgspec.Raw, what: str, param: str | None = None) -> _Fields:
    try:
        return msgspec.json.decode(content, type=_Fields)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        message = f"Invalid value: {what} must be a JSON object."
        raise api_error(ProtocolError("invalid_value", message, param)) from None


def _check_text(content: bytes) -> None:
    # Fields that are passed on as they are were not decoded.
    try:
        content.decode()
    except UnicodeDecodeError:
        raise api_error(ProtocolError("invalid_value", "Invalid value: the body must be UTF-8 text.")) from None


def _text(value: msgspec.Raw) -> str:
    """ "" also for what is no text: the session judges it."""
    try:
        return msgspec.json.decode(value, type=str)
    except msgspec.MsgspecError:
        return ""


def _refused(upload: ItemUpload) -> ApiError:
    error = upload.error
    assert error is not None
    status = 500 if error.type == "server_error" else 400
    return ApiError(status, error.message, code=error.code, param=error.param, type=error.type)
