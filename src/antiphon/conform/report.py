"""Results as text for people and as JSON for programs."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from antiphon.conform.check import Check, Level
from antiphon.conform.checks import GROUPS
from antiphon.conform.run import Outcome, Result
from antiphon.conform.target import Target

__all__ = ["as_json", "as_text", "is_conforming", "reference_page", "short"]

_LONGEST = 400
_LONGEST_STRING = 80
_MARKS = {Outcome.PASSED: "pass", Outcome.FAILED: "FAIL", Outcome.BLOCKED: "????", Outcome.SKIPPED: "skip"}
_ADVICE = "note"


def is_conforming(results: Sequence[Result], *, strict: bool) -> bool:
    """Whether no rule was broken, or could not be looked at; with ``strict`` recommendations are rules."""
    return not any(
        result.outcome in (Outcome.FAILED, Outcome.BLOCKED) and (strict or result.check.level is Level.REQUIRED)
        for result in results
    )


def short(value: Any) -> str:
    """JSON of a sane length."""
    text = value if isinstance(value, str) else json.dumps(_cut(value), ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST_STRING:
        return f"{value[:_LONGEST_STRING]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {name: _cut(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(one) for one in value]
    return value


def as_text(results: Sequence[Result], target: Target, seconds: float, *, strict: bool, verbose: bool) -> str:
    lines = [f"Realtime conformance of {target.url}, model {target.model}"]
    for group in GROUPS:
        mine = [result for result in results if result.check.group == group.group]
        if mine:
            passed = sum(result.outcome is Outcome.PASSED for result in mine)
            skipped = sum(result.outcome is Outcome.SKIPPED for result in mine)
            lines.append(f"\n{group.title}: {passed} of {len(mine) - skipped}")
            lines.extend(line for result in mine for line in _lines(result, verbose=verbose))
    return target.hidden("\n".join([*lines, "", *_summary(results, seconds, strict=strict)]))


def _lines(result: Result, *, verbose: bool) -> Iterator[str]:
    check = result.check
    quiet = result.outcome in (Outcome.PASSED, Outcome.SKIPPED)
    if quiet and not verbose:
        return
    advice = result.outcome is Outcome.FAILED and check.level is Level.RECOMMENDED
    yield f"  {_ADVICE if advice else _MARKS[result.outcome]}  {check.id}"
    yield from _told("rule", check.title)
    if result.failure is not None:
        yield from _told("expected", result.failure.expected)
        yield from _told("got", short(result.failure.got))
        if result.failure.event is not None:
            yield from _told("event", short(result.failure.event))
    if result.reason:
        yield from _told("reason", result.reason)
    if not quiet:
        yield from _told("source", check.source)


def _told(name: str, text: str) -> Iterator[str]:
    yield textwrap.fill(
        text, 118, initial_indent=f"        {name + ':':<10}", subsequent_indent=" " * 18, break_on_hyphens=False
    )


def _summary(results: Sequence[Result], seconds: float, *, strict: bool) -> Iterator[str]:
    counts = _counts(results)
    notes = f", {counts['notes']} recommendations not followed" if counts["notes"] else ""
    blocked = f", {counts['blocked']} not possible" if counts["blocked"] else ""
    yield (
        f"{counts['passed']} passed, {counts['failed']} failed{blocked}{notes}, "
        f"{counts['skipped']} skipped in {seconds:.1f} s: score {_score(counts)} %"
    )
    if counts["blocked"]:
        yield "Where an answer only came too late: --timeout waits longer, --jobs does fewer checks at a time."
    if not strict and counts["notes"]:
        yield "Recommendations are not settled by the reference; --strict counts them."


def _counts(results: Sequence[Result]) -> dict[str, int]:
    broken = [result for result in results if result.outcome is Outcome.FAILED]
    notes = sum(result.check.level is Level.RECOMMENDED for result in broken)
    return {
        "passed": sum(result.outcome is Outcome.PASSED for result in results),
        "failed": len(broken) - notes,
        "notes": notes,
        "blocked": sum(result.outcome is Outcome.BLOCKED for result in results),
        "skipped": sum(result.outcome is Outcome.SKIPPED for result in results),
    }


def _score(counts: dict[str, int]) -> str:
    looked_at = counts["passed"] + counts["failed"] + counts["blocked"]
    return f"{100 * counts['passed'] / looked_at:.1f}" if looked_at else "-"


def as_json(results: Sequence[Result], target: Target, seconds: float, *, strict: bool) -> str:
    body = {
        "url": target.url,
        "model": target.model,
        "scripted": target.scripted,
        "conforming": is_conforming(results, strict=strict),
        "seconds": round(seconds, 1),
        "counts": _counts(results),
        "checks": [_plain(result) for result in results],
    }
    return target.hidden(json.dumps(body, indent=1, ensure_ascii=False))


def _plain(result: Result) -> dict[str, Any]:
    check, failure = result.check, result.failure
    body: dict[str, Any] = {
        "id": check.id,
        "title": check.title,
        "source": check.source,
        "level": check.level.value,
        "outcome": result.outcome.value,
        "seconds": round(result.seconds, 3),
    }
    if failure is not None:
        body |= {"expected": failure.expected, "got": short(failure.got)}
        body |= {"event": short(failure.event)} if failure.event is not None else {}
    return body | ({"reason": result.reason} if result.reason else {})


def reference_page() -> str:
    """The page that lists every check."""
    total = sum(len(group.checks) for group in GROUPS)
    lines = [
        "# The checks of `antiphon conform`",
        "",
        f"{total} checks. *Recommended* ones are not settled by the reference: they are reported, and count only with",
        "`--strict`. A check that needs a scripted model is skipped elsewhere. How to run them:",
        "[Test a server](../how-to/test-a-server.md).",
    ]
    for group in GROUPS:
        lines += ["", f"## {group.title}", "", "| check | rule | needs | source |", "| --- | --- | --- | --- |"]
        lines += [_row(check) for check in group.checks]
    return "\n".join(lines) + "\n"


def _row(check: Check) -> str:
    needs = sorted(need.value for need in check.needs)
    if check.level is Level.RECOMMENDED:
        needs.append("*recommended*")
    return f"| `{check.id}` | {check.title} | {', '.join(needs)} | {check.source} |"
