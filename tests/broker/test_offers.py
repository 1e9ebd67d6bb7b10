"""Offers are exchanged for answers, and calls are renegotiated and ended, at the endpoint's own addresses."""

from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from antiphon.broker import BrokerSettings, create_broker
from tests.support.broker import ANSWER, CALL_ID, KEY, OFFER, ScriptedUpstream, application, ask, error_of

SESSION = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be «kind»."}


@pytest.mark.parametrize(
    "content_type", ["application/sdp", "text/plain", "text/plain;charset=UTF-8", "Application/SDP ; charset=utf-8"]
)
def test_an_offer_is_passed_on_byte_for_byte_and_so_is_its_answer(content_type: str) -> None:
    upstream = ScriptedUpstream()
    answer = ask(application(upstream), content_type=content_type)
    (heard,) = upstream.heard
    assert (heard.path, heard.body) == ("/v1/realtime/calls", OFFER)
    assert heard.headers["content-type"] == "application/sdp"
    assert heard.headers["authorization"] == f"Bearer {KEY}"
    assert (answer.status_code, answer.content) == (201, ANSWER)
    assert answer.headers["content-type"] == "application/sdp"
    assert answer.headers["location"] == f"/api/realtime/session/calls/{CALL_ID}"


def test_the_status_is_the_one_of_upstream() -> None:
    upstream = ScriptedUpstream([Response(ANSWER, 200)])
    answer = ask(application(upstream))
    assert answer.status_code == 200
    assert "location" not in answer.headers


def test_a_server_without_keys_is_sent_none() -> None:
    upstream = ScriptedUpstream()
    ask(application(upstream, api_key=""))
    assert "authorization" not in upstream.heard[0].headers


def test_of_a_page_nothing_but_the_offer_goes_to_upstream() -> None:
    upstream = ScriptedUpstream()
    headers = {"Cookie": "login=1", "Authorization": "Bearer page", "X-Custom": "1", "OpenAI-Safety-Identifier": "me"}
    ask(application(upstream), path="/api/realtime/session?model=other", headers=headers)
    (heard,) = upstream.heard
    assert set(heard.headers) == {
        *("host", "accept", "accept-encoding", "connection", "user-agent", "authorization"),
        *("content-type", "content-length"),
    }
    assert heard.headers["authorization"] == f"Bearer {KEY}"
    assert heard.headers["host"] == "upstream.example"


# --- the session ----------------------------------------------------------------------------------------------------


def _as_hook(request: Any, user: str | None) -> dict[str, Any]:
    return SESSION


@pytest.mark.parametrize(
    "given", [{"session": SESSION}, {"session": MappingProxyType(SESSION)}, {"hooks": {"session": _as_hook}}]
)
def test_a_session_goes_with_the_offer_as_a_form(given: dict[str, Any]) -> None:
    upstream = ScriptedUpstream()
    assert ask(application(upstream, **given)).status_code == 201
    (heard,) = upstream.heard
    assert set(heard.form) == {"sdp", "session"}
    assert heard.form["sdp"] == (OFFER, "application/sdp", None)
    content, kind, filename = heard.form["session"]
    assert (msgspec.json.decode(content), kind, filename) == (SESSION, "application/json", None)


def test_a_hook_that_gives_no_session_leaves_the_offer_as_it_is() -> None:
    upstream = ScriptedUpstream()
    ask(application(upstream, hooks={"session": lambda request, user: None}, session=SESSION))
    assert upstream.heard[0].body == OFFER


# --- where it is mounted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mount", ["/api/realtime", "/voice", "/a b/c"])
def test_the_location_is_below_where_the_endpoint_is_mounted(mount: str) -> None:
    answer = ask(application(ScriptedUpstream(), mount), path=f"{mount}/session")
    shown = mount.replace(" ", "%20")
    assert answer.headers["location"] == f"{shown}/session/calls/{CALL_ID}"


def _broker(upstream: ScriptedUpstream) -> Any:
    settings = BrokerSettings(upstream="https://upstream.example/v1", allow_anonymous=True)
    return create_broker(settings, transport=upstream.transport)


def test_it_is_an_application_of_its_own_too() -> None:
    answer = ask(_broker(ScriptedUpstream()), path="/session")
    assert answer.headers["location"] == f"/session/calls/{CALL_ID}"


def test_its_routes_can_stand_among_others() -> None:
    answer = ask(Starlette(routes=_broker(ScriptedUpstream()).routes), path="/session")
    assert answer.headers["location"] == f"/session/calls/{CALL_ID}"


def test_mounts_may_be_nested() -> None:
    inner = Starlette(routes=[Mount("/realtime", _broker(ScriptedUpstream()))])
    answer = ask(Starlette(routes=[Mount("/api", inner)]))
    assert answer.headers["location"] == f"/api/realtime/session/calls/{CALL_ID}"


# --- the call -------------------------------------------------------------------------------------------------------


def test_the_location_takes_a_new_offer_for_the_same_call() -> None:
    upstream = ScriptedUpstream()
    app = application(upstream, session=SESSION)
    location = ask(app).headers["location"]
    answer = ask(app, path=location, content_type="text/plain")
    assert (answer.status_code, answer.content) == (200, ANSWER)
    assert (upstream.heard[1].path, upstream.heard[1].body) == (f"/v1/realtime/calls/{CALL_ID}", OFFER)


