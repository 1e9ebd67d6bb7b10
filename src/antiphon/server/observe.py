"""What the server counts and logs. Labels come from closed sets; ids stand in log lines only, words and audio never."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

from antiphon.engines.base import Engine
from antiphon.engines.registry import EngineKind
from antiphon.runtime.observer import (
    BargeInOutcome,
    BargeInPolicy,
    DraftEnd,
    DraftStage,
    FailedStage,
    McpOutcome,
    McpTask,
    Outcome,
    SessionSummary,
    TurnLatencies,
)
from antiphon.runtime.sessions import Opening
from antiphon.runtime.work import Work
from antiphon.server.callers import Caller
from antiphon.server.logs import escaped, log_line
from antiphon.server.loop_lag import LAG_BUCKETS_S
from antiphon.server.metrics import LATENCY_BUCKETS_S, Registry
from antiphon.server.tracing import Tracing
from antiphon.server.turn_reports import STAGES, TurnReports, stages_ms
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.mcp import McpFaultKind

__all__ = ["ERROR_CODES", "CallFigures", "ServerObserver"]

_LOG = logging.getLogger(__name__)

_REFUSALS = (
    "invalid_api_key",
    "capacity",
    "not_ready",
    "not_available",
    "bad_request",
    "call_not_found",
    "host_not_allowed",
    "origin_not_allowed",
)
_OUTCOMES: tuple[str, ...] = get_args(Outcome)
_STATUSES = ("completed", "cancelled", "failed", "incomplete")
ERROR_CODES = (
    "array_above_max_length",
    "cannot_update_voice",
    "context_length_exceeded",
    "conversation_already_has_active_response",
    "input_audio_buffer_commit_empty",
    "invalid_event",
    "invalid_type",
    "invalid_value",
    "item_create_duplicate_item_id",
    "item_create_invalid_previous_item_id",
    "item_delete_invalid_item_id",
    "item_retrieve_invalid_item_id",
    "item_truncate_invalid_item_id",
    "mcp_list_tools_failed",
    "message_too_large",
    "missing_required_parameter",
    "rate_limit_exceeded",
    "response_cancel_not_active",
    "server_error",
    "session_expired",
    "string_above_max_length",
    "too_many_active_responses",
    "unknown_parameter",
    "unsupported_content_type",
)
_JUDGEMENTS = {"outcome": ("given", "none")}
_SESSION_BUCKETS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)
_VAD_BUCKETS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_STATM = Path("/proc/self/statm")


class CallFigures(Protocol):
    """What an endpoint of calls knows of itself."""

    @property
    def calls(self) -> int: ...
    @property
    def half_open(self) -> int: ...
    @property
    def ended(self) -> Mapping[Any, int]: ...
    @property
    def dropped(self) -> Mapping[str, int]: ...
    @property
    def tick_lateness(self) -> Sequence[int]: ...
    @property
    def late_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class _Opened:
    opening: Opening
    client: str
    maker: Caller | None


class ServerObserver:
    """Receives what the runtime reports; owns the process's metrics."""

    def __init__(self, tracing: Tracing | None = None) -> None:
        self.registry = registry = Registry()
        self._tracing = tracing
        self._noise_kept = False
        self.turns = TurnReports()
        self._openings: dict[str, _Opened] = {}
        self._sessions = registry.counter(
            "antiphon_sessions_total", "Sessions ended, by outcome.", {"outcome": _OUTCOMES}
        )
        self._call_sessions = registry.counter(
            "antiphon_call_sessions_total", "Of these the sessions that were calls.", {"outcome": _OUTCOMES}
        )
        self._sidebands = registry.counter("antiphon_sidebands_total", "Sideband connections that calls have had.")
        self._sidebands_now = 0
        self._session_s = registry.histogram(
            "antiphon_session_seconds", "Length of sessions.", buckets=_SESSION_BUCKETS_S
        )
        self._refusals = registry.counter(
            "antiphon_refusals_total", "Handshakes and requests refused, by reason.", {"reason": _REFUSALS}
        )
        self._turns = registry.counter("antiphon_turns_total", "Responses ended, by status.", {"status": _STATUSES})
        self._turn_s = registry.histogram(
            "antiphon_turn_seconds",
            "From the last voiced sample (or the request) until a stage of the turn (in calls: until audio leaves).",
            {"stage": STAGES},
            buckets=LATENCY_BUCKETS_S,
        )
        self._drafts = registry.counter(
            "antiphon_drafts_total",
            "Answers sought, granted, begun and adopted before the turn was over, by stage.",
            {"stage": get_args(DraftStage)},
        )
        self._drafts_discarded = registry.counter(
            "antiphon_drafts_discarded_total", "Drafts that came to nothing, by reason.", {"reason": get_args(DraftEnd)}
        )
        self._wasted_tokens = registry.counter(
            "antiphon_draft_wasted_tokens_total", "Tokens generated for drafts that came to nothing."
        )
        self._wasted_audio_s = registry.counter(
            "antiphon_draft_wasted_audio_seconds_total", "Speech made for drafts that came to nothing."
        )
        self._judgements = registry.counter(
            "antiphon_judgements_total", "Pauses that the judge of turns was asked about, by outcome.", _JUDGEMENTS
        )
        self._judgement_s = registry.histogram(
            "antiphon_judgement_seconds", "From the question until the judge's word.", buckets=LATENCY_BUCKETS_S
        )
        self._judged_turns = registry.counter(
            "antiphon_turns_judged_total", "Answered turns on whose last pause the judge had given its word."
        )
        self._barge_in_s = registry.histogram(
            "antiphon_barge_in_seconds",
            "From the first voiced sample of speech over the assistant until it was decided what it is.",
            {"policy": get_args(BargeInPolicy), "outcome": get_args(BargeInOutcome)},
            buckets=LATENCY_BUCKETS_S,
        )
        self._cut_s = registry.histogram(
            "antiphon_barge_in_cut_seconds",
            "From the decision to interrupt until the last that waited was sent (calls are silent at once).",
            {"policy": get_args(BargeInPolicy)},
            buckets=LATENCY_BUCKETS_S,
        )
        self._output_tokens = registry.counter("antiphon_output_tokens_total", "Tokens generated.")
        self._errors = registry.counter("antiphon_errors_total", "Error events sent, by code.", {"code": ERROR_CODES})
        self._unknown = registry.counter("antiphon_unknown_fields_total", "Names of unknown fields, once a connection.")
        self._faults = registry.counter("antiphon_faults_total", "Sessions ended by a defect of the server.")
        self._engine_failures = registry.counter(
            "antiphon_engine_failures_total",
            "Transcriptions, images and responses that the engines failed to give, by stage and kind.",
            {"stage": get_args(FailedStage), "kind": tuple(EngineErrorKind)},
        )
        self._mcp = registry.counter(
            "antiphon_mcp_total",
            "Lists and calls of MCP servers, by task and outcome.",
            {"task": get_args(McpTask), "outcome": ("done", *get_args(McpFaultKind))},
        )
        self._vad_s = registry.histogram("antiphon_vad_batch_seconds", "Time of a VAD batch.", buckets=_VAD_BUCKETS_S)
        self._vad_windows = registry.counter("antiphon_vad_windows_total", "VAD windows computed.")
        self._vad_skipped = registry.counter(
            "antiphon_vad_windows_skipped_total", "VAD windows of calls that came too late to be computed."
        )
        self._vad_failures = registry.counter("antiphon_vad_failures_total", "Times that the detector began to fail.")
        self.loop_lag = registry.histogram(
            "antiphon_event_loop_lag_seconds", "How late timers of the event loop fire.", buckets=LAG_BUCKETS_S
        )
        registry.gauge("antiphon_process_cpu_seconds", "CPU time of this process.", read=time.process_time)
        registry.gauge("antiphon_process_resident_bytes", "Memory of this process.", read=_resident_bytes)

    def watch(self, engines: Mapping[EngineKind, Engine], active: Callable[[], int]) -> None:
        """Add the gauges of what exists only once the engines and sessions do."""
        self.registry.gauge("antiphon_sessions", "Sessions now.", read=lambda: float(active()))
        for kind, engine in engines.items():
            if isinstance(getattr(engine, "load", None), int):
                self.registry.gauge(
                    f"antiphon_{kind.value}_load",
                    f"Calls that the {kind.value} engine is working on or keeps waiting.",
                    read=lambda engine=engine: float(engine.load),  # type: ignore[misc]
                )

    def watch_calls(self, lateness_bounds_ms: Sequence[float], read: Callable[[], CallFigures]) -> None:
        """Add what the endpoint of calls counts."""
        registry = self.registry
        registry.gauge("antiphon_calls", "Calls now.", read=lambda: float(read().calls))
        registry.gauge("antiphon_calls_half_open", "Calls not connected yet.", read=lambda: float(read().half_open))
        registry.gauge("antiphon_sidebands", "Sideband connections now.", read=lambda: float(self._sidebands_now))
        registry.read_counter("antiphon_calls_total", "Calls ended, by reason.", "ending", lambda: read().ended)
        registry.read_counter(
            "antiphon_call_packets_dropped_total", "Packets dropped, by reason.", "reason", lambda: read().dropped
        )
        registry.read_histogram(
            "antiphon_call_tick_lateness_seconds",
            "How late the 20 ms ticks of calls come.",
            [bound_ms / 1000 for bound_ms in lateness_bounds_ms],
            lambda: (read().tick_lateness, read().late_s),
        )

    def refused(self, reason: str, connection_id: str, client: str, detail: str | None = None) -> None:
        """A handshake or request was answered with an error. ``client`` is escaped already.

        ``detail`` is what the reason leaves open: the error's code, the origin, the host; None where there is nothing.
        """
        self._refusals.add(reason=reason)
        told = None if detail is None else escaped(detail)
        log_line(_LOG, "connection_refused", connection=connection_id, client=client, reason=reason, detail=told)

    def opened(self, opening: Opening, client: str, maker: Caller | None = None) -> None:
        """A connection is about to become a session; remembered for its line in the log, and for who may see its turns
        (``maker`` None: nobody)."""
        self._openings[opening.connection_id] = _Opened(opening, client, maker)

    def closed(self, opening: Opening) -> None:
        """A connection is over, whatever became of its session."""
        self._openings.pop(opening.connection_id, None)

    def call_begun(self, call_id: str, opening: Opening, client: str, maker: Caller | None = None) -> None:
        """An offer was answered, and its session begins."""
        self.opened(opening, client, maker)
        log_line(_LOG, "call_begun", logging.DEBUG, call=call_id, connection=opening.connection_id)

    def call_ended(self, call_id: str, opening: Opening, ending: str, duration_s: float) -> None:
        self.closed(opening)
        log_line(
            _LOG,
            "call_ended",
            call=call_id,
            connection=opening.connection_id,
            ending=ending,
            duration_s=duration_s,
        )

    @contextmanager
    def sideband(self, call_id: str, connection_id: str, client: str) -> Iterator[None]:
        """For as long as one more connection reads along. ``client`` is escaped already."""
        log_line(_LOG, "sideband_attached", call=call_id, connection=connection_id, client=client)
        self._sidebands.add()
        self._sidebands_now += 1
        try:
            yield
        finally:
            self._sidebands_now -= 1

    def session_started(self, session_id: str, connection_id: str) -> None:
        opened = self._openings.get(connection_id)
        self.turns.begun(session_id, opened.maker if opened else None)
        if self._tracing is not None:
            self._tracing.session_started(session_id, opened.opening if opened else None)
        log_line(_LOG, "session_started", logging.DEBUG, session=session_id, connection=connection_id)

    def session_ended(self, summary: SessionSummary) -> None:
        self._sessions.add(outcome=summary.outcome)
        if summary.transport == "webrtc":
            self._call_sessions.add(outcome=summary.outcome)
        self._session_s.observe(summary.duration_s)
        self.turns.ended(summary.session_id)
        if self._tracing is not None:
            self._tracing.session_ended(summary.session_id)
        opened = self._openings.get(summary.connection_id)
        opening, client = (opened.opening, opened.client) if opened else (None, None)
        log_line(
            _LOG,
            "session_ended",
            session=summary.session_id,
            connection=summary.connection_id,
            kind=opening.kind if opening else None,
            model=escaped(opening.model) if opening else None,
            client=client,
            transport=summary.transport,
            safety=opening.safety_hash if opening else None,
            outcome=summary.outcome,
            duration_s=summary.duration_s,
            turns=summary.turns,
            errors=summary.errors,
        )

    @property
    def wants_words(self) -> bool:
        return self._tracing is not None and self._tracing.words

    async def aclose(self) -> None:
        """Nothing more is told: what is left of the traces is sent."""
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)

    def turn_judged(self, took_s: float, probability: float | None) -> None:
        self._judgements.add(outcome="none" if probability is None else "given")
        self._judgement_s.observe(took_s)

    def draft(self, stage: DraftStage) -> None:
        self._drafts.add(stage=stage)

    def draft_discarded(self, reason: DraftEnd, tokens: int, audio_s: float) -> None:
        self._drafts_discarded.add(reason=reason)
        self._wasted_tokens.add(tokens)
        self._wasted_audio_s.add(audio_s)

    def barge_in(self, policy: BargeInPolicy, outcome: BargeInOutcome, after_ms: int) -> None:
        self._barge_in_s.observe(after_ms / 1000, policy=policy, outcome=outcome)

    def cut(self, policy: BargeInPolicy, took_s: float) -> None:
        self._cut_s.observe(took_s, policy=policy)

    def tool_called(self, session_id: str, work: Work) -> None:
        if self._tracing is not None:
            self._tracing.tool_called(session_id, work)

    def turn_finished(self, latencies: TurnLatencies, work: Sequence[Work] = ()) -> None:
        self._turns.add(status=latencies.status)
        self._output_tokens.add(latencies.output_tokens)
        if latencies.judged_ms is not None:
            self._judged_turns.add()
        times = stages_ms(latencies)
        for stage, at_ms in zip(STAGES, times.values(), strict=True):
            if at_ms is not None:
                self._turn_s.observe(at_ms / 1000, stage=stage)
        self.turns.finished(latencies)
        if self._tracing is not None:
            self._tracing.turn_finished(latencies, tuple(work))
        log_line(
            _LOG,
            "turn_finished",
            session=latencies.session_id,
            response=latencies.response_id,
            status=latencies.status,
            origin="speech" if latencies.is_spoken else "request",
            drafted="yes" if latencies.is_drafted else None,
            **times,
            output_tokens=latencies.output_tokens,
        )

    def client_error(self, session_id: str, code: str) -> None:
        self._errors.add(code=code)
        log_line(_LOG, "client_error", logging.DEBUG, session=session_id, code=escaped(code))

    def unknown_field(self, connection_id: str, path: str) -> None:
        self._unknown.add()
        log_line(_LOG, "unknown_field", connection=connection_id, field=escaped(path))

    def vad_batch(self, seconds: float, windows: int) -> None:
        self._vad_s.observe(seconds)
        self._vad_windows.add(windows)

    def windows_skipped(self, windows: int) -> None:
        self._vad_skipped.add(windows)

    def engine_failed(self, stage: FailedStage, kind: EngineErrorKind) -> None:
        self._engine_failures.add(stage=stage, kind=kind.value)

    def mcp_ended(self, task: McpTask, outcome: McpOutcome) -> None:
        self._mcp.add(task=task, outcome=outcome)

    def vad_failed(self, error: BaseException) -> None:
        """The detector began to fail: nobody's speech is noticed until it works again."""
        self._vad_failures.add()
        _LOG.error("vad_failed", exc_info=error)

    def noise_kept(self, error: BaseException | None) -> None:
        """Told once: every session that asks for it has the same lack."""
        if not self._noise_kept:
            self._noise_kept = True
            _LOG.warning("noise_reduction_has_no_effect", exc_info=error)

    def fault(self, session_id: str, error: BaseException) -> None:
        self._faults.add()
        _LOG.error("session_fault", exc_info=error, extra={"antiphon_fields": {"session": session_id}})


def _resident_bytes() -> float:
    """Memory of this process now, or (without a proc file system) at its most."""
    try:
        import resource  # not there on Windows
    except ImportError:
        return 0.0
    try:
        return float(int(_STATM.read_text().split()[1]) * resource.getpagesize())
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(most if sys.platform == "darwin" else most * 1024)
