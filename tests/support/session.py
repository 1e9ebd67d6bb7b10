"""Drives a ``Session`` without a clock, a transport or engines: facts in, outputs out, every event checked.

Ids are numbered (``item_1``), time stands still unless it is moved, and speech comes in windows of 32 ms.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from antiphon.core.config import SessionConfig, TurnPolicy, realtime_session, transcription_session
from antiphon.core.inputs import (
    INPUT_HZ,
    AudioProduced,
    AudioReceived,
    ClientEventReceived,
    ClientEventRefused,
    GenerationEnded,
    ImageRead,
    ImageUnread,
    Input,
    SpeechProbability,
    TextProduced,
    ToolCallProduced,
    TranscriptFailed,
    TranscriptProduced,
    TransportOpened,
)
from antiphon.core.limits import Limits
from antiphon.core.outputs import Emit, Output, StartResponse
from antiphon.core.session import Session
from antiphon.core.session_update import updated_session
from antiphon.core.stored_prompts import StoredPrompt, StoredPrompts
from antiphon.protocol.client_events import SessionUpdate
from antiphon.protocol.codec import decode_body, decode_client_event, encode_server_event
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.server_events import ServerEvent
from antiphon.protocol.session_config import RealtimeSessionUpdate
from antiphon.testing.wire import assert_valid_server_event
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.images import ImageReading, TextLine
from antiphon.vocabulary.llm import FinishReason, LlmCapabilities, TokenUsage
from antiphon.vocabulary.speech import Transcript
from tests.support.recorded import assert_recorded_shape

__all__ = ["WINDOW_MS", "Driver", "Ids", "config", "events_of", "payload_of", "pcm_ms", "replayed"]

WINDOW_MS: Final = 32
_WINDOW_SAMPLES: Final = WINDOW_MS * INPUT_HZ // 1000


class Ids:
    """Ids that count: the same calls give the same ids."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __call__(self, kind: str) -> str:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}_{self._counts[kind]}"


def pcm_ms(ms: int) -> bytes:
    """Audio of that length whose every sample is its own position."""
    samples = ms * INPUT_HZ // 1000
    return b"".join((position & 0x7FFF).to_bytes(2, "little") for position in range(samples))


def config(
    kind: str = "realtime",
    session: Mapping[str, Any] | None = None,
    *,
    capabilities: LlmCapabilities | None = None,
    partials: bool = True,
    reads_images: bool = False,
    prompts: Mapping[str, Any] | None = None,
    paced: bool = False,
    turns: TurnPolicy | None = None,
) -> SessionConfig:
    """A session's configuration; ``session`` is merged as a ``session.update`` would be.

    ``prompts``: id to versions, the last one current; a version is a partial session.
    """
    if kind == "transcription":
        settings: Any = transcription_session(id="sess_1", created_at_unix_s=1_000, max_s=3600)
    else:
        settings = realtime_session(
            id="sess_1", model="gpt-realtime", created_at_unix_s=1_000, max_s=3600, instructions="Be brief."
        )
    if session:
        update = decode_client_event(json.dumps({"type": "session.update", "session": {"type": kind, **session}})).event
        assert isinstance(update, SessionUpdate)
        settings = updated_session(settings, update.session, Limits(), voice_frozen=False)
    capabilities = capabilities or LlmCapabilities()
    turns = turns or TurnPolicy()
    return SessionConfig(settings, 1_000, capabilities, partials, reads_images, _stored(prompts), paced, turns)


def _stored(prompts: Mapping[str, Any] | None) -> StoredPrompts | None:
    if prompts is None:
        return None
    return {
        prompt_id: StoredPrompt(list(versions)[-1], {name: _partial_session(body) for name, body in versions.items()})
        for prompt_id, versions in prompts.items()
    }


def _partial_session(body: Mapping[str, Any]) -> RealtimeSessionUpdate:
    return decode_body(json.dumps({"type": "realtime", **body}), RealtimeSessionUpdate).event


