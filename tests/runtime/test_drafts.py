"""Answers begun before the turn is over, through the whole runtime: sooner, and otherwise as if they had never been."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.inputs import SpeechProbability
from antiphon.core.outputs import AdoptDraft, DiscardDraft, Emit, EndDraft, SeekDraft, StartResponse
from antiphon.engines.errors import EngineError
from antiphon.runtime.engines import Engines
from antiphon.runtime.recorder import Replay
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedTurnJudge
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmRequest, TextContent, UserMessage
from tests.support.anonymous import anonymous
from tests.support.audio import silence_ms, tone_ms
from tests.support.runtime import Client, Event, Noted, engines_of, serving

SEQUENTIAL = RuntimeSettings(drafts=False)
SERVER_VAD = {"type": "server_vad", "silence_duration_ms": 500}
SEMANTIC_VAD = {"type": "semantic_vad"}
AUDIO = "response.output_audio.delta"


def _detecting(detection: Mapping[str, Any], *, transcribes: bool = True) -> dict[str, Any]:
    transcription = {"model": "whisper-1"} if transcribes else None
    return {"audio": {"input": {"turn_detection": detection, "transcription": transcription}}}


def _engines(delay_s: float = 0.0, **engines: Any) -> Engines:
    """Each takes ``delay_s``."""
    return engines_of(
        **{
            "stt": ScriptedStt(["Is it warm?"], delay_s=delay_s),
            "llm": ScriptedLlm(["It is warm. But it is not hot, and it rains a little."] * 9, delay_s=delay_s),
            "tts": ScriptedTts(delay_s=delay_s),
            "turn_judge": ScriptedTurnJudge(delay_s=delay_s),
            **engines,
        }
    )


class Timed(Client):
    """Notes when it is told what."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    async def send(self, frames: Any) -> None:
        await super().send(frames)
        self.times += [asyncio.get_running_loop().time()] * len(frames)

    def ms_between(self, first: str, second: str) -> float:
        at = [self.times[self.types().index(type)] for type in (first, second)]
        return (at[1] - at[0]) * 1000


def _heard(
    pcm: bytes, detection: Mapping[str, Any], engines: Engines, settings: RuntimeSettings, *, transcribes: bool = True
) -> Timed:
    """What a client is told of its audio, sent at the pace of speech."""
    client = Timed()

    async def main() -> None:
        async with serving(engines, settings) as server:
            await server.connect(client)
            client.update(**_detecting(detection, transcribes=transcribes))
            await client.speak(pcm)
            await asyncio.sleep(20)
            client.hang_up()
            await server.all_ended()

    run_virtual(main())
    return client


# --- sooner --------------------------------------------------------------------------------------------------------


def test_a_drafted_answer_s_first_audio_leaves_in_the_step_that_ends_the_turn(tmp_path: Path) -> None:
    settings = RuntimeSettings(record_dir=str(tmp_path), record_audio=True)
    client = _heard(tone_ms(800) + silence_ms(1000), SERVER_VAD, _engines(0.1), settings)
    (log,) = tmp_path.iterdir()
    steps = list(Replay(log))
    assert all(step.outcome == step.recorded for step in steps)
    emitted = [[str(o.event.__struct_config__.tag) for o in s.outputs if isinstance(o, Emit)] for s in steps]
    (at,) = [number for number, types in enumerate(emitted) if "input_audio_buffer.speech_stopped" in types]
    assert isinstance(steps[at].input, SpeechProbability)
    assert AUDIO in emitted[at]
    assert client.ms_between("input_audio_buffer.speech_stopped", AUDIO) == 0


@pytest.mark.parametrize("detection", [SERVER_VAD, SEMANTIC_VAD])
def test_what_the_engines_take_is_hidden_behind_the_pause_and_not_without_drafts(detection: Mapping[str, Any]) -> None:
    pcm = tone_ms(800) + silence_ms(6000)
    drafted, sequential = (_heard(pcm, detection, _engines(0.05), each) for each in (RuntimeSettings(), SEQUENTIAL))
    assert drafted.ms_between("input_audio_buffer.speech_stopped", AUDIO) <= 1
    assert sequential.ms_between("input_audio_buffer.speech_stopped", AUDIO) >= 140


# --- without a trace -----------------------------------------------------------------------------------------------


def _plain(events: list[Event]) -> list[Event]:
    """Without what differs from session to session, and without deltas, which come in other pieces."""
    return anonymous([event for event in events if not event["type"].endswith(".delta")])


SPEECH: dict[str, bytes] = {
    "a turn": tone_ms(800) + silence_ms(1000),
    "a pause inside a turn": tone_ms(600) + silence_ms(350) + tone_ms(600) + silence_ms(1000),
    "flicker": (tone_ms(200) + silence_ms(100)) * 5 + silence_ms(1000),
    "two turns": tone_ms(600) + silence_ms(5000) + tone_ms(600) + silence_ms(1000),
}


@pytest.mark.parametrize("speech", SPEECH)
@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.4])
def test_a_client_is_told_the_same_with_and_without_drafts(speech: str, delay_s: float) -> None:
    told = [
        _plain(_heard(SPEECH[speech], SERVER_VAD, _engines(delay_s), settings).events)
        for settings in (RuntimeSettings(), SEQUENTIAL)
    ]
    assert told[0] == told[1]


