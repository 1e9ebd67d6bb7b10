"""Clients that do anything at any time, on engines that fail in any way: no fault of ours, nothing left behind."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.core.outputs import Emit
from antiphon.engines.errors import EngineError
from antiphon.engines.resilient import Patience, Resilience
from antiphon.protocol.codec import encode_server_event
from antiphon.runtime.recorder import Replay
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, Delay, ScriptedLlm, ScriptedStt, ScriptedTts, Trouble
from antiphon.testing.scripted.llm import LlmStep
from antiphon.testing.scripted.speech import SttScript
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmRequest, TextChunk, ToolCallChunk
from tests.support.audio import silence_ms, tone_ms
from tests.support.runtime import Client, Noted, engines_of, serving

IMPATIENT = Resilience(Patience(2, 1), Patience(2, 1), Patience(2, 1))
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
VAD = {"type": "server_vad", "silence_duration_ms": 200}


class Chaos:
    """Decides by chance, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.stt = ScriptedStt(self._transcript, delay_s=0.05)
        self.llm = ScriptedLlm(self._generation, delay_s=0.05)
        self.tts = ScriptedTts(delay_s=0.02, trouble=lambda call, clause: self._troubles())

    def _troubles(self) -> list[Trouble]:
        kinds = list(EngineErrorKind)
        troubles: list[Trouble] = [
            EngineError(self._chance.choice(kinds), "by chance"),
            RuntimeError("by chance"),
            HANG,
            Delay(self._chance.random()),
        ]
        return [self._chance.choice(troubles)] if self._chance.random() < 0.2 else []

    def _transcript(self, call: int) -> SttScript:
        troubles = self._troubles()
        return troubles if troubles and not isinstance(troubles[0], Delay) else self._chance.choice(["", "one two"])

    def _generation(self, request: LlmRequest) -> list[LlmStep]:
        steps: list[LlmStep] = []
        chunks: list[LlmStep] = [TextChunk("One two three. "), ToolCallChunk(0, "look", "{}")]
        for _ in range(self._chance.randrange(6)):
            steps.append(self._chance.choice(chunks))
            steps += self._troubles()
        return steps

    async def use(self, client: Client) -> None:
        """One client's session, in which anything happens."""
        for _ in range(self._chance.randrange(60)):
            self._chance.choice(self._actions())(client)
            if self._chance.random() < 0.5:
                await asyncio.sleep(self._chance.choice([0.0, 0.001, 0.05, 0.3]))
            if client.closed:
                return
        await asyncio.sleep(self._chance.choice([0.0, 0.1, 30.0]))
        client.hang_up(clean=self._chance.random() < 0.5)

    def _actions(self) -> list[Callable[[Client], None]]:
        speech = tone_ms(self._chance.randrange(10, 600))
        pause = silence_ms(self._chance.randrange(10, 600))
        return [
            lambda client: client.append(speech),
            lambda client: client.append(speech + pause),
            lambda client: client.append(pause),
            lambda client: client.append(pause),
            lambda client: client.say("input_audio_buffer.commit"),
            lambda client: client.say("input_audio_buffer.clear"),
            lambda client: client.say("response.create"),
            lambda client: client.say("response.create", response={"conversation": "none"}),
            lambda client: client.say("response.cancel"),
            lambda client: client.say("conversation.item.create", item=ITEM),
            self._truncate,
            self._delete,
            lambda client: client.update(audio={"input": {"turn_detection": self._chance.choice([None, VAD])}}),
            lambda client: client.update(audio={"input": {"transcription": {"model": "whisper-1"}}}),
            lambda client: client.send_text("nonsense"),
        ]

    def _some_item(self, client: Client) -> str:
        ids: list[str] = [event["item"]["id"] for event in client.of_type("conversation.item.added")]
        return self._chance.choice([*ids, "nobody"])

    def _truncate(self, client: Client) -> None:
        at = self._chance.randrange(2000)
        client.say("conversation.item.truncate", item_id=self._some_item(client), content_index=0, audio_end_ms=at)

    def _delete(self, client: Client) -> None:
        client.say("conversation.item.delete", item_id=self._some_item(client))


def _assert_responses_are_told_whole(client: Client) -> None:
    """At most one default response at a time; each ends once; nothing of it comes before or after."""
    active: set[str] = set()
    for event in client.events:
        response_id = event.get("response_id") or event.get("response", {}).get("id")
        match event["type"]:
            case "response.created":
                assert response_id not in active
                active.add(response_id)
            case "response.done":
                active.remove(response_id)
            case _ if response_id is not None:
                assert response_id in active, f"{event['type']} of a response that is over"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_no_session_faults_and_nothing_is_left(seed: int, tmp_path: Path) -> None:
    chaos, observer = Chaos(seed), Noted()
    settings = RuntimeSettings(resilience=IMPATIENT, record_dir=str(tmp_path), record_audio=True)
    clients: list[Client] = []

    async def main() -> None:
        async with serving(engines_of(stt=chaos.stt, llm=chaos.llm, tts=chaos.tts), settings, observer) as server:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(1 + seed % 7):
                    clients.append(await server.connect())
                    tasks.create_task(chaos.use(clients[-1]))
            await server.all_ended()
            assert (chaos.stt.running, chaos.llm.running, chaos.tts.running) == (0, 0, 0)

    run_virtual(main())
    assert observer.faults == []
    assert {summary.outcome for summary in observer.ended} <= {"closed", "lost"}
    for client in clients:
        _assert_responses_are_told_whole(client)
        log = tmp_path / (client.events[0]["session"]["id"] + ".jsonl")
        outputs = [output for step in Replay(log) for output in step.outputs]
        emitted = [encode_server_event(output.event) for output in outputs if isinstance(output, Emit)]
        # What was emitted last may not have been sent any more.
        assert emitted[: len(client.frames)] == client.frames
