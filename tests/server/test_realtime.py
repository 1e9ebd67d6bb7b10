"""The WebSocket endpoint over a real socket: who gets in, who does not, and how each is told."""

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Awaitable
from typing import Any

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from antiphon.engines.base import Engine
from antiphon.engines.errors import EngineError
from antiphon.engines.registry import EngineKind
from antiphon.runtime.sessions import Sessions
from antiphon.testing import scripted
from antiphon.vocabulary.errors import EngineErrorKind

KEYS = {"api_keys": "right-key,other-key"}


async def _first(socket: websockets.ClientConnection) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(await socket.recv())
    return event


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ({}, {}),
        ({}, {"additional_headers": {"Authorization": "Bearer anything"}}),
        ({}, {"subprotocols": ["realtime", "openai-insecure-api-key.anything"]}),
        (KEYS, {"additional_headers": {"Authorization": "Bearer right-key"}}),
        (KEYS, {"additional_headers": {"Authorization": "Bearer other-key", "OpenAI-Beta": "realtime=v1"}}),
        (KEYS, {"subprotocols": ["realtime", "openai-insecure-api-key.right-key", "openai-agents-sdk.0.20"]}),
    ],
)
def test_an_accepted_key_opens_a_session(run_server: Any, flags: dict[str, Any], options: dict[str, Any]) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect(**options) as socket:
            event = await _first(socket)
            assert event["type"] == "session.created"
            assert event["session"]["model"] == "gpt-realtime"
            assert socket.subprotocol == ("realtime" if "subprotocols" in options else None)
            assert socket.response.headers["X-Request-Id"].startswith("req_")

    assert run_server(scenario, flags) == ""


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong-key"}, {"Authorization": "Basic cmlnaHQ6a2V5"}]
)
def test_a_wrong_key_in_the_header_is_401_at_the_upgrade(run_server: Any, headers: dict[str, str]) -> None:
    async def scenario(server: Any) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await server.connect(additional_headers=headers)
        answer = caught.value.response
        assert answer.status_code == 401
        assert answer.headers["X-Request-Id"].startswith("req_")
        error = json.loads(answer.body)["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
        assert "wrong-key" not in error["message"]

    run_server(scenario, KEYS)


def test_a_wrong_key_in_a_subprotocol_is_told_over_the_open_socket(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect(subprotocols=["realtime", "openai-insecure-api-key.wrong-key"]) as socket:
            assert socket.subprotocol == "realtime"
            event = await _first(socket)
            assert event["type"] == "error"
            assert event["event_id"].startswith("event_")
            assert (event["error"]["type"], event["error"]["code"]) == ("invalid_request_error", "invalid_api_key")
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (3000, "invalid_request_error.invalid_api_key")

    run_server(scenario, KEYS)


@pytest.mark.parametrize(
    ("query", "kind", "model"),
    [
        ("", "realtime", "gpt-realtime"),
        ("?model=some-model-of-mine", "realtime", "some-model-of-mine"),
        ("?intent=conversation&model=m", "realtime", "m"),
        ("?intent=transcription", "transcription", "whisper-1"),
        ("?intent=transcription&model=gpt-4o-transcribe", "transcription", "gpt-4o-transcribe"),
    ],
)
def test_the_query_says_what_kind_of_session_begins(run_server: Any, query: str, kind: str, model: str) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect(query) as socket:
            session = (await _first(socket))["session"]
            assert session["type"] == kind
            shown = session["model"] if kind == "realtime" else session["audio"]["input"]["transcription"]["model"]
            assert shown == model

    run_server(scenario)


@pytest.mark.parametrize(
    ("query", "options", "beta"),
    [
        ("", {}, False),
        ("", {"additional_headers": {"OpenAI-Beta": "realtime=v1"}}, True),
        ("", {"additional_headers": {"openai-beta": "assistants=v2, realtime=v1"}}, True),
        ("", {"additional_headers": {"OpenAI-Beta": "assistants=v2"}}, False),
        ("", {"subprotocols": ["realtime", "openai-beta.realtime-v1"]}, True),
        ("", {"subprotocols": ["realtime", "openai-insecure-api-key.x"]}, False),
        ("?openai-beta=realtime=v1&model=m", {}, True),
        ("?openai-beta=realtime%3Dv1", {}, True),
        ("?openai-beta=other", {}, False),
    ],
)
def test_the_betas_events_are_for_those_who_ask(
    run_server: Any, query: str, options: dict[str, Any], beta: bool
) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect(query, **options) as socket:
            session = (await _first(socket))["session"]
            assert ("modalities" in session) == beta
            assert session["output_modalities"] == ["audio"]

    assert run_server(scenario) == ""


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ("?call_id=rtc_1", 404, "call_id_not_found", ""),
        ("?intent=dancing", 400, "invalid_value", "intent"),
        ("?model=" + "m" * 300, 400, "invalid_value", "model"),
        ("?model=a%0Ab", 400, "invalid_value", "model"),
    ],
)
def test_a_bad_query_is_refused_before_the_handshake_ends(
    run_server: Any, query: str, status: int, code: str, param: str
) -> None:
    async def scenario(server: Any) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await server.connect(query)
        assert caught.value.response.status_code == status
        error = json.loads(caught.value.response.body)["error"]
        assert (error["code"], error["param"]) == (code, param)

    run_server(scenario)


