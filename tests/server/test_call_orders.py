"""What the channel and the sidebands of a call are told, and in which order: as recorded of the hosted API."""

import asyncio
import hashlib
import itertools
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from antiphon.rtc.opus import OpusEncoder
from antiphon.rtc.playout import FRAME_SAMPLES
from antiphon.testing.wire import assert_valid_server_event
from tests.support.audio import silence_ms, tone_ms
from tests.support.calls import KEY_A, KEYS, RTC, CallOfTest, a_secret, call_of, post
from tests.support.recorded import assert_recorded_shape
from tests.support.rtc_audio import frames_of
from tests.support.rtc_caller import speaking

_RECORDED_SPOKEN_ANSWER = [
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
    "output_audio_buffer.stopped",
]
"""Without ``output_audio_buffer.started``, whose place depends on how fast the audio is made."""


def _message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def _until_closed(socket: Any) -> AsyncIterator[str]:
    with suppress(ConnectionClosed):
        while True:
            yield await socket.recv()


async def _told(socket: Any, last: str) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not told or told[-1]["type"] != last:
            told.append(json.loads(await socket.recv()))
    return told


def test_a_spoken_answer_is_told_in_the_recorded_order_on_the_channel_and_beside_it(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call, server.connect(f"?call_id={call.id}") as socket:
            await socket.send(json.dumps({"type": "conversation.item.create", "item": _message("say Hello there.")}))
            await socket.send(json.dumps({"type": "response.create"}))
            told = await _told(socket, "output_audio_buffer.stopped")
            await call.until("output_audio_buffer.stopped")
            assert call.events[0]["type"] == "session.created"
            assert call.events[1:] == told
            for event in told:
                assert_valid_server_event(event)
                assert_recorded_shape(event)
            types = [kind for kind, _ in itertools.groupby(event["type"] for event in told)]
            started = types.index("output_audio_buffer.started")
            assert types.index("response.content_part.added") < started < types.index("output_audio_buffer.stopped")
            del types[started]
            assert [kind for kind, _ in itertools.groupby(types)] == _RECORDED_SPOKEN_ANSWER

    assert run_server(scenario, RTC) == ""


async def _speak(call: CallOfTest, pcm: bytes) -> None:
    encoder = OpusEncoder()
    frames = [encoder.encode(frame) for frame in frames_of(pcm)]
    assert len(frames) * FRAME_SAMPLES * 2 == len(pcm)
    await speaking([call.caller], frames, len(frames))


def test_push_to_talk_hears_what_was_said_between_press_and_release(run_server: Any) -> None:
    by_hand = {"turn_detection": None, "transcription": {"model": "whisper-1"}}

    async def scenario(server: Any) -> None:
        async with call_of(server.port, session={"type": "realtime", "audio": {"input": by_hand}}) as call:
            await _speak(call, tone_ms(600))
            call.send(type="input_audio_buffer.clear")
            await call.until("input_audio_buffer.cleared")
            await _speak(call, tone_ms(400))
            call.send(type="input_audio_buffer.commit")
            call.send(type="response.create")
            heard = await call.until("conversation.item.input_audio_transcription.completed")
            assert 300 <= int(heard["transcript"].split()[2]) <= 600
            await call.until("output_audio_buffer.stopped")
            assert not [kind for kind in call.types if kind.startswith("input_audio_buffer.speech")]

    assert run_server(scenario, RTC) == ""


def test_a_call_may_be_for_transcription_and_is_never_answered(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port, "/v1/realtime/calls?intent=transcription") as call:
            await _speak(call, tone_ms(600) + silence_ms(200))
            await call.until("conversation.item.input_audio_transcription.completed")
            call.send(type="response.create", event_id="mine")
            error = (await call.until("error"))["error"]
            assert (error["code"], error["event_id"]) == ("invalid_value", "mine")
            assert not [kind for kind in call.types if kind.startswith(("response.", "output_"))]

    assert run_server(scenario, RTC) == ""


def test_a_session_that_expires_is_told_to_all_and_ends_the_call(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call, server.connect(f"?call_id={call.id}") as socket:
            told = [json.loads(text) async for text in _until_closed(socket)]
            assert told[-1]["error"]["code"] == "session_expired"
            assert socket.close_code == 1001
            assert (await call.until("error"))["error"]["code"] == "session_expired"
            async with asyncio.timeout(5):
                await call.caller.ended.wait()

    assert run_server(scenario, {**RTC, "session_max_s": 1.0}) == ""


# --- what is kept of secrets ---------------------------------------------------------------------------------------


def test_neither_the_log_nor_the_recording_of_a_call_holds_its_keys(
    run_server: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []

    async def scenario(server: Any) -> None:
        secret = await a_secret(server, KEY_A)
        value = secret["authorization"].removeprefix("Bearer ")
        made.append(value)
        async with call_of(server.port, headers=secret) as call:
            offered = ["realtime", f"openai-insecure-api-key.{value}"]
            async with server.connect(f"?call_id={call.id}", subprotocols=offered) as socket:
                await socket.send('{"type": "session.update", "session": {"type": "realtime"}}')
                await socket.recv()
            await post(server.port, f"{call.path}/items", json.dumps({"item": _message("hello")}), secret)
            refused = await post(server.port, f"{call.path}/hangup", headers={"authorization": f"Bearer {value}A"})
            assert refused.status_code == 401
            assert value[3:] not in refused.text
            await post(server.port, f"{call.path}/hangup", headers=KEY_A)

    records = tmp_path / "records"
    records.mkdir()
    caplog.set_level(logging.DEBUG)
    assert run_server(scenario, {**KEYS, "record_dir": str(records)}) == ""
    (record,) = records.iterdir()
    logged = repr([vars(line) for line in caplog.records if line.name.startswith("antiphon")])
    assert "session_ended" in logged
    for text in (record.read_text(), logged):
        assert made[0][3:40] not in text
        assert "key-a" not in text


@pytest.mark.parametrize("path", ["client_secrets", "sessions", "transcription_sessions"])
def test_a_session_is_of_the_user_for_whom_its_secret_was_made(
    run_server: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    user, other = ({"OpenAI-Safety-Identifier": name} for name in ("hush-user", "hush-other"))

    async def scenario(server: Any) -> None:
        made = (await post(server.port, f"/v1/realtime/{path}", "{}", user)).json()
        secret = {"authorization": f"Bearer {made['client_secret']['value']}"}
        async with server.connect("", additional_headers=secret) as socket:
            await socket.recv()
        async with call_of(server.port, headers={**secret, **other}) as call:
            await call.next()
        async with asyncio.timeout(5):
            while "antiphon_sessions 0\n" not in (await server.get("/metrics")).text:
                pass

    caplog.set_level(logging.INFO)
    assert run_server(scenario, RTC) == ""
    ended = [vars(line)["antiphon_fields"] for line in caplog.records if line.getMessage() == "session_ended"]
    assert [line["safety"] for line in ended] == [hashlib.sha256(b"hush-user").hexdigest()[:16]] * 2
    assert "hush-" not in repr([vars(line) for line in caplog.records if line.name.startswith("antiphon")])
