"""Speech over the assistant's, through the whole runtime: how soon everything is silent, and what comes of a murmur."""

import asyncio
from collections.abc import Sequence

import pytest

from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts
from tests.support.audio import silence_ms, tone_ms
from tests.support.call import Call
from tests.support.runtime import Client, engines_of, serving

STORY = "One two three. " + "Four five six seven eight nine ten. " * 40
EXACT = {"type": "server_vad"}
CONSIDERATE = {"type": "semantic_vad"}


class Listener(Client):
    """Notes how many streams of engines are open in the step of the loop after it is told that a response is over."""

    def __init__(self, llm: ScriptedLlm, tts: ScriptedTts) -> None:
        super().__init__()
        self._engines = (llm, tts)
        self.open_then: list[int] = []
        self._told = 0

    async def send(self, frames: Sequence[bytes]) -> None:
        await super().send(frames)
        if "response.done" in self.types(self._told):
            self._told = len(self.events)
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self.open_then.append(sum(engine.running for engine in self._engines))


@pytest.mark.parametrize("detection", [EXACT, CONSIDERATE])
def test_both_engines_are_closed_within_the_step_of_the_loop_in_which_the_client_is_told(
    detection: dict[str, str],
) -> None:
    llm, tts = ScriptedLlm([STORY]), ScriptedTts(delay_s=0.3)
    client = Listener(llm, tts)

    async def main() -> None:
        async with serving(engines_of(stt=ScriptedStt(["stop it please"]), llm=llm, tts=tts)) as server:
            await server.connect(client)
            client.update(audio={"input": {"turn_detection": detection}})
            client.ask("tell me")
            await client.until("response.output_audio.delta", 4)
            assert tts.running == 1
            await client.speak(tone_ms(800))
            done = await client.until("response.done")
            assert done["response"]["status_details"]["reason"] == "turn_detected"
            assert client.open_then == [0]
            audio = [at for at, type in enumerate(client.types()) if type == "response.output_audio.delta"]
            assert max(audio) < client.types().index("input_audio_buffer.speech_started")
            client.hang_up()

    run_virtual(main())


@pytest.mark.parametrize(("said", "interrupts"), [("mm-hmm", False), ("stop it please", True)])
def test_a_call_plays_more_quietly_until_it_is_known_whether_that_was_an_interruption(
    said: str, interrupts: bool
) -> None:
    async def main() -> None:
        async with serving(engines_of(stt=ScriptedStt([said]), llm=ScriptedLlm([STORY]))) as server:
            call = Call()
            await server.connect(call)
            call.update(audio={"input": {"turn_detection": CONSIDERATE}})
            call.ask("tell me")
            await call.until("output_audio_buffer.started")
            await asyncio.sleep(2)
            known = len(call.events)
            await call.media.speak(tone_ms(300) + silence_ms(1500))
            assert call.media.ducked[0] is True
            assert bool(call.of_type("output_audio_buffer.cleared")) is interrupts
            assert bool(call.media.cuts) is interrupts
            if not interrupts:
                assert call.media.ducked == [True, False]
                assert "input_audio_buffer.speech_started" not in call.types(known)
            call.hang_up()

    run_virtual(main())
