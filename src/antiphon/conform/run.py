"""Running the checks against a server."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

import websockets

from antiphon.conform.check import BlockedError, Check, Need, NotApplicableError, RuleError
from antiphon.conform.observed import Observer
from antiphon.conform.probe import HandshakeError, Probe
from antiphon.conform.target import Target

__all__ = ["Outcome", "Result", "UnreachableError", "run_checks"]


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    """What prepares the check failed; other checks say how."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    check: Check
    outcome: Outcome
    failure: RuleError | None = None
    reason: str = ""
    """Why the check was blocked or skipped."""
    seconds: float = 0.0


class UnreachableError(Exception):
    """No connection at all; the message says why."""


async def run_checks(target: Target, checks: Sequence[Check], *, speech: bytes, jobs: int) -> list[Result]:
    """One result for each check, in their order. At most ``jobs`` run at a time.

    Raises ``UnreachableError`` if not even a handshake succeeds.
    """
    probe = Probe(target, Observer(), speech)
    await _knock(probe)
    results: dict[str, Result] = {}
    at_once = asyncio.Semaphore(jobs)

    async def run(check: Check) -> None:
        async with at_once:
            results[check.id] = await _result(check, probe)

    # The slowest begin first, so that they do not run alone at the end.
    first = sorted((check for check in checks if not check.observes), key=lambda check: Need.TIME not in check.needs)
    async with asyncio.TaskGroup() as tasks:
        for check in first:
            tasks.create_task(run(check), name=check.id)
    for check in checks:
        if check.observes:
            await run(check)
    return [results[check.id] for check in checks]


async def _knock(probe: Probe) -> None:
    try:
        async with probe.socket():
            pass
    except HandshakeError as refused:
        hint = ": give the key with --key or OPENAI_API_KEY" if refused.status in (401, 403) else ""
        raise UnreachableError(
            f"{probe.target.url} answered the handshake with HTTP {refused.status}{hint}"
        ) from refused
    except RuleError as failure:
        raise UnreachableError(
            f"no connection to {probe.target.url}: {failure.got}{_hint(probe, failure)}"
        ) from failure


def _hint(probe: Probe, failure: RuleError) -> str:
    cause = failure.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return " (--insecure accepts any certificate)"
    if isinstance(cause, websockets.InvalidMessage) and probe.target.tls is None:
        return " (does it speak TLS? Then its address begins with wss://)"
    return ""


async def _result(check: Check, probe: Probe) -> Result:
    if Need.SCRIPT in check.needs and not probe.target.scripted:
        return Result(check, Outcome.SKIPPED, reason="needs a scripted model")
    began_s = time.monotonic()

    def ended(outcome: Outcome, failure: RuleError | None = None, reason: str = "") -> Result:
        return Result(check, outcome, failure, reason, time.monotonic() - began_s)

    try:
        async with _plain_failures():
            await check.run(probe)
    except RuleError as failure:
        return ended(Outcome.FAILED, failure)
    except BlockedError as blocked:
        return ended(Outcome.BLOCKED, reason=str(blocked))
    except NotApplicableError as reason:
        return ended(Outcome.SKIPPED, reason=str(reason))
    return ended(Outcome.PASSED)


@asynccontextmanager
async def _plain_failures() -> AsyncIterator[None]:
    """An event or body so unlike the documented one that the check cannot even read it is a failure, too."""
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise RuleError("the documented shape", f"{type(error).__name__}: {error}") from error
    except HandshakeError as refused:
        raise RuleError("a WebSocket handshake", f"HTTP {refused.status}") from refused
    except (websockets.WebSocketException, OSError) as error:
        raise RuleError("a connection that stays open", f"{type(error).__name__}: {error}") from error
