"""Upstream's errors, told truthfully but without the application's key."""

import re
from typing import Any, Final

import msgspec

from antiphon.broker.bodies import NOT_JSON
from antiphon.web.errors import ApiError

__all__ = ["Redaction"]

_SECRET_MIN_CHARS: Final = 8
"""A shorter key, such as a server without keys is given, is no secret, and part of ordinary words."""
_KEY_LIKE: Final = re.compile(r"\b(?:sk|ek|pk)[-_][\w*.\-]+|\bBearer\s+\S+", re.IGNORECASE)
"""Keys whole or half hidden: some servers repeat the end of the one that they refuse."""
_ESCAPE: Final = re.compile(rb"\\u00([0-7][0-9a-f])", re.IGNORECASE)
"""ASCII in a JSON text."""
_HIDDEN: Final = "[hidden]"
_TEXT_MAX_CHARS: Final = 2_000
_WORD: Final = re.compile(r"[\w.\-\[\]]{0,200}", re.ASCII)
_REASONS: Final = {
    401: "The Realtime server does not accept the application's key.",
    404: "The Realtime server knows nothing of that.",
    429: "The Realtime server takes no more requests now.",
}


class Redaction:
    def __init__(self, key: str) -> None:
        self._key = key if len(key) >= _SECRET_MIN_CHARS else ""

    def is_in(self, content: bytes) -> bool:
        """Whether an answer holds the key, plainly or escaped as in a JSON text."""
        if not self._key:
            return False
        plain = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), content).replace(b"\\/", b"/")
        return self._key.encode() in plain

    def error(self, status: int, content: bytes, retry_after_s: int | None) -> ApiError:
        """What upstream answered, in the API's shape; of foreign shapes only the status."""
        told = _error_in(content)
        default = _REASONS.get(status, f"The Realtime server answered {status}.")
        message = told.get("message")
        # What is said of a wrong key repeats parts of it.
        shown = self._shown(message) if isinstance(message, str) and message and status != 401 else default
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        return ApiError(
            status,
            shown,
            code=self._word(told.get("code")),
            param=self._word(told.get("param")),
            type=self._word(told.get("type")) or ("server_error" if status >= 500 else "invalid_request_error"),
            headers=headers,
        )

    def _shown(self, text: str) -> str:
        text = text.replace(self._key, _HIDDEN) if self._key else text
        return _KEY_LIKE.sub(_HIDDEN, text)[:_TEXT_MAX_CHARS]

    def _word(self, value: object) -> str | None:
        """A code or a name; anything else is left out."""
        if not isinstance(value, str) or not _WORD.fullmatch(value):
            return None
        return value if self._shown(value) == value else None


def _error_in(content: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(content)
    except NOT_JSON:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}
