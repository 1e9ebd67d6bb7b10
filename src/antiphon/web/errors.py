"""HTTP errors in the API's own shape."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

__all__ = ["ApiError", "error_response"]


class ApiError(Exception):
    """A refused HTTP request or WebSocket handshake."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.type = type
        self.headers = headers or {}


def error_response(error: ApiError) -> Response:
    body = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return Response(
        msgspec.json.encode({"error": body}),
        status_code=error.status,
        headers=dict(error.headers),
        media_type="application/json",
    )
