"""Turns from the first chunk of audio to the end of the answer, through the whole runtime."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import pytest

from antiphon.audio.g711 import encode_alaw, encode_ulaw
from antiphon.audio.resample import resample
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts
from tests.support.anonymous import anonymous
from tests.support.audio import silence_ms, tone_ms
from tests.support.runtime import Client, Event, engines_of, serving

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
ANSWER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]


def _once(types: list[str]) -> list[str]:
    """The first delta stands for all of its kind."""
    return [type for at, type in enumerate(types) if not type.endswith(".delta") or type not in types[:at]]


def test_a_text_turn_gives_the_documented_order() -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.ask("say Hello.")
            await client.until("rate_limits.updated")
            assert _once(client.types()) == [
                "session.created",
                "conversation.item.added",
                "conversation.item.done",
                *ANSWER,
            ]
            client.hang_up()

    run_virtual(main())


def test_a_spoken_turn_gives_the_documented_order() -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            await client.speak_turn()
            await client.until("rate_limits.updated")
            assert _once(client.types(1)) == TURN + ANSWER
            client.hang_up()

    run_virtual(main())


def test_a_tool_call_is_not_spoken() -> None:
    tts = ScriptedTts()

    async def main() -> None:
        async with serving(engines_of(tts=tts)) as server:
            client = await server.connect()
            client.update(tools=[{"type": "function", "name": "look", "parameters": {"type": "object"}}])
            client.ask('call look {"at": "me"}')
            done = await client.until("response.function_call_arguments.done")
            assert (done["name"], done["arguments"]) == ("look", '{"at": "me"}')
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            client.hang_up()

    run_virtual(main())
    assert not tts.started


# --- chunk sizes ---------------------------------------------------------------------------------------------------


def _heard(chunk_ms: int, pcm: bytes, session: Mapping[str, Any], *, answers: int) -> list[Event]:
    async def main() -> list[Event]:
        async with serving(engines_of(stt=ScriptedStt(["one two three", "four five"]))) as server:
            client = await server.connect()
            client.update(**session)
            await client.speak(pcm, chunk_ms=chunk_ms)
            await client.until("conversation.item.input_audio_transcription.completed", 2)
            if answers:
                await client.until("rate_limits.updated", answers)
            client.hang_up()
            return client.events

    return [event for event in anonymous(run_virtual(main())) if not event["type"].endswith(".delta")]


TWO_TURNS = silence_ms(500) + tone_ms(800) + silence_ms(2200) + tone_ms(613) + silence_ms(5887)
CHUNKS_MS = [10, 20, 60, 100, 200, 1000, 10_000]


def _listening(**detection: Any) -> dict[str, Any]:
    turn_detection = {"type": "server_vad", **detection}
    return {"audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": turn_detection}}}


@pytest.mark.parametrize("chunk_ms", CHUNKS_MS)
def test_a_turn_begins_and_ends_at_the_same_sample_at_every_chunk_size(chunk_ms: int) -> None:
    events = _heard(chunk_ms, TWO_TURNS, _listening(create_response=False), answers=0)
    # Windows of 32 ms: the tone of 500 to 1300 ms fills those of 480 to 1312 ms.
    bounds = [event.get("audio_start_ms", event.get("audio_end_ms")) for event in events]
    assert [ms for ms in bounds if ms is not None] == [480 - 300, 1312 + 500, 3488 - 300, 4128 + 500]


@pytest.mark.parametrize("chunk_ms", CHUNKS_MS[1:])
def test_events_are_the_same_at_every_chunk_size(chunk_ms: int) -> None:
    session = _listening(create_response=False)
    expected = _heard(CHUNKS_MS[0], TWO_TURNS, session, answers=0)
    assert _heard(chunk_ms, TWO_TURNS, session, answers=0) == expected


@pytest.mark.parametrize("chunk_ms", [20, 60, 100, 200, 500])
def test_answers_are_the_same_at_every_chunk_size(chunk_ms: int) -> None:
    expected = _heard(10, TWO_TURNS, _listening(), answers=2)
    assert _heard(chunk_ms, TWO_TURNS, _listening(), answers=2) == expected
    assert [event["response"]["status"] for event in expected if event["type"] == "response.done"] == ["completed"] * 2


def test_nobody_waits_while_a_long_recording_is_heard_at_once() -> None:
    """Another session's events are answered in between."""

    async def main() -> None:
        async with serving() as server:
            busy, other = await server.connect(), await server.connect()
            busy.append((tone_ms(1000) + silence_ms(1000)) * 60)
            answers = 0
            await busy.until("input_audio_buffer.committed")
            while len(busy.of_type("input_audio_buffer.committed")) < 50:
                other.say("input_audio_buffer.clear")
                answers += 1
                await other.until("input_audio_buffer.cleared", answers)
            assert answers > 100
            busy.hang_up()
            other.hang_up()

    run_virtual(main())