def test_an_unknown_call_has_the_apis_message(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await server.connect("?call_id=rtc_nobody")
        assert json.loads(caught.value.response.body) == {
            "error": {
                "message": "No session found for the provided call_id",
                "type": "invalid_request_error",
                "param": "",
                "code": "call_id_not_found",
            }
        }

    run_server(scenario)


def test_one_session_too_many_is_429_and_a_place_comes_free_again(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect() as first:
            await _first(first)
            with pytest.raises(InvalidStatus) as caught:
                await server.connect()
            assert caught.value.response.status_code == 429
            assert caught.value.response.headers["Retry-After"]
            assert json.loads(caught.value.response.body)["error"]["code"] == "rate_limit_exceeded"
        await _until_free(server)
        async with server.connect() as second:
            assert (await _first(second))["type"] == "session.created"

    run_server(scenario, {"max_sessions": 1})


async def _until_free(server: Any) -> None:
    async with asyncio.timeout(5):
        while (await server.get("/readyz")).json()["sessions"]["active"]:
            pass


def test_a_foreign_page_gets_no_socket(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        for origin in ("https://evil.example", "null"):
            with pytest.raises(InvalidStatus) as caught:
                await server.connect(origin=origin)
            assert caught.value.response.status_code == 403
            assert json.loads(caught.value.response.body)["error"]["code"] == "origin_not_allowed"
        async with server.connect(origin=f"http://127.0.0.1:{server.port}") as socket:
            assert (await _first(socket))["type"] == "session.created"

    run_server(scenario)


def test_there_is_no_socket_at_another_address(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        with pytest.raises(InvalidStatus) as caught:
            await websockets.connect(f"ws://127.0.0.1:{server.port}/v1/elsewhere")
        assert caught.value.response.status_code == 404

    run_server(scenario)


class _Slow(scripted.ScriptedVad):
    """Warms up when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def warm_up(self) -> None:
        await self.go.wait()


def test_nobody_gets_in_before_the_engines_are_warm(run_server: Any) -> None:
    slow = _Slow()

    async def scenario(server: Any) -> None:
        await server.listening()
        waiting = await server.get("/readyz")
        assert (waiting.status_code, waiting.json()["status"]) == (503, "warming")
        with pytest.raises(InvalidStatus) as caught:
            await server.connect()
        assert caught.value.response.status_code == 503
        slow.go.set()
        await server.ready.wait()
        assert (await server.get("/readyz")).json()["status"] == "ready"
        async with server.connect() as socket:
            assert (await _first(socket))["type"] == "session.created"

    engines: dict[EngineKind, Engine] = scripted.engines() | {EngineKind.VAD: slow}
    run_server(scenario, engines=engines, wait_until_ready=False)


class _Broken(scripted.ScriptedVad):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.reason = error

    async def warm_up(self) -> None:
        raise self.reason


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (EngineError(EngineErrorKind.FAILED, "the model is damaged"), "the model is damaged"),
        (ValueError("secret detail"), "an engine failed while it was warmed up; the log says more"),
    ],
)
def test_an_engine_that_cannot_warm_up_ends_the_server_with_one_line(
    run_server: Any, error: Exception, line: str
) -> None:
    async def scenario(server: Any) -> None:
        pass

    assert run_server(scenario, engines=scripted.engines() | {EngineKind.VAD: _Broken(error)}) == line


def test_a_stop_closes_sessions_with_going_away(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect() as socket:
            await _first(socket)
            server.stop.set()
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code in (1001, 1012)

    assert run_server(scenario) == ""


def test_a_binary_frame_is_an_error_event_and_the_session_goes_on(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect() as socket:
            await _first(socket)
            await socket.send(b"\x00\x01")
            assert (await _first(socket))["type"] == "error"
            await socket.send(json.dumps({"type": "input_audio_buffer.clear"}))
            assert (await _first(socket))["type"] == "input_audio_buffer.cleared"

    run_server(scenario)


def test_one_line_for_the_session_and_its_turn_without_a_word_of_it(
    run_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(server: Any) -> None:
        headers = {
            "Authorization": "Bearer hush-key",
            "User-Agent": "forged\tline " + "x" * 300,
            "OpenAI-Safety-Identifier": "hush-user",
        }
        async with server.connect(additional_headers=headers, user_agent_header=None) as socket:
            await _first(socket)
            part = {"type": "input_text", "text": "hush-words"}
            item = {"type": "message", "role": "user", "content": [part]}
            await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
            await socket.send(json.dumps({"type": "response.create"}))
            while (await _first(socket))["type"] != "response.done":
                pass
        await _until_free(server)

    caplog.set_level(logging.DEBUG)
    run_server(scenario, {"api_keys": "hush-key"} | {"max_sessions": 3})
    own = [record for record in caplog.records if record.name.startswith("antiphon")]
    events = [record.getMessage() for record in own]
    assert (events.count("session_ended"), events.count("turn_finished")) == (1, 1)
    fields = {record.getMessage(): vars(record).get("antiphon_fields", {}) for record in own}
    assert fields["session_ended"]["session"] == fields["turn_finished"]["session"]
    assert fields["session_ended"]["connection"].startswith("req_")
    assert len(fields["session_ended"]["client"]) == 128
    assert fields["session_ended"]["safety"] == hashlib.sha256(b"hush-user").hexdigest()[:16]
    assert fields["turn_finished"]["done_ms"] >= 0
    assert "hush" not in repr([vars(record) for record in own])


def test_a_client_that_stops_reading_is_closed_and_disturbs_nobody(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        # max_queue=1: the client library itself stops reading the socket when nobody takes its messages.
        async with server.connect(max_queue=1, close_timeout=0.1) as slow, server.connect() as other:
            await _first(slow)
            await _first(other)
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "long 20000"}]}
            await slow.send(json.dumps({"type": "conversation.item.create", "item": item}))
            await slow.send(json.dumps({"type": "response.create"}))
            async with asyncio.timeout(30):
                while 'outcome="slow_client"} 1' not in (await server.get("/metrics")).text:
                    await other.send(json.dumps({"type": "input_audio_buffer.clear"}))
                    assert (await _first(other))["type"] == "input_audio_buffer.cleared"

    run_server(scenario, {"outbox_bytes": 1 << 20})


async def _close_code_after(sending: Awaitable[None], socket: websockets.ClientConnection) -> int | None:
    with contextlib.suppress(ConnectionClosed):
        await sending
    await socket.wait_closed()
    return socket.close_code


def test_compression_is_not_agreed_to(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect(compression="deflate") as socket:
            assert (await _first(socket))["type"] == "session.created"
            assert "Sec-WebSocket-Extensions" not in socket.response.headers

    run_server(scenario)


@pytest.mark.parametrize("pieces", [1, 20])
def test_a_message_over_16_mib_is_refused_however_it_is_cut(run_server: Any, pieces: int) -> None:
    text = "a" * (16 * 1024 * 1024 // pieces + 1)

    async def scenario(server: Any) -> None:
        async with server.connect() as socket:
            await _first(socket)
            assert await _close_code_after(socket.send([text] * pieces if pieces > 1 else text), socket) == 1009
        async with server.connect() as other:
            assert (await _first(other))["type"] == "session.created"

    run_server(scenario)


def test_a_text_frame_that_is_not_utf_8_ends_the_connection_with_1007(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with server.connect() as socket:
            await _first(socket)
            assert await _close_code_after(socket.send(b"\xff\xfe", text=True), socket) == 1007

    run_server(scenario)


def test_a_defect_in_what_sessions_share_ends_the_process_rather_than_going_on_deaf(
    run_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: Sessions) -> None:
        raise RuntimeError("a defect")

    async def scenario(server: Any) -> None:
        pass

    monkeypatch.setattr(Sessions, "run", fail)
    assert run_server(scenario) == "what all sessions share has failed; the log says more"
