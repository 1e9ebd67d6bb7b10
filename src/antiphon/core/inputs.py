"""What happened: the facts that a session is told, in the order in which they happened.

Every fact names its origin (item, response, sample range), so that the core can drop what is no longer wanted. Samples
are counted at ``INPUT_HZ`` from the first audio of the session.
"""

from dataclasses import dataclass
from typing import TypeAlias

from antiphon.protocol.client_events import ClientEvent
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import Tool
from antiphon.vocabulary.errors import EngineFault
from antiphon.vocabulary.images import ImageReading
from antiphon.vocabulary.llm import FinishReason, TokenUsage
from antiphon.vocabulary.mcp import McpFault, McpToolInfo
from antiphon.vocabulary.speech import Transcript

__all__ = [
    "INPUT_HZ",
    "AudioBudgetChanged",
    "AudioProduced",
    "AudioReceived",
    "ClientEventReceived",
    "ClientEventRefused",
    "ControlAttached",
    "ControlDetached",
    "DraftGranted",
    "GenerationEnded",
    "ImageRead",
    "ImageUnread",
    "Input",
    "ItemMeasured",
    "McpCallFailed",
    "McpCallFinished",
    "McpListFailed",
    "McpToolsListed",
    "Origin",
    "PlayoutCleared",
    "PlayoutEnded",
    "PlayoutStarted",
    "SpeechProbability",
    "TextProduced",
    "ToolCallProduced",
    "TranscriptFailed",
    "TranscriptProduced",
    "TransportClosed",
    "TransportOpened",
    "TurnJudged",
    "WritingEnded",
]

INPUT_HZ = 24_000
"""Rate of all audio inside a session; other formats are converted at its edge."""

Origin: TypeAlias = int
"""Which connection of a session: 0 is the one that opened it, others are sidebands."""


@dataclass(frozen=True, slots=True)
class TransportOpened:
    """The client can be written to; answered by ``session.created``."""

    tools: tuple[Tool, ...] = ()
    """Those with which the session begins, where a client secret binds any; credentials as references."""


@dataclass(frozen=True, slots=True)
class TransportClosed:
    clean: bool


@dataclass(frozen=True, slots=True)
class ControlAttached:
    """A sideband came to the session. It is told of everything from now on, and of nothing before."""

    origin: Origin


@dataclass(frozen=True, slots=True)
class ControlDetached:
    origin: Origin


@dataclass(frozen=True, slots=True)
class ClientEventReceived:
    """Any client event but ``input_audio_buffer.append``, whose audio comes as ``AudioReceived``."""

    event: ClientEvent
    origin: Origin = 0


@dataclass(frozen=True, slots=True)
class ClientEventRefused:
    """A client event that could not be read, or broke a rule of the transport."""

    error: ProtocolError
    origin: Origin = 0


@dataclass(frozen=True, slots=True)
class AudioReceived:
    pcm: bytes
    """s16le mono at ``INPUT_HZ``."""


@dataclass(frozen=True, slots=True)
class SpeechProbability:
    """The detector's word on one window of the input audio."""

    first_sample: int
    window_samples: int
    value: float
    level_dbfs: float


@dataclass(frozen=True, slots=True)
class TurnJudged:
    """The judge's word on a pause; None where it gave none (there is no judge, or it failed)."""

    item_id: str
    at_sample: int
    """The end of the audio that was judged."""
    probability: float | None


@dataclass(frozen=True, slots=True)
class DraftGranted:
    """There is room to draft an answer to the turn that is being spoken. Kept until ``EndDraft``."""

    item_id: str


@dataclass(frozen=True, slots=True)
class TranscriptProduced:
    item_id: str
    content_index: int
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class TranscriptFailed:
    item_id: str
    content_index: int
    fault: EngineFault


@dataclass(frozen=True, slots=True)
class ImageRead:
    item_id: str
    content_index: int
    reading: ImageReading


@dataclass(frozen=True, slots=True)
class ImageUnread:
    """An image could not be read."""

    item_id: str
    content_index: int
    fault: EngineFault


@dataclass(frozen=True, slots=True)
class ItemMeasured:
    item_id: str
    tokens: int


@dataclass(frozen=True, slots=True)
class TextProduced:
    response_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallProduced:
    response_id: str
    index: int
    name: str
    arguments_delta: str


@dataclass(frozen=True, slots=True)
class WritingEnded:
    """The model has said all it has to say in a response: its calls are complete. Its speech may go on."""

    response_id: str


@dataclass(frozen=True, slots=True)
class AudioProduced:
    """Speech of a response, ready for the wire: in the response's output format, 40 to 200 ms a piece."""

    response_id: str
    audio: bytes
    samples: int
    """Its duration at ``INPUT_HZ``."""
    text_start: int
    text_end: int
    """Characters of the response's text that it speaks."""


@dataclass(frozen=True, slots=True)
class GenerationEnded:
    """Text and speech of a response are complete, or its engines failed."""

    response_id: str
    reason: FinishReason
    usage: TokenUsage
    fault: EngineFault | None = None


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    """The first packet of an item's audio left. Told once for an item."""

    response_id: str
    item_id: str


@dataclass(frozen=True, slots=True)
class PlayoutEnded:
    """All that was given of an item has left. Told again where more is given later."""

    response_id: str
    item_id: str
    sent_samples: int


@dataclass(frozen=True, slots=True)
class PlayoutCleared:
    """What ``ClearPlayout`` took out of an item, told before any other fact.

    One for each item that had audio still to leave, also where none had left.
    """

    response_id: str
    item_id: str
    sent_samples: int
    heard_ms: int
    """What the listener is taken to have heard of it: what left, without what was still on its way."""


@dataclass(frozen=True, slots=True)
class McpToolsListed:
    item_id: str
    tools: tuple[McpToolInfo, ...]


@dataclass(frozen=True, slots=True)
class McpListFailed:
    item_id: str
    fault: McpFault


@dataclass(frozen=True, slots=True)
class McpCallFinished:
    item_id: str
    output: str


@dataclass(frozen=True, slots=True)
class McpCallFailed:
    item_id: str
    fault: McpFault


@dataclass(frozen=True, slots=True)
class AudioBudgetChanged:
    """How many bytes of audio the session may keep from now on."""

    max_bytes: int


Input: TypeAlias = (
    TransportOpened
    | TransportClosed
    | ControlAttached
    | ControlDetached
    | ClientEventReceived
    | ClientEventRefused
    | AudioReceived
    | SpeechProbability
    | TurnJudged
    | DraftGranted
    | TranscriptProduced
    | TranscriptFailed
    | ImageRead
    | ImageUnread
    | ItemMeasured
    | TextProduced
    | ToolCallProduced
    | WritingEnded
    | AudioProduced
    | GenerationEnded
    | PlayoutStarted
    | PlayoutEnded
    | PlayoutCleared
    | McpToolsListed
    | McpListFailed
    | McpCallFinished
    | McpCallFailed
    | AudioBudgetChanged
)
