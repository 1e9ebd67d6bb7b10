"""What is to be done: the orders of a session, to be performed in list order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from antiphon.core.inputs import Origin
from antiphon.protocol.server_events import ServerEvent
from antiphon.protocol.session_config import FormatName
from antiphon.vocabulary.llm import ImageContent, LlmRequest
from antiphon.vocabulary.mcp import McpServer
from antiphon.vocabulary.speech import SttOptions

__all__ = [
    "AdoptDraft",
    "AskHypothesis",
    "BargeInJudged",
    "CallMcpTool",
    "ClearPlayout",
    "CloseSession",
    "DiscardDraft",
    "DuckPlayout",
    "Emit",
    "EndDraft",
    "EndTranscription",
    "FeedTranscription",
    "JudgeTurn",
    "ListMcpTools",
    "MeasureItem",
    "Output",
    "PlayAudio",
    "PrefillPrompt",
    "ReadImage",
    "SeekDraft",
    "SpeechOrder",
    "StartResponse",
    "StartTranscription",
    "StopMcp",
    "StopReading",
    "StopResponse",
    "StopTranscription",
    "TurnClosed",
]


@dataclass(frozen=True, slots=True)
class Emit:
    """Send an event to every connection, or only to the one that caused it."""

    event: ServerEvent
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class StartTranscription:
    """Begin to transcribe one audio part; its audio follows in ``FeedTranscription`` until ``EndTranscription``."""

    item_id: str
    content_index: int
    options: SttOptions


@dataclass(frozen=True, slots=True)
class FeedTranscription:
    item_id: str
    content_index: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class EndTranscription:
    item_id: str
    content_index: int


@dataclass(frozen=True, slots=True)
class StopTranscription:
    """Nothing more is wanted of it."""

    item_id: str
    content_index: int


@dataclass(frozen=True, slots=True)
class AskHypothesis:
    """Have the recogniser say what it has heard so far, as thoroughly as at the end. It may not answer."""

    item_id: str
    content_index: int


@dataclass(frozen=True, slots=True)
class JudgeTurn:
    """Find out whether the thought is complete; answered by ``TurnJudged``. A newer order for the item replaces one
    that still waits."""

    item_id: str
    at_sample: int
    """The end of ``pcm``."""
    pcm: bytes
    """The last of the turn's audio, s16le mono at ``INPUT_HZ``, at most 8 s."""
    text: str
    """What is known of its words."""


@dataclass(frozen=True, slots=True)
class SeekDraft:
    """Answered by ``DraftGranted`` as soon as the machine has room for a draft, which may be never."""

    item_id: str


@dataclass(frozen=True, slots=True)
class EndDraft:
    """The turn is over, or was never one: its place for a draft is free again. Ordered once for each ``SeekDraft``ed
    item, granted or not."""

    item_id: str


@dataclass(frozen=True, slots=True)
class DiscardDraft:
    """A draft that was begun comes to nothing; its engines are stopped as by ``StopResponse``."""

    response_id: str
    reason: Literal["speech", "changed", "failed", "dropped"]
    """Speech went on; the conversation, the session or the transcript changed; an engine failed; the turn was
    dropped."""


@dataclass(frozen=True, slots=True)
class PrefillPrompt:
    """Let the model read a prompt ahead, its last message left open, while it has nothing else to do."""

    request: LlmRequest


@dataclass(frozen=True, slots=True)
class ReadImage:
    """Find out what an image part holds, for a model that does not see."""

    item_id: str
    content_index: int
    image: ImageContent


@dataclass(frozen=True, slots=True)
class StopReading:
    """Nothing more is wanted of it."""

    item_id: str
    content_index: int


@dataclass(frozen=True, slots=True)
class SpeechOrder:
    """How a response is to be spoken."""

    item_id: str
    voice: str
    speed: float
    format: FormatName


@dataclass(frozen=True, slots=True)
class StartResponse:
    response_id: str
    request: LlmRequest
    speech: SpeechOrder | None
    """None: text only."""
    draft: bool = False
    """Whether it is a draft: to be held after its first piece of speech, until it is adopted or discarded."""


@dataclass(frozen=True, slots=True)
class StopResponse:
    """Stop its engines; nothing more of it is wanted."""

    response_id: str


@dataclass(frozen=True, slots=True)
class AdoptDraft:
    """The draft is the answer: it goes on as any response."""

    response_id: str


@dataclass(frozen=True, slots=True)
class DuckPlayout:
    """Somebody may be about to interrupt: play more quietly (``on``), or as loud as before. Only where the transport
    paces playout; ``ClearPlayout`` ends it too."""

    on: bool


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Play more of an item, after all that is to be played already. Only where the transport paces playout."""

    response_id: str
    item_id: str
    pcm: bytes
    """s16le mono at ``INPUT_HZ``."""


@dataclass(frozen=True, slots=True)
class ClearPlayout:
    """Nothing more of these responses is to be heard: what has not left is dropped, and told by ``PlayoutCleared``."""

    response_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListMcpTools:
    """Ask a server for its tools, for the item that will hold them."""

    item_id: str
    server_label: str
    server: McpServer


@dataclass(frozen=True, slots=True)
class CallMcpTool:
    item_id: str
    server_label: str
    server: McpServer
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StopMcp:
    """Stop the list or the call of an item; nothing more is wanted of it."""

    item_id: str


@dataclass(frozen=True, slots=True)
class MeasureItem:
    """Count the tokens of an item's text."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class TurnClosed:
    """A user turn was committed: the moment from which the answer's latency is counted."""

    item_id: str
    silence_ms: int
    """How long nobody had spoken when the turn was closed."""
    is_answered: bool
    """Whether it is answered of itself, as soon as its words are known."""


@dataclass(frozen=True, slots=True)
class BargeInJudged:
    """What became of speech while the assistant was audible. For the report only."""

    item_id: str
    policy: Literal["exact", "considerate"]
    outcome: Literal["interrupted", "backchannel", "echo", "noise"]
    after_ms: int
    """Audio from the first voiced sample to the decision."""


@dataclass(frozen=True, slots=True)
class CloseSession:
    """End the connection. ``code`` and ``reason`` as in RFC 6455 §7.4."""

    code: int = 1000
    reason: str = ""


Output: TypeAlias = (
    Emit
    | StartTranscription
    | FeedTranscription
    | EndTranscription
    | StopTranscription
    | AskHypothesis
    | JudgeTurn
    | SeekDraft
    | EndDraft
    | DiscardDraft
    | AdoptDraft
    | PrefillPrompt
    | DuckPlayout
    | ReadImage
    | StopReading
    | StartResponse
    | StopResponse
    | PlayAudio
    | ClearPlayout
    | ListMcpTools
    | CallMcpTool
    | StopMcp
    | MeasureItem
    | TurnClosed
    | BargeInJudged
    | CloseSession
)
