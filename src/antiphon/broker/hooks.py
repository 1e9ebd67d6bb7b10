"""What an application decides itself: who calls, and what their sessions are. Functions, or coroutine functions.

A plain function is run in a thread, so it may wait. Any of them may raise ``RefusedError``, or the ``HTTPException`` of
Starlette and FastAPI, to refuse the request.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from antiphon.web.errors import ApiError

__all__ = ["Authorize", "RefusedError", "RequestedSession", "SessionDefaults", "call_hook"]

_T = TypeVar("_T")


class RefusedError(Exception):
    """A hook's refusal: ``status`` is from 400 to 599, and the text is shown to the page."""

    def __init__(self, message: str, status: int = 403, code: str = "refused") -> None:
        super().__init__(message)
        if not 400 <= status <= 599:
            raise ValueError(f"a refusal has a status from 400 to 599, not {status}")
        self.message = message
        self.status = status
        self.code = code


class Authorize(Protocol):
    def __call__(self, request: Request, /) -> str | Awaitable[str | None] | None:
        """The id of the user who calls; None: nobody who may, which is answered with 401."""


class SessionDefaults(Protocol):
    def __call__(
        self, request: Request, user: str | None, /
    ) -> Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None:
        """What this session begins with, as in ``session.update``; None: what upstream begins with."""


class RequestedSession(Protocol):
    def __call__(
        self, request: Request, user: str | None, asked: Mapping[str, Any], /
    ) -> Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None:
        """What the session begins with where the page asks for ``asked``: all of it, parts of it, or other things."""


async def call_hook(hook: Callable[..., _T | Awaitable[_T]], *arguments: object) -> _T:
    """What the hook answers. Raises ``ApiError`` for its refusal, else whatever it raises."""
    try:
        if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(cast(Any, type(hook)).__call__):
            answer: object = hook(*arguments)
        else:
            answer = await run_in_threadpool(hook, *arguments)
        return cast(_T, await answer if inspect.isawaitable(answer) else answer)
    except RefusedError as refusal:
        raise ApiError(refusal.status, refusal.message, code=refusal.code) from None
    except HTTPException as refusal:
        status = refusal.status_code if 400 <= refusal.status_code <= 599 else 403
        detail: object = refusal.detail  # FastAPI's may be any JSON value
        message = detail if isinstance(detail, str) else "The application refuses the request."
        raise ApiError(status, message, code="refused", headers=refusal.headers) from None
