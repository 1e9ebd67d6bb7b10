"""Speech to text and text to speech: orders and facts."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Clause", "NoiseKind", "SpokenAudio", "SttOptions", "SttUsage", "Transcript", "WordLogprob"]

NoiseKind: TypeAlias = Literal["near_field", "far_field"]
"""Where the microphone is: close to the mouth, or across the room."""


@dataclass(frozen=True, slots=True)
class SttOptions:
    language: str | None = None
    """ISO 639-1; None lets the engine detect it or use its only one."""
    languages: tuple[str, ...] = ()
    """Where ``language`` is None: those that are to be expected, where the caller named several."""
    prompt: str = ""
    """Words that are likely to occur: a hint, never an instruction."""
    partials: bool = False
    """Whether partial transcripts are wanted (an engine may leave them out under load)."""


@dataclass(frozen=True, slots=True)
class WordLogprob:
    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class SttUsage:
    """What an engine that bills by tokens counted."""

    text_tokens: int
    """Of its input: hints."""
    audio_tokens: int
    """Of its input."""
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """A partial transcript holds the *stable* text so far: each one extends the one before.

    The final transcript comes last, once; its text may differ from the partials.
    """

    text: str
    is_final: bool
    language: str | None = None
    logprobs: tuple[WordLogprob, ...] = ()
    usage: SttUsage | None = None
    """Of the final transcript; None where the engine counts no tokens."""
    hypothesis: str = ""
    """Of a transcript that is not final: all that the recogniser takes the audio so far to say. It may change."""
    audio_s: float = 0.0
    """How much of the audio the hypothesis covers, from its beginning."""
    thorough: bool = False
    """The hypothesis is what the final transcript would be, if no more was said. Given where a pause was marked."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of a response to be spoken: its own text, and the form in which it is read aloud."""

    text: str
    """The response's own words, exactly; the clauses of a response joined are its text."""
    spoken: str
    """Without markup, emoji and code; may be empty, then nothing is to be heard."""
    leads_on: bool = False
    """It was cut inside a phrase, which the next one goes on with: no pause is to be heard between them."""


@dataclass(frozen=True, slots=True)
class SpokenAudio:
    """A piece of speech and the characters of the response's own text that it speaks."""

    pcm: bytes
    """s16le mono at the engine's ``sample_rate_hz``, whole samples."""
    text_start: int
    text_end: int
    """Offsets into the joined ``Clause.text``; every piece of one clause may carry the clause's whole span."""
