"""When the stages of a turn happened: facts and orders at given milliseconds, and the turns that are told."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from antiphon.core.inputs import (
    DraftGranted,
    McpCallFailed,
    McpCallFinished,
    PlayoutCleared,
    PlayoutEnded,
    PlayoutStarted,
)
from antiphon.core.outputs import AdoptDraft, BargeInJudged, DiscardDraft, Output, SeekDraft
from antiphon.runtime.observer import TurnLatencies
from antiphon.runtime.session_report import SessionReport
from antiphon.vocabulary.mcp import McpFault
from tests.support import reports as say
from tests.support.runtime import Noted

OUTPUTS = set(Output.__args__)


@dataclass(frozen=True)
class Clause:
    """The first clause of a response goes to the voice."""

    response_id: str


Script = Sequence[tuple[int, Any]]
"""Milliseconds on the session's clock, and what comes to the report then."""


def told(script: Script, *, paced: bool = False, answers: bool = True, words: bool = False) -> Noted:
    observer = Noted()
    observer.wants_words = words
    report = SessionReport(observer, "sess_1", "req_1", paced=paced, answers=lambda: answers)
    for at_ms, thing in script:
        now = at_ms / 1000
        match thing:
            case Clause():
                report.first_clause(thing.response_id, now)
            case PlayoutStarted() | PlayoutEnded() | PlayoutCleared():
                report.playout(thing, now)
            case McpCallFinished() | McpCallFailed():
                report.mcp_fact(thing, now)
            case _ if type(thing) in OUTPUTS:
                report.order(thing, now)
            case _:
                report.fact(thing, now)
    report.ended("closed", script[-1][0] / 1000)
    return observer


def turn(response_id: str = "resp_1", status: str = "completed", **stages: Any) -> TurnLatencies:
    return TurnLatencies("sess_1", response_id, status, **stages)


SPOKEN = [
    (0, say.listen("item_1")),
    (10_000, say.over("item_1", 500)),
    (10_200, say.final("item_1", "Hello?")),
    (10_200, say.created("resp_1")),
    (10_201, say.start("resp_1")),
    (10_500, say.text("resp_1")),
    (10_560, say.text("resp_1")),
    (10_600, Clause("resp_1")),
    (10_700, say.sound("resp_1")),
    (10_701, say.send_audio("resp_1")),
    (10_800, say.send_audio("resp_1")),
    (11_000, say.written("resp_1")),
    (12_000, say.generated("resp_1")),
    (12_001, say.done("resp_1", tokens=42)),
]

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
        (1_000, say.over("item_1", 500)),
        (1_200, say.final("item_1", "Hello?")),
        (1_300, say.created("resp_1")),
        (1_500, say.done("resp_1")),
    ]
    assert told(script, answers=False).turns == [turn(origin_s=1.3, done_ms=200)]


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


# --- drafts, judgements, barge-in ----------------------------------------------------------------------------------


def test_what_became_of_drafts_is_told_with_what_was_made_in_vain() -> None:
    script: Script = [
        (0, SeekDraft("item_1")),
        (0, DraftGranted("item_1")),
        (100, say.start("resp_1", draft=True)),
        (200, say.text("resp_1")),
        (210, say.text("resp_1")),
        (300, say.sound("resp_1", 12_000)),
        (400, DiscardDraft("resp_1", "speech")),
        (500, say.start("resp_2", draft=True)),
        (600, say.generated("resp_2")),
        (700, DiscardDraft("resp_2", "changed")),
        (800, SeekDraft("item_2")),
        (850, say.start("resp_3", draft=True)),
        (860, say.generated("resp_3", say.FAULT)),
        (860, DiscardDraft("resp_3", "failed")),
        (900, say.start("resp_4", draft=True)),
        (950, say.text("resp_4")),
    ]
    observer = told(script)
    assert observer.drafts == ["sought", "granted", "begun", "begun", "sought", "begun", "begun"]
    wasted = say.USAGE.output_tokens
    assert observer.discarded == [
        ("speech", 2, 0.5),
        ("changed", wasted, 0.0),
        ("failed", wasted, 0.0),
        ("dropped", 1, 0.0),
    ]
    assert (observer.turns, observer.engine_failures) == ([], [])


def test_each_judgement_is_told_with_the_time_that_it_took() -> None:
    script: Script = [
        (1_000, say.judge("item_1", 1)),
        (1_090, say.judged("item_1", 0.5, 1)),
        (2_000, say.judge("item_1", 2)),
        (2_200, say.judged("item_1", None, 2)),
        (3_000, say.judged("item_1", 0.5, 3)),
        (3_000, say.judged("item_7", 0.5, 1)),
    ]
    assert [(round(took_s, 3), probability) for took_s, probability in told(script).judged] == [
        (0.09, 0.5),
        (0.2, None),
    ]


