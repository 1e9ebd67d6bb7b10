"""The scripted engines keep the engine contract, on real and on virtual time, at once and with delays."""

import asyncio
from collections.abc import Callable

import pytest

from antiphon.engines.base import Engine
from antiphon.engines.registry import EngineKind
from antiphon.testing import conformance
from antiphon.testing.clock import run_virtual
from antiphon.testing.conformance import Check
from antiphon.testing.scripted import (
    ScriptedImageReader,
    ScriptedLlm,
    ScriptedStt,
    ScriptedTts,
    ScriptedTurnJudge,
    engines,
)

DELAYED: dict[EngineKind, Callable[[], Engine]] = {
    EngineKind.TURN_JUDGE: lambda: ScriptedTurnJudge(delay_s=0.5),
    EngineKind.STT: lambda: ScriptedStt(["one two three"], delay_s=0.5),
    EngineKind.LLM: lambda: ScriptedLlm(delay_s=0.5),
    EngineKind.TTS: lambda: ScriptedTts(delay_s=0.5),
    EngineKind.IMAGE_READER: lambda: ScriptedImageReader(delay_s=0.5),
}


@pytest.mark.parametrize("kind", EngineKind)
def test_scripted_engines_conform(kind: EngineKind) -> None:
    assert asyncio.run(conformance.failures(kind, engines()[kind])) == {}


@pytest.mark.parametrize("kind", DELAYED)
def test_scripted_engines_with_delays_conform_on_virtual_time(kind: EngineKind) -> None:
    assert run_virtual(conformance.failures(kind, DELAYED[kind]())) == {}


@pytest.mark.parametrize("kind", EngineKind)
def test_each_check_states_its_rule_and_has_a_name_of_its_own(kind: EngineKind) -> None:
    checks = conformance.checks_for(kind)
    assert len({check.name for check in checks}) == len(checks)
    assert all(check.rule.endswith(".") for check in checks)


@pytest.mark.parametrize("check", conformance.checks_for(EngineKind.VAD))
def test_a_check_can_be_a_parameter_of_a_test(check: Check, request: pytest.FixtureRequest) -> None:
    assert check.name in request.node.name


@pytest.mark.parametrize("kind", EngineKind)
def test_the_last_check_and_no_other_closes_the_engine(kind: EngineKind) -> None:
    engine = engines()[kind]
    *others, last = conformance.checks_for(kind)

    async def main() -> None:
        for check in others:
            await check(engine)
        assert not engine.closed  # type: ignore[attr-defined]
        await last(engine)
        assert engine.closed  # type: ignore[attr-defined]

    run_virtual(main())
