"""``/v1/realtime/calls``: from an SDP offer to a call, and what its maker may do with it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from antiphon.server.auth import PresentedKey, presented_key
from antiphon.server.call_forms import read_call_form, read_offer
from antiphon.server.call_registry import LiveCall
from antiphon.server.callers import authenticated, may_control
from antiphon.server.context import Context, context_of
from antiphon.server.errors import ApiError
from antiphon.server.openings import admit, client_of, opening_of, refusing, too_many
from antiphon.web.hosts import is_address

__all__ = ["call_not_found", "call_of", "create_call", "hang_up", "own_call", "renegotiate"]

_SDP: Final = "application/sdp"
_NO_STORE: Final = {"Cache-Control": "no-store"}


async def create_call(request: Request) -> Response:
    """201 with the answer. The session begins at once: it hears before the data channel is open."""
    context = context_of(request)
    with refusing(context, request):
        caller = authenticated(context, presented_key(request.headers))
        context.calls.check_available()
        form = await read_call_form(request, strict=context.settings.strict)
        opening = opening_of(context, request, caller.opened, form.session)
    if caller.opened is not None and caller.opened.beta:
        # Pages of that time make their secret there, send the offer without any header, and speak the beta.
        opening = replace(opening, beta=True)
    with contextlib.ExitStack() as place:
        place.enter_context(admit(context, request))
        with refusing(context, request), _offer_errors():
            call = await context.calls.begin(
                form.offer, opening, caller, client=client_of(request), reached_at=_reached_at(request), place=place
            )
    return _answer(201, call.call.answer, {"Location": f"/v1/realtime/calls/{call.id}"})


async def renegotiate(request: Request) -> Response:
    """A further offer of the same call: tracks that come or go, another network."""
    call = own_call(request)
    with refusing(context_of(request), request), _offer_errors():
        return _answer(200, call.call.renegotiate(await read_offer(request)))


async def hang_up(request: Request) -> Response:
    own_call(request).session.end()
    return Response(headers=_NO_STORE)


def own_call(request: Request) -> LiveCall:
    """The call that the path names, if the request is from whoever made it. Raises ``ApiError``."""
    context = context_of(request)
    with refusing(context, request):
        return call_of(context, presented_key(request.headers), request.path_params["call_id"])


def call_of(context: Context, presented: PresentedKey, call_id: str) -> LiveCall:
    """The call, if it is of whoever presents the key. Raises ``ApiError``."""
    call = context.calls.find(call_id)
    if not may_control(context, presented, None if call is None else call.maker) or call is None:
        raise call_not_found()
    return call


def call_not_found() -> ApiError:
    # Nobody learns which ids exist, so a call of somebody else is answered like none.
    return ApiError(404, "No session found for the provided call_id", code="call_id_not_found", param="")


def _answer(status: int, sdp: str, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    return Response(sdp, status, {**_NO_STORE, **headers}, media_type=_SDP)


def _reached_at(request: Request) -> str | None:
    """The address of ours that the request came to: calls from the same place reach that too."""
    host = (request.scope.get("server") or ("",))[0]
    return host if is_address(host) else None


@contextlib.contextmanager
def _offer_errors() -> Iterator[None]:
    from antiphon.rtc.endpoint import CallLimitError
    from antiphon.rtc.sdp import SdpError

    try:
        yield
    except SdpError as error:
        raise ApiError(400, _sentence(str(error)), code="invalid_sdp", param="sdp") from None
    except CallLimitError as error:
        raise too_many(_sentence(str(error))) from None


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
