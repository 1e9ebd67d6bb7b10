"""The conformance suite of the engine contract, for whoever writes an engine.

One test per rule, on one event loop::

    @pytest.fixture(scope="module")
    def conduct() -> Iterator[Callable[[Check], None]]:
        with asyncio.Runner() as runner:
            engine = create({})
            yield lambda check: runner.run(check(engine))

    @pytest.mark.parametrize("check", conformance.checks_for(EngineKind.STT))
    def test_the_engine_keeps_its_contract(check, conduct) -> None:
        conduct(check)

or all at once: ``asyncio.run(conformance.failures(EngineKind.STT, create({})))`` is ``{}``. The last check of each kind
closes the engine.

Whether computation ends within ``info.residual_ms`` is judged by the CPU time of the process and (on Linux) of its
children: while that check runs nothing else may compute in them.
"""

from typing import Any

from antiphon.engines.registry import EngineKind
from antiphon.testing.conformance import image_reader, llm, noise_reducer, stt, tts, turn_judge, vad
from antiphon.testing.conformance.check import SYNTHETIC, Check, ContractError, Material

__all__ = ["SYNTHETIC", "Check", "ContractError", "Material", "checks_for", "failures"]

_CHECKS = {
    EngineKind.VAD: vad.checks,
    EngineKind.NOISE_REDUCER: noise_reducer.checks,
    EngineKind.TURN_JUDGE: turn_judge.checks,
    EngineKind.STT: stt.checks,
    EngineKind.LLM: llm.checks,
    EngineKind.TTS: tts.checks,
    EngineKind.IMAGE_READER: image_reader.checks,
}


def checks_for(kind: EngineKind) -> tuple[Check, ...]:
    """The rules for engines of a kind, in the order in which they are to run."""
    return tuple(_CHECKS[kind]())


async def failures(kind: EngineKind, engine: Any, material: Material = SYNTHETIC) -> dict[str, str]:
    """Run all checks of a kind on an engine, and close it. Returns what is wrong, by the name of the check."""
    found: dict[str, str] = {}
    for check in checks_for(kind):
        try:
            await check(engine, material)
        except ContractError as error:
            found[check.name] = str(error)
    return found
