"""A session's configuration when it begins."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from antiphon.core.stored_prompts import StoredPrompts
from antiphon.protocol.base import UNSET
from antiphon.protocol.session_config import (
    AudioFormat,
    AudioInput,
    AudioOutput,
    InputTranscription,
    RealtimeSession,
    RealtimeSessionAudio,
    ServerVad,
    SessionObject,
    TranscriptionSession,
    TranscriptionSessionAudio,
)
from antiphon.vocabulary.llm import LlmCapabilities

__all__ = [
    "DEFAULT_INSTRUCTIONS",
    "DEFAULT_TRANSCRIPTION_MODEL",
    "DEFAULT_VOICE",
    "MODELS_WITHOUT_TURN_DETECTION",
    "PCM_24K",
    "BargeIn",
    "SessionConfig",
    "TurnPolicy",
    "realtime_session",
    "transcription_session",
]

DEFAULT_INSTRUCTIONS = (
    "You are a helpful, friendly voice assistant. Answer in one or two short spoken sentences, in the user's language, "
    "without markup, lists or emoji. You cannot act or look things up unless a tool is listed: never say that you did "
    "something, and say so plainly when you do not know."
)
DEFAULT_VOICE = "marin"
DEFAULT_TRANSCRIPTION_MODEL = "whisper-1"
MODELS_WITHOUT_TURN_DETECTION = frozenset({"gpt-realtime-whisper", "gpt-live-transcribe"})
"""A client that has one of these transcribe commits each utterance itself, and does not turn the detection off."""
PCM_24K = AudioFormat(type="audio/pcm", rate=24000)


BargeIn: TypeAlias = Literal["auto", "exact", "considerate"]
"""What speech does while the assistant is audible: interrupt at once, as the API does (``exact``), or once it has
lasted or says more than "mm-hmm" (``considerate``). ``auto``: exact with ``server_vad``, considerate with
``semantic_vad``."""


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """How turns are taken, where the API leaves it to the server."""

    judges: bool = False
    """Whether there is a judge of turns; without one silence and words alone end the turns of ``semantic_vad``."""
    drafts: bool = False
    """Whether answers are begun before the turn is over."""
    prefills: bool = False
    """Whether the language model can read a prompt ahead."""
    barge_in: BargeIn = "auto"
    barge_in_ms: int = 400
    """With considerate barge-in: how long speech interrupts by its length alone."""
    echo_grace_ms: int = 500
    """On a call: how long after the first sound ever played speech is not taken to be the user's without its words."""


@dataclass(frozen=True, slots=True)
class SessionConfig:
    session: SessionObject
    """What ``session.created`` shows."""
    created_at_unix_s: int
    capabilities: LlmCapabilities = field(default_factory=LlmCapabilities)
    partials: bool = True
    """Whether the speech recogniser gives partial transcripts."""
    reads_images: bool = False
    """Whether there is an image reader, for a model that does not see."""
    prompts: StoredPrompts | None = None
    """Those that clients may refer to; None: references are kept and have no effect."""
    paced: bool = False
    """Whether the transport plays the session's audio in real time, and tells what of it was heard: a call. Its audio
    then goes out as ``PlayAudio`` and never as an event."""
    turns: TurnPolicy = field(default_factory=TurnPolicy)


def realtime_session(
    *, id: str, model: str, created_at_unix_s: int, max_s: float, instructions: str = DEFAULT_INSTRUCTIONS
) -> RealtimeSession:
    """A conversation's default session object, every field present."""
    return RealtimeSession(
        id=id,
        model=model,
        output_modalities=["audio"],
        instructions=instructions,
        tools=[],
        tool_choice="auto",
        max_output_tokens="inf",
        tracing=None,
        truncation="auto",
        prompt=None,
        expires_at=created_at_unix_s + int(max_s),
        audio=RealtimeSessionAudio(
            input=AudioInput(format=PCM_24K, turn_detection=ServerVad()),
            output=AudioOutput(format=PCM_24K, voice=DEFAULT_VOICE),
        ),
        include=None,
        parallel_tool_calls=UNSET,
    )


def transcription_session(
    *, id: str, created_at_unix_s: int, max_s: float, model: str = DEFAULT_TRANSCRIPTION_MODEL
) -> TranscriptionSession:
    """The default session object of a connection that only transcribes, with ``model``."""
    audio = AudioInput(
        format=PCM_24K,
        transcription=InputTranscription(model=model),
        turn_detection=None if model in MODELS_WITHOUT_TURN_DETECTION else ServerVad(),
    )
    return TranscriptionSession(
        id=id,
        expires_at=created_at_unix_s + int(max_s),
        include=None,
        audio=TranscriptionSessionAudio(input=audio),
    )
