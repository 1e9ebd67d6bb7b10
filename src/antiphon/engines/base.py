"""The engine Protocols. ``antiphon.testing`` holds the conformance suite for their contract.

Every engine is built once, shared by all sessions and used on one event loop. After ``aclose()`` of a stream
(it returns within 100 ms) nothing is delivered any more; computation that cannot be stopped at once runs out within
``info.residual_ms``. Only ``EngineError`` comes out of a call.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from antiphon.engines.errors import EngineSettingsError
from antiphon.vocabulary.images import ImageReading
from antiphon.vocabulary.llm import ImageContent, LlmCapabilities, LlmChunk, LlmRequest
from antiphon.vocabulary.speech import Clause, NoiseKind, SpokenAudio, SttOptions, Transcript

__all__ = [
    "CallContext",
    "Draft",
    "Engine",
    "EngineInfo",
    "ImageReader",
    "LanguageModel",
    "NoiseFilter",
    "NoiseReducer",
    "Prefills",
    "Samples",
    "SpeechToText",
    "TextToSpeech",
    "TurnJudge",
    "VadState",
    "VoiceActivityDetector",
    "parse_options",
]

Samples = NDArray[np.float32]
"""Audio of shape (n,), range -1..1."""

VadState = Any
"""What a detector remembers of one session between windows; opaque to its holder."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    name: str
    version: str = ""
    """Version of the engine's model or library, for the banner and ``/readyz``."""
    residual_ms: int = 700
    """How long computation may go on after a stream was closed."""
    computes_here: bool = True
    """Whether it takes the cores of this machine, and not those of another."""


@dataclass(slots=True)
class Draft:
    """A call whose result may never be needed: it begins before it is known whether the user is done.

    It gives way to every other call, works no further ahead than its consumer asks, and is one like any other from the
    moment it is adopted.
    """

    adopted: bool = False


@dataclass(frozen=True, slots=True)
class CallContext:
    """Whose call this is. Engines use it for affinity, seeding and tracing; none of it changes the result's meaning."""

    session_id: str
    item_id: str = ""
    """The item being transcribed or spoken; seeds whatever is random."""
    deadline_s: float | None = None
    """Seconds within which the first result is needed; None: the engine's own limit."""
    attempt: int = 0
    draft: Draft | None = None


class Engine(Protocol):
    @property
    def info(self) -> EngineInfo: ...

    async def warm_up(self) -> None:
        """Make the first call as fast as the second."""

    async def aclose(self) -> None:
        """Free everything; no call may follow."""


class VoiceActivityDetector(Engine, Protocol):
    """Speech probability per window. Synchronous: the caller batches sessions and chooses the thread."""

    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def window_samples(self) -> int: ...

    def new_state(self) -> VadState: ...

    def detect(self, windows: Samples, states: Sequence[VadState]) -> Samples:
        """``windows``: shape (batch, window_samples); one state a row, updated in place. Returns shape (batch,)."""


class NoiseFilter(Protocol):
    """The filter of one session's input; synchronous, far below 1 ms a frame, freed with its last reference."""

    def filter(self, frame: Samples) -> Samples:
        """The next ``frame_samples`` of the input; returns as many, ``delay_samples`` later than they came in."""


class NoiseReducer(Engine, Protocol):
    """Takes noise out of what a microphone hears."""

    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def frame_samples(self) -> int: ...
    @property
    def delay_samples(self) -> int: ...

    def new_filter(self, kind: NoiseKind) -> NoiseFilter: ...


class TurnJudge(Engine, Protocol):
    @property
    def sample_rate_hz(self) -> int: ...

    async def judge(self, samples: Samples, *, text: str, context: CallContext) -> float:
        """Probability that the thought is complete, from the turn's audio so far (and its text, if any)."""


class SpeechToText(Engine, Protocol):
    @property
    def sample_rate_hz(self) -> int: ...

    def transcribe(
        self, audio: AsyncIterable[bytes], *, context: CallContext, options: SttOptions
    ) -> AsyncGenerator[Transcript, None]:
        """``audio``: s16le mono chunks of any size, ending with the utterance. Yields partials, then one final.

        An empty chunk marks a pause, or that somebody wants to know now. An engine that can answers, whether or not
        partials are wanted, with a transcript that is not final and whose ``hypothesis`` is thorough: the final
        transcript, if nothing but silence follows. Marks that come while it works on one may be answered together.
        Others take no notice: a mark is no audio and changes nothing in the final transcript.
        """


class LanguageModel(Engine, Protocol):
    @property
    def capabilities(self) -> LlmCapabilities: ...

    def generate(self, request: LlmRequest, *, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
        """Yields text and tool-call pieces, then one ``GenerationFinished``.

        A call that is a draft gives the same; an engine that computes on this machine lets others go before it.
        """

    async def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text: exact where the engine has a tokenizer, else an estimate (about 4 bytes a token)."""


@runtime_checkable
class Prefills(Protocol):
    """A language model that can read a prompt ahead of the generation that will use it."""

    async def prefill(self, request: LlmRequest, *, context: CallContext) -> None:
        """Read the prompt as far as it is known: its last message may go on, or change in its last words.

        It gives way to every other call at once, and may end without having read anything.
        """


class TextToSpeech(Engine, Protocol):
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def voices(self) -> tuple[str, ...]: ...

    def synthesize(
        self, clauses: AsyncIterable[Clause], *, voice: str, speed: float, context: CallContext
    ) -> AsyncGenerator[SpokenAudio, None]:
        """Speak the clauses as they come. An unknown ``voice`` is mapped to one of ``voices``, never refused."""


class ImageReader(Engine, Protocol):
    """Puts an image into words, for a language model that does not see."""

    async def read(self, image: ImageContent, *, context: CallContext) -> ImageReading:
        """``image`` was decoded once already, so it is whole and within the server's bounds. What cannot be seen is
        left out, never guessed."""


_Options = TypeVar("_Options", bound=msgspec.Struct)


def parse_options(engine: str, options: Mapping[str, Any], schema: type[_Options]) -> _Options:
    """Validate an engine's options against its own schema; texts from the environment are converted."""
    try:
        return msgspec.convert(dict(options), schema, strict=False)
    except msgspec.ValidationError as error:
        known = [field.encode_name for field in msgspec.structs.fields(schema)]
        near = [name for key in options if key not in known for name in get_close_matches(key, known, n=1)]
        hint = f"; did you mean {near[0]}?" if near else ""
        raise EngineSettingsError(f"{engine}: {error}{hint} (its options are: {', '.join(known)})") from error
