"""What the endpoint exchanges with upstream: offers for answers, and requests for client secrets."""

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from antiphon.broker.bodies import NOT_JSON
from antiphon.broker.settings import BrokerSettings, encoded_session
from antiphon.broker.upstream import Answer, Body, Upstream
from antiphon.web.errors import ApiError

__all__ = ["Exchange", "is_call_id"]

_SDP: Final = "application/sdp"
_JSON: Final = "application/json"
_CALL_ID: Final = r"rtc_[A-Za-z0-9_.~\-]{1,250}"
_IN_LOCATION: Final = re.compile(rf"/calls/({_CALL_ID})(?:[?#].*)?")


def is_call_id(text: str) -> bool:
    """Whether this can be the last part of a call's address, and nothing else."""
    return re.fullmatch(_CALL_ID, text) is not None


class Exchange:
    """The requests to upstream. All raise ``ApiError``."""

    def __init__(self, settings: BrokerSettings, upstream: Upstream) -> None:
        self._settings = settings
        self._upstream = upstream

    async def call(self, offer: bytes, session: Mapping[str, Any] | None, user: str | None) -> tuple[Answer, str]:
        """Begin a call. The answer's SDP, and the id of the call; "" where upstream names none."""
        body = Body(offer, _SDP)
        if session is not None:
            body = Body(form={"sdp": (offer, _SDP), "session": (encoded_session(session), _JSON)})
        answer = _checked_sdp(await self._upstream.post("realtime/calls", body, headers=self._headers(user, _SDP)))
        named = _IN_LOCATION.search(answer.location)
        return answer, named[1] if named is not None and named.end() == len(answer.location) else ""

    async def renegotiate(self, call_id: str, offer: bytes, user: str | None) -> Answer:
        headers = self._headers(user, _SDP)
        return _checked_sdp(await self._upstream.post(f"realtime/calls/{call_id}", Body(offer, _SDP), headers=headers))

    async def hang_up(self, call_id: str, user: str | None) -> None:
        await self._upstream.post(
            f"realtime/calls/{call_id}/hangup", Body(), headers=self._headers(user, _JSON), repeatable="any"
        )

    async def client_secret(self, session: Mapping[str, Any] | None, user: str | None) -> tuple[int, bytes]:
        """Status and JSON: upstream's own object, and ``client_secret`` where it has none."""
        asked: dict[str, Any] = {} if session is None else {"session": msgspec.Raw(encoded_session(session))}
        if self._settings.secret_lifetime_s is not None:
            asked["expires_after"] = {"anchor": "created_at", "seconds": self._settings.secret_lifetime_s}
        answer = await self._upstream.post(
            "realtime/client_secrets",
            Body(msgspec.json.encode(asked), _JSON),
            headers=self._headers(user, _JSON),
            repeatable="any",
        )
        return answer.status, _with_client_secret(answer.content)

    def _headers(self, user: str | None, accept: str) -> dict[str, str]:
        headers = {"Accept": accept}
        salt = self._settings.safety_salt
        if salt and user is not None:
            headers["OpenAI-Safety-Identifier"] = hmac.new(salt.encode(), user.encode(), "sha256").hexdigest()
        return headers


def _checked_sdp(answer: Answer) -> Answer:
    if not answer.content.startswith(b"v="):
        raise _not_understood()
    return answer


def _with_client_secret(content: bytes) -> bytes:
    """The same bytes where pages of the beta find their secret; else with it, every other value as it came."""
    try:
        fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        if "client_secret" in fields:
            return content
        secret = {"value": msgspec.json.decode(fields["value"], type=str), "expires_at": fields["expires_at"]}
    except (*NOT_JSON, KeyError):
        raise _not_understood() from None
    return msgspec.json.encode({**fields, "client_secret": secret})


def _not_understood() -> ApiError:
    message = "The Realtime server's answer is not what it should be; is the base URL of upstream right?"
    return ApiError(502, message, code="upstream_error", type="server_error")