@pytest.mark.parametrize(("name", "encode"), [("audio/pcmu", encode_ulaw), ("audio/pcma", encode_alaw)])
@pytest.mark.parametrize("chunk_ms", [20, 200, 3000])
def test_telephone_audio_is_heard_and_answered_in_kind(name: str, encode: Any, chunk_ms: int) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            audio = {"input": {"format": {"type": name}}, "output": {"format": {"type": name}}}
            client.update(audio=audio)
            await client.until("session.updated")
            spoken = encode(resample(silence_ms(500) + tone_ms(800) + silence_ms(1700), 24_000, 8_000))
            for start in range(0, len(spoken), chunk_ms * 8):
                client.append(spoken[start : start + chunk_ms * 8])
                await asyncio.sleep(chunk_ms / 1000)
            started = await client.until("input_audio_buffer.speech_started")
            stopped = await client.until("input_audio_buffer.speech_stopped")
            # The conversion from 8 kHz may smear the edges of the tone into the next window.
            assert started["audio_start_ms"] == pytest.approx(180, abs=32)
            assert stopped["audio_end_ms"] == pytest.approx(1812, abs=32)
            await client.until("response.done")
            deltas = [base64.b64decode(event["delta"]) for event in client.of_type("response.output_audio.delta")]
            words = (await client.until("response.output_audio_transcript.done"))["transcript"]
            assert len(b"".join(deltas)) == pytest.approx(len(words) * 20 * 8, rel=0.05)
            client.hang_up()

    run_virtual(main())


# --- the order of audio and events ---------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_ms", [10, 20, 200, 2000])
@pytest.mark.parametrize("others", [0, 5])
def test_an_event_after_audio_is_handled_after_what_was_heard_in_it(chunk_ms: int, others: int) -> None:
    """All at once, without a moment for the detector in between, alone and beside other sessions."""

    async def main() -> None:
        async with serving() as server:
            for _ in range(others):
                await server.connect()
            client = await server.connect()
            for start in range(0, 2000 * 48, chunk_ms * 48):
                client.append(TWO_TURNS[start : start + chunk_ms * 48])
            client.say("conversation.item.create", item=_item("msg_1", "say Hi."))
            client.say("conversation.item.retrieve", item_id="msg_1")
            await client.until("conversation.item.retrieved")
            assert client.types(1)[:3] == TURN[:3]
            assert client.types().index("input_audio_buffer.committed") < _place(client, "msg_1")

    run_virtual(main())


def _item(item_id: str, text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"id": item_id, "type": "message", "role": "user", "content": content}


def _place(client: Client, item_id: str) -> int:
    return next(at for at, event in enumerate(client.events) if event.get("item", {}).get("id") == item_id)


@pytest.mark.parametrize("ms", [100, 110, 131, 500])
def test_a_manual_commit_takes_all_audio_that_came_before_it(ms: int) -> None:
    stt = ScriptedStt(sample_rate_hz=24_000)

    async def main() -> None:
        async with serving(engines_of(stt=stt)) as server:
            client = await server.connect()
            spoken = tone_ms(ms)
            for start in range(0, len(spoken), 480):
                client.append(spoken[start : start + 480])
            client.say("input_audio_buffer.commit")
            await client.until("input_audio_buffer.committed")
            client.hang_up()
            await server.all_ended()
            assert client.types().count("error") == 0
            assert list(stt.heard) == [spoken]

    run_virtual(main())


def test_detection_turned_on_in_mid_stream_counts_from_the_audio_before() -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.update(audio={"input": {"turn_detection": None}})
            await client.speak(silence_ms(1000) + tone_ms(1000))
            client.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})
            await client.speak(silence_ms(500) + tone_ms(800) + silence_ms(700))
            started = await client.until("input_audio_buffer.speech_started")
            assert started["audio_start_ms"] == 2000 + 480 - 300
            assert len(client.of_type("input_audio_buffer.speech_started")) == 1
            client.hang_up()

    run_virtual(main())


# --- barge-in ------------------------------------------------------------------------------------------------------


def test_barge_in_stops_both_engines_and_nothing_of_them_follows() -> None:
    llm, tts = ScriptedLlm(delay_s=0.1), ScriptedTts(delay_s=0.4)

    async def main() -> None:
        async with serving(engines_of(llm=llm, tts=tts)) as server:
            client = await server.connect()
            client.ask("long 400\nwait 5000\nlong 400")
            first = await client.until("response.output_audio.delta", 3)
            assert (llm.running, tts.running) == (1, 1)
            await client.speak(tone_ms(300))
            done = await client.until("response.done")
            await asyncio.sleep(0)
            assert (llm.running, tts.running) == (0, 0)
            assert (llm.stopped, tts.stopped) == (1, 1)
            assert (done["response"]["status"], done["response"]["status_details"]["reason"]) == (
                "cancelled",
                "turn_detected",
            )
            await client.speak(silence_ms(1000))
            await client.until("response.done", 2)
            client.hang_up()
            after = client.events[client.events.index(done) :]
            assert not [event for event in after if event.get("response_id") == first["response_id"]]

    run_virtual(main())


def test_a_cancelled_response_stops_its_engines_and_the_next_one_answers() -> None:
    llm, tts = ScriptedLlm(), ScriptedTts(delay_s=0.4)

    async def main() -> None:
        async with serving(engines_of(llm=llm, tts=tts)) as server:
            client = await server.connect()
            client.ask("long 30\nhang")
            await client.until("response.output_audio.delta")
            client.say("response.cancel")
            client.ask("say Hello.")
            assert (await client.until("response.done"))["response"]["status"] == "cancelled"
            assert (await client.until("response.done", 2))["response"]["status"] == "completed"
            assert (llm.running, tts.running) == (0, 0)
            client.hang_up()

    run_virtual(main())
