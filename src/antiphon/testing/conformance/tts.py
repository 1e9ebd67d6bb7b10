"""The contract of text to speech."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

from antiphon.engines.base import CallContext, TextToSpeech
from antiphon.testing.conformance.calls import Calls, check_of, common_checks, lifecycle_checks
from antiphon.testing.conformance.check import (
    Check,
    Material,
    Source,
    collect,
    context,
    require,
    require_names,
    require_positive,
    tolerated,
)
from antiphon.vocabulary.speech import Clause, SpokenAudio

__all__ = ["checks"]

_CLAUSES = (
    Clause("Good morning, ", "Good morning, "),
    Clause("**this** is ", "this is "),
    Clause("a test. ", "a test. "),
)


async def rate_and_voices_are_stated(engine: TextToSpeech, material: Material) -> None:
    """sample_rate_hz is a positive integer; voices are names, at least one, each once."""
    require_positive(engine.sample_rate_hz, "sample_rate_hz")
    require_names(engine.voices, "voices")


async def speech_is_whole_samples_with_spans_in_order(engine: TextToSpeech, material: Material) -> None:
    """Pieces are whole samples; their spans go forward, stay within the text, and reach every clause."""
    _hold(engine, await _speak(engine, _CLAUSES), material)


async def no_clause_gives_no_speech(engine: TextToSpeech, material: Material) -> None:
    """Without clauses nothing is yielded."""
    pieces = await _speak(engine, ())
    require(not pieces, f"{len(pieces)} pieces came without any clause")


async def a_clause_with_no_spoken_form_is_silent(engine: TextToSpeech, material: Material) -> None:
    """What has nothing to be read aloud gives no audio, and the spans of the others still count its text."""
    clauses = (Clause("```x = 1``` ", ""), Clause("Done.", "Done."))
    pieces = await _speak(engine, clauses)
    require(any(piece.pcm for piece in pieces), "the clause beside it was not spoken")
    early = [piece for piece in pieces if piece.pcm and piece.text_end <= len(clauses[0].text)]
    require(not early, f"audio came for the silent clause: span {_span(early[0])}" if early else "")
    silent = await _speak(engine, clauses[:1])
    require(not any(piece.pcm for piece in silent), "a silent clause alone gave audio")


async def clauses_are_spoken_as_they_come(engine: TextToSpeech, material: Material) -> None:
    """The first clause is heard before the second is given: nothing waits for the whole text."""
    source = Source(_CLAUSES[:1], endless=True)
    stream = engine.synthesize(source, voice=engine.voices[0], speed=1.0, context=context())
    try:
        piece = await anext(stream, None)
        require(isinstance(piece, SpokenAudio), f"the engine yielded {piece!r}, no SpokenAudio")
    finally:
        await stream.aclose()


async def an_unknown_voice_is_mapped(engine: TextToSpeech, material: Material) -> None:
    """Every voice of the engine speaks, and a voice that it does not know is spoken by one that it has."""
    for voice in (*engine.voices, "no-such-voice", ""):
        pieces = await _speak(engine, _CLAUSES[:1], voice=voice)
        require(any(piece.pcm for piece in pieces), f"the voice {voice!r} says nothing")


async def speed_shortens_speech(engine: TextToSpeech, material: Material) -> None:
    """A higher speed never makes speech longer."""
    slow_bytes = await _spoken_bytes(engine, speed=0.75)
    fast_bytes = await _spoken_bytes(engine, speed=1.5)
    require(fast_bytes <= slow_bytes * 1.05, f"at twice the speed {slow_bytes} bytes became {fast_bytes}")


async def strange_texts_are_spoken_or_refused(engine: TextToSpeech, material: Material) -> None:
    """Blanks, signs, emoji, control characters and endless words give audio, nothing, or an EngineError."""
    for text in (" ", "...", "👋 ✓", "\0\n\t", "Grüezi, 你好, привет", "a" * 600, "1234567890 " * 20):
        clauses = (Clause(text, text),)
        pieces = await tolerated(_speak(engine, clauses))
        _hold_pieces(pieces or (), clauses)


def checks() -> Sequence[Check]:
    first, last = lifecycle_checks()
    rules = (
        speech_is_whole_samples_with_spans_in_order,
        no_clause_gives_no_speech,
        a_clause_with_no_spoken_form_is_silent,
        clauses_are_spoken_as_they_come,
        an_unknown_voice_is_mapped,
        speed_shortens_speech,
        strange_texts_are_spoken_or_refused,
    )
    return (first, check_of(rate_and_voices_are_stated), *common_checks(_CALLS), *map(check_of, rules), last)


async def _speak(
    engine: TextToSpeech, clauses: Iterable[Clause], *, voice: str | None = None, speed: float = 1.0
) -> list[SpokenAudio]:
    voice = engine.voices[0] if voice is None else voice
    return await collect(engine.synthesize(Source(clauses), voice=voice, speed=speed, context=context()))


async def _spoken_bytes(engine: TextToSpeech, *, speed: float) -> int:
    return sum(len(piece.pcm) for piece in await _speak(engine, _CLAUSES, speed=speed))


def _hold(engine: TextToSpeech, results: list[Any], material: Material) -> None:
    _hold_pieces(results, _CLAUSES)
    start = 0
    for clause in _CLAUSES:
        end = start + len(clause.text)
        heard = any(piece.pcm and piece.text_start < end and piece.text_end > start for piece in results)
        require(heard, f"no piece speaks the clause {clause.text!r}")
        start = end


def _hold_pieces(pieces: Iterable[Any], clauses: Sequence[Clause]) -> None:
    length = sum(len(clause.text) for clause in clauses)
    start = end = 0
    for piece in pieces:
        require(isinstance(piece, SpokenAudio), f"the engine yielded {piece!r}, no SpokenAudio")
        require(isinstance(piece.pcm, bytes), f"pcm is {type(piece.pcm).__name__}, not bytes")
        require(len(piece.pcm) % 2 == 0, f"a piece of {len(piece.pcm)} bytes ends with half a sample")
        require(0 <= piece.text_start <= piece.text_end, f"the span {_span(piece)} runs backwards")
        require(piece.text_end <= length, f"the span {_span(piece)} lies beyond the text's {length} characters")
        forward = piece.text_start >= start and piece.text_end >= end
        require(forward, f"the span {_span(piece)} lies before ({start}, {end})")
        start, end = piece.text_start, piece.text_end


def _span(piece: SpokenAudio) -> tuple[int, int]:
    return piece.text_start, piece.text_end


def _opened(clauses: Sequence[Clause]) -> Any:
    def start(engine: TextToSpeech, material: Material, context: CallContext) -> AsyncGenerator[SpokenAudio, None]:
        return engine.synthesize(Source(clauses), voice=engine.voices[0], speed=1.0, context=context)

    return start


def _starved(engine: TextToSpeech, material: Material, source: Source[Clause]) -> AsyncGenerator[SpokenAudio, None]:
    return engine.synthesize(source, voice=engine.voices[0], speed=1.0, context=context())


def _input(engine: TextToSpeech, material: Material) -> list[Clause]:
    return list(_CLAUSES[:1])


_SENTENCE = "The river runs past the old mill and the market into the lake. "
_CALLS = Calls(
    plain=_opened(_CLAUSES),
    long=_opened([Clause(_SENTENCE, _SENTENCE)] * 20),
    heavy=_opened([Clause(_SENTENCE * 10, _SENTENCE * 10)]),
    judge=_hold,
    starved=_starved,
    input=_input,
)
