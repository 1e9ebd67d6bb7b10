"""The conformance suite can fail: in front of a server that conforms one fault is planted, and exactly that is found.

Faults that neither hide nor feed one another are planted together: then exactly what each of them breaks is found.
"""

import asyncio
import fnmatch
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from antiphon.conform.check import Check, Need
from antiphon.conform.checks import all_checks
from antiphon.conform.probe import bundled_speech
from antiphon.conform.run import Outcome, Result, run_checks
from antiphon.conform.target import Target
from tests.support.bending import bent_server
from tests.support.faults import FAULTS, Fault
from tests.support.server import ServerProcess

pytestmark = pytest.mark.e2e

_TOGETHER = 10


def _batches(faults: Iterable[Fault]) -> list[list[Fault]]:
    """Faults whose checks are not each other's, several at a time."""
    batches: list[list[Fault]] = []
    for fault in faults:
        for batch in batches:
            apart = all(fault.failed.isdisjoint(other.failed) and not other.alone for other in batch)
            if apart and not fault.alone and len(batch) < _TOGETHER:
                batch.append(fault)
                break
        else:
            batches.append([fault])
    return batches


def _checks(pattern: str = "*") -> list[Check]:
    """Those whose events pass the place where faults are planted, without the slowest."""
    return [
        check
        for check in all_checks()
        if Need.TIME not in check.needs
        and check.group not in ("http", "mcp", "images")
        and fnmatch.fnmatchcase(check.id, pattern)
    ]


def _run(
    server: ServerProcess, faults: Sequence[Fault], pattern: str = "*", **handshake: Any
) -> dict[Outcome, set[str]]:
    async def run() -> list[Result]:
        bends = [fault.new_bend for fault in faults]
        async with bent_server(server.websocket_url, bends, **handshake) as url:
            target = Target.of(url, model="gpt-realtime", scripted=True, timeout_s=4)
            return await run_checks(target, _checks(pattern), speech=bundled_speech(), jobs=16)

    results = asyncio.run(run())
    return {outcome: {one.check.id for one in results if one.outcome is outcome} for outcome in Outcome}


@pytest.mark.parametrize("faults", _batches(FAULTS), ids=lambda faults: "; ".join(fault.name for fault in faults)[:80])
def test_exactly_what_the_planted_faults_break_is_found(scripted_server: ServerProcess, faults: list[Fault]) -> None:
    found = _run(scripted_server, faults)
    assert found[Outcome.FAILED] == set().union(*(fault.failed for fault in faults))
    assert bool(found[Outcome.BLOCKED]) == any(fault.blocks for fault in faults)


@pytest.mark.parametrize(
    ("handshake", "failed"),
    [
        ({"selects_no_protocol": True}, {"handshake.subprotocol", "handshake.other-subprotocols"}),
        ({"opens_any_call": True}, {"handshake.unknown-call"}),
    ],
    ids=["no subprotocol is selected", "a call that nobody knows is opened"],
)
def test_a_fault_in_the_handshake_is_found(
    scripted_server: ServerProcess, handshake: dict[str, bool], failed: set[str]
) -> None:
    assert _run(scripted_server, [], "handshake.*", **handshake)[Outcome.FAILED] == failed
