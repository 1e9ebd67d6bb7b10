"""Calls over HTTP: who gets one, what it begins with, and what its maker may do with it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.calls import (
    CALLS,
    DATA_ONLY,
    KEY_A,
    KEY_B,
    KEYS,
    NOT_FOUND,
    RTC,
    SDP,
    a_secret,
    an_offer,
    call_of,
    post,
)
from tests.support.rtc_audio import without_libopus

# --- making one ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CALLS, f"{CALLS}?model=a-model", "/v1/realtime?model=a-model"])
def test_an_offer_is_answered_and_the_channel_begins_with_the_session(run_server: Any, path: str) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port, path) as call:
            assert call.response is not None
            headers = call.response.headers
            assert headers["content-type"].startswith("application/sdp")
            assert headers["cache-control"] == "no-store"
            assert headers["x-request-id"].startswith("req_")
            assert call.path.startswith(f"{CALLS}/rtc_")
            assert len(call.id) >= len("rtc_") + 22
            created = await call.next()
            assert created["type"] == "session.created"
            assert created["session"]["model"] == ("a-model" if "model" in path else "gpt-realtime")

    assert run_server(scenario, RTC) == ""


def test_a_form_brings_the_session_with_it(run_server: Any) -> None:
    session = {"type": "realtime", "model": "mine", "instructions": "Be brief.", "output_modalities": ["text"]}

    async def scenario(server: Any) -> None:
        async with call_of(server.port, session=session, plan=DATA_ONLY) as call:
            created = (await call.next())["session"]
            assert {name: created[name] for name in session} == session

    run_server(scenario, RTC)


def test_what_a_secret_binds_comes_before_what_its_caller_asks_for(run_server: Any) -> None:
    bound = {
        "type": "realtime",
        "model": "bound",
        "instructions": "Bound.",
        "audio": {
            "input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}},
            "output": {"voice": "ash"},
        },
    }
    asked = {
        "type": "realtime",
        "model": "asked",
        "instructions": "Asked.",
        "audio": {"input": {"turn_detection": {"create_response": False}}},
    }

    async def scenario(server: Any) -> None:
        secret = await a_secret(server, {}, bound)
        async with call_of(server.port, headers=secret, session=asked, plan=DATA_ONLY) as call:
            session = (await call.next())["session"]
        assert (session["model"], session["instructions"]) == ("bound", "Asked.")
        assert session["audio"]["output"]["voice"] == "ash"
        detection = session["audio"]["input"]["turn_detection"]
        assert (detection["type"], detection["create_response"]) == ("semantic_vad", False)

    run_server(scenario, RTC)


def test_a_transcription_session_may_be_a_call(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        secret = await a_secret(server, {}, {"type": "transcription"})
        async with call_of(server.port, headers=secret) as call:
            assert (await call.next())["session"]["type"] == "transcription"
        async with call_of(server.port, session={"type": "transcription"}) as call:
            assert (await call.next())["session"]["type"] == "transcription"

    run_server(scenario, RTC)


@pytest.mark.parametrize(
    ("path", "headers", "legacy", "beta"),
    [
        (CALLS, {}, False, False),
        ("/v1/realtime?model=m", {}, False, False),
        (CALLS, {"openai-beta": "realtime=v1"}, False, True),
        ("/v1/realtime?model=m&openai-beta=realtime=v1", {}, False, True),
        ("/v1/realtime?model=m", {}, True, True),
    ],
)
def test_a_call_speaks_the_beta_if_it_or_its_secret_is_of_the_beta(
    run_server: Any, path: str, headers: dict[str, str], legacy: bool, beta: bool
) -> None:
    async def scenario(server: Any) -> None:
        sent = dict(headers)
        if legacy:
            made = (await post(server.port, "/v1/realtime/sessions", "{}")).json()
            sent["authorization"] = f"Bearer {made['client_secret']['value']}"
        async with call_of(server.port, path, sent, DATA_ONLY) as call:
            assert ("modalities" in (await call.next())["session"]) == beta

    run_server(scenario, RTC)


def _form(*parts: tuple[str, str | bytes], file: bool = False) -> dict[str, Any]:
    return {"files": [(name, (name if file else None, content)) for name, content in parts]}


REFUSALS: Sequence[tuple[dict[str, str], dict[str, Any], int, str, str | None]] = (
    ({}, {"content": "v=0"}, 400, "missing_content_type", None),
    ({"content-type": "text/plain"}, {"content": "v=0"}, 415, "unsupported_content_type", None),
    ({"content-type": "application/json"}, {"content": "{}"}, 415, "unsupported_content_type", None),
    (SDP, {"content": "hello"}, 400, "invalid_sdp", "sdp"),
    (SDP, {"content": b"\xff\xfe"}, 400, "invalid_value", None),
    (SDP, {"content": "v=0\r\n" * 60_000}, 413, "request_too_large", None),
    ({"content-type": "multipart/form-data"}, {"content": "x"}, 400, "bad_request", None),
    ({"content-type": "multipart/form-data; boundary=b"}, {"content": "nothing"}, 400, "bad_request", None),
    (
        {"content-type": "multipart/form-data; boundary=b; charset=punycode"},
        {"content": b"--b--\r\n"},
        415,
        "unsupported_content_type",
        None,
    ),
    ({}, _form(("session", "{}")), 400, "missing_required_parameter", "sdp"),
    ({}, _form(("sdp", "v=0"), ("other", "1")), 400, "unknown_parameter", "other"),
    ({}, _form(("sdp", "v=0"), ("sdp", "v=0")), 400, "invalid_value", "sdp"),
    ({}, _form(("sdp", "v" * 300_000)), 413, "request_too_large", "sdp"),
    ({}, _form(("sdp", "v=0"), ("session", "no json")), 400, "invalid_value", "session"),
    ({}, _form(("sdp", "v=0"), ("session", '{}, "sdp": ""')), 400, "invalid_value", "session"),
    ({}, _form(("sdp", "v=0"), ("session", "{}")), 400, "missing_required_parameter", "session.type"),
    (
        {},
        _form(("sdp", "v=0"), ("session", '{"type": "realtime", "audio": {"output": {"speed": 9}}}')),
        400,
        "invalid_value",
        "session.audio.output.speed",
    ),
    ({}, _form(("sdp", "hello"), ("session", '{"type": "realtime"}')), 400, "invalid_sdp", "sdp"),
    ({}, _form(("sdp", "hello"), file=True), 400, "invalid_sdp", "sdp"),
)


def test_what_cannot_become_a_call_is_told_why(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        for headers, options, *refusal in REFUSALS:
            answer = await post(server.port, CALLS, headers=headers, **options)
            error = answer.json()["error"]
            assert [answer.status_code, error["code"], error["param"]] == refusal, options

    run_server(scenario, RTC)


def test_an_offer_without_anything_in_it_is_told_what_to_do_first(run_server: Any) -> None:
    empty = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

    async def scenario(server: Any) -> None:
        message = (await post(server.port, CALLS, empty, SDP)).json()["error"]["message"]
        assert "data channel" in message
        assert "createOffer" in message

    run_server(scenario, RTC)


@pytest.mark.parametrize("form", ["text", "files"])
def test_forms_are_taken_as_browsers_and_the_official_clients_write_them(run_server: Any, form: str) -> None:
    async def scenario(server: Any) -> None:
        offer = await an_offer()
        session = json.dumps({"type": "realtime"})
        named = ("offer.sdp", "session.json") if form == "files" else (None, None)
        files = {"sdp": (named[0], offer), "session": (named[1], session)}
        answer = await post(server.port, CALLS, files=files)
        assert answer.status_code == 201, answer.text

    run_server(scenario, RTC)


def test_the_session_of_a_secret_and_of_the_form_are_of_one_kind(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        secret = await a_secret(server, {}, {"type": "transcription"})
        files = {"sdp": (None, await an_offer()), "session": (None, '{"type": "realtime"}')}
        answer = await post(server.port, CALLS, headers=secret, files=files)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_value", "session.type")

    run_server(scenario, RTC)


# --- who may, and how many -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer ek_wrong"}])
def test_a_call_needs_a_key(run_server: Any, headers: dict[str, str]) -> None:
    async def scenario(server: Any) -> None:
        answer = await post(server.port, CALLS, await an_offer(), {**SDP, **headers})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")

    run_server(scenario, KEYS)


def test_calls_count_as_sessions(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port, plan=DATA_ONLY):
            answer = await post(server.port, CALLS, await an_offer(), SDP)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
            assert answer.headers["retry-after"]

    run_server(scenario, {**RTC, "max_sessions": 1})


def test_callers_who_never_connect_leave_room_for_others(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        answers = [await post(server.port, CALLS, await an_offer(), SDP) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
        async with server.connect() as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"

    run_server(scenario, {**RTC, "max_sessions": 4})


def test_callers_who_never_connect_are_bounded_and_forgotten(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        first = await post(server.port, CALLS, await an_offer(), SDP)
        assert first.status_code == 201
        answer = await post(server.port, CALLS, await an_offer(), SDP)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        async with asyncio.timeout(5):
            while (await post(server.port, first.headers["location"], "v=0", SDP)).status_code != 404:
                pass
        assert (await post(server.port, CALLS, await an_offer(), SDP)).status_code == 201

    run_server(scenario, {**RTC, "calls": {"half_open": 1, "half_open_s": 0.3}})


def test_without_the_extra_or_where_calls_are_off_the_answer_says_so(
    run_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(server: Any) -> None:
        answer = await post(server.port, CALLS, "v=0", SDP)
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_available")
        told.append(answer.json()["error"]["message"])
        async with server.connect() as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"

    told: list[str] = []
    run_server(scenario, {"rtc": False})
    monkeypatch.setattr("antiphon.server.call_registry.extra_is_installed", lambda: False)
    run_server(scenario, RTC)
    assert "setting rtc" in told[0]
    assert "pip install 'antiphon[webrtc]'" in told[1]


def test_a_page_may_call_and_read_where_its_call_is(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        origin = {"origin": "http://localhost:3000"}
        asked = "authorization,content-type,openai-safety-identifier,x-openai-agents-sdk"
        preflight = await server.get(
            CALLS,
            {**origin, "access-control-request-method": "POST", "access-control-request-headers": asked},
            method="OPTIONS",
        )
        assert preflight.status_code == 204
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert preflight.headers["access-control-allow-headers"].replace(" ", "") == asked
        answer = await post(server.port, CALLS, await an_offer(), {**SDP, **origin})
        assert answer.headers["access-control-allow-origin"] == origin["origin"]
        assert answer.headers["access-control-expose-headers"] == "Location, X-Request-Id"
        foreign = await post(server.port, CALLS, "v=0", {**SDP, "origin": "https://evil.example"})
        assert foreign.status_code == 403

    run_server(scenario, RTC)


def test_calls_are_only_posted_to(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        for method in ("GET", "PUT", "DELETE"):
            for path in (CALLS, f"{CALLS}/rtc_1", f"{CALLS}/rtc_1/hangup", f"{CALLS}/rtc_1/items"):
                assert (await server.get(path, method=method)).status_code == 405

    run_server(scenario, RTC)


def test_what_telephony_has_is_not_there(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        for action in ("accept", "reject", "refer"):
            answer = await post(server.port, f"{CALLS}/rtc_1/{action}", "{}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")

    run_server(scenario, RTC)


# --- what its maker may do -----------------------------------------------------------------------------------------


def test_a_call_is_hung_up_by_its_maker(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            answer = await post(server.port, f"{call.path}/hangup", headers={"content-type": "application/json"})
            assert (answer.status_code, answer.content) == (200, b"")
            async with asyncio.timeout(5):
                await call.caller.ended.wait()
            again = await post(server.port, f"{call.path}/hangup")
            assert (again.status_code, again.json()) == (404, NOT_FOUND)

    run_server(scenario, RTC)


def test_a_further_offer_renegotiates(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port, plan=DATA_ONLY) as call:

            async def signal(offer: str) -> str:
                answer = await post(server.port, call.path, offer, SDP)
                assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (
                    200,
                    SDP["content-type"],
                )
                return answer.text

            answer = await call.caller.renegotiate(["sendrecv"], signal=signal)
            assert answer.codec is not None
            broken = await post(server.port, call.path, "hello", SDP)
            assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_sdp")
            assert (await call.next())["type"] == "session.created"

    run_server(scenario, RTC)


ACTIONS = ("", "/hangup", "/items")


@pytest.mark.parametrize("action", ACTIONS)
def test_nobody_else_learns_of_a_call(run_server: Any, action: str) -> None:
    async def scenario(server: Any) -> None:
        secret, other = await a_secret(server, KEY_A), await a_secret(server, KEY_A)
        async with call_of(server.port, headers=KEY_A) as own, call_of(server.port, headers=secret) as bound:
            for path, headers in (
                (own.path, KEY_B),
                (own.path, secret),
                (bound.path, KEY_B),
                (bound.path, other),
                (f"{CALLS}/rtc_unknown", KEY_A),
            ):
                answer = await post(server.port, f"{path}{action}", "{}", {**SDP, **headers})
                assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
            without = await post(server.port, f"{own.path}{action}", "{}", SDP)
            assert without.status_code == 401

    run_server(scenario, KEYS)


def test_a_call_is_controlled_by_the_key_and_by_the_secret_that_made_it(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        for who in (KEY_A, await a_secret(server, KEY_A)):
            secret = await a_secret(server, KEY_A) if who is KEY_A else who
            async with call_of(server.port, headers=secret) as call:
                answer = await post(server.port, f"{call.path}/hangup", headers=who)
                assert answer.status_code == 200

    run_server(scenario, KEYS)


def test_without_libopus_the_server_ends_and_says_so(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        pass

    with without_libopus():
        assert run_server(scenario, RTC).startswith("cannot take calls: libopus is missing: install the package av")
