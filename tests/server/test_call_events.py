"""What goes on in a call: its data channel, items by HTTP, sidebands, the server's own pages, and its end."""

import asyncio
import contextlib
import gc
import json
import logging
import re
import socket
from typing import Any

import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus

from antiphon.rtc.call import Call
from antiphon.runtime.orchestrator import Orchestrator
from antiphon.runtime.session_handle import SessionHandle
from antiphon.runtime.sessions import Opening, Sessions
from antiphon.runtime.transport import Transport
from antiphon.server.call_registry import LiveCall
from antiphon.transports.webrtc import WebRtcTransport
from tests.support.calls import CALLS, DATA_ONLY, KEY_A, KEY_B, KEYS, NOT_FOUND, RTC, a_secret, an_offer, call_of, post
from tests.support.images import data_url, encoded

OF_A_CALL = (Call, LiveCall, Orchestrator, SessionHandle, WebRtcTransport)

# --- items ---------------------------------------------------------------------------------------------------------

MESSAGE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}


@pytest.mark.parametrize(
    "body",
    [
        {"item": MESSAGE},
        {"item": {**MESSAGE, "id": "item_mine"}},
        {"type": "conversation.item.create", "event_id": "mine", "item": MESSAGE, "previous_item_id": "root"},
    ],
)
def test_an_item_may_come_by_http(run_server: Any, body: dict[str, Any]) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            answer = await post(server.port, f"{call.path}/items", json.dumps(body))
            assert answer.status_code == 200, answer.text
            added = await call.until("conversation.item.added")
            assert answer.json()["id"] == added["item"]["id"]
            if "id" in body["item"]:
                assert added["item"]["id"] == "item_mine"

    run_server(scenario, RTC)


def test_an_image_that_the_channel_cannot_carry_comes_by_http(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        url = data_url(encoded(Image.effect_noise((800, 600), 90)))
        assert len(url) > 262_144
        item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url}]}
        async with call_of(server.port) as call:
            assert (await post(server.port, f"{call.path}/items", json.dumps({"item": item}))).status_code == 200
            await call.until("conversation.item.added")

    run_server(scenario, RTC)


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ("no json", 400, "invalid_value", None),
        ("[]", 400, "invalid_value", None),
        ("{}", 400, "missing_required_parameter", "item"),
        ('{"item": 3}', 400, "invalid_value", "item"),
        ('{"type": "response.create", "item": {}}', 400, "invalid_value", "type"),
        ('{"type": 3, "item": {}}', 400, "invalid_value", "type"),
        ('{"item": {"type": "message", "role": "user", "content": 3}}', 400, "invalid_type", "item.content"),
        ('{"item": {"type": "dream"}}', 400, "invalid_value", "item.type"),
        ('{"item": {"type": "message", "role": "user", "content": [], "id": 3}}', 400, "invalid_type", "item.id"),
        (
            json.dumps({"item": MESSAGE, "previous_item_id": "item_none"}),
            400,
            "item_create_invalid_previous_item_id",
            None,
        ),
        ("x" * (15 * 1024 * 1024 + 1), 413, "request_too_large", None),
        (json.dumps({"item": MESSAGE}).encode().replace(b"}]", b', "x": "\xff"}]'), 400, "invalid_value", None),
        (b'{"type": "\xff", "item": {}}', 400, "invalid_value", None),
    ],
)
def test_an_item_that_the_session_refuses_is_told_to_who_sent_it_alone(
    run_server: Any, body: str | bytes, status: int, code: str, param: str | None
) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            answer = await post(server.port, f"{call.path}/items", body)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (status, code), error
            if param is not None:
                assert error["param"] == param
            await post(server.port, f"{call.path}/items", json.dumps({"item": MESSAGE}))
            await call.until("conversation.item.added")
            assert "error" not in call.types

    run_server(scenario, RTC)


