"""The idle time-out by the clock of the runtime."""

import asyncio

import pytest

from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedTts
from tests.support.audio import chunks, silence_ms
from tests.support.runtime import Client, engines_of, serving

_DETECTION = {"type": "server_vad", "idle_timeout_ms": 5000}


async def _send_silence(client: Client) -> None:
    for chunk in chunks(silence_ms(60_000), 100):
        client.append(chunk)
        await asyncio.sleep(0.1)


def test_silence_is_answered_five_seconds_after_the_speech_was_played() -> None:
    # "Hello." is sent at once and takes three seconds.
    engines = engines_of(tts=ScriptedTts(ms_per_character=500))

    async def main() -> None:
        async with serving(engines) as server, asyncio.TaskGroup() as tasks:
            client = await server.connect()
            microphone = tasks.create_task(_send_silence(client))
            client.update(audio={"input": {"turn_detection": _DETECTION}})
            client.ask("say Hello.")
            await client.until("response.done")
            began = asyncio.get_running_loop().time()
            triggered = await client.until("input_audio_buffer.timeout_triggered")
            assert asyncio.get_running_loop().time() - began == pytest.approx(8, abs=0.1)
            assert triggered["audio_start_ms"] == pytest.approx(3_000, abs=200)
            assert triggered["audio_end_ms"] == pytest.approx(8_000, abs=200)
            committed = await client.until("input_audio_buffer.committed")
            assert committed["item_id"] == triggered["item_id"]
            again = await client.until("response.done", 2)
            assert again["response"]["status"] == "completed"
            client.say("conversation.item.retrieve", item_id=triggered["item_id"])
            item = (await client.until("conversation.item.retrieved"))["item"]
            heard_ms = len(item["content"][0]["audio"]) * 3 // 4 / 48
            assert heard_ms == pytest.approx(triggered["audio_end_ms"] - triggered["audio_start_ms"], abs=2)
            microphone.cancel()
            client.hang_up()

    run_virtual(main())
