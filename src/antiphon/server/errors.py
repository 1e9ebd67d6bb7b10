"""HTTP errors in the API's own shape. No answer holds a file's path, a key or a traceback."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from antiphon.web.errors import ApiError, error_response

__all__ = ["ApiError", "error_response", "exception_handlers"]

_BY_STATUS: Mapping[int, tuple[str, str, str]] = {
    400: ("invalid_request_error", "bad_request", "The request cannot be understood."),
    404: ("invalid_request_error", "not_found", "There is nothing at this address; the API begins at /v1."),
    405: ("invalid_request_error", "method_not_allowed", "This address does not answer this method."),
    413: ("invalid_request_error", "request_too_large", "The request's body is too large."),
}
_UNEXPECTED = ("server_error", "internal_error", "The server had an error while processing the request.")


def exception_handlers() -> dict[int | type[Exception], ExceptionHandler]:
    """What starlette does with exceptions; the one for ``Exception`` still leaves the traceback to the server's log."""
    return {ApiError: _refused, HTTPException: _http_exception, Exception: _unexpected}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind, code, message = _BY_STATUS.get(error.status_code, _UNEXPECTED)
    return error_response(ApiError(error.status_code, message, code=code, type=kind, headers=error.headers))


async def _unexpected(request: Request, error: Exception) -> Response:
    kind, code, message = _UNEXPECTED
    return error_response(ApiError(500, message, code=code, type=kind))