@dataclass
class Driver:
    """A session and what has been done to it. ``outputs`` collects until ``take`` is called."""

    settings: SessionConfig = field(default_factory=config)
    limits: Limits = field(default_factory=Limits)
    now: float = 0.0
    log: list[tuple[float, Input | None]] = field(default_factory=list)
    """Every input with its time; None is a tick."""
    check_events: bool = True

    def __post_init__(self) -> None:
        self.session = Session(self.settings, new_id=Ids(), limits=self.limits)
        self.outputs: list[Output] = []
        self.history: list[Output] = []
        self.samples = 0

    # --- in --------------------------------------------------------------------------------------------------------

    def do(self, fact: Input) -> list[Output]:
        self.log.append((self.now, fact))
        return self._collect(self.session.handle(fact, self.now))

    def tick(self) -> list[Output]:
        self.log.append((self.now, None))
        return self._collect(self.session.tick(self.now))

    def open(self) -> list[Output]:
        return self.do(TransportOpened())

    def send(self, event_type: str, /, **fields: Any) -> list[Output]:
        """A client event, through the codec."""
        return self.send_text(json.dumps({"type": event_type, **fields}))

    def send_text(self, text: str, origin: int = 0) -> list[Output]:
        try:
            event = decode_client_event(text).event
        except ProtocolError as error:
            return self.do(ClientEventRefused(error, origin))
        return self.do(ClientEventReceived(event, origin))

    def audio(self, ms: int) -> None:
        """Audio that no detector looks at."""
        self.chunk(ms * INPUT_HZ // 1000)

    def chunk(self, samples: int, fill: int = 0) -> None:
        """Audio of any length, all its bytes ``fill``."""
        self.samples += samples
        self.do(AudioReceived(bytes((fill,)) * (2 * samples)))

    def detected(self, first_sample: int, probability: float, level_dbfs: float = -25.0) -> None:
        """The detector's word on one window."""
        self.do(SpeechProbability(first_sample, _WINDOW_SAMPLES, probability, level_dbfs))

    def windows(self, ms: int, probability: float) -> None:
        """Audio and what the detector says of each of its windows."""
        assert ms % WINDOW_MS == 0, f"{ms} ms are not whole windows of {WINDOW_MS} ms"
        for _ in range(ms // WINDOW_MS):
            first = self.samples
            self.audio(WINDOW_MS)
            self.detected(first, probability)

    def speech(self, ms: int) -> None:
        self.windows(ms, 0.95)

    def silence(self, ms: int) -> None:
        self.windows(ms, 0.02)

    def transcript(self, item_id: str, text: str, *, index: int = 0, final: bool = True) -> list[Output]:
        return self.do(TranscriptProduced(item_id, index, Transcript(text, is_final=final)))

    def transcript_failed(self, item_id: str, kind: str = "failed", *, index: int = 0) -> list[Output]:
        return self.do(TranscriptFailed(item_id, index, EngineFault(EngineErrorKind(kind), message="It broke.")))

    def image(self, item_id: str, text: str, *, index: int = 0) -> list[Output]:
        """The reader's word on an image: one line of text, or none."""
        lines = (TextLine(text, 0.1, 0.1, 0.9, 0.2),) if text else ()
        return self.do(ImageRead(item_id, index, ImageReading(lines, ("red", "white"))))

    def image_unread(self, item_id: str, kind: str = "failed", *, index: int = 0) -> list[Output]:
        return self.do(ImageUnread(item_id, index, EngineFault(EngineErrorKind(kind), message="It broke.")))

    def text(self, response_id: str, text: str) -> list[Output]:
        return self.do(TextProduced(response_id, text))

    def call(self, response_id: str, index: int, name: str, arguments: str) -> list[Output]:
        return self.do(ToolCallProduced(response_id, index, name, arguments))

    def spoken(
        self, response_id: str, ms: int, start: int, end: int, *, narrow: bool = False, fill: int = 0
    ) -> list[Output]:
        """Speech of the characters ``start:end`` of the response, as PCM or (``narrow``) as G.711."""
        samples = ms * INPUT_HZ // 1000
        size = samples // 3 if narrow else 2 * samples
        return self.do(AudioProduced(response_id, bytes((fill,)) * size, samples, start, end))

    def ended(self, response_id: str, reason: FinishReason = "stop", usage: TokenUsage | None = None) -> list[Output]:
        return self.do(GenerationEnded(response_id, reason, usage or TokenUsage()))

    def broke(self, response_id: str, kind: str, message: str = "It broke.") -> list[Output]:
        fault = EngineFault(EngineErrorKind(kind), message=message)
        return self.do(GenerationEnded(response_id, "stop", TokenUsage(), fault))

    # --- what came of it -------------------------------------------------------------------------------------------

    def take(self) -> list[Output]:
        """The outputs since the last call."""
        outputs, self.outputs = self.outputs, []
        return outputs

    def forget(self) -> None:
        """Keep nothing of what has been so far."""
        self.outputs, self.history, self.log = [], [], []

    def take_events(self) -> list[dict[str, Any]]:
        return [payload_of(event) for event in events_of(self.take())]

    def started(self) -> list[StartResponse]:
        """The responses ordered since the last ``take``."""
        return [output for output in self.outputs if isinstance(output, StartResponse)]

    def _collect(self, outputs: list[Output]) -> list[Output]:
        if self.check_events:
            for event in events_of(outputs):
                payload = payload_of(event)
                assert_valid_server_event(payload)
                assert_recorded_shape(payload)
        self.outputs += outputs
        self.history += outputs
        return outputs


def events_of(outputs: list[Output]) -> Iterator[ServerEvent]:
    return (output.event for output in outputs if isinstance(output, Emit))


def payload_of(event: ServerEvent) -> dict[str, Any]:
    """The event as a client reads it."""
    payload: dict[str, Any] = json.loads(encode_server_event(event))
    return payload


def replayed(driver: Driver) -> list[Output]:
    """What a new session answers to the same log."""
    session = Session(driver.settings, new_id=Ids(), limits=driver.limits)
    outputs: list[Output] = []
    for now, fact in driver.log:
        outputs += session.tick(now) if fact is None else session.handle(fact, now)
    return outputs
