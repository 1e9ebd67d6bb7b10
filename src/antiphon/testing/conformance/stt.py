"""The contract of speech to text."""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any

from antiphon.audio.pcm import silence
from antiphon.engines.base import CallContext, SpeechToText
from antiphon.testing.conformance.calls import Calls, check_of, common_checks, lifecycle_checks
from antiphon.testing.conformance.check import (
    Check,
    Material,
    Source,
    collect,
    context,
    require,
    require_positive,
    tolerated,
)
from antiphon.vocabulary.speech import SttOptions, Transcript

__all__ = ["checks"]

_CHUNK_BYTES = 3200
_ROUNDING_S = 0.001


async def the_rate_is_stated(engine: SpeechToText, material: Material) -> None:
    """sample_rate_hz is a positive integer."""
    require_positive(engine.sample_rate_hz, "sample_rate_hz")


async def without_partials_only_the_final_comes(engine: SpeechToText, material: Material) -> None:
    """Where partials are not wanted the final transcript is the only one."""
    results = await _transcribe(engine, material.pcm(engine.sample_rate_hz, at_least_s=3), SttOptions())
    _hold(engine, results, material)
    require(len(results) == 1, f"{len(results) - 1} partials came that nobody wanted")


async def partials_extend_each_other(engine: SpeechToText, material: Material) -> None:
    """A partial transcript begins with the one before it; the final one comes last, once."""
    options = SttOptions(partials=True)
    _hold(engine, await _transcribe(engine, material.pcm(engine.sample_rate_hz, at_least_s=6), options), material)


async def audio_may_come_in_chunks_of_any_size(engine: SpeechToText, material: Material) -> None:
    """One chunk, many, odd numbers of bytes, empty chunks: there is a final transcript."""
    pcm = material.pcm(engine.sample_rate_hz)
    for chunks in ([pcm], _cut(pcm, 333), (piece for chunk in _cut(pcm, 3200) for piece in (b"", chunk))):
        source = Source(chunks)
        results = await collect(engine.transcribe(source, context=context(), options=SttOptions(partials=True)))
        _hold(engine, results, material)


async def marks_change_no_words(engine: SpeechToText, material: Material) -> None:
    """Empty chunks mark pauses: wherever they stand, the final transcript has the same words."""
    plain = [*_spoken(engine, material), *_pause(engine)]
    marked = [*_cut_in_two(_spoken(engine, material)), b"", *_pause(engine), b""]
    results = [await _given(engine, chunks) for chunks in (plain, marked)]
    for result in results:
        _hold(engine, result, material)
    without, with_marks = (_words(result[-1].text) for result in results)
    require(without == with_marks, f"with marks the words {' '.join(without)!r} became {' '.join(with_marks)!r}")


async def a_hypothesis_tells_what_it_covers(engine: SpeechToText, material: Material) -> None:
    """A hypothesis covers no more audio than was given, and is thorough only where a pause was marked."""
    source = _Counted([*_spoken(engine, material), b"", *_pause(engine)])
    results = []
    async with aclosing(engine.transcribe(source, context=context(), options=SttOptions())) as stream:
        async for result in stream:
            results.append(result)
            if not result.is_final:
                _hold_hypothesis(result, source.given_bytes / 2 / engine.sample_rate_hz, marked=source.marked)
    _hold(engine, results, material)


