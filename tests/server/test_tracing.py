"""Spans of turns: what they are called, when they were, whose children they are, and what they never hold."""

import http.server
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from antiphon.engines.base import EngineInfo
from antiphon.engines.registry import EngineKind
from antiphon.runtime.observer import SessionSummary, TurnLatencies
from antiphon.runtime.sessions import Opening
from antiphon.runtime.work import Work
from antiphon.server import settings_checks, tracing
from antiphon.server.observe import ServerObserver
from antiphon.server.settings import SettingsError, load_settings
from antiphon.server.tracing import Tracing, open_tracing
from antiphon.server.tracing_settings import OtelSection, is_asked_for
from antiphon.testing import scripted
from antiphon.vocabulary.llm import (
    AssistantMessage,
    ImageContent,
    LlmRequest,
    SystemMessage,
    TextContent,
    TokenUsage,
    ToolCall,
    ToolMessage,
    UserMessage,
)

BEGAN_NS = 1_700_000_000_000_000_000
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
REQUEST = LlmRequest(
    (
        SystemMessage("Be kind."),
        UserMessage((TextContent("hush-question"), ImageContent("data:image/png;base64,AAAA"))),
        AssistantMessage(tool_calls=(ToolCall("call_1", "weather", "{}"),)),
        ToolMessage("call_1", "weather", "Sunny."),
    )
)
TURN = TurnLatencies(
    "sess_1",
    "resp_1",
    "completed",
    origin_s=2.0,
    is_spoken=True,
    is_drafted=True,
    pause_ms=100,
    committed_ms=500,
    first_text_ms=400,
    first_audio_ms=510,
    done_ms=1000,
)
WORK = (
    Work("judging", 2.1, 2.19, probability=0.9),
    Work("transcription", 2.1, 2.27, words="hush-question"),
    Work(
        "chat",
        2.27,
        2.9,
        first_s=2.4,
        usage=TokenUsage(100, 60, 12),
        reason="stop",
        request=REQUEST,
        words="hush-answer",
    ),
    Work("speech", 2.45, 2.95, first_s=2.48),
    Work(
        "tool", 2.9, 3.1, "http", tool="weather", item_id="item_5", words="hush-result", arguments={"city": "hush-city"}
    ),
)


class Traced:
    """An observer whose spans are kept in memory."""

    def __init__(
        self,
        opening: Opening | None = None,
        *,
        words: bool = False,
        engines: Mapping[EngineKind, Any] = MappingProxyType(scripted.engines()),
    ) -> None:
        exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        self._exporter = exporter
        self.observer = ServerObserver(Tracing(provider, engines, words=words, now_ns=lambda: BEGAN_NS))
        if opening is not None:
            self.observer.opened(opening, "a client")
        self.observer.session_started("sess_1", "req_1")

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


