"""Clients that do anything at any time, on engines that fail in any way."""

import asyncio
import random
from collections.abc import Callable, Iterator

from antiphon.engines.errors import EngineError
from antiphon.engines.resilient import Patience, Resilience
from antiphon.runtime.engines import Engines
from antiphon.testing.scripted import HANG, Delay, ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedTurnJudge, Trouble
from antiphon.testing.scripted.llm import LlmStep
from antiphon.testing.scripted.speech import SttScript
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmRequest, TextChunk, ToolCallChunk
from tests.support.audio import silence_ms, tone_ms
from tests.support.runtime import Client, engines_of

__all__ = ["IMPATIENT", "Chaos"]

IMPATIENT = Resilience(Patience(2, 1), Patience(2, 1), Patience(2, 1))
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]}
DETECTIONS = [
    None,
    {"type": "server_vad", "silence_duration_ms": 200},
    {"type": "semantic_vad"},
    {"type": "semantic_vad", "eagerness": "high"},
]


class Chaos:
    """Decides by chance, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.stt = ScriptedStt(self._transcript, delay_s=0.05)
        self.llm = ScriptedLlm(self._generation, delay_s=0.05)
        self.judge = ScriptedTurnJudge(self._judgements(), delay_s=0.03)
        self.tts = ScriptedTts(delay_s=0.02, trouble=lambda call, clause: self._troubles())

    def _troubles(self) -> list[Trouble]:
        kinds = list(EngineErrorKind)
        troubles: list[Trouble] = [
            EngineError(self.chance.choice(kinds), "by chance"),
            RuntimeError("by chance"),
            HANG,
            Delay(self.chance.random()),
        ]
        return [self.chance.choice(troubles)] if self.chance.random() < 0.2 else []

    @property
    def engines(self) -> Engines:
        return engines_of(stt=self.stt, llm=self.llm, tts=self.tts, turn_judge=self.judge)

    @property
    def running(self) -> int:
        """Calls of all engines."""
        return self.stt.running + self.llm.running + self.tts.running + self.judge.running

    def _judgements(self) -> Iterator[float | Trouble]:
        while True:
            yield from self._troubles()
            yield self.chance.random()

    def _transcript(self, call: int) -> SttScript:
        troubles = self._troubles()
        return troubles if troubles and not isinstance(troubles[0], Delay) else self.chance.choice(["", "one two"])

    def _generation(self, request: LlmRequest) -> list[LlmStep]:
        steps: list[LlmStep] = []
        chunks: list[LlmStep] = [TextChunk("One two three. "), ToolCallChunk(0, "look", "{}")]
        for _ in range(self.chance.randrange(6)):
            steps.append(self.chance.choice(chunks))
            steps += self._troubles()
        return steps

    async def use(self, client: Client) -> None:
        """One client's session, in which anything happens."""
        for _ in range(self.chance.randrange(60)):
            if self.chance.random() < 0.08:
                await client.speak(self.some_turn())
            else:
                self.chance.choice(self.actions())(client)
            if self.chance.random() < 0.5:
                await asyncio.sleep(self.chance.choice([0.0, 0.001, 0.05, 0.3]))
            if client.closed:
                return
        await asyncio.sleep(self.chance.choice([0.0, 0.1, 30.0]))
        client.hang_up(clean=self.chance.random() < 0.5)

    def some_turn(self) -> bytes:
        """To be spoken at the pace of speech: what is begun in its pauses has the time to be."""
        lengths = [self.chance.randrange(100, 600), self.chance.randrange(100, 1200)]
        return b"".join(tone_ms(each) + silence_ms(self.chance.choice([100, 250, 900])) for each in lengths)

    def actions(self) -> list[Callable[[Client], None]]:
        speech = tone_ms(self.chance.randrange(10, 600))
        pause = silence_ms(self.chance.randrange(10, 600))
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
            lambda client: client.update(audio={"input": {"turn_detection": self.chance.choice(DETECTIONS)}}),
            lambda client: client.update(audio={"input": {"transcription": {"model": "whisper-1"}}}),
            lambda client: client.send_text("nonsense"),
        ]

    def _some_item(self, client: Client) -> str:
        ids: list[str] = [event["item"]["id"] for event in client.of_type("conversation.item.added")]
        return self.chance.choice([*ids, "nobody"])

    def _truncate(self, client: Client) -> None:
        at = self.chance.randrange(2000)
        client.say("conversation.item.truncate", item_id=self._some_item(client), content_index=0, audio_end_ms=at)

    def _delete(self, client: Client) -> None:
        client.say("conversation.item.delete", item_id=self._some_item(client))