async def poor_audio_gives_a_transcript_or_an_engine_error(engine: SpeechToText, material: Material) -> None:
    """No audio, a moment, silence and half a sample are transcribed or refused with an EngineError."""
    rate_hz = engine.sample_rate_hz
    for pcm in (b"", silence(1), silence(rate_hz // 100), silence(2 * rate_hz), material.pcm(rate_hz) + b"\0"):
        results = await tolerated(_transcribe(engine, pcm, SttOptions(partials=True)))
        if results is not None:
            _hold(engine, results, material)


async def any_options_give_a_transcript_or_an_engine_error(engine: SpeechToText, material: Material) -> None:
    """A language that the engine does not know and a long hint are used, ignored or refused with an EngineError."""
    pcm = material.pcm(engine.sample_rate_hz)
    hint = "Words: " + "Bern, " * 500
    for options in (SttOptions(language="en"), SttOptions(language="xx"), SttOptions(prompt=hint)):
        results = await tolerated(_transcribe(engine, pcm, options))
        if results is not None:
            _hold(engine, results, material)


def checks() -> Sequence[Check]:
    first, last = lifecycle_checks()
    rules = (
        without_partials_only_the_final_comes,
        partials_extend_each_other,
        audio_may_come_in_chunks_of_any_size,
        marks_change_no_words,
        a_hypothesis_tells_what_it_covers,
        poor_audio_gives_a_transcript_or_an_engine_error,
        any_options_give_a_transcript_or_an_engine_error,
    )
    return (first, check_of(the_rate_is_stated), *common_checks(_CALLS), *map(check_of, rules), last)


async def _transcribe(engine: SpeechToText, pcm: bytes, options: SttOptions) -> list[Transcript]:
    return await collect(engine.transcribe(Source(_cut(pcm, _CHUNK_BYTES)), context=context(), options=options))


async def _given(engine: SpeechToText, chunks: Sequence[bytes]) -> list[Transcript]:
    return await collect(engine.transcribe(Source(chunks), context=context(), options=SttOptions()))


class _Counted(Source[bytes]):
    """Counts the audio that was taken, and the marks."""

    given_bytes = 0
    marked = False

    async def __anext__(self) -> bytes:
        chunk = await super().__anext__()
        self.given_bytes += len(chunk)
        self.marked = self.marked or not chunk
        return chunk


def _hold_hypothesis(result: Transcript, given_s: float, *, marked: bool) -> None:
    require(isinstance(result.hypothesis, str), f"a hypothesis is {result.hypothesis!r}, no text")
    require(0 <= result.audio_s <= given_s + _ROUNDING_S, f"a hypothesis covers {result.audio_s!r} s of {given_s:g} s")
    require(marked or not result.thorough, "a hypothesis is thorough before anything was marked")


def _spoken(engine: SpeechToText, material: Material) -> list[bytes]:
    return list(_cut(material.pcm(engine.sample_rate_hz), _CHUNK_BYTES))


def _pause(engine: SpeechToText) -> list[bytes]:
    return list(_cut(silence(engine.sample_rate_hz * 3 // 10), _CHUNK_BYTES))


def _cut_in_two(chunks: Sequence[bytes]) -> list[bytes]:
    """With a mark in the middle."""
    middle = len(chunks) // 2
    return [*chunks[:middle], b"", *chunks[middle:]]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _cut(pcm: bytes, size_bytes: int) -> Iterator[bytes]:
    return (pcm[start : start + size_bytes] for start in range(0, len(pcm), size_bytes))


def _hold(engine: SpeechToText, results: list[Any], material: Material) -> None:
    for result in results:
        require(isinstance(result, Transcript), f"the engine yielded {result!r}, no Transcript")
        require(isinstance(result.text, str), f"a transcript's text is {result.text!r}")
    finals = [place for place, result in enumerate(results) if result.is_final]
    require(len(finals) == 1, f"there were {len(finals)} final transcripts, not one")
    require(finals == [len(results) - 1], "the final transcript is not the last")
    texts = [result.text for result in results[:-1]]
    for before, after in pairwise(texts):
        require(after.startswith(before), f"the partial {after!r} does not extend {before!r}")


def _opened(at_least_s: float) -> Any:
    def start(engine: SpeechToText, material: Material, context: CallContext) -> AsyncGenerator[Transcript, None]:
        pcm = material.pcm(engine.sample_rate_hz, at_least_s=at_least_s)
        options = SttOptions(partials=True)
        return engine.transcribe(Source(_cut(pcm, _CHUNK_BYTES)), context=context, options=options)

    return start


def _starved(engine: SpeechToText, material: Material, source: Source[bytes]) -> AsyncGenerator[Transcript, None]:
    return engine.transcribe(source, context=context(), options=SttOptions(partials=True))


def _input(engine: SpeechToText, material: Material) -> list[bytes]:
    return list(_cut(material.pcm(engine.sample_rate_hz), _CHUNK_BYTES))


_CALLS = Calls(plain=_opened(0), long=_opened(8), heavy=_opened(20), judge=_hold, starved=_starved, input=_input)
