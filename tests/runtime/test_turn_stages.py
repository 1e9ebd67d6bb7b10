"""The stages of spoken turns through the whole runtime, with engines that take their time: exact, in virtual time."""

import asyncio
from typing import Any

import pytest

from antiphon.runtime.observer import TurnLatencies
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts, ScriptedTurnJudge
from tests.support.runtime import Noted, engines_of, serving

STAGES = ("pause", "judged", "committed", "transcript", "first_text", "first_clause", "first_audio", "done")


def spoken(detection: str, *, drafts: bool) -> Noted:
    """800 ms of speech, then silence, to a judge that takes 80 ms, a recogniser 150, a model 100 and a voice 50."""
    observer = Noted()
    engines = engines_of(
        stt=ScriptedStt(["Hello there."], delay_s=0.15, hypothesis_delay_s=0.15),
        llm=ScriptedLlm(["Good day."], delay_s=0.1),
        tts=ScriptedTts(delay_s=0.05),
        turn_judge=ScriptedTurnJudge([0.99], delay_s=0.08),
    )

    async def main() -> None:
        async with serving(engines, RuntimeSettings(drafts=drafts, draft_sessions=1), observer) as server:
            client = await server.connect()
            client.update(audio={"input": {"turn_detection": {"type": detection}}})
            await client.speak_turn(speech_ms=800, silence_after_ms=1500)
            await client.until("response.done")
            await asyncio.sleep(1)
            client.hang_up()

    run_virtual(main())
    assert observer.faults == []
    return observer


TABLE: dict[tuple[str, bool], tuple[int | None, ...]] = {
    ("server_vad", False): (None, None, 513, 663, 763, 763, 813, 813),
    # All of the answer's beginning is ready when the window of silence is over.
    ("server_vad", True): (73, None, 513, 223, 323, 323, 513, 513),
    ("semantic_vad", False): (65, 145, 225, 275, 375, 375, 425, 425),
    ("semantic_vad", True): (65, 145, 225, 215, 315, 315, 365, 365),
}


@pytest.mark.parametrize(("detection", "drafts"), TABLE)
def test_every_stage_has_its_millisecond(detection: str, drafts: bool) -> None:
    observer = spoken(detection, drafts=drafts)
    (turn,) = observer.turns
    assert dict(zip(STAGES, _stages(turn), strict=True)) == dict(zip(STAGES, TABLE[detection, drafts], strict=True))
    assert (turn.is_spoken, turn.is_drafted) == (True, drafts)
    assert observer.drafts == (["sought", "granted", "begun", "adopted"] if drafts else [])
    assert observer.discarded == []


def _stages(turn: TurnLatencies) -> tuple[Any, ...]:
    return tuple(getattr(turn, f"{stage}_ms") for stage in STAGES)
