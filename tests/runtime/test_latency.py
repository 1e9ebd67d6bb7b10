"""When the stages of a turn happened: facts and orders at given milliseconds, and the turns that are told."""

from typing import Any

import pytest

from antiphon.core.inputs import DraftGranted
from antiphon.core.outputs import AdoptDraft, DiscardDraft, SeekDraft
from antiphon.runtime.observer import TurnLatencies
from tests.support import reports as say
from tests.support.reports import SPOKEN, Clause, Script, Sent, told


def turn(response_id: str = "resp_1", status: str = "completed", **stages: Any) -> TurnLatencies:
    return TurnLatencies("sess_1", response_id, status, **stages)


TABLE: dict[str, tuple[Script, TurnLatencies]] = {
    "a spoken turn counts from the last voiced sample": (
        SPOKEN,
        turn(
            origin_s=9.5,
            is_spoken=True,
            committed_ms=500,
            transcript_ms=700,
            first_text_ms=1000,
            first_clause_ms=1100,
            first_audio_ms=1201,
            done_ms=2501,
            output_tokens=42,
        ),
    ),
    "the stages of an adopted draft happened before the turn was over": (
        [
            (0, say.listen("item_1")),
            (0, SeekDraft("item_1")),
            (1, DraftGranted("item_1")),
            (2_100, say.ask("item_1")),
            (2_100, say.judge("item_1", 50_000)),
            (2_190, say.judged("item_1", 0.9, 50_000)),
            (2_270, say.hypothesis("item_1", "Hello?")),
            (2_270, say.start("resp_1", draft=True)),
            (2_400, say.text("resp_1")),
            (2_450, Clause("resp_1")),
            (2_480, say.sound("resp_1")),
            # The turn ends: silence has lasted 500 ms by the clock of samples.
            (2_500, say.stop_listening("item_1")),
            (2_500, say.over("item_1", 500)),
            (2_500, say.created("resp_1")),
            (2_500, AdoptDraft("resp_1")),
            (2_500, say.send_audio("resp_1")),
            (3_000, say.generated("resp_1")),
            (3_000, say.done("resp_1", tokens=12)),
        ],
        turn(
            origin_s=2.0,
            is_spoken=True,
            is_drafted=True,
            pause_ms=100,
            judged_ms=190,
            committed_ms=500,
            transcript_ms=270,
            first_text_ms=400,
            first_clause_ms=450,
            first_audio_ms=500,
            done_ms=1000,
            output_tokens=12,
        ),
    ),
    "of an earlier pause, and of the draft that was begun in it, nothing counts": (
        [
            (0, say.listen("item_1")),
            (1_000, say.ask("item_1")),
            (1_000, say.judge("item_1", 20_000)),
            (1_080, say.judged("item_1", 0.2, 20_000)),
            (1_100, say.hypothesis("item_1", "And then")),
            (1_100, say.start("resp_1", draft=True)),
            (1_300, say.text("resp_1")),
            (1_400, Clause("resp_1")),
            (1_450, say.sound("resp_1")),
            (1_500, DiscardDraft("resp_1", "speech")),
            (3_064, say.ask("item_1")),
            (3_064, say.judge("item_1", 72_000)),
            (3_150, say.judged("item_1", 0.4, 72_000)),
            (3_200, say.hypothesis("item_1", "And then we left.")),
            (3_200, say.start("resp_2", draft=True)),
            (3_264, say.judge("item_1", 76_800)),
            (3_340, say.judged("item_1", 0.8, 76_800)),
            (3_340, say.stop_listening("item_1")),
            (3_340, say.over("item_1", 340)),
            (3_340, say.created("resp_2")),
            (3_340, AdoptDraft("resp_2")),
            (3_500, say.text("resp_2")),
            (3_600, Clause("resp_2")),
            (3_700, say.send_audio("resp_2")),
            (4_000, say.done("resp_2")),
        ],
        turn(
            "resp_2",
            origin_s=3.0,
            is_spoken=True,
            is_drafted=True,
            pause_ms=64,
            judged_ms=340,
            committed_ms=340,
            transcript_ms=200,
            first_text_ms=500,
            first_clause_ms=600,
            first_audio_ms=700,
            done_ms=1000,
        ),
    ),
    "a judgement that came too late, or was none, has not ended the turn": (
        [
            (0, say.listen("item_1")),
            (1_064, say.judge("item_1", 1)),
            (1_100, say.judged("item_1", None, 1)),
            (1_264, say.judge("item_1", 2)),
            (1_300, say.over("item_1", 300)),
            (1_320, say.judged("item_1", 0.9, 2)),
            (1_500, say.final("item_1", "Yes.")),
            (1_500, say.created("resp_1")),
            (1_500, say.start("resp_1")),
            (1_700, say.done("resp_1")),
        ],
        turn(origin_s=1.0, is_spoken=True, pause_ms=64, committed_ms=300, transcript_ms=500, done_ms=700),
    ),
    "a thorough hypothesis that comes after the end of the turn is its transcript": (
        [
            (0, say.listen("item_1")),
            (1_064, say.ask("item_1")),
            (1_200, say.over("item_1", 200)),
            (1_250, say.hypothesis("item_1", "Yes.")),
            (1_250, say.stop_listening("item_1")),
            (1_250, say.created("resp_1")),
            (1_250, say.start("resp_1")),
            (1_400, say.done("resp_1")),
        ],
        turn(origin_s=1.0, is_spoken=True, pause_ms=64, committed_ms=200, transcript_ms=250, done_ms=400),
    ),
    "words of a recogniser that gave up before the end do not count": (
        [
            (0, say.listen("item_1")),
            (500, say.final("item_1", "Hel")),
            (1_000, say.listen("item_1")),
            (1_000, say.over("item_1", 500)),
            (1_400, say.final("item_1", "Hello?")),
            (1_400, say.created("resp_1")),
            (1_400, say.start("resp_1")),
            (1_500, say.done("resp_1")),
        ],
        turn(origin_s=0.5, is_spoken=True, committed_ms=500, transcript_ms=900, done_ms=1000),
    ),
    "two turns that are answered together count from the last": (
        [
            (0, say.listen("item_1")),
            (1_000, say.over("item_1", 500)),
            (1_100, say.listen("item_2")),
            (1_150, say.final("item_1", "Well,")),
            (2_000, say.over("item_2", 500)),
            (2_300, say.final("item_2", "yes.")),
            (2_300, say.created("resp_1")),
            (2_300, say.start("resp_1")),
            (2_600, say.text("resp_1")),
            (2_700, say.done("resp_1")),
        ],
        turn(origin_s=1.5, is_spoken=True, committed_ms=500, transcript_ms=800, first_text_ms=1100, done_ms=1200),
    ),
    "a turn without words keeps the one before it": (
        [
            (0, say.listen("item_1")),
            (1_000, say.over("item_1", 500)),
            (2_000, say.over("item_2", 500)),
            (2_100, say.final("item_2", " ")),
            (2_300, say.final("item_1", "Yes.")),
            (2_300, say.created("resp_1")),
            (2_300, say.start("resp_1")),
            (2_700, say.done("resp_1")),
        ],
        turn(origin_s=1.5, is_spoken=True, committed_ms=500, transcript_ms=600, done_ms=1200),
    ),
    "a response that is asked for counts from then": (
        [
            (10_000, say.created("resp_1")),
            (10_000, say.start("resp_1")),
            (10_125, say.text("resp_1")),
            (10_250, say.done("resp_1", "cancelled")),
        ],
        turn(status="cancelled", origin_s=10.0, first_text_ms=125, done_ms=250),
    ),
    "a response that is asked for after words that nobody answers counts from then": (
        [
            (0, say.listen("item_1")),
            (1_000, say.over("item_1", 500)),
            (1_100, say.final("item_1", "")),
            (9_000, say.created("resp_1")),
            (9_000, say.start("resp_1")),
            (9_250, say.done("resp_1")),
        ],
        turn(origin_s=9.0, done_ms=250),
    ),
    "a response that waits for words says when they came": (
        [
            (1_000, say.created("resp_1")),
            (1_400, say.final("item_1", "Hello?")),
            (1_400, say.start("resp_1")),
            (1_600, say.done("resp_1")),
        ],
        turn(origin_s=1.0, transcript_ms=400, done_ms=600),
    ),
    "a response that is started again goes on": (
        [
            (1_000, say.over("item_1", 500)),
            (1_000, say.final("item_1", "Hello?")),
            (1_000, say.created("resp_1")),
            (1_000, say.start("resp_1")),
            (2_000, say.start("resp_1")),
            (3_000, say.done("resp_1")),
        ],
        turn(origin_s=0.5, is_spoken=True, committed_ms=500, transcript_ms=500, done_ms=2500),
    ),
    "a turn whose words could not be heard is one though the model is never asked": (
        [
            (2_000, say.over("item_1", 500)),
            (2_900, say.unheard("item_1")),
            (3_000, say.created("resp_1")),
            (3_000, say.done("resp_1", "failed")),
        ],
        turn(status="failed", origin_s=1.5, is_spoken=True, committed_ms=500, transcript_ms=1400, done_ms=1500),
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_stages_of_a_turn(name: str) -> None:
    script, expected = TABLE[name]
    assert told(script).turns == [expected]


def test_an_answer_that_is_asked_for_meanwhile_does_not_take_the_turn() -> None:
    """Neither one out of band nor one that waits for the same words."""
    script: Script = [
        (1_000, say.over("item_1", 500)),
        (1_050, say.created("resp_aside", aside=True)),
        (1_060, say.created("resp_asked")),
        (1_100, say.done("resp_asked", "cancelled")),
        (1_200, say.final("item_1", "Hello?")),
        (1_200, say.created("resp_1")),
        (1_300, say.done("resp_1")),
        (1_500, say.done("resp_aside", aside=True)),
    ]
    assert {one.response_id: (one.is_spoken, one.done_ms) for one in told(script).turns} == {
        "resp_asked": (False, 40),
        "resp_1": (True, 800),
        "resp_aside": (False, 450),
    }


def test_without_automatic_answers_a_response_counts_from_its_request() -> None:
    script: Script = [
        (1_000, say.over("item_1", 500, is_answered=False)),
        (1_200, say.final("item_1", "Hello?")),
        (1_300, say.created("resp_1")),
        (1_500, say.done("resp_1")),
    ]
    assert told(script).turns == [turn(origin_s=1.3, done_ms=200)]


UNSENT: dict[str, tuple[Script, TurnLatencies]] = {
    "sent before it is done": (
        [
            (1_000, say.created("resp_1")),
            (1_100, say.send_audio("resp_1")),
            (1_200, say.send_audio("resp_1")),
            (1_350, Sent()),
            (2_000, say.done("resp_1")),
        ],
        turn(origin_s=1.0, first_audio_ms=350, done_ms=1000),
    ),
    "done before it is sent": (
        [
            (1_000, say.created("resp_1")),
            (1_100, say.send_audio("resp_1")),
            (1_200, say.done("resp_1")),
            (1_350, Sent()),
        ],
        turn(origin_s=1.0, first_audio_ms=350, done_ms=200),
    ),
    "never sent": (
        [
            (900, Sent()),
            (1_000, say.created("resp_1")),
            (1_100, say.send_audio("resp_1")),
            (1_200, say.done("resp_1")),
        ],
        turn(origin_s=1.0, done_ms=200),
    ),
}


@pytest.mark.parametrize("name", UNSENT)
def test_the_first_audio_counts_when_it_is_handed_to_the_network(name: str) -> None:
    script, expected = UNSENT[name]
    assert told(script).turns == [expected]


# --- where playout is paced ----------------------------------------------------------------------------------------

CALL = [
    (1_000, say.created("resp_1")),
    (1_000, say.start("resp_1")),
    (1_100, say.sound("resp_1")),
    (1_100, say.play("resp_1")),
]
DONE = (2_000, say.done("resp_1", tokens=7))
PACED: dict[str, tuple[Script, TurnLatencies]] = {
    "done before it is heard": (
        [*CALL, DONE, (2_500, say.first_packet("resp_1")), (3_000, say.first_packet("resp_1"))],
        turn(origin_s=1.0, first_audio_ms=1500, done_ms=1000, output_tokens=7),
    ),
    "heard before it is done": (
        [*CALL, (1_250, say.first_packet("resp_1")), DONE],
        turn(origin_s=1.0, first_audio_ms=250, done_ms=1000, output_tokens=7),
    ),
    "given up before it is done": (
        [*CALL, (1_500, say.cleared("resp_1")), DONE],
        turn(origin_s=1.0, done_ms=1000, output_tokens=7),
    ),
    "done and given up": (
        [*CALL, DONE, (2_500, say.cleared("resp_1"))],
        turn(origin_s=1.0, done_ms=1000, output_tokens=7),
    ),
    "done, and the session ends": ([*CALL, DONE], turn(origin_s=1.0, done_ms=1000, output_tokens=7)),
}


@pytest.mark.parametrize("name", PACED)
def test_a_response_of_a_call_is_heard_when_its_first_packet_leaves(name: str) -> None:
    script, expected = PACED[name]
    assert told(script, paced=True).turns == [expected]