def test_each_decision_on_speech_over_the_assistant_is_told() -> None:
    script: Script = [(1_000, BargeInJudged("item_1", "considerate", "backchannel", 620))]
    assert told(script).barge_ins == [("considerate", "backchannel", 620)]


# --- what was done for a turn --------------------------------------------------------------------------------------


def test_the_work_of_a_turn_has_its_times() -> None:
    (work,) = told(
        [
            (0, say.listen("item_1")),
            (9_564, say.judge("item_1", 1)),
            (9_650, say.judged("item_1", 0.9, 1)),
            *SPOKEN[1:],
        ]
    ).work
    assert [(one.kind, one.began_s, one.first_s, one.ended_s) for one in work] == [
        ("judging", 9.564, None, 9.65),
        ("transcription", 9.564, None, 10.2),
        ("chat", 10.201, 10.5, 11.0),
        ("speech", 10.6, 10.7, 12.0),
    ]
    chat = work[2]
    assert (chat.usage, chat.reason, chat.request, chat.words) == (say.USAGE, "stop", None, "")


def test_words_are_there_only_where_they_are_wanted() -> None:
    (work,) = told(SPOKEN, words=True).work
    transcription, chat, _ = work
    assert transcription.words == "Hello?"
    assert chat.words == "HelloHello"
    assert chat.request is not None


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([(1_200, say.generated("resp_1", say.FAULT))], {"chat": "timeout"}),
        (
            [(1_100, say.text("resp_1")), (1_100, Clause("resp_1")), (1_200, say.generated("resp_1", say.FAULT))],
            {"chat": "timeout", "speech": None},
        ),
        (
            [
                (1_100, say.text("resp_1")),
                (1_100, Clause("resp_1")),
                (1_150, say.written("resp_1")),
                (1_200, say.generated("resp_1", say.FAULT)),
            ],
            {"chat": None, "speech": "timeout"},
        ),
    ],
)
def test_a_fault_is_that_of_the_engine_that_had_it(script: Script, error: dict[str, str | None]) -> None:
    begin = [(1_000, say.created("resp_1")), (1_000, say.start("resp_1"))]
    (work,) = told([*begin, *script, (1_300, say.done("resp_1", "failed"))]).work
    assert {one.kind: one.error for one in work} == error


def test_the_tools_that_a_response_calls_are_its_work() -> None:
    script: Script = [
        (1_000, say.created("resp_1")),
        (1_000, say.start("resp_1")),
        (1_100, say.add_call("resp_1", "item_5")),
        (1_100, say.add_call("resp_1", "item_6")),
        (1_200, say.generated("resp_1")),
        (1_200, say.call("item_5")),
        (1_200, say.call("item_6")),
        (1_300, McpCallFinished("item_5", "Sunny.")),
        (1_450, McpCallFailed("item_6", McpFault("http", "gone"))),
        (1_450, say.done("resp_1")),
    ]
    observer = told(script, words=True)
    (work,) = observer.work
    assert [(one.tool, one.item_id, one.began_s, one.ended_s, one.error, one.words) for one in work[1:]] == [
        ("weather", "item_5", 1.2, 1.3, None, "Sunny."),
        ("weather", "item_6", 1.2, 1.45, "http", ""),
    ]
    assert work[1].arguments == {"city": "Berlin"}
    assert observer.mcp == [("call", "done"), ("call", "http")]


def test_a_tool_that_is_called_after_its_response_is_told_by_itself() -> None:
    script: Script = [
        (1_000, say.created("resp_1")),
        (1_100, say.add_call("resp_1", "item_5")),
        (1_200, say.done("resp_1")),
        (5_000, say.call("item_5")),
        (5_500, McpCallFinished("item_5", "Sunny.")),
    ]
    (tool,) = told(script).stray_tools
    assert (tool.began_s, tool.ended_s, tool.words, tool.arguments) == (5.0, 5.5, "", None)


def test_what_is_remembered_is_bounded() -> None:
    """Whatever never comes to an end: utterances, judgements, responses, calls of tools."""
    report = SessionReport(Noted(), "sess_1", "req_1")

    def tell(numbers: range) -> None:
        for number in numbers:
            for order in (
                say.listen(f"item_{number}"),
                say.judge(f"item_{number}"),
                say.judge("item_for_ever"),
                say.over(f"item_{number}", 500),
                say.created(f"resp_{number}", aside=True),
                say.add_call(f"resp_{number}", f"call_{number}"),
                say.add_call(f"resp_{number}", f"unmade_{number}"),
                say.call(f"call_{number}"),
            ):
                report.order(order, 1.0)

    tracemalloc.start()
    try:
        tell(range(300))
        before_bytes, _ = tracemalloc.get_traced_memory()
        tell(range(300, 1_500))
        after_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after_bytes - before_bytes < 20_000