def times_ms(span: ReadableSpan) -> tuple[int, int]:
    """On the session's clock."""
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.start_time - BEGAN_NS) // 1_000_000, (span.end_time - BEGAN_NS) // 1_000_000


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_turn_is_a_span_and_its_work_are_spans_below_it_with_their_times() -> None:
    traced = Traced()
    traced.observer.turn_finished(TURN, WORK)
    spans = traced.spans
    turn = spans.pop("turn")
    assert {name: times_ms(span) for name, span in spans.items()} == {
        "judge_turn turn judge": (2_100, 2_190),
        "transcription stt": (2_100, 2_270),
        "chat llm": (2_270, 2_900),
        "speech tts": (2_450, 2_950),
        "execute_tool weather": (2_900, 3_100),
    }
    assert times_ms(turn) == (2_000, 3_100)
    assert turn.parent is None
    context = turn.get_span_context()
    assert context is not None
    for span in spans.values():
        assert span.parent is not None
        assert (span.parent.span_id, span.parent.trace_id) == (context.span_id, context.trace_id)
    assert [(event.name, (event.timestamp - BEGAN_NS) // 1_000_000) for event in turn.events] == [
        ("pause", 2_100),
        ("committed", 2_500),
        ("first_audio", 2_510),
    ]


def test_spans_have_the_attributes_of_the_conventions() -> None:
    traced = Traced()
    traced.observer.turn_finished(TURN, WORK)
    spans = traced.spans
    common = {"gen_ai.conversation.id": "sess_1"}
    assert attributes(spans["turn"]) == {
        **common,
        "session.id": "sess_1",
        "antiphon.turn.status": "completed",
        "antiphon.turn.origin": "speech",
        "antiphon.turn.drafted": True,
        "antiphon.turn.pause_ms": 100,
        "antiphon.turn.committed_ms": 500,
        "antiphon.turn.first_text_ms": 400,
        "antiphon.turn.first_audio_ms": 510,
        "antiphon.turn.done_ms": 1000,
    }
    chat = spans["chat llm"]
    shown = attributes(chat)
    assert shown.pop("gen_ai.response.time_to_first_chunk") == pytest.approx(0.13)
    assert shown == {
        **common,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "llm",
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
        "gen_ai.response.id": "resp_1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.output_tokens": 12,
    }
    tool = spans["execute_tool weather"]
    assert attributes(tool) == {
        **common,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.type": "extension",
        "gen_ai.tool.call.id": "item_5",
        "mcp.method.name": "tools/call",
        "error.type": "http",
    }
    assert (tool.status.status_code, chat.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert attributes(spans["judge_turn turn judge"])["antiphon.turn.probability"] == 0.9
    assert attributes(spans["speech tts"])["gen_ai.output.type"] == "speech"


def test_only_work_of_other_machines_is_a_call_of_a_client() -> None:
    engines: dict[EngineKind, Any] = {EngineKind.LLM: scripted.ScriptedLlm(), EngineKind.TTS: scripted.ScriptedTts()}
    engines[EngineKind.LLM].info = EngineInfo("openai", "qwen3:8b")
    traced = Traced(engines=engines)
    traced.observer.turn_finished(TURN, WORK)
    kinds = {name: span.kind for name, span in traced.spans.items()}
    assert kinds == {
        "turn": SpanKind.INTERNAL,
        "judge_turn": SpanKind.INTERNAL,
        "transcription": SpanKind.INTERNAL,
        "chat qwen3:8b": SpanKind.CLIENT,
        "speech tts": SpanKind.INTERNAL,
        "execute_tool weather": SpanKind.CLIENT,
    }
    assert attributes(traced.spans["chat qwen3:8b"])["gen_ai.provider.name"] == "openai"


def test_what_was_said_is_in_no_span() -> None:
    traced = Traced()
    assert not traced.observer.wants_words
    traced.observer.turn_finished(TURN, WORK)
    assert "hush" not in "".join(span.to_json() for span in traced.spans.values())


def test_what_was_said_is_in_the_spans_where_the_operator_wants_it() -> None:
    traced = Traced(words=True)
    assert traced.observer.wants_words
    traced.observer.turn_finished(TURN, WORK)
    chat, tool = attributes(traced.spans["chat llm"]), attributes(traced.spans["execute_tool weather"])
    assert json.loads(chat["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be kind."}]
    assert json.loads(chat["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "hush-question"}, {"type": "image"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call_1", "name": "weather", "arguments": "{}"}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "Sunny."}]},
    ]
    assert json.loads(chat["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "hush-answer"}], "finish_reason": "stop"}
    ]
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"city": "hush-city"}
    assert json.loads(tool["gen_ai.tool.call.result"]) == "hush-result"


def test_a_tool_outside_of_any_turn_has_a_span_of_its_own() -> None:
    traced = Traced()
    traced.observer.tool_called("sess_1", WORK[-1])
    (span,) = traced.spans.values()
    assert (span.name, span.parent) == ("execute_tool weather", None)


def test_a_turn_that_failed_says_so() -> None:
    traced = Traced()
    traced.observer.turn_finished(replace(TURN, status="failed"))
    assert traced.spans["turn"].status.status_code is StatusCode.ERROR


def test_what_ended_is_forgotten() -> None:
    traced = Traced()
    traced.observer.session_ended(SessionSummary("sess_1", "req_1", "closed", 3.0, 1, 0))
    traced.observer.turn_finished(TURN, WORK)
    traced.observer.tool_called("sess_1", WORK[-1])
    assert traced.spans == {}