def test_a_draft_that_speech_goes_on_after_is_thrown_away_and_leaves_no_engine_at_work(tmp_path: Path) -> None:
    settings = RuntimeSettings(record_dir=str(tmp_path), record_audio=True)
    llm, tts = ScriptedLlm(["It is warm. But it is not hot, and it rains a little."] * 2), ScriptedTts()
    client = _heard(SPEECH["a pause inside a turn"], SERVER_VAD, _engines(llm=llm, tts=tts), settings)
    (log,) = tmp_path.iterdir()
    orders = [order for step in Replay(log) for order in step.outputs if not isinstance(order, Emit)]
    drafts = [order.response_id for order in orders if isinstance(order, StartResponse) and order.draft]
    assert len(drafts) == 2
    assert [order for order in orders if isinstance(order, DiscardDraft)] == [DiscardDraft(drafts[0], "speech")]
    assert [order for order in orders if isinstance(order, AdoptDraft)] == [AdoptDraft(drafts[1])]
    assert sum(isinstance(order, SeekDraft) for order in orders) == sum(isinstance(order, EndDraft) for order in orders)
    assert drafts[0] not in str(client.events)
    assert (llm.running, tts.running, llm.stopped) == (0, 0, 1)


@pytest.mark.parametrize("stage", ["llm", "tts"])
def test_a_draft_that_fails_is_forgotten_and_the_turn_is_answered_all_the_same(stage: str) -> None:
    llm, tts = ScriptedLlm(), ScriptedTts()
    if stage == "llm":
        llm = ScriptedLlm([[EngineError(EngineErrorKind.FAILED, "no")]])
    else:
        tts = ScriptedTts(trouble=lambda call, _: [EngineError(EngineErrorKind.FAILED, "no")] if call == 0 else [])
    client = _heard(SPEECH["a turn"], SERVER_VAD, _engines(llm=llm, tts=tts), RuntimeSettings())
    (done,) = client.of_type("response.done")
    assert done["response"]["status"] == "completed"
    assert client.of_type(AUDIO)
    assert not client.of_type("error")


def test_a_session_that_ends_while_it_drafts_leaves_nothing_behind() -> None:
    llm, observer = ScriptedLlm(lambda _: [HANG]), Noted()

    async def main() -> None:
        async with serving(_engines(llm=llm), observer=observer) as server:
            client = await server.connect()
            await client.speak(tone_ms(600) + silence_ms(300))
            assert llm.running == 1
            client.hang_up()
            await server.all_ended()
            assert llm.running == 0
            other = await server.connect()
            await other.speak(tone_ms(600) + silence_ms(300))
            assert llm.running == 1, "the place is free again"
            server.tasks[-1].cancel()
            await server.all_ended()
            third = await server.connect()
            await third.speak(tone_ms(600) + silence_ms(300))
            assert llm.running == 1, "also where the session was cut off"
            third.hang_up()

    run_virtual(main())
    assert observer.faults == []


# --- bounds --------------------------------------------------------------------------------------------------------


def test_switched_off_nothing_is_begun_before_the_turn_is_over() -> None:
    stt, llm = ScriptedStt(["Is it warm?"]), ScriptedLlm()
    _heard(SPEECH["a pause inside a turn"], SERVER_VAD, _engines(stt=stt, llm=llm), SEQUENTIAL)
    assert [context.draft for context in llm.contexts] == [None]
    assert (list(llm.prefills), list(stt.marks)) == ([], [])


@pytest.mark.parametrize(("sessions", "drafted"), [(1, 1), (2, 2)])
def test_no_more_sessions_are_drafted_for_than_there_are_places(sessions: int, drafted: int) -> None:
    llm = ScriptedLlm(lambda _: [HANG])

    async def main() -> None:
        async with serving(_engines(llm=llm), RuntimeSettings(draft_sessions=sessions)) as server:
            clients = [await server.connect() for _ in range(3)]
            async with asyncio.TaskGroup() as tasks:
                for client in clients:
                    tasks.create_task(client.speak(tone_ms(600) + silence_ms(300)))
            assert llm.running == drafted
            assert all(context.draft is not None for context in llm.contexts)
            for client in clients:
                client.hang_up()

    run_virtual(main())


@pytest.mark.parametrize("transcribes", [True, False])
def test_the_model_reads_ahead_while_the_user_speaks(transcribes: bool) -> None:
    """Also where the client does not want to see the words."""
    llm, stt = ScriptedLlm(), ScriptedStt(["one two three four five six"])
    pcm, engines = tone_ms(2500) + silence_ms(1000), _engines(stt=stt, llm=llm)
    _heard(pcm, SERVER_VAD, engines, RuntimeSettings(), transcribes=transcribes)
    read = [_last_words(request) for request in llm.prefills]
    assert read[-1] == "one two three four five six"
    assert len([text for text in read if read[-1].startswith(text)]) >= 4
    assert [_last_words(request) for request in llm.requests] == ["one two three four five six"]


def _last_words(request: LlmRequest) -> str:
    last = request.messages[-1]
    assert isinstance(last, UserMessage)
    return " ".join(part.text for part in last.content if isinstance(part, TextContent))
