"""An engine that raises or hangs, at any stage: the turn fails, the session goes on."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from antiphon.engines.base import Samples
from antiphon.engines.errors import EngineError
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedVad, SttStep, Trouble
from antiphon.testing.scripted.llm import LlmStep
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import TextChunk
from antiphon.vocabulary.speech import Transcript
from tests.support.audio import silence_ms, tone_ms
from tests.support.runtime import Client, Noted, engines_of, run_session, serving

_UNDRAFTED = RuntimeSettings(drafts=False)
"""A fault of a draft is no fault of the answer: it is begun anew."""
FAILED = EngineError(EngineErrorKind.FAILED, "failed as told")
UNAVAILABLE = EngineError(EngineErrorKind.UNAVAILABLE, "not there")
CRASH = RuntimeError("/a/path that nobody is to see")
TROUBLES = [FAILED, UNAVAILABLE, CRASH, HANG]
CODES = {
    FAILED: "engine_failed",
    UNAVAILABLE: "engine_unavailable",
    CRASH: "engine_failed",
    HANG: "engine_timeout",
}
ATTEMPTS = {FAILED: 1, UNAVAILABLE: 2, CRASH: 1, HANG: 2}


def _named(trouble: Trouble) -> str:
    return trouble.kind if isinstance(trouble, EngineError) else type(trouble).__name__


each_trouble = pytest.mark.parametrize("trouble", TROUBLES, ids=_named)


async def _second_turn_is_good(client: Client) -> None:
    answers = len(client.of_type("response.done"))
    await client.speak_turn()
    done = await client.until("response.done", answers + 1)
    assert done["response"]["status"] == "completed"
    assert done["response"]["output"][0]["content"][0]["transcript"]


# --- speech to text ------------------------------------------------------------------------------------------------


@each_trouble
@pytest.mark.parametrize("partial_first", [False, True])
def test_transcription_fails_and_the_next_turn_is_heard(trouble: Trouble, partial_first: bool) -> None:
    """A failure behind a partial transcript is no other."""
    first: list[SttStep] = [Transcript("one", is_final=False), trouble] if partial_first else [trouble]
    stt = ScriptedStt(lambda call: first if call < ATTEMPTS[trouble] else "hello")

    async def scenario(client: Client) -> None:
        client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        await client.speak_turn()
        failed = await client.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["code"] == f"transcription_{CODES[trouble].removeprefix('engine_')}"
        assert "/a/path" not in failed["error"]["message"]
        done = await client.until("response.done")
        assert done["response"]["status"] == "failed"
        await _second_turn_is_good(client)
        assert stt.running == 0

    run_session(scenario, stt=stt)


def test_a_recogniser_that_says_nothing_is_a_failed_transcription() -> None:
    class Mute(ScriptedStt):
        async def transcribe(self, audio: Any, **_: Any) -> Any:
            async for _chunk in audio:
                pass
            return
            yield

    async def scenario(client: Client) -> None:
        client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        await client.speak_turn()
        failed = await client.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["code"] == "transcription_failed"
        assert (await client.until("response.done"))["response"]["status"] == "failed"

    run_session(scenario, stt=Mute())


# --- the language model --------------------------------------------------------------------------------------------


@each_trouble
@pytest.mark.parametrize("spoken_first", [False, True], ids=["before the first token", "in mid-stream"])
def test_generation_fails_and_the_next_turn_is_answered(trouble: Trouble, spoken_first: bool) -> None:
    begin = [TextChunk("One two three. ")] if spoken_first else []
    scripts: Iterator[Sequence[LlmStep]] = iter([[*begin, trouble]] * (1 if spoken_first else ATTEMPTS[trouble]))
    llm = ScriptedLlm(scripts)

    async def scenario(client: Client) -> None:
        await client.speak_turn()
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"] == CODES[trouble]
        assert "/a/path" not in str(done)
        assert [item["status"] for item in done["output"]] == ["incomplete"] * spoken_first
        assert len(client.of_type("response.created")) == 1
        await _second_turn_is_good(client)
        assert llm.running == 0

    run_session(scenario, _UNDRAFTED, llm=llm)


@pytest.mark.parametrize("trouble", [FAILED, CRASH], ids=_named)
def test_a_draft_that_fails_is_no_failure_and_the_turn_is_answered(trouble: Trouble) -> None:
    scripts: Iterator[Sequence[LlmStep]] = iter([[TextChunk("One two three. "), trouble]])
    llm = ScriptedLlm(scripts)

    async def scenario(client: Client) -> None:
        await client.speak_turn()
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "completed"
        assert llm.running == 0

    run_session(scenario, llm=llm)


def test_a_model_that_ends_without_a_finish_is_a_failed_response() -> None:
    class Abrupt(ScriptedLlm):
        async def generate(self, *_: Any, **__: Any) -> Any:
            yield TextChunk("Well")

    async def scenario(client: Client) -> None:
        await client.speak_turn()
        assert (await client.until("response.done"))["response"]["status"] == "failed"

    run_session(scenario, llm=Abrupt())


@pytest.mark.parametrize("trouble", [FAILED, CRASH, HANG], ids=_named)
def test_counting_tokens_may_fail_unnoticed(trouble: Trouble) -> None:
    class Uncounted(ScriptedLlm):
        async def count(self, texts: Sequence[str]) -> list[int]:
            if isinstance(trouble, Exception):
                raise trouble
            await asyncio.Event().wait()
            return []

    async def scenario(client: Client) -> None:
        for text in ("say One.", "say Two.", "say Three."):
            client.ask(text)
            await client.until("response.done", len(client.of_type("response.done")) + 1)
        await asyncio.sleep(60)
        await _second_turn_is_good(client)
        assert client.types().count("error") == 0

    run_session(scenario, llm=Uncounted())


# --- text to speech ------------------------------------------------------------------------------------------------


@each_trouble
@pytest.mark.parametrize("clause", [0, 1], ids=["before the first sound", "in mid-stream"])
def test_speech_fails_and_the_next_turn_is_spoken(trouble: Trouble, clause: int) -> None:
    attempts = ATTEMPTS[trouble]
    tts = ScriptedTts(trouble=lambda call, at: [trouble] if call < attempts and (at == clause or call) else [])

    async def scenario(client: Client) -> None:
        client.update(instructions="scripted: say One two three. Four five six. Seven eight nine.")
        await client.speak_turn()
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"] == CODES[trouble]
        heard = len(client.of_type("response.output_audio.delta"))
        assert (heard > 0) == (clause > 0)
        await _second_turn_is_good(client)
        assert tts.running == 0

    run_session(scenario, _UNDRAFTED, tts=tts)


def test_speech_that_breaks_off_goes_on_without_the_client_noticing() -> None:
    words = "scripted: say One two three. Four five six. Seven eight nine."

    def deltas(tts: ScriptedTts) -> list[str]:
        heard: list[str] = []

        async def scenario(client: Client) -> None:
            client.update(instructions=words)
            await client.speak_turn()
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            heard.extend(event["delta"] for event in client.of_type("response.output_audio.delta"))

        run_session(scenario, _UNDRAFTED, tts=tts)
        return heard

    broken = ScriptedTts(trouble=lambda call, clause: [UNAVAILABLE] if (call, clause) == (0, 1) else [])
    assert deltas(broken) == deltas(ScriptedTts())
    assert broken.started == 2


def test_a_voice_that_ends_early_does_not_keep_the_model_waiting() -> None:
    class Curt(ScriptedTts):
        async def synthesize(self, clauses: Any, **_: Any) -> Any:
            async for _clause in clauses:
                return
            yield

    async def scenario(client: Client) -> None:
        client.ask("long 1500")
        assert (await client.until("response.done"))["response"]["status"] == "completed"

    run_session(scenario, tts=Curt())


# --- voice activity ------------------------------------------------------------------------------------------------


class Deaf(ScriptedVad):
    """Fails while it is told to."""

    deaf = False
    trouble: Exception = FAILED

    def detect(self, windows: Samples, states: Sequence[Any]) -> Samples:
        if self.deaf:
            raise self.trouble
        return super().detect(windows, states)


@pytest.mark.parametrize("trouble", [FAILED, CRASH], ids=_named)
@pytest.mark.parametrize("others", [0, 9])
def test_what_the_detector_fails_at_is_not_heard_and_the_next_turn_is(trouble: Exception, others: int) -> None:
    vad = Deaf()
    vad.trouble = trouble
    observer = Noted()

    async def main() -> None:
        async with serving(engines_of(vad=vad), observer=observer) as server:
            clients = [await server.connect() for _ in range(others)]
            client = await server.connect()
            vad.deaf = True
            await client.speak(tone_ms(2000))
            vad.deaf = False
            await client.speak(silence_ms(1000))
            assert client.types() == ["session.created"]
            await _second_turn_is_good(client)
            for each in [*clients, client]:
                each.hang_up()

    run_virtual(main())
    assert observer.faults == []
    assert len(observer.vad_failures) == 1
    assert {summary.outcome for summary in observer.ended} == {"closed"}


def test_a_detector_that_fails_for_ever_ends_the_sessions_that_need_it() -> None:
    vad = Deaf()
    vad.deaf = True
    observer = Noted()

    async def main() -> None:
        async with serving(engines_of(vad=vad), observer=observer) as server:
            speaking, typing = await server.connect(), await server.connect()
            await speaking.speak(tone_ms(5200))
            assert (await speaking.until_closed())[0] == 1011
            assert speaking.types()[-1] == "error"
            typing.ask("say Hello.")
            assert (await typing.until("response.done"))["response"]["status"] == "completed"
            typing.hang_up()

    run_virtual(main())
    assert len(observer.faults) == 1


def test_a_turn_that_could_not_be_heard_is_counted_as_failed() -> None:
    async def scenario(client: Client) -> None:
        await client.speak_turn()
        await client.until("response.done")

    observer = run_session(scenario, stt=ScriptedStt(lambda _: [FAILED]))
    assert [turn.status for turn in observer.turns] == ["failed"]
    assert observer.engine_failures == [("transcription", EngineErrorKind.FAILED)]
