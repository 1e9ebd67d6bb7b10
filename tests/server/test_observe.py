"""What is counted and logged of what the runtime reports."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from antiphon.engines.base import EngineInfo
from antiphon.engines.registry import EngineKind
from antiphon.runtime.observer import Observer, SessionSummary, TurnLatencies
from antiphon.runtime.sessions import Opening
from antiphon.server.observe import ERROR_CODES, ServerObserver
from antiphon.testing import scripted
from antiphon.vocabulary.errors import EngineErrorKind

SOURCES = Path(__file__).parents[2] / "src" / "antiphon"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "server.md"
QUERIES = Path(__file__).parents[2] / "docs" / "how-to" / "see-where-the-time-goes.md"
SUMMARY = SessionSummary("sess_1", "req_1", "closed", 12.5, 3, 1)


def _values(observer: ServerObserver) -> dict[str, str]:
    lines = [line for line in observer.registry.render().splitlines() if not line.startswith("#")]
    return {name: value for name, _, value in (line.rpartition(" ") for line in lines)}


def test_it_is_what_the_runtime_reports_to() -> None:
    observer = ServerObserver()
    _: Observer = observer
    observer.session_started("sess_1", "req_1")
    observer.session_ended(SUMMARY)
    observer.session_ended(replace(SUMMARY, transport="webrtc", outcome="lost"))
    observer.windows_skipped(3)
    observer.turn_finished(
        TurnLatencies("sess_1", "resp_1", "completed", judged_ms=90, first_audio_ms=250, output_tokens=9)
    )
    observer.turn_finished(TurnLatencies("sess_1", "resp_2", "cancelled"))
    observer.turn_judged(0.09, 0.75)
    observer.turn_judged(2.0, None)
    observer.draft("begun")
    observer.draft_discarded("speech", 9, 1.25)
    observer.barge_in("considerate", "backchannel", 620)
    observer.cut("exact", 0.012)
    observer.client_error("sess_1", "invalid_value")
    observer.unknown_field("req_1", "session.colour")
    observer.vad_batch(0.001, 4)
    observer.engine_failed("response", EngineErrorKind.TIMEOUT)
    observer.mcp_ended("call", "done")
    observer.mcp_ended("list", "http")
    observer.vad_failed(ValueError("a defect"))
    observer.fault("sess_1", ValueError("a defect"))
    values = _values(observer)
    assert values["antiphon_turns_judged_total"] == "1"
    assert values['antiphon_judgements_total{outcome="given"}'] == "1"
    assert values["antiphon_judgement_seconds_count"] == "2"
    assert values['antiphon_drafts_total{stage="begun"}'] == "1"
    assert values['antiphon_drafts_discarded_total{reason="speech"}'] == "1"
    assert values["antiphon_draft_wasted_tokens_total"] == "9"
    assert values["antiphon_draft_wasted_audio_seconds_total"] == "1.25"
    assert values['antiphon_barge_in_seconds_sum{policy="considerate",outcome="backchannel"}'] == "0.62"
    assert values['antiphon_barge_in_cut_seconds_sum{policy="exact"}'] == "0.012"
    assert values['antiphon_sessions_total{outcome="closed"}'] == "1"
    assert values['antiphon_call_sessions_total{outcome="closed"}'] == "0"
    assert values['antiphon_call_sessions_total{outcome="lost"}'] == "1"
    assert values["antiphon_vad_windows_skipped_total"] == "3"
    assert values['antiphon_turns_total{status="completed"}'] == "1"
    assert values['antiphon_turn_seconds_count{stage="first_audio"}'] == "1"
    assert values['antiphon_turn_seconds_sum{stage="first_audio"}'] == "0.25"
    assert values['antiphon_turn_seconds_count{stage="transcript"}'] == "0"
    assert values["antiphon_output_tokens_total"] == "9"
    assert values['antiphon_engine_failures_total{stage="response",kind="timeout"}'] == "1"
    assert values['antiphon_mcp_total{task="call",outcome="done"}'] == "1"
    assert values['antiphon_mcp_total{task="list",outcome="http"}'] == "1"
    assert values['antiphon_mcp_total{task="call",outcome="tool"}'] == "0"
    assert values['antiphon_errors_total{code="invalid_value"}'] == "1"
    assert values["antiphon_unknown_fields_total"] == "1"
    assert values["antiphon_vad_windows_total"] == "4"
    assert values["antiphon_vad_failures_total"] == "1"
    assert values["antiphon_faults_total"] == "1"


def test_what_a_client_makes_up_adds_no_series() -> None:
    observer = ServerObserver()
    before = len(_values(observer))
    for number in range(50):
        observer.client_error("sess_1", f"made_up_{number}")
        observer.unknown_field("req_1", f"made.up.{number}")
    assert len(_values(observer)) == before + 1
    assert _values(observer)['antiphon_errors_total{code="other"}'] == "50"


def test_the_session_line_says_how_it_was_opened(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    observer = ServerObserver()
    opening = Opening(kind="transcription", model="m\n", connection_id="req_1")
    observer.opened(opening, "a client")
    observer.session_ended(SUMMARY)
    observer.closed(opening)
    observer.session_ended(SUMMARY)
    with_opening, without = [vars(record)["antiphon_fields"] for record in caplog.records]
    assert (with_opening["kind"], with_opening["model"], with_opening["client"]) == (
        "transcription",
        "m\\n",
        "a client",
    )
    assert (with_opening["turns"], with_opening["outcome"], with_opening["duration_s"]) == (3, "closed", 12.5)
    assert "client" not in without
    assert without["transport"] == "websocket"


class _Loaded(scripted.ScriptedStt):
    info = EngineInfo("loaded")
    load = 7


def test_that_noise_reduction_has_no_effect_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    observer = ServerObserver()
    for _ in range(3):
        observer.noise_kept(None)
    assert [record.message for record in caplog.records] == ["noise_reduction_has_no_effect"]


def test_the_load_of_engines_that_know_it_is_exported() -> None:
    observer = ServerObserver()
    observer.watch(scripted.engines() | {EngineKind.STT: _Loaded()}, lambda: 3)
    values = _values(observer)
    assert (values["antiphon_sessions"], values["antiphon_stt_load"]) == ("3", "7")
    assert "antiphon_llm_load" not in values


@dataclass
class Figures:
    """Of an endpoint of calls."""

    calls: int = 3
    half_open: int = 1
    ended: Mapping[str, int] = field(default_factory=lambda: {"silent": 2, "hung_up": 7})
    dropped: Mapping[str, int] = field(default_factory=lambda: {"dtls": 4})
    tick_lateness: Sequence[int] = (5, 1)
    late_s: float = 0.25


FIGURES = Figures()


def test_what_the_endpoint_of_calls_counts_is_exported() -> None:
    observer = ServerObserver()
    observer.watch_calls([10], lambda: FIGURES)
    values = _values(observer)
    assert {
        name: value for name, value in values.items() if name.startswith("antiphon_call") and "sessions" not in name
    } == {
        "antiphon_calls": "3",
        "antiphon_calls_half_open": "1",
        'antiphon_calls_total{ending="hung_up"}': "7",
        'antiphon_calls_total{ending="silent"}': "2",
        'antiphon_call_packets_dropped_total{reason="dtls"}': "4",
        'antiphon_call_tick_lateness_seconds_bucket{le="0.01"}': "5",
        'antiphon_call_tick_lateness_seconds_bucket{le="+Inf"}': "6",
        "antiphon_call_tick_lateness_seconds_sum": "0.25",
        "antiphon_call_tick_lateness_seconds_count": "6",
    }


def test_every_error_code_of_the_protocol_has_its_own_series() -> None:
    """A code that is missing here would be counted as ``other``."""
    pattern = re.compile(r'ProtocolError\(\s*"([a-z_]+)"')
    used: set[str] = set()
    for layer in ("core", "protocol", "runtime", "transports"):
        for path in (SOURCES / layer).rglob("*.py"):
            used.update(pattern.findall(path.read_text()))
    assert used - set(ERROR_CODES) == set()
    assert len(used) > 5


def test_the_page_lists_every_metric() -> None:
    observer = ServerObserver()
    engines: dict[EngineKind, Any] = {EngineKind.STT: _Loaded()}
    observer.watch(engines, lambda: 0)
    observer.watch_calls([1], lambda: FIGURES)
    rendered = observer.registry.render()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", rendered, re.MULTILINE))
    texts = dict(re.findall(r"^# HELP (\S+) (.*)$", rendered, re.MULTILINE))
    rows = [f"| `{name}` | {kind} | {texts[name]} |" for name, kind in kinds.items() if name != "antiphon_stt_load"]
    page = PAGE.read_text(encoding="utf-8")
    assert [row for row in rows if row not in page] == []


def test_the_queries_of_the_docs_ask_for_what_there_is() -> None:
    observer = ServerObserver()
    rendered = observer.registry.render()
    names = set(re.findall(r"^(\w+)", rendered, re.MULTILINE))
    values = {label: set(re.findall(rf'\b{label}="([^"]+)"', rendered)) for label in ("stage", "outcome", "le")}
    asked = re.findall(r"^\| [^|]+ \| `(.*antiphon_.*)` \|$", QUERIES.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(asked) > 10
    for query in asked:
        assert set(re.findall(r"antiphon_\w+", query)) <= names, query
        for label, value in re.findall(r'(\w+)!?="([^"]+)"', query):
            assert value in values[label], query
        assert query.count("(") == query.count(")"), query
