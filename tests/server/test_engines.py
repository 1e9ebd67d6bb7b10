"""From settings to engines: what is planned, fetched, built, and what the refusals say."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from antiphon.core.limits import Limits
from antiphon.engines.llm_openai import OpenAiLlm, OpenAiLlmOptions
from antiphon.engines.registry import EngineKind
from antiphon.engines.resilient import Patience, Resilience
from antiphon.runtime.settings import RuntimeSettings
from antiphon.server.engines import build_engines, close_engines, describe, plan_engines
from antiphon.server.runtime_values import runtime_engines, runtime_settings
from antiphon.server.settings import McpSection, Settings, SettingsError, load_settings
from antiphon.testing import scripted

REMOTE: Mapping[str, Any] = {
    name: {"engine": "openai", "base_url": "http://127.0.0.1:9/v1"} for name in ("stt", "llm", "tts")
} | {
    "vad": {"engine": "energy"},
    "noise_reducer": {"engine": "none"},
    "turn_judge": {"engine": "none"},
    "image_reader": {"engine": "none"},
}


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_chosen_engines_are_planned_with_their_options_and_built() -> None:
    plan = plan_engines(load_settings(REMOTE))
    assert {kind.value: choice.name for kind, choice in plan.choices.items()} == {
        "vad": "energy",
        "stt": "openai",
        "llm": "openai",
        "tts": "openai",
    }
    assert (plan.weights, plan.is_scripted) == ((), False)
    engines = build_engines(plan)
    assert len(describe(engines)) == 4
    assert runtime_engines(engines).noise_reducer is None
    assert runtime_engines(engines).turn_judge is None
    assert runtime_engines(engines).image_reader is None
    asyncio.run(close_engines(engines))


@pytest.mark.parametrize("name", ["scripted", "nonsense"])
def test_an_unknown_engine_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"no llm engine '{name}'; installed are: .*openai"):
        plan_engines(load_settings({**REMOTE, "llm": {"engine": name}}))


def test_scripted_engines_come_by_their_own_flag_only() -> None:
    plan = plan_engines(load_settings(), scripted=True)
    assert plan.is_scripted
    assert all("scripted" in line for line in describe(build_engines(plan)))


def test_an_engine_judges_its_own_options() -> None:
    plan = plan_engines(load_settings({**REMOTE, "llm": {**REMOTE["llm"], "temprature": 1}}))
    with pytest.raises(SettingsError, match=r"llm engine 'openai': .*temprature") as caught:
        build_engines(plan)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "engine", "module"),
    [
        (EngineKind.TURN_JUDGE, "smart_turn", "onnxruntime"),
        (EngineKind.NOISE_REDUCER, "webrtc", "pywebrtc_audio"),
    ],
)
def test_a_stage_that_sessions_can_do_without_is_left_out_with_a_note(
    kind: EngineKind, engine: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    plan = plan_engines(load_settings({**REMOTE, kind.value: {"engine": "auto"}}))
    assert kind not in plan.choices
    (note,) = plan.notes
    assert note.startswith(f"{kind} engine '{engine}' needs {module}")
    assert note.endswith("(going on without it)")
    with pytest.raises(SettingsError, match=f"needs {module}"):
        plan_engines(load_settings({**REMOTE, kind.value: {"engine": engine}}))


class _Uncloseable(scripted.ScriptedVad):
    async def aclose(self) -> None:
        raise OSError("stuck")


def test_one_engine_that_cannot_be_closed_does_not_keep_the_others_open() -> None:
    closed = []

    class Closing(scripted.ScriptedTts):
        async def aclose(self) -> None:
            closed.append(self)

    asyncio.run(close_engines(scripted.engines() | {EngineKind.VAD: _Uncloseable(), EngineKind.TTS: Closing()}))
    assert len(closed) == 1


def test_default_settings_are_the_runtimes_own() -> None:
    assert runtime_settings(load_settings()) == RuntimeSettings()


RUNTIME_ONLY = {"manual_buffer_s", "idle_buffer_s", "frame_bytes", "context_tokens", "output_reserve_tokens"}
"""Bounds that follow from the protocol, its clients or the model: nobody sets them."""


def test_every_bound_of_the_runtime_can_be_set_or_is_named_here() -> None:
    changed = runtime_settings(
        load_settings(
            {
                name: default + 1 if name != "session_audio_bytes" else 2 << 20
                for name, default in _numbers(Settings)
                if name not in ("port", "drain_s")
            }
            | {
                section: {field: value + 1 for field, value in getattr(load_settings(), section).model_dump().items()}
                for section in ("limits", "patience")
            }
            | {"turns": {"draft_sessions": 1, "barge_in_ms": 401, "echo_grace_ms": 499, "first_piece_words": 9}}
            | {
                "mcp": {
                    "allowed_hosts": ["tools.example.com"],
                    **{name: default + 1 for name, default in _numbers(McpSection)},
                }
            }
        )
    )
    unchanged = {
        field.name for field in fields(Limits) if getattr(changed.limits, field.name) == getattr(Limits(), field.name)
    }
    assert unchanged == RUNTIME_ONLY
    numbers = {field.name for field in fields(RuntimeSettings) if field.type in (int, float, "int", "float")}
    assert {name for name in numbers if getattr(changed, name) == getattr(RuntimeSettings(), name)} == set()
    for stage in fields(Resilience):
        patience, default = getattr(changed.resilience, stage.name), getattr(Resilience(), stage.name)
        assert patience == Patience(default.first_timeout_s + 1, default.gap_timeout_s + 1, default.retries + 1)


def test_recording_is_set_by_folder(tmp_path: Path) -> None:
    changed = runtime_settings(load_settings({"record_dir": str(tmp_path), "record_audio": True}))
    assert (changed.record_dir, changed.record_audio) == (str(tmp_path), True)


def _numbers(model: type[BaseModel]) -> list[tuple[str, Any]]:
    return [
        (name, field.default)
        for name, field in model.model_fields.items()
        if isinstance(field.default, int | float) and not isinstance(field.default, bool)
    ]


@pytest.mark.parametrize(
    ("base_url", "here"),
    [("http://127.0.0.1:11434/v1", True), ("http://localhost/v1", True), ("http://gpu-1/v1", False)],
)
def test_a_model_computes_here_only_where_its_address_is_this_machine(base_url: str, here: bool) -> None:
    assert OpenAiLlm(OpenAiLlmOptions(base_url=base_url)).info.computes_here is here