@pytest.mark.parametrize(("method", "end"), [("POST", "/hangup"), ("DELETE", "")])
def test_the_location_hangs_up(method: str, end: str) -> None:
    upstream = ScriptedUpstream()
    app = application(upstream)
    location = ask(app).headers["location"]
    answer = ask(app, method, location + end, content=b"", content_type=None)
    assert (answer.status_code, answer.content) == (200, b"")
    assert upstream.heard[1].path == f"/v1/realtime/calls/{CALL_ID}/hangup"


@pytest.mark.parametrize(
    "call_id",
    [
        "..",
        ".",
        "%2e%2e",
        "rtc_a%2Fb",
        "..%2f..%2fmodels",
        "rtc_%0d%0aX-A:1",
        "rtc_%00",
        "rtc_" + "a" * 300,
        "rtc_",
        "a",
    ],
)
def test_what_is_no_call_id_does_not_reach_upstream(call_id: str) -> None:
    upstream = ScriptedUpstream()
    answer = ask(application(upstream), path=f"/api/realtime/session/calls/{call_id}/hangup")
    assert answer.status_code == 404
    assert upstream.heard == []


@pytest.mark.parametrize(
    "location",
    [
        *("", "/", "/v1/realtime/calls/", "/v1/realtime/calls/..", "/v1/realtime/calls/rtc_a%0d%0ab", "http://[bad"),
        *("/v1/realtime/calls/rtc_a:b", "/v1/realtime/calls/1", "https://upstream.example/rtc_1"),
    ],
)
def test_a_location_that_names_no_call_is_left_out(location: str) -> None:
    upstream = ScriptedUpstream([Response(ANSWER, 201, {"Location": location})])
    answer = ask(application(upstream))
    assert answer.status_code == 201
    assert "location" not in answer.headers


def test_an_absolute_location_becomes_the_endpoint_s_own() -> None:
    location = f"https://upstream.example:8443/v1/realtime/calls/{CALL_ID}?x=1"
    upstream = ScriptedUpstream([Response(ANSWER, 201, {"Location": location})])
    assert ask(application(upstream)).headers["location"] == f"/api/realtime/session/calls/{CALL_ID}"


def test_a_call_that_upstream_does_not_know_is_not_found() -> None:
    told = {"message": "No session", "type": "invalid_request_error", "param": "", "code": "call_id_not_found"}
    body = {"error": told}
    upstream = ScriptedUpstream([Response(msgspec.json.encode(body), 404)])
    answer = ask(application(upstream), "DELETE", f"/api/realtime/session/calls/{CALL_ID}")
    assert (answer.status_code, error_of(answer)) == (404, told)


# --- what is not taken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b""}, 400, "missing_offer"),
        ({"content": b" \r\n"}, 400, "missing_offer"),
        ({"content_type": None}, 415, "unsupported_media_type"),
        ({"content_type": "multipart/form-data; boundary=x"}, 415, "unsupported_media_type"),
        ({"content_type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        ({"content": b"x" * (256 * 1024 + 1)}, 413, "request_too_large"),
        ({"headers": {"Content-Length": "9999999"}}, 413, "request_too_large"),
        ({"method": "GET"}, 405, "method_not_allowed"),
        ({"method": "PUT"}, 405, "method_not_allowed"),
        ({"method": "OPTIONS"}, 405, "method_not_allowed"),
        ({"path": "/api/realtime/sessions"}, 404, "not_found"),
        ({"path": "/api/realtime/session/"}, 404, "not_found"),
        ({"path": "/api/realtime/"}, 404, "not_found"),
        ({"path": f"/api/realtime/session/calls/{CALL_ID}", "content_type": "application/json"}, 415, None),
        ({"path": f"/api/realtime/session/calls/{CALL_ID}/items"}, 404, "not_found"),
    ],
)
def test_what_cannot_be_an_offer_is_refused_in_the_api_s_shape(
    request_: dict[str, Any], status: int, code: str | None
) -> None:
    upstream = ScriptedUpstream()
    answer = ask(application(upstream), **request_)
    assert answer.status_code == status
    assert error_of(answer)["code"] == (code or "unsupported_media_type")
    assert upstream.heard == []


def test_a_method_that_is_not_answered_learns_which_are() -> None:
    app = application(ScriptedUpstream())
    assert ask(app, "GET").headers["allow"] == "POST"
    assert ask(app, "GET", f"/api/realtime/session/calls/{CALL_ID}").headers["allow"] == "POST, DELETE"


def test_the_largest_offer_passes() -> None:
    upstream = ScriptedUpstream()
    assert ask(application(upstream), content=b"v=0\r\n".ljust(256 * 1024, b"x")).status_code == 201


def test_answers_are_not_kept_sniffed_or_framed() -> None:
    app = application(ScriptedUpstream())
    for answer in (ask(app), ask(app, "GET"), ask(app, headers={"Origin": "null"})):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_headers_of_upstream_stay_there() -> None:
    told = {
        "X-Request-Id": "req_1",
        "Set-Cookie": "a=1",
        "OpenAI-Organization": "org",
        "Access-Control-Allow-Origin": "*",
    }
    upstream = ScriptedUpstream([Response(ANSWER, 201, told)])
    answer = ask(application(upstream))
    assert not {name.lower() for name in told} & set(answer.headers)


def test_a_websocket_is_refused() -> None:
    with pytest.raises(WebSocketDisconnect), TestClient(application(ScriptedUpstream())) as client:
        client.websocket_connect("/api/realtime/session").__enter__()


def test_the_page_cannot_choose_the_server_that_is_asked() -> None:
    upstream = ScriptedUpstream()
    ask(application(upstream), headers={"X-Forwarded-Host": "evil.example"}, url="http://other.example")
    assert upstream.heard[0].headers["host"] == "upstream.example"
