"""What is reported, and what counts."""

import json
from collections.abc import Sequence

import pytest

from antiphon.conform.check import Check, Level, RuleError
from antiphon.conform.checks import all_checks
from antiphon.conform.probe import Probe
from antiphon.conform.report import as_json, as_text, is_conforming, short
from antiphon.conform.run import Outcome, Result
from antiphon.conform.target import Target

TARGET = Target.of("ws://host", model="m", key="hush")


async def _nothing(probe: Probe) -> None: ...


def result(outcome: Outcome, level: Level = Level.REQUIRED) -> Result:
    check = Check(f"errors.{outcome}-{level}", "A rule", "A source", _nothing, level=level)
    failure = RuleError("this", {"that": "hush" + "." * 5000}) if outcome is Outcome.FAILED else None
    return Result(check, outcome, failure, "a reason" if outcome is Outcome.BLOCKED else "")


REQUIRED, RECOMMENDED = result(Outcome.FAILED), result(Outcome.FAILED, Level.RECOMMENDED)
BLOCKED, PASSED, SKIPPED = result(Outcome.BLOCKED), result(Outcome.PASSED), result(Outcome.SKIPPED)


@pytest.mark.parametrize(
    ("results", "strict", "conforms"),
    [
        ([PASSED, SKIPPED], True, True),
        ([REQUIRED], False, False),
        ([BLOCKED], False, False),
        ([RECOMMENDED, PASSED], False, True),
        ([RECOMMENDED, PASSED], True, False),
    ],
)
def test_broken_and_blocked_rules_count_and_recommendations_if_asked(
    results: Sequence[Result], strict: bool, conforms: bool
) -> None:
    assert is_conforming(results, strict=strict) is conforms


def test_the_text_shows_what_was_broken_and_a_score() -> None:
    text = as_text([REQUIRED, RECOMMENDED, BLOCKED, PASSED, SKIPPED], TARGET, 1.0, strict=False, verbose=False)
    for words in ("FAIL  errors.failed-required", "note  errors.failed-recommended", "????  errors.blocked-required",
                  "expected: this", "source:   A source", "reason:   a reason"):  # fmt: skip
        assert words in text
    assert (
        "1 passed, 1 failed, 1 not possible, 1 recommendations not followed, 1 skipped in 1.0 s: score 33.3 %" in text
    )
    assert "errors.passed" not in text


@pytest.mark.parametrize(("results", "told"), [([BLOCKED], True), ([REQUIRED, SKIPPED], False)])
def test_what_to_do_with_a_slow_server_is_told_where_a_check_was_not_possible(
    results: Sequence[Result], told: bool
) -> None:
    assert ("--timeout waits longer" in as_text(results, TARGET, 1.0, strict=False, verbose=False)) is told


def test_neither_report_shows_the_key_or_a_long_event() -> None:
    for report in (
        as_text([REQUIRED], TARGET, 1.0, strict=False, verbose=True),
        as_json([REQUIRED], TARGET, 1.0, strict=False),
    ):
        assert "hush" not in report
        assert len(report) < 2000


def test_the_json_has_every_check() -> None:
    body = json.loads(as_json([REQUIRED, PASSED], TARGET, 1.0, strict=False))
    assert [check["outcome"] for check in body["checks"]] == ["failed", "passed"]
    assert body["conforming"] is False
    assert body["counts"] == {"passed": 1, "failed": 1, "notes": 0, "blocked": 0, "skipped": 0}


def test_what_is_shown_of_an_event_is_cut() -> None:
    assert short({"delta": "x" * 100_000}).endswith('… (100000 characters)"}')


def test_every_check_is_in_a_group_that_is_reported() -> None:
    text = as_text([Result(check, Outcome.PASSED) for check in all_checks()], TARGET, 1.0, strict=False, verbose=True)
    assert all(check.id in text for check in all_checks())
