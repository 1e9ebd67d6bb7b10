"""One span for each turn, with the work of engines and tools below it: OpenTelemetry, by its conventions for models.

A span begins and ends when the work did, which may be before it was known to belong to a turn; so all spans of a turn
are made when the turn is over. They are sent by a thread of the exporter's own.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from antiphon import __version__
from antiphon.engines.base import Engine
from antiphon.engines.registry import EngineKind
from antiphon.runtime.observer import TurnLatencies
from antiphon.runtime.sessions import Opening
from antiphon.runtime.work import Work, WorkKind
from antiphon.server.logs import log_line
from antiphon.server.tracing_settings import EXTRA, OtelSection, extra_is_installed, is_asked_for
from antiphon.server.tracing_words import words_of
from antiphon.server.turn_reports import stages_ms

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

__all__ = ["Tracing", "open_tracing"]

_LOG = logging.getLogger(__name__)
_NS: Final = 1_000_000_000
_PATH: Final = "/v1/traces"
_CLOSE_S: Final = 3.0
_STAGES: Final[Mapping[WorkKind, EngineKind]] = {
    "transcription": EngineKind.STT,
    "judging": EngineKind.TURN_JUDGE,
    "chat": EngineKind.LLM,
    "speech": EngineKind.TTS,
}
_OUTPUTS: Final[Mapping[WorkKind, str]] = {"transcription": "text", "chat": "text", "speech": "speech"}
_REMOTE: Final = "openai"
"""The engines that ask another server have this name."""

Attributes = dict[str, str | int | float | bool | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Session:
    began_ns: int
    parent: "Context | None"
    """Where its client's request belongs, by the header ``traceparent``."""


def open_tracing(section: OtelSection, engines: Mapping[EngineKind, Engine]) -> "Tracing | None":
    """None where nobody asks for traces."""
    if not is_asked_for(section):
        return None
    if not extra_is_installed():
        # The variables are there for all programs of a machine; our own setting is checked with the settings.
        log_line(_LOG, "traces_not_sent", logging.WARNING, reason=f"an extra is missing: {EXTRA}")
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=_traces_url(section.endpoint))))
    return Tracing(provider, engines, words=section.content)


