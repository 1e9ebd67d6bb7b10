"""Facts and orders as they come to a session's report, in few words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from antiphon.core.inputs import (
    AudioProduced,
    GenerationEnded,
    PlayoutCleared,
    PlayoutStarted,
    TextProduced,
    TranscriptFailed,
    TranscriptProduced,
    TurnJudged,
    WritingEnded,
)
from antiphon.core.outputs import (
    AskHypothesis,
    CallMcpTool,
    Emit,
    JudgeTurn,
    Output,
    PlayAudio,
    StartResponse,
    StartTranscription,
    StopTranscription,
    TurnClosed,
)
from antiphon.protocol.items import McpCall
from antiphon.protocol.response import Response, ResponseAudio, ResponseAudioOutput, ResponseStatus, Usage
from antiphon.protocol.server_events import (
    ResponseCreated,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputItemAdded,
)
from antiphon.protocol.session_config import AudioFormat
from antiphon.runtime.session_report import SessionReport
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.llm import LlmRequest, TokenUsage, UserMessage
from antiphon.vocabulary.llm import TextContent as Words
from antiphon.vocabulary.mcp import McpServer
from antiphon.vocabulary.speech import SttOptions, Transcript
from tests.support.runtime import Noted

USAGE = TokenUsage(input_tokens=100, cached_tokens=60, output_tokens=12)
FAULT = EngineFault(EngineErrorKind.TIMEOUT)


def listen(item_id: str) -> StartTranscription:
    return StartTranscription(item_id, 0, SttOptions())


def stop_listening(item_id: str) -> StopTranscription:
    return StopTranscription(item_id, 0)


def ask(item_id: str) -> AskHypothesis:
    return AskHypothesis(item_id, 0)


def judge(item_id: str, at_sample: int = 0) -> JudgeTurn:
    return JudgeTurn(item_id, at_sample, b"", "")


def judged(item_id: str, probability: float | None, at_sample: int = 0) -> TurnJudged:
    return TurnJudged(item_id, at_sample, probability)


def hypothesis(item_id: str, words: str) -> TranscriptProduced:
    transcript = Transcript("", is_final=False, hypothesis=words, audio_s=1.0, thorough=True)
    return TranscriptProduced(item_id, 0, transcript)


def final(item_id: str, words: str) -> TranscriptProduced:
    return TranscriptProduced(item_id, 0, Transcript(words, is_final=True))


def unheard(item_id: str) -> TranscriptFailed:
    return TranscriptFailed(item_id, 0, FAULT)


def over(item_id: str, silence_ms: int, *, is_answered: bool = True) -> TurnClosed:
    return TurnClosed(item_id, silence_ms, is_answered)


def _response(response_id: str, status: ResponseStatus, tokens: int, *, aside: bool) -> Response:
    output = ResponseAudioOutput(format=AudioFormat(type="audio/pcm", rate=24000), voice="marin")
    usage = Usage(total_tokens=tokens, input_tokens=0, output_tokens=tokens)
    return Response(
        id=response_id,
        status=status,
        status_details=None,
        output=[],
        conversation_id=None if aside else "conv_1",
        output_modalities=["audio"],
        max_output_tokens="inf",
        audio=ResponseAudio(output=output),
        usage=usage,
        metadata=None,
    )


def created(response_id: str, *, aside: bool = False) -> Emit:
    """``aside``: out of band."""
    response = _response(response_id, "in_progress", 0, aside=aside)
    return Emit(ResponseCreated(event_id="event_1", response=response))


def done(response_id: str, status: ResponseStatus = "completed", tokens: int = 0, *, aside: bool = False) -> Emit:
    return Emit(ResponseDone(event_id="event_1", response=_response(response_id, status, tokens, aside=aside)))


def start(response_id: str, *, draft: bool = False) -> StartResponse:
    return StartResponse(response_id, LlmRequest((UserMessage((Words("Hello?"),)),)), None, draft)


def text(response_id: str, words: str = "Hello") -> TextProduced:
    return TextProduced(response_id, words)


def sound(response_id: str, samples: int = 960) -> AudioProduced:
    return AudioProduced(response_id, b"", samples, 0, 0)


def send_audio(response_id: str) -> Emit:
    event = ResponseOutputAudioDelta(
        event_id="event_1", response_id=response_id, item_id="item_9", output_index=0, content_index=0, delta=b"\0\0"
    )
    return Emit(event)


def play(response_id: str) -> PlayAudio:
    return PlayAudio(response_id, "item_9", b"\0\0")


def first_packet(response_id: str) -> PlayoutStarted:
    return PlayoutStarted(response_id, "item_9")


def cleared(response_id: str) -> PlayoutCleared:
    return PlayoutCleared(response_id, "item_9", 0, 0)


def written(response_id: str) -> WritingEnded:
    return WritingEnded(response_id)


def generated(response_id: str, fault: EngineFault | None = None) -> GenerationEnded:
    return GenerationEnded(response_id, "stop", USAGE, fault)


def add_call(response_id: str, item_id: str) -> Emit:
    item = McpCall(id=item_id, server_label="s", name="weather", arguments="")
    return Emit(ResponseOutputItemAdded(event_id="event_1", response_id=response_id, output_index=0, item=item))


def call(item_id: str) -> CallMcpTool:
    return CallMcpTool(item_id, "s", McpServer("http://127.0.0.1/"), "weather", {"city": "Berlin"})


_OUTPUTS = set(get_args(Output))


@dataclass(frozen=True)
class Clause:
    """The first clause of a response goes to the voice."""

    response_id: str


Script = Sequence[tuple[int, Any]]
"""Milliseconds on the session's clock, and what comes to the report then."""


@dataclass(frozen=True)
class Sent:
    """All events so far are handed to the network. Without any in a script each is at once."""


def told(script: Script, *, paced: bool = False, words: bool = False) -> Noted:
    observer = Noted()
    observer.wants_words = words
    now = 0.0
    at_once = not any(isinstance(thing, Sent) for _, thing in script)
    waiting: list[Callable[[float], None]] = []

    def when_sent(told: Callable[[float], None]) -> None:
        if at_once:
            told(now)
        else:
            waiting.append(told)

    report = SessionReport(observer, "sess_1", "req_1", paced=paced, when_sent=when_sent)
    for at_ms, thing in script:
        now = at_ms / 1000
        match thing:
            case Sent():
                while waiting:
                    waiting.pop(0)(now)
            case Clause():
                report.first_clause(thing.response_id, now)
            case _ if type(thing) in _OUTPUTS:
                report.order(thing, now)
            case _:
                report.fact(thing, now)
    report.ended("closed", script[-1][0] / 1000)
    return observer


SPOKEN = [
    (0, listen("item_1")),
    (10_000, over("item_1", 500)),
    (10_200, final("item_1", "Hello?")),
    (10_200, created("resp_1")),
    (10_201, start("resp_1")),
    (10_500, text("resp_1")),
    (10_560, text("resp_1")),
    (10_600, Clause("resp_1")),
    (10_700, sound("resp_1")),
    (10_701, send_audio("resp_1")),
    (10_800, send_audio("resp_1")),
    (11_000, written("resp_1")),
    (12_000, generated("resp_1")),
    (12_001, done("resp_1", tokens=42)),
]
