"""What the core costs: CPU of ``Session.handle`` for each kind of fact, beside encoding the events that come of it."""

import base64
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Final

from antiphon.core.config import SessionConfig, realtime_session
from antiphon.core.inputs import (
    INPUT_HZ,
    AudioProduced,
    AudioReceived,
    ClientEventReceived,
    GenerationEnded,
    Input,
    SpeechProbability,
    TextProduced,
    ToolCallProduced,
    TranscriptProduced,
    TransportOpened,
)
from antiphon.core.limits import Limits
from antiphon.core.outputs import Emit, Output, StartResponse
from antiphon.core.session import Session
from antiphon.protocol.codec import decode_client_event, encode_server_event
from antiphon.protocol.server_events import ServerEvent
from antiphon.runtime.ids import new_id
from antiphon.vocabulary.llm import TokenUsage
from antiphon.vocabulary.speech import Transcript

__all__ = ["Core", "core"]

_ITEMS = 100
"""Items that the conversation holds while its session is measured."""
_TIMES = 500
_CHUNK_MS = 20
_WINDOW_SAMPLES = 32 * INPUT_HZ // 1000
_Facts = Iterator[list[Input]]


class Core:
    """A session with a conversation, and the facts that are told to it unmeasured."""

    def __init__(self) -> None:
        settings = realtime_session(id="sess_1", model="m", created_at_unix_s=0, max_s=3600)
        self.session = Session(SessionConfig(settings, 0), new_id=new_id, limits=Limits())
        self._heard = 0
        self.item_ids = [f"mine_{number}" for number in range(_ITEMS)]
        self.tell(TransportOpened())
        for item_id in self.item_ids:
            self.tell(item(item_id))

    def tell(self, *facts: Input) -> list[Output]:
        return [output for fact in facts for output in self.session.handle(fact, 1.0)]

    def update(self, **audio_input: Any) -> None:
        self.tell(event("session.update", session={"type": "realtime", "audio": {"input": audio_input}}))

    def respond(self) -> str:
        (order,) = (one for one in self.tell(event("response.create")) if isinstance(one, StartResponse))
        return order.response_id

    def heard(self, ms: int, probability: float) -> list[Input]:
        """Audio of whole windows in chunks, with the detector's word as soon as a window is there."""
        facts: list[Input] = []
        for _ in range(ms // _CHUNK_MS):
            facts.append(AudioReceived(bytes(_CHUNK_MS * INPUT_HZ // 1000 * 2)))
            self._heard += _CHUNK_MS * INPUT_HZ // 1000
            while self._told + _WINDOW_SAMPLES <= self._heard:
                facts.append(SpeechProbability(self._told, _WINDOW_SAMPLES, probability, -25.0))
                self._told += _WINDOW_SAMPLES
        return facts

    _told = 0


def event(type: str, **fields: Any) -> ClientEventReceived:
    return ClientEventReceived(decode_client_event(json.dumps({"type": type, **fields})).event)


def item(item_id: str) -> ClientEventReceived:
    content = [{"type": "input_text", "text": "What time is it in Paris, and what will the weather be?"}]
    return event(
        "conversation.item.create", item={"id": item_id, "type": "message", "role": "user", "content": content}
    )


# --- what is measured ----------------------------------------------------------------------------------------------


def _silence(core: Core) -> _Facts:
    core.update(transcription={"model": "whisper-1"})
    while True:
        yield core.heard(160, 0.02)


def _speech(core: Core) -> _Facts:
    core.update(transcription={"model": "whisper-1"})
    core.tell(*core.heard(320, 0.95))
    for turns in count():
        if turns % 100 == 99:
            core.tell(event("input_audio_buffer.clear"), *core.heard(320, 0.95))
        yield core.heard(160, 0.95)


def _texts(core: Core) -> _Facts:
    response_id = core.respond()
    while True:
        yield [TextProduced(response_id, "words of it ")]


def _speeches(core: Core) -> _Facts:
    response_id = core.respond()
    core.tell(TextProduced(response_id, "Some words that are spoken."))
    while True:
        yield [AudioProduced(response_id, bytes(9_600), 4_800, 0, 27)]


def _calls(core: Core) -> _Facts:
    response_id = core.respond()
    while True:
        yield [ToolCallProduced(response_id, 0, "look", '{"at": ')]


def _partials(core: Core) -> _Facts:
    core.update(transcription={"model": "whisper-1"})
    item_id = _started(core.tell(*core.heard(320, 0.95)))
    words = ""
    while True:
        words += "and more "
        yield [TranscriptProduced(item_id, 0, Transcript(words, is_final=False))]


def _started(outputs: Sequence[Output]) -> str:
    events = [json.loads(encode_server_event(output.event)) for output in outputs if isinstance(output, Emit)]
    return next(str(one["item_id"]) for one in events if one["type"] == "input_audio_buffer.speech_started")


def _update(core: Core) -> _Facts:
    tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    while True:
        yield [event("session.update", session={"type": "realtime", "instructions": "Be brief.", "tools": [tool]})]


def _appends(_: Core) -> _Facts:
    audio = base64.b64encode(bytes(_CHUNK_MS * INPUT_HZ // 1000 * 2)).decode()
    while True:
        yield [event("input_audio_buffer.append", audio=audio)]


def _commits(core: Core) -> _Facts:
    core.update(turn_detection=None)
    while True:
        core.tell(AudioReceived(bytes(48_000)))
        yield [event("input_audio_buffer.commit")]
        last = core.session._conversation.last_id
        core.tell(event("conversation.item.delete", item_id=last))


def _clears(core: Core) -> _Facts:
    while True:
        core.tell(AudioReceived(bytes(48_000)))
        yield [event("input_audio_buffer.clear")]


def _creates(core: Core) -> _Facts:
    for number in count():
        yield [item(f"new_{number}")]
        core.tell(event("conversation.item.delete", item_id=f"new_{number}"))


def _deletes(core: Core) -> _Facts:
    for number in count():
        core.tell(item(f"new_{number}"))
        yield [event("conversation.item.delete", item_id=f"new_{number}")]


def _retrieves(core: Core) -> _Facts:
    while True:
        yield [event("conversation.item.retrieve", item_id=core.item_ids[50])]


def _truncates(core: Core) -> _Facts:
    response_id = core.respond()
    outputs = core.tell(TextProduced(response_id, "Some words that are spoken."))
    core.tell(AudioProduced(response_id, bytes(480_000), 240_000, 0, 27), _end(response_id))
    events = [json.loads(encode_server_event(output.event)) for output in outputs if isinstance(output, Emit)]
    item_id = next(one["item"]["id"] for one in events if one["type"] == "conversation.item.added")
    for number in count():
        fields = {"item_id": item_id, "content_index": 0, "audio_end_ms": max(0, 4_000 - number)}
        yield [event("conversation.item.truncate", **fields)]


def _responds(core: Core) -> _Facts:
    while True:
        facts: list[Input] = [event("response.create", response={"conversation": "none"})]
        yield facts
        core.tell(*[_end(one) for one in list(core.session._responses._out_of_band)])


def _cancels(core: Core) -> _Facts:
    while True:
        core.respond()
        yield [event("response.cancel")]


def _refused(_: Core) -> _Facts:
    while True:
        yield [event("output_audio_buffer.clear", event_id="mine")]


def _end(response_id: str) -> GenerationEnded:
    return GenerationEnded(response_id, "stop", TokenUsage(100, 0, 10))


_CASES: Final[dict[str, tuple[Callable[[Core], _Facts], float]]] = {
    "20 ms of silence": (_silence, 8),
    "20 ms of speech, transcribed as it comes": (_speech, 8),
    "partial transcript": (_partials, 1),
    "text delta": (_texts, 1),
    "delta of a call's arguments": (_calls, 1),
    "audio delta of 200 ms": (_speeches, 1),
    "`session.update`": (_update, 1),
    "`input_audio_buffer.append`, 20 ms": (_appends, 1),
    "`input_audio_buffer.commit`, 1 s": (_commits, 1),
    "`input_audio_buffer.clear`": (_clears, 1),
    "`conversation.item.create`": (_creates, 1),
    "`conversation.item.retrieve`": (_retrieves, 1),
    "`conversation.item.truncate`": (_truncates, 1),
    "`conversation.item.delete`": (_deletes, 1),
    "`response.create`": (_responds, 1),
    "`response.cancel`": (_cancels, 1),
    "`output_audio_buffer.clear` (refused)": (_refused, 1),
}
"""What is told, and by how many the figures of one round are divided."""


# --- measuring -----------------------------------------------------------------------------------------------------


def core() -> Sequence[Sequence[str]]:
    """CPU of one fact in the core, the median of many, and of encoding what came out of it."""
    rows = []
    for name, (case, parts) in _CASES.items():
        handled, encoded = _measured(case)
        ratio = f"{handled / encoded:.1f}" if encoded > 0 else ""
        rows.append((name, f"{handled / parts:.1f}", f"{encoded / parts:.1f}" if encoded > 0 else "", ratio))
    return rows


def _measured(case: Callable[[Core], _Facts]) -> tuple[float, float]:
    """Microseconds of CPU: in the core, in the encoder."""
    core = Core()
    rounds = case(core)
    handled, encoded = [], []
    for _ in range(_TIMES):
        facts = next(rounds)
        outputs: list[Output] = []
        began = time.thread_time_ns()
        for fact in facts:
            outputs += core.session.handle(fact, 1.0)
        handled.append(time.thread_time_ns() - began)
        events = [output.event for output in outputs if isinstance(output, Emit)]
        encoded.append(_encoding_ns(events) if events else 0)
    clock = _clock_ns()
    return tuple(max(0.0, statistics.median(all_ns) - clock) / 1000 for all_ns in (handled, encoded))  # type: ignore[return-value]


def _encoding_ns(events: Sequence[ServerEvent]) -> int:
    began = time.thread_time_ns()
    for one in events:
        encode_server_event(one)
    return time.thread_time_ns() - began


def _clock_ns() -> float:
    """What reading the clock twice takes."""
    return statistics.median(-(time.thread_time_ns() - time.thread_time_ns()) for _ in range(_TIMES))