class Tracing:
    """Told of sessions and turns by the observer."""

    def __init__(
        self,
        provider: "TracerProvider",
        engines: Mapping[EngineKind, Engine],
        *,
        words: bool = False,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """``words``: whether spans hold what was said. ``now_ns``: of the wall clock."""
        self.words = words
        self._provider = provider
        self._engines = engines
        self._now_ns = now_ns
        self._tracer = provider.get_tracer("antiphon", __version__)
        self._sessions: dict[str, _Session] = {}

    def session_started(self, session_id: str, opening: Opening | None) -> None:
        self._sessions[session_id] = _Session(self._now_ns(), _parent(opening))

    def session_ended(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)

    def turn_finished(self, turn: TurnLatencies, work: tuple[Work, ...]) -> None:
        from opentelemetry.trace import StatusCode, set_span_in_context

        if (session := self._sessions.get(turn.session_id)) is None:
            return
        last_ms = max(turn.done_ms or 0, turn.first_audio_ms or 0)
        began_s = min([turn.origin_s, *(one.began_s for one in work)])
        ended_s = max([turn.origin_s + last_ms / 1000, *(one.ended_s for one in work)])
        span = self._tracer.start_span(
            "turn", session.parent, start_time=_at(session, began_s), attributes=_turn_attributes(turn)
        )
        for name in ("pause", "committed", "first_audio"):
            at_ms = getattr(turn, f"{name}_ms")
            if at_ms is not None:
                span.add_event(name, timestamp=_at(session, turn.origin_s + at_ms / 1000))
        if turn.status == "failed":
            span.set_status(StatusCode.ERROR)
        inside = set_span_in_context(span, session.parent)
        for one in work:
            self._work(session, inside, one, turn.session_id, turn.response_id)
        span.end(_at(session, ended_s))

    def tool_called(self, session_id: str, work: Work) -> None:
        """Outside of any turn."""
        if session := self._sessions.get(session_id):
            self._work(session, session.parent, work, session_id, None)

    def close(self, most_s: float = _CLOSE_S) -> None:
        """Send what is left; waits for it, so call it in a thread. What is not taken by then is lost: whoever collects
        spans keeps no process from ending."""
        shutdown = Thread(target=self._provider.shutdown, name="traces", daemon=True)
        shutdown.start()
        shutdown.join(most_s)
        if shutdown.is_alive():
            log_line(_LOG, "traces_not_sent", logging.WARNING, reason="the collector does not take them")

    # --- one piece of work -----------------------------------------------------------------------------------------

    def _work(
        self, session: _Session, parent: "Context | None", work: Work, session_id: str, response_id: str | None
    ) -> None:
        from opentelemetry.trace import SpanKind

        attributes: Attributes = {"gen_ai.conversation.id": session_id}
        if work.kind == "tool":
            name, is_remote = f"execute_tool {work.tool}", True
            attributes |= _tool_attributes(work)
        else:
            provider, model = self._names(work.kind)
            name, is_remote = f"{_operation(work.kind)} {model}".rstrip(), provider == _REMOTE
            attributes |= _engine_attributes(work, provider, model)
            if work.kind == "chat" and response_id is not None:
                attributes["gen_ai.response.id"] = response_id
        if self.words:
            attributes |= words_of(work)
        kind = SpanKind.CLIENT if is_remote else SpanKind.INTERNAL
        span = self._tracer.start_span(
            name, parent, kind=kind, start_time=_at(session, work.began_s), attributes=attributes
        )
        _end(span, work, _at(session, max(work.began_s, work.ended_s)))

    def _names(self, kind: WorkKind) -> tuple[str, str]:
        """An engine's provider and model."""
        engine = self._engines.get(_STAGES[kind])
        if engine is None:
            return "", ""
        provider, _, model = engine.info.name.partition(" ")
        return provider, model or (engine.info.version if provider == _REMOTE else provider)


def _operation(kind: WorkKind) -> str:
    """``chat`` is of the conventions; they have no names for the others yet."""
    return "judge_turn" if kind == "judging" else kind


def _turn_attributes(turn: TurnLatencies) -> Attributes:
    attributes: Attributes = {
        "gen_ai.conversation.id": turn.session_id,
        "session.id": turn.session_id,
        "antiphon.turn.status": turn.status,
        "antiphon.turn.origin": "speech" if turn.is_spoken else "request",
        "antiphon.turn.drafted": turn.is_drafted,
    }
    stages = {f"antiphon.turn.{name}": value for name, value in stages_ms(turn).items() if value is not None}
    return attributes | stages


def _tool_attributes(work: Work) -> Attributes:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": work.tool,
        "gen_ai.tool.type": "extension",
        "gen_ai.tool.call.id": work.item_id,
        "mcp.method.name": "tools/call",
    }


def _engine_attributes(work: Work, provider: str, model: str) -> Attributes:
    attributes: Attributes = {
        "gen_ai.operation.name": _operation(work.kind),
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
    }
    if work.kind in _OUTPUTS:
        attributes["gen_ai.output.type"] = _OUTPUTS[work.kind]
    if work.first_s is not None:
        attributes["gen_ai.request.stream"] = True
        attributes["gen_ai.response.time_to_first_chunk"] = work.first_s - work.began_s
    if work.probability is not None:
        attributes["antiphon.turn.probability"] = work.probability
    if work.reason is not None:
        attributes["gen_ai.response.finish_reasons"] = (work.reason,)
    if work.usage is not None and work.reason is not None:
        attributes["gen_ai.usage.input_tokens"] = work.usage.input_tokens
        attributes["gen_ai.usage.cache_read.input_tokens"] = work.usage.cached_tokens
        attributes["gen_ai.usage.output_tokens"] = work.usage.output_tokens
    return attributes


def _end(span: "Span", work: Work, end_ns: int) -> None:
    from opentelemetry.trace import StatusCode

    if work.error is not None:
        span.set_attribute("error.type", work.error)
        span.set_status(StatusCode.ERROR)
    span.end(end_ns)


def _at(session: _Session, at_s: float) -> int:
    return session.began_ns + round(at_s * _NS)


def _parent(opening: Opening | None) -> "Context | None":
    if opening is None or opening.traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": opening.traceparent, "tracestate": opening.tracestate or ""}
    return TraceContextTextMapPropagator().extract(carrier)


def _resource() -> Any:
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource

    found = Resource.create({SERVICE_VERSION: __version__})  # and what the OTEL_ variables say
    is_named = not str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service")
    return found if is_named else found.merge(Resource({SERVICE_NAME: "antiphon"}))


def _traces_url(endpoint: str) -> str | None:
    """None: the variables say it."""
    if not endpoint:
        return None
    base = endpoint.rstrip("/")
    return base if base.endswith(_PATH) else base + _PATH
