"""A call: its audio is heard and played by the transport, and the session knows what was played."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.inputs import AudioReceived, PlayoutCleared, PlayoutEnded, PlayoutStarted
from antiphon.core.outputs import Emit, PlayAudio
from antiphon.protocol.codec import encode_server_event
from antiphon.protocol.errors import ProtocolError
from antiphon.runtime.recorder import Replay
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts
from tests.support.audio import chunks, silence_ms, tone_ms
from tests.support.call import Call, Media
from tests.support.runtime import Client, Noted, Server, engines_of, serving


def _run(
    scenario: Callable[[Server, Call], Awaitable[None]],
    settings: RuntimeSettings | None = None,
    call: Call | None = None,
    **engines: Any,
) -> Noted:
    """One call on virtual time, without a fault of ours; no task may be left behind."""
    observer = Noted()

    async def main() -> None:
        async with serving(engines_of(**engines), settings, observer) as server:
            caller = await server.connect(call or Call())
            assert isinstance(caller, Call)
            await scenario(server, caller)
            caller.hang_up()
            await server.all_ended()

    run_virtual(main())
    assert observer.faults == []
    assert [(summary.outcome, summary.transport) for summary in observer.ended] == [("closed", "webrtc")]
    return observer


async def _interrupt(call: Call) -> None:
    """Speak until the server has noticed; returns in the loop step in which it has."""
    cleared = len(call.media.cuts)
    for chunk in chunks(tone_ms(1000), 20):
        call.media.hear(chunk)
        if len(call.media.cuts) > cleared:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nothing was cleared")


def _at(call: Client, type: str) -> int:
    return call.types().index(type)


# --- playout -------------------------------------------------------------------------------------------------------


def test_an_answer_is_played_and_never_sent() -> None:
    async def scenario(server: Server, call: Call) -> None:
        sideband = await server.attach()
        await call.media.speak_turn()
        await call.until("output_audio_buffer.stopped")
        await sideband.until("output_audio_buffer.stopped")
        words = (await call.until("response.output_audio_transcript.done"))["transcript"]
        ((tag, samples),) = call.media.sent.items()
        assert samples == len(words) * 20 * 24
        assert call.of_type("response.output_audio.delta") == []
        assert sideband.types() == call.types()[1:]
        response = (await call.until("response.done"))["response"]
        assert tag == (response["id"], response["output"][0]["id"])
        assert _at(call, "response.content_part.added") < _at(call, "output_audio_buffer.started")
        assert _at(call, "rate_limits.updated") < _at(call, "output_audio_buffer.stopped")

    _run(scenario)


def test_barge_in_is_silence_in_the_same_step_and_its_facts_come_in_order() -> None:
    llm, tts = ScriptedLlm(), ScriptedTts(delay_s=1)

    async def scenario(server: Server, call: Call) -> None:
        call.update(instructions="scripted: long 400")
        await call.media.speak_turn()
        await call.until("output_audio_buffer.started")
        await asyncio.sleep(1)
        assert call.media.pending_s > 0.5
        await _interrupt(call)
        assert call.media.pending_s == 0
        left = len(call.media.left_at)
        truncated = await call.until("conversation.item.truncated")
        assert (llm.running, tts.running) == (0, 0)
        fact = call.media.facts[-1]
        assert isinstance(fact, PlayoutCleared)
        assert truncated["item_id"] == fact.item_id
        assert truncated["audio_end_ms"] == fact.heard_ms == fact.sent_samples // 24 - call.media.delay_ms
        done = await call.until("response.done")
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        cleared = await call.until("output_audio_buffer.cleared")
        assert cleared["response_id"] == fact.response_id == done["response"]["id"]
        second = call.types().index("input_audio_buffer.speech_started", _at(call, "output_audio_buffer.started"))
        order = [_at(call, type) for type in ("output_audio_buffer.cleared", "conversation.item.truncated")]
        assert second < order[0] < order[1]
        await asyncio.sleep(10)
        assert len(call.media.left_at) == left
        assert call.of_type("output_audio_buffer.stopped") == []

    _run(scenario, llm=llm, tts=tts)


def test_an_answer_that_is_done_and_still_playing_can_be_interrupted() -> None:
    async def scenario(server: Server, call: Call) -> None:
        call.ask("long 40")
        assert (await call.until("response.done"))["response"]["status"] == "completed"
        await asyncio.sleep(1)
        await _interrupt(call)
        assert call.media.pending_s == 0
        truncated = await call.until("conversation.item.truncated")
        assert 0 < truncated["audio_end_ms"] < 2000
        await call.until("output_audio_buffer.cleared")

    _run(scenario)


@pytest.mark.parametrize("early_ms", range(-30, 31, 5))
def test_a_clear_at_the_moment_at_which_playout_ends_tells_one_end(early_ms: int) -> None:
    async def scenario(server: Server, call: Call) -> None:
        sideband = await server.attach()
        call.ask("say Hello there.")
        await call.until("output_audio_buffer.started")
        (response,) = call.of_type("response.created")
        await call.until("response.done")
        await asyncio.sleep(call.media.pending_s - early_ms / 1000)
        sideband.say("output_audio_buffer.clear")
        await asyncio.sleep(1)
        ends = [call.of_type("output_audio_buffer.cleared"), call.of_type("output_audio_buffer.stopped")]
        told = [event["response_id"] for events in ends for event in events if "response_id" in event]
        assert told == [response["response"]["id"]]
        call.ask("say Hello again.")
        await call.until("output_audio_buffer.stopped", len(ends[1]) + 1)

    _run(scenario)


def test_speech_is_made_no_faster_than_it_can_wait_to_be_played() -> None:
    tts = ScriptedTts()

    async def scenario(server: Server, call: Call) -> None:
        call.ask("long 300")
        await call.until("output_audio_buffer.started")
        await asyncio.sleep(1)
        assert tts.running == 1
        await call.until("output_audio_buffer.stopped")
        words = (await call.until("response.output_audio_transcript.done"))["transcript"]
        # The spaces between clauses are not spoken.
        assert sum(call.media.sent.values()) == pytest.approx(len(words) * 20 * 24, rel=0.02)
        assert 5 < call.media.most_pending_s < 6
        assert asyncio.get_running_loop().time() == pytest.approx(len(words) * 0.02, rel=0.02)

    _run(scenario, call=Call(media=Media(room_s=5)), tts=tts)


def test_who_waits_for_room_is_stopped_by_a_barge_in() -> None:
    tts = ScriptedTts()

    async def scenario(server: Server, call: Call) -> None:
        call.ask("long 300")
        await call.until("output_audio_buffer.started")
        await asyncio.sleep(1)
        assert tts.running == 1
        await _interrupt(call)
        await call.until("response.done")
        assert tts.running == 0

    _run(scenario, call=Call(media=Media(room_s=5)), tts=tts)


# --- hearing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["audio/pcm", "audio/pcmu"])
@pytest.mark.parametrize("others", [0, 5])
def test_the_track_is_heard_whatever_the_format_of_the_session_is(format: str, others: int) -> None:
    stt = ScriptedStt(sample_rate_hz=24_000)

    async def main() -> None:
        async with serving(engines_of(stt=stt)) as server:
            for _ in range(others):
                await server.connect()
            call = Call()
            await server.connect(call)
            call.update(audio={"input": {"format": {"type": format}}, "output": {"format": {"type": format}}})
            await call.until("session.updated")
            await call.media.speak(silence_ms(500) + tone_ms(800) + silence_ms(700))
            started = await call.until("input_audio_buffer.speech_started")
            stopped = await call.until("input_audio_buffer.speech_stopped")
            assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (480 - 300, 1312 + 500)
            words = (await call.until("response.output_audio_transcript.done"))["transcript"]
            await call.until("output_audio_buffer.stopped")
            assert sum(call.media.sent.values()) == len(words) * 20 * 24
            call.hang_up()

    run_virtual(main())


def test_an_event_is_handled_after_the_audio_that_came_before_it() -> None:
    stt = ScriptedStt(sample_rate_hz=24_000)

    async def main() -> None:
        async with serving(engines_of(stt=stt)) as server:
            for _ in range(5):
                await server.connect()
            call = Call()
            await server.connect(call)
            call.update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
            await call.until("session.updated")
            call.media.hear(tone_ms(131))
            call.say("input_audio_buffer.commit")
            await call.until("input_audio_buffer.committed")
            call.hang_up()
            await asyncio.sleep(1)
            assert list(stt.heard) == [tone_ms(131)]

    run_virtual(main())


def test_audio_may_be_appended_until_the_track_is_heard_and_never_after() -> None:
    async def scenario(server: Server, call: Call) -> None:
        sideband = await server.attach()
        sideband.append(tone_ms(600))
        sideband.append(silence_ms(700))
        await call.until("response.created")
        await call.until("output_audio_buffer.stopped")
        call.media.hear(silence_ms(20))
        for one in (call, sideband):
            one.say("input_audio_buffer.append", audio="AAAA", event_id="mine")
            error = (await one.until("error"))["error"]
            assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "type", "mine")
            assert "track" in error["message"]
        assert len(call.of_type("error")) == len(sideband.of_type("error")) == 1

    _run(scenario)


def test_a_frame_that_the_channel_could_not_carry_is_told_to_its_sender() -> None:
    class Overfull(Call):
        async def receive(self) -> str | bytes:
            frame = await super().receive()
            if frame == "too much":
                raise ProtocolError("message_too_large", "It is too large.")
            return frame

    async def scenario(server: Server, call: Call) -> None:
        sideband = await server.attach()
        call.send_text("too much")
        assert (await call.until("error"))["error"]["code"] == "message_too_large"
        call.ask("say Hello.")
        await sideband.until("response.done")
        assert sideband.of_type("error") == []

    _run(scenario, call=Overfull())


def test_a_detector_that_falls_behind_hears_the_newest_and_no_sample_is_lost() -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(settings=RuntimeSettings(echo_grace_ms=0), observer=observer) as server:
            for _ in range(5):
                await server.connect()
            call = Call()
            await server.connect(call)
            for chunk in chunks(silence_ms(500) + tone_ms(29_500), 20):
                call.media.hear(chunk)
            assert observer.skipped == pytest.approx(28_000 / 32, abs=10)
            await call.media.speak(silence_ms(1000) + tone_ms(500) + silence_ms(700))
            assert [event["audio_start_ms"] for event in call.of_type("input_audio_buffer.speech_started")] == [
                pytest.approx(28_000 - 300, abs=80),
                pytest.approx(31_000 - 300, abs=32),
            ]
            call.hang_up()

    run_virtual(main())
    assert observer.faults == []


# --- its end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [True, False])
def test_a_call_whose_network_goes_is_over_though_a_sideband_lives(clean: bool) -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            call = Call()
            await server.connect(call)
            sideband = await server.attach()
            call.ask("long 400")
            await call.until("output_audio_buffer.started")
            call.hang_up(clean=clean)
            await server.all_ended()
            assert sideband.closed == (1000, "")
            assert call.media.pending_s == 0

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["closed" if clean else "lost"]
    assert observer.faults == []


def test_what_the_network_tells_after_the_end_changes_nothing() -> None:
    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            call = Call()
            await server.connect(call)
            server.handles[0].end()
            for _ in range(2):
                call.media.hear(tone_ms(500))
                call.media.tell(PlayoutStarted("resp_1", "item_1"))
                call.media.tell(PlayoutEnded("resp_1", "item_1", 480))
                await server.all_ended()

    run_virtual(main())
    assert observer.faults == []
    assert observer.windows == 0


def test_a_defect_in_hearing_ends_the_session_and_is_not_raised_into_the_network() -> None:
    class Nonsense(Media):
        def hear(self, pcm: bytes) -> None:
            super().hear(pcm + b"1")

    observer = Noted()

    async def main() -> None:
        async with serving(observer=observer) as server:
            call = Call(media=Nonsense())
            await server.connect(call)
            call.media.hear(tone_ms(20))
            assert (await call.until_closed())[0] == 1011

    run_virtual(main())
    assert [summary.outcome for summary in observer.ended] == ["failed"]


# --- what is reported ----------------------------------------------------------------------------------------------


def test_the_first_audio_of_an_answer_counts_from_its_first_packet() -> None:
    """Also where the answer is done before."""

    async def scenario(server: Server, call: Call) -> None:
        await call.media.speak_turn()
        await call.until("output_audio_buffer.stopped")
        call.ask("say Hello.")
        await call.until("output_audio_buffer.stopped", 2)

    observer = _run(scenario)
    spoken, asked = observer.turns
    assert spoken.committed_ms is not None
    assert spoken.first_audio_ms is not None
    assert spoken.first_audio_ms == pytest.approx(spoken.committed_ms + 20, abs=2)
    assert asked.first_audio_ms == pytest.approx(20, abs=2)
    assert observer.ended[0].turns == 2


@pytest.mark.parametrize("how", ["interrupted", "hung up"])
def test_an_answer_that_waits_behind_another_is_reported_whatever_becomes_of_it(how: str) -> None:
    async def scenario(server: Server, call: Call) -> None:
        call.ask("long 100")
        await call.until("response.done")
        await call.until("output_audio_buffer.started")
        call.ask("say Hello.")
        await call.until("response.done", 2)
        if how == "interrupted":
            await _interrupt(call)
            await call.until("output_audio_buffer.cleared", 2)

    observer = _run(scenario)
    assert [turn.first_audio_ms is None for turn in observer.turns] == [False, True]


# --- recording -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_audio", [True, False])
def test_a_recorded_call_plays_back_the_same(tmp_path: Path, with_audio: bool) -> None:
    frames: list[bytes] = []

    async def scenario(server: Server, call: Call) -> None:
        sideband = await server.attach()
        call.update(instructions="scripted: long 60")
        await call.media.speak_turn()
        await call.until("output_audio_buffer.started")
        await asyncio.sleep(1)
        await _interrupt(call)
        sideband.say("conversation.item.delete", item_id="nobody")
        await sideband.until("error")
        await call.media.speak(silence_ms(700))
        await call.until("output_audio_buffer.stopped")
        sideband.hang_up()
        await asyncio.wait(server.sidebands)
        frames.extend(call.frames)

    _run(scenario, RuntimeSettings(record_dir=str(tmp_path), record_audio=with_audio))
    (path,) = tmp_path.iterdir()
    steps = list(Replay(path))
    assert all(step.error is None and step.outcome == step.recorded for step in steps)
    outputs = [output for step in steps for output in step.outputs]
    emitted = [output for output in outputs if isinstance(output, Emit) and output.origin in (None, 0)]
    assert [encode_server_event(output.event) for output in emitted] == frames
    heard = b"".join(step.input.pcm for step in steps if isinstance(step.input, AudioReceived))
    assert heard.startswith(tone_ms(800) if with_audio else bytes(800 * 48))
    assert any(isinstance(output, PlayAudio) for output in outputs)
