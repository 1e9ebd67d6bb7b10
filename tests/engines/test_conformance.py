"""Every built-in engine keeps the engine contract, heard with real speech."""

import asyncio
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from antiphon.engines import registry
from antiphon.engines.base import Engine
from antiphon.engines.registry import EngineKind
from antiphon.testing import conformance
from antiphon.testing.conformance import Check, Material

SPEECH = Path(__file__).parents[1] / "data" / "speech" / "austen_0870.wav"
EMBEDDED_RESIDUAL_MS = 700


@dataclass(frozen=True)
class BuiltIn:
    kind: EngineKind
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    """The smallest tier that shows the rule."""
    at_server: bool = False
    """Speaks to an OpenAI-compatible server."""


BUILT_IN = [
    BuiltIn(EngineKind.VAD, "silero"),
    BuiltIn(EngineKind.VAD, "energy"),
    BuiltIn(EngineKind.NOISE_REDUCER, "webrtc"),
    BuiltIn(EngineKind.TURN_JUDGE, "smart_turn"),
    BuiltIn(EngineKind.STT, "whisper", {"model": "tiny.en"}),
    BuiltIn(EngineKind.STT, "openai", at_server=True),
    BuiltIn(EngineKind.LLM, "llamacpp", {"model": "qwen2.5-coder-0.5b"}),
    BuiltIn(EngineKind.LLM, "openai", at_server=True),
    BuiltIn(EngineKind.TTS, "hibari"),
    BuiltIn(EngineKind.TTS, "openai", at_server=True),
    BuiltIn(EngineKind.IMAGE_READER, "rapidocr"),
]


def _entry_points() -> set[tuple[str, str]]:
    """Kinds and names of antiphon's own engines; other packages in the environment do not count."""
    own = metadata.distribution("antiphon").entry_points
    kinds = {f"antiphon.{kind}": kind.value for kind in EngineKind}
    return {(kinds[entry.group], entry.name) for entry in own if entry.group in kinds}


class Bench:
    """Holds one engine at a time, on one event loop: the checks of an engine follow each other."""

    def __init__(self, runner: asyncio.Runner, server_url: str) -> None:
        with wave.open(str(SPEECH)) as file:
            self._material = Material(file.readframes(file.getnframes()), file.getframerate(), patience_s=100)
        self._runner = runner
        self._server_url = server_url
        self._held: tuple[BuiltIn, Engine] | None = None

    def run(self, check: Check, row: BuiltIn) -> None:
        self._runner.run(check(self.engine(row), self._material))

    def engine(self, row: BuiltIn) -> Engine:
        if self._held is not None and self._held[0] is row:
            return self._held[1]
        self.clear()
        server = {"base_url": self._server_url} if row.at_server else {}
        engine = registry.create(row.kind, row.name, {**row.options, **server})
        self._held = row, engine
        self._runner.run(engine.warm_up())
        return engine

    def clear(self) -> None:
        if self._held is not None:
            self._runner.run(self._held[1].aclose())
            self._held = None


@pytest.fixture(scope="module")
def bench(stage_server: str) -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        bench = Bench(runner, stage_server)
        yield bench
        bench.clear()


@pytest.mark.engines
@pytest.mark.parametrize(
    ("row", "check"),
    [
        pytest.param(row, check, id=f"{row.kind}-{row.name}-{check.name}")
        for row in BUILT_IN
        for check in conformance.checks_for(row.kind)
    ],
)
def test_a_built_in_engine_keeps_the_contract(bench: Bench, row: BuiltIn, check: Check) -> None:
    bench.run(check, row)
    assert bench.engine(row).info.residual_ms <= EMBEDDED_RESIDUAL_MS


def test_every_built_in_engine_is_checked() -> None:
    assert {(row.kind.value, row.name) for row in BUILT_IN} == _entry_points()
