"""A page asks for a client secret; upstream is asked in the API's own words."""

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from antiphon.broker import RefusedError
from tests.support.broker import SECRET, ScriptedUpstream, application, ask, error_of

ASKED = b'{"method":"client_secret"}'
SESSION = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be kind."}


def secret(app: Any, content: bytes = ASKED, **options: Any) -> httpx.Response:
    return ask(app, content=content, content_type="application/json", **options)


def test_upstream_is_asked_for_a_secret_in_its_own_words() -> None:
    upstream = ScriptedUpstream()
    secret(application(upstream), b'{"method": "client_secret", "model": "gpt-realtime", "ttl": 600}')
    (heard,) = upstream.heard
    assert (heard.path, heard.body) == ("/v1/realtime/client_secrets", b"{}")
    assert heard.headers["content-type"] == "application/json"


def test_the_application_s_session_and_lifetime_are_bound() -> None:
    upstream = ScriptedUpstream()
    secret(application(upstream, session=SESSION, secret_lifetime_s=60))
    expires_after = {"anchor": "created_at", "seconds": 60}
    assert upstream.heard[0].json == {"session": SESSION, "expires_after": expires_after}


def test_the_page_gets_upstream_s_object_and_the_secret_where_old_pages_look() -> None:
    answer = secret(application(ScriptedUpstream()))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {**SECRET, "client_secret": {"value": "ek_abc", "expires_at": 1795370735}}


def test_values_that_are_added_to_stay_as_they_came() -> None:
    told = b'{"value":"ek_1","expires_at":1795370735,"odd":[1.0,1e400,12345678901234567890123,"\\u00e9"]}'
    answer = secret(application(ScriptedUpstream([Response(told)])))
    assert answer.content == told[:-1] + b',"client_secret":{"value":"ek_1","expires_at":1795370735}}'


def test_an_object_that_has_the_secret_already_passes_byte_for_byte() -> None:
    told = b'{ "client_secret" : {"value":"ek_1","expires_at":1},  "value":"ek_1","expires_at":1}\n'
    answer = secret(application(ScriptedUpstream([Response(told, 201)])))
    assert (answer.status_code, answer.content) == (201, told)


@pytest.mark.parametrize(
    "told", [b"", b"<html>", b"[]", b"{}", b'{"value": 1, "expires_at": 1}', b'{"value": "ek_1"}', b"\xff"]
)
def test_what_is_no_secret_is_an_error_of_upstream(told: bytes) -> None:
    answer = secret(application(ScriptedUpstream([Response(told)])))
    assert (answer.status_code, error_of(answer)["code"]) == (502, "upstream_error")


@pytest.mark.parametrize("told", [b"", b"<html>", b'{"sdp": "v=0"}'])
def test_what_is_no_sdp_answer_is_an_error_of_upstream(told: bytes) -> None:
    answer = ask(application(ScriptedUpstream([Response(told, 201)])))
    assert (answer.status_code, error_of(answer)["code"]) == (502, "upstream_error")


@pytest.mark.parametrize(
    ("content", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"\xff", "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
        (b"[]", "invalid_value", "method"),
        (b"{}", "invalid_value", "method"),
        (b'{"method": "sdp"}', "invalid_value", "method"),
        (b'{"method": ["client_secret"]}', "invalid_value", "method"),
        (b'{"method": "client_secret", "session": "x"}', "invalid_type", "session"),
    ],
)
def test_what_is_no_request_for_a_secret_is_refused(content: bytes, code: str, param: str | None) -> None:
    upstream = ScriptedUpstream()
    answer = secret(application(upstream), content)
    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["code"], error["param"]) == (code, param)
    assert upstream.heard == []


# --- a session that the page asks for -------------------------------------------------------------------------------

_WANTED = msgspec.json.encode({"method": "client_secret", "session": {"instructions": "Swear."}})


def test_a_page_does_not_choose_its_session() -> None:
    upstream = ScriptedUpstream()
    answer = secret(application(upstream, session=SESSION), _WANTED)
    assert (answer.status_code, error_of(answer)["code"]) == (403, "session_not_allowed")
    assert upstream.heard == []


def test_null_asks_for_no_session() -> None:
    upstream = ScriptedUpstream()
    secret(application(upstream, session=SESSION), b'{"method": "client_secret", "session": null}')
    assert upstream.heard[0].json == {"session": SESSION}


def test_the_application_may_merge_what_the_page_asks_for() -> None:
    def merge(request: Request, user: str | None, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**asked, **SESSION, "voice": user}

    upstream = ScriptedUpstream()
    hooks = {"requested_session": merge, "authorize": lambda request: "ann"}
    secret(application(upstream, hooks=hooks), _WANTED)
    assert upstream.heard[0].json == {"session": {**SESSION, "voice": "ann"}}


@pytest.mark.parametrize("refusal", [RefusedError("Not that.", 422), HTTPException(422, "Not that.")])
def test_the_application_may_refuse_what_the_page_asks_for(refusal: Exception) -> None:
    async def refuse(request: Request, user: str | None, asked: Mapping[str, Any]) -> None:
        raise refusal

    upstream = ScriptedUpstream()
    answer = secret(application(upstream, hooks={"requested_session": refuse}), _WANTED)
    assert (answer.status_code, error_of(answer)["message"]) == (422, "Not that.")
    assert upstream.heard == []
