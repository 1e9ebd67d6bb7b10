"""What is told of drafts, judgements and barge-ins, and of the work that was done for a turn."""

import tracemalloc

import pytest

from antiphon.core.inputs import DraftGranted, McpCallFailed, McpCallFinished
from antiphon.core.outputs import BargeInJudged, DiscardDraft, SeekDraft
from antiphon.runtime.session_report import SessionReport
from antiphon.vocabulary.mcp import McpFault
from tests.support import reports as say
from tests.support.reports import SPOKEN, Clause, Script, Sent, told
from tests.support.runtime import Noted


def test_what_became_of_drafts_is_told_with_what_was_made_in_vain() -> None:
    script: Script = [
        (0, SeekDraft("item_1")),
        (0, DraftGranted("item_1")),
        (50, DraftGranted("item_1")),
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


def test_how_long_an_interrupted_answer_is_still_sent_is_told() -> None:
    script: Script = [
        (1_000, BargeInJudged("item_1", "exact", "interrupted", 64)),
        (1_012, Sent()),
        (2_000, BargeInJudged("item_2", "considerate", "echo", 400)),
        (2_012, Sent()),
    ]
    assert [(policy, round(took_s, 3)) for policy, took_s in told(script).cuts] == [("exact", 0.012)]
    assert told(script, paced=True).cuts == []


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
    report = SessionReport(Noted(), "sess_1", "req_1", when_sent=lambda told: told(1.0))

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