@pytest.mark.parametrize(
    ("traceparent", "is_child"), [(f"00-{TRACE}-{SPAN}-01", True), ("nonsense", False), (None, False)]
)
def test_turns_belong_where_the_opening_request_does(traceparent: str | None, is_child: bool) -> None:
    traced = Traced(Opening("realtime", "m", "req_1", traceparent=traceparent, tracestate="a=b"))
    traced.observer.turn_finished(TURN, WORK)
    turn, chat = traced.spans["turn"], traced.spans["chat llm"]
    assert turn.context is not None
    assert chat.context is not None
    assert chat.context.trace_id == turn.context.trace_id
    assert (turn.parent is not None, format(turn.context.trace_id, "032x") == TRACE) == (is_child, is_child)


# --- whether there are any -----------------------------------------------------------------------------------------

HERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("section", "environment", "expected"),
    [
        (OtelSection(), {}, False),
        (OtelSection(content=True), {}, False),
        (OtelSection(endpoint="http://127.0.0.1:4318"), {}, True),
        (OtelSection(), HERE, True),
        (OtelSection(), {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        (OtelSection(), {**HERE, "OTEL_SDK_DISABLED": "TRUE"}, False),
        (OtelSection(), {**HERE, "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_sent_where_somebody_says_where_to(
    section: OtelSection, environment: Mapping[str, str], expected: bool
) -> None:
    assert is_asked_for(section, environment) == expected


def test_without_a_place_to_send_them_nothing_is_built() -> None:
    assert open_tracing(OtelSection(), {}) is None
    assert not ServerObserver().wants_words


def test_an_endpoint_without_the_extra_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_checks, "extra_is_installed", lambda: False)
    with pytest.raises(SettingsError, match=r"otel\.endpoint needs an extra: pip install 'antiphon\[otel\]'"):
        load_settings({"otel": {"endpoint": "http://127.0.0.1:4318"}})


def test_a_machine_that_traces_other_programs_is_told_that_the_extra_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "extra_is_installed", lambda: False)
    monkeypatch.setenv(*next(iter(HERE.items())))
    assert open_tracing(OtelSection(), {}) is None
    assert [record.message for record in caplog.records] == ["traces_not_sent"]


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"otel\.endpoint: .* is not an address"):
        load_settings({"otel": {"endpoint": endpoint}})


class _Stuck(SimpleSpanProcessor):
    """Waits until it is let go."""

    def __init__(self) -> None:
        super().__init__(InMemorySpanExporter())
        self.let_go = threading.Event()

    def shutdown(self) -> None:
        self.let_go.wait()


def test_a_collector_that_takes_nothing_keeps_no_server_from_ending(caplog: pytest.LogCaptureFixture) -> None:
    stuck = _Stuck()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(stuck)
    try:
        Tracing(provider, {}).close(most_s=0.01)
        assert [record.message for record in caplog.records] == ["traces_not_sent"]
    finally:
        stuck.let_go.set()


class _Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans and keeps their requests."""

    posts: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        self.posts.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_server_sends_the_spans_of_its_turns(run_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=of-the-test")
    collector = http.server.HTTPServer(("127.0.0.1", 0), _Collector)
    thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    async def scenario(server: Any) -> None:
        async with server.connect(additional_headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}) as socket:
            await socket.recv()
            await socket.send('{"type": "response.create"}')
            while json.loads(await socket.recv())["type"] != "response.done":
                pass

    try:
        run_server(scenario, {"otel": {"endpoint": f"http://127.0.0.1:{collector.server_port}"}})
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    ((path, body),) = _Collector.posts
    assert path == "/v1/traces"
    sent = ExportTraceServiceRequest.FromString(body)
    (of_process,) = sent.resource_spans
    resource = {one.key: one.value.string_value for one in of_process.resource.attributes}
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("antiphon", "of-the-test")
    names = {span.name: span for span in of_process.scope_spans[0].spans}
    assert set(names) == {"turn", "chat llm", "speech tts"}
    assert names["turn"].trace_id.hex() == TRACE
    assert names["turn"].parent_span_id.hex() == SPAN
