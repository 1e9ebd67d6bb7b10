"""Speech over the track of a call: turns by voice, and interruptions that are cut at what was heard."""

from collections.abc import Sequence
from typing import Any

from antiphon.rtc.opus import OpusEncoder
from tests.support.audio import silence_ms, tone_ms
from tests.support.calls import RTC, CallOfTest, call_of
from tests.support.rtc_caller import speaking

_FRAME_BYTES = 960


def _packets(pcm: bytes) -> Sequence[bytes]:
    encoder = OpusEncoder()
    frames = [pcm[at : at + _FRAME_BYTES] for at in range(0, len(pcm), _FRAME_BYTES)]
    return [encoder.encode(frame.ljust(_FRAME_BYTES, b"\0")) for frame in frames]


async def _speak(call: CallOfTest, pcm: bytes) -> None:
    """At the pace of a microphone."""
    for packet in _packets(pcm):
        await speaking([call.caller], [packet], 1)


def _ask(call: CallOfTest, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    call.send(type="conversation.item.create", item={"type": "message", "role": "user", "content": content})
    call.send(type="response.create")


def test_a_spoken_turn_ends_although_the_microphone_falls_silent(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            await call.next()
            await _speak(call, silence_ms(200) + tone_ms(800))
            await call.until("input_audio_buffer.speech_stopped")
            done = await call.until("response.done")
            assert done["response"]["status"] == "completed"
            await call.until("output_audio_buffer.stopped")
            assert call.caller.received.packets > 10

    run_server(scenario, RTC)


def test_an_interruption_cuts_the_answer_at_what_was_heard(run_server: Any) -> None:
    async def scenario(server: Any) -> None:
        async with call_of(server.port) as call:
            _ask(call, "long 30")
            await call.until("output_audio_buffer.started")
            await _speak(call, silence_ms(300) + tone_ms(500))
            await call.until("input_audio_buffer.speech_started")
            await call.until("output_audio_buffer.cleared")
            heard_at_most = call.caller.received.packets + 5
            cut = await call.until("conversation.item.truncated")
            assert 0 < cut["audio_end_ms"] <= heard_at_most * 20
            assert call.types.count("output_audio_buffer.stopped") == 0

    run_server(scenario, RTC)