def test_a_call_is_sent_only_so_many_items_at_a_time(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            head = f"POST {call.path}/items HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode()
            slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
            for _, writer in slow:
                writer.write(head)
            item = json.dumps({"item": MESSAGE})
            async with asyncio.timeout(5):
                while (answer := await post(server.port, f"{call.path}/items", item)).status_code != 429:
                    pass
            assert answer.json()["error"]["code"] == "rate_limit_exceeded"
            for _, writer in slow:
                writer.close()
            async with asyncio.timeout(5):
                while (await post(server.port, f"{call.path}/items", item)).status_code != 200:
                    pass

    run_server(scenario, RTC)


def test_an_item_on_its_way_to_a_call_that_ends_is_not_waited_for(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            head = f"POST {call.path}/items HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode()
            writer.write(head)
            await post(server.port, f"{call.path}/hangup")
            async with asyncio.timeout(5):
                assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
            writer.close()

    run_server(scenario, RTC)


# --- the channel ---------------------------------------------------------------------------------------------------


def test_a_message_too_large_for_the_channel_is_an_error_that_says_what_to_do(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            call.caller.send(json.dumps({"type": "response.cancel", "padding": "x" * 300_000}))
            error = (await call.until("error"))["error"]
            assert error["code"] == "message_too_large"
            assert "/v1/realtime/calls/{call_id}/items" in error["message"]
            call.caller.send(b"\x00\x01")
            assert (await call.until("error"))["error"]["code"] == "invalid_event"
            call.send(type="session.update", session={"type": "realtime", "instructions": "Still there?"})
            await call.until("session.updated")

    run_server(scenario, RTC)


def test_a_text_turn_over_the_channel(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port, plan=DATA_ONLY) as call:
            call.send(type="conversation.item.create", item=MESSAGE)
            call.send(type="response.create", response={"output_modalities": ["text"]})
            done = await call.until("response.done")
            assert done["response"]["output"][0]["content"][0]["text"] == "You said: hello"

    run_server(scenario, RTC)


def test_a_spoken_answer_goes_over_the_track_and_not_over_the_channel(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            call.send(type="conversation.item.create", item=MESSAGE)
            call.send(type="response.create")
            await call.until("output_audio_buffer.stopped")
            assert "response.output_audio.delta" not in call.types
            assert "response.output_audio_transcript.done" in call.types
            places = [call.types.index(f"output_audio_buffer.{name}") for name in ("started", "stopped")]
            assert call.types.index("response.created") < places[0] < places[1]
            assert call.types.index("response.done") < places[1]
            assert call.caller.received.packets > 10

    run_server(scenario, RTC)


# --- sidebands -----------------------------------------------------------------------------------------------------


async def _refusal(server: Any, call_id: str, **options: Any) -> tuple[int, Any]:
    with pytest.raises(InvalidStatus) as caught:
        await server.connect(f"?call_id={call_id}", **options)
    return caught.value.response.status_code, json.loads(caught.value.response.body)


def test_sidebands_are_told_everything_but_the_beginning_and_may_steer(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            async with server.connect(f"?call_id={call.id}") as one, server.connect(f"?call_id={call.id}") as two:
                update = {"type": "session.update", "session": {"type": "realtime", "instructions": "By the side."}}
                await one.send(json.dumps(update))
                for socket in (one, two):
                    event = json.loads(await socket.recv())
                    assert event["type"] == "session.updated"
                    assert event["session"]["instructions"] == "By the side."
                await call.until("session.updated")
                await one.send('{"type": "response.cancel"}')
                assert json.loads(await one.recv())["error"]["code"] == "response_cancel_not_active"
            call.send(type="session.update", session={"type": "realtime"})
            await call.until("session.updated")
            assert "error" not in call.types

    assert run_server(scenario, RTC) == ""


def test_a_sideband_is_closed_with_its_call(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call, server.connect(f"?call_id={call.id}") as socket:
            await post(server.port, f"{call.path}/hangup")
            async with asyncio.timeout(5):
                await socket.wait_closed()
            assert socket.close_code == 1000

    run_server(scenario, RTC)


def test_a_sideband_of_an_unknown_or_foreign_call_is_404(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        secret = await a_secret(server, KEY_A)
        async with call_of(server.port, headers=KEY_A) as call:
            assert await _refusal(server, "rtc_none", additional_headers=KEY_A) == (404, NOT_FOUND)
            assert await _refusal(server, call.id, additional_headers=KEY_B) == (404, NOT_FOUND)
            assert await _refusal(server, call.id, additional_headers=secret) == (404, NOT_FOUND)
            assert (await _refusal(server, call.id))[0] == 401

    run_server(scenario, KEYS)


def test_a_sideband_may_carry_its_key_or_the_calls_secret_in_a_subprotocol(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        secret = await a_secret(server, KEY_A)
        async with call_of(server.port, headers=secret) as call:
            for key in ("key-a", secret["authorization"].removeprefix("Bearer ")):
                offered = ["realtime", f"openai-insecure-api-key.{key}"]
                async with server.connect(f"?call_id={call.id}", subprotocols=offered) as socket:
                    assert socket.subprotocol == "realtime"
            offered = ["realtime", "openai-insecure-api-key.wrong"]
            async with server.connect(f"?call_id={call.id}", subprotocols=offered) as socket:
                assert json.loads(await socket.recv())["error"]["code"] == "invalid_api_key"

    run_server(scenario, KEYS)


def test_sidebands_are_counted(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            async with server.connect(f"?call_id={call.id}"):
                await _until_counted(server, "antiphon_sidebands", 1)
            async with server.connect(f"?call_id={call.id}") as socket:
                await post(server.port, f"{call.path}/hangup")
                await socket.wait_closed()
            await _until_counted(server, "antiphon_sidebands", 0)
            await _until_counted(server, "antiphon_sidebands_total", 2)

    assert run_server(scenario, RTC) == ""


async def _until_counted(server: Any, name: str, count: int) -> None:
    async with asyncio.timeout(5):
        while f"{name} {count}" not in (await server.get("/metrics")).text.splitlines():
            pass


def test_a_call_has_only_so_many_sidebands(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call, contextlib.AsyncExitStack() as stack:
            for _ in range(8):
                await stack.enter_async_context(server.connect(f"?call_id={call.id}"))
            assert (await _refusal(server, call.id))[0] == 429
            answer = await post(server.port, f"{call.path}/items", json.dumps({"item": MESSAGE}))
            assert answer.status_code == 429

    run_server(scenario, RTC)


# --- the server's own pages ----------------------------------------------------------------------------------------

OWN = "/api/realtime/session"


def test_own_pages_call_renegotiate_and_hang_up_without_a_key(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port, OWN, plan=DATA_ONLY) as call:
            assert call.path.startswith(f"{OWN}/calls/rtc_")
            assert (await call.next())["type"] == "session.created"
            answer = await post(server.port, f"{call.path}/hangup")
            assert answer.status_code == 200
            async with asyncio.timeout(5):
                await call.caller.ended.wait()

    assert run_server(scenario, RTC) == ""


def test_own_pages_get_secrets_that_open_a_socket(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        asked = '{"method": "client_secret"}'
        secret = (await post(server.port, OWN, asked, {"content-type": "application/json"})).json()
        key = {"Authorization": f"Bearer {secret['client_secret']['value']}"}
        async with server.connect(additional_headers=key) as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"

    run_server(scenario, RTC)


def test_pages_of_others_have_no_part_in_it(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        for origin in ("https://evil.example", "http://localhost:1"):
            answer = await post(server.port, OWN, "v=0", {"content-type": "text/plain", "origin": origin})
            assert answer.status_code == 403

    run_server(scenario, RTC)


def test_where_keys_are_asked_for_there_is_no_way_around_them(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        assert (await post(server.port, OWN, "v=0", {"content-type": "text/plain"})).status_code == 404

    run_server(scenario, KEYS)


# --- its end -------------------------------------------------------------------------------------------------------


def test_a_server_that_ends_says_goodbye_to_calls(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            await call.next()
            server.stop.set()
            async with asyncio.timeout(5):
                await call.caller.ended.wait()

    assert run_server(scenario, RTC) == ""


def test_a_fault_of_one_call_ends_only_that(run_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"type": "realtime", "model": "broken"}
    serve = Sessions.serve

    async def failing(self: Sessions, transport: Transport, opening: Opening, started: Any = None) -> None:
        if opening.model == "broken":
            raise RuntimeError("a defect")
        await serve(self, transport, opening, started)

    monkeypatch.setattr(Sessions, "serve", failing)

    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            files = {"sdp": (None, await an_offer()), "session": (None, json.dumps(broken))}
            answer = await post(server.port, CALLS, files=files)
            assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
            call.send(type="session.update", session={"type": "realtime"})
            await call.until("session.updated")
        async with call_of(server.port):
            pass  # the broken one has given its place back

    assert run_server(scenario, {**RTC, "max_sessions": 2}) == ""


def test_nothing_secret_of_a_call_is_logged(run_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Any) -> None:
        secret = await a_secret(server, KEY_A)
        async with call_of(server.port, headers=secret) as call:
            await call.next()
            assert call.response is not None
            answer = call.response.text
            told = re.findall(r"a=(?:ice-pwd|ice-ufrag|fingerprint):(\S+ ?\S*)", answer)
            assert len(told) >= 3
            hidden.extend([*told, call.caller.plan.credentials[1], secret["authorization"], "key-a"])
            await post(server.port, f"{call.path}/hangup", headers=KEY_A)
            ids.append(call.id)

    hidden: list[str] = []
    ids: list[str] = []
    caplog.set_level(logging.DEBUG, "antiphon")
    run_server(scenario, KEYS)
    text = "\n".join(f"{record.getMessage()} {vars(record).get('antiphon_fields')}" for record in caplog.records)
    assert ids[0] in text
    assert [one for one in hidden if one in text] == []


def test_a_port_that_was_taken_meanwhile_ends_the_server_with_one_line(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        pass

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        failure = run_server(scenario, {"rtc": True, "rtc_port": port})
    assert failure.startswith(f"cannot take calls on port {port}: ")


def test_of_calls_that_are_over_nothing_is_left(run_server: Any) -> None:
    async def one(port: int, number: int) -> None:
        async with call_of(port) as call:
            await call.next()
            if number % 3 == 0:
                await post(port, f"{call.path}/hangup")
                await call.caller.ended.wait()
            elif number % 3 == 1:
                content = [{"type": "input_text", "text": "long 30"}]
                call.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
                call.send(type="response.create")
                await call.until("output_audio_buffer.started")

    async def left(server: Any) -> tuple[int, int]:
        """Tasks and objects, those of other tests included, once no call is counted any more."""
        async with asyncio.timeout(10):
            while "antiphon_calls 0\n" not in (await server.get("/metrics")).text:
                pass
        gc.collect()
        return len(asyncio.all_tasks()), sum(isinstance(one, OF_A_CALL) for one in gc.get_objects())

    async def scenario(server: Any) -> None:
        await one(server.port, 1)
        tasks, objects = await left(server)
        for _ in range(4):
            async with asyncio.TaskGroup() as callers:
                for number in range(6):
                    callers.create_task(one(server.port, number))
        tasks_after, objects_after = await left(server)
        assert tasks_after == tasks
        assert objects_after <= objects

    assert run_server(scenario, RTC) == ""


def test_metrics_count_calls_by_how_they_end(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            await call.next()
            text = (await server.get("/metrics")).text
            assert "antiphon_calls 1\n" in text
            assert "antiphon_calls_half_open 0\n" in text
        async with asyncio.timeout(5):
            while 'antiphon_calls_total{ending="hung_up"} 1\n' not in text:
                text = (await server.get("/metrics")).text
        assert "antiphon_call_tick_lateness_seconds_count" in text

    run_server(scenario, RTC)
