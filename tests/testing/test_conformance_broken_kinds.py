"""The checks that only one kind of engine has find the engine that breaks their rule."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from antiphon.engines.base import Samples
from antiphon.engines.registry import EngineKind
from antiphon.testing import conformance
from antiphon.testing.clock import run_virtual
from antiphon.testing.conformance import ContractError
from antiphon.testing.scripted import (
    ScriptedImageReader,
    ScriptedNoiseReducer,
    ScriptedTts,
    ScriptedTurnJudge,
    ScriptedVad,
)
from antiphon.vocabulary.images import ImageReading, TextLine
from antiphon.vocabulary.llm import (
    ImageContent,
)
from antiphon.vocabulary.speech import Clause, NoiseKind, SpokenAudio
from tests.testing.broken import JUDGE, NOISE, READER, TTS, VAD, Broken, with_attribute
from tests.testing.broken_llms import LLMS
from tests.testing.broken_stts import STTS


class BadVad(ScriptedVad):
    def __init__(self, spoil: Callable[["BadVad", Samples, Any, Samples], Any]) -> None:
        super().__init__()
        self.spoil = spoil
        self.last: Samples = np.zeros(1, np.float32)

    def detect(self, windows: Samples, states: Any) -> Any:
        return self.spoil(self, windows, states, super().detect(windows, states))


def remembering_the_last_call(vad: BadVad, windows: Samples, states: Any, result: Samples) -> Samples:
    heard, vad.last = vad.last, result
    return np.maximum(result, np.float32(heard[0] / 2))


def louder_in_a_batch(vad: BadVad, windows: Samples, states: Any, result: Samples) -> Samples:
    return result if len(result) == 1 else result * np.float32(0.99)


def by_place(vad: BadVad, windows: Samples, states: Any, result: Samples) -> Samples:
    return np.where(np.arange(len(result)) > 1, np.float32(0), result)


def writing_into_the_windows(vad: BadVad, windows: Samples, states: Any, result: Samples) -> Samples:
    windows *= 2
    return result


VADS = [
    Broken(VAD, "rate_and_window_are_stated", with_attribute(VAD, "sample_rate_hz", 0), "sample_rate_hz is 0"),
    Broken(VAD, "rate_and_window_are_stated", with_attribute(VAD, "window_samples", 0.5), "window_samples is 0.5"),
    *(
        Broken(VAD, check, partial(BadVad, spoil), finding)
        for check, spoil, finding in (
            ("probabilities_have_shape_type_and_range", lambda v, w, s, r: list(r), "returned list, no array"),
            ("probabilities_have_shape_type_and_range", lambda v, w, s, r: r.astype(np.float64), "is float64"),
            ("probabilities_have_shape_type_and_range", lambda v, w, s, r: r[:, np.newaxis], "shape is (1, 1)"),
            ("probabilities_have_shape_type_and_range", lambda v, w, s, r: r * 2, "outside 0..1"),
            ("probabilities_have_shape_type_and_range", lambda v, w, s, r: r * np.float32("nan"), "outside 0..1"),
            ("a_batch_gives_what_its_rows_give_alone", louder_in_a_batch, "differs by 0.0100"),
            ("a_batch_gives_what_its_rows_give_alone", by_place, "differs by 1.0000"),
            ("sessions_do_not_hear_each_other", remembering_the_last_call, "beside another session"),
            ("windows_are_not_changed", writing_into_the_windows, "wrote into the windows"),
        )
    ),
]


class BadJudge(ScriptedTurnJudge):
    def __init__(self, answer: Callable[[Samples], Any]) -> None:
        super().__init__()
        self.answer = answer

    async def judge(self, samples: Samples, **options: Any) -> Any:
        return self.answer(samples)


def writing_into_the_audio(samples: Samples) -> float:
    samples *= 2
    return 0.5


class BadFilter:
    def __init__(self, filter_: Any, spoil: Callable[[Samples, Samples], Any]) -> None:
        self.inner = filter_
        self.spoil = spoil

    def filter(self, frame: Samples) -> Any:
        return self.spoil(frame, self.inner.filter(frame))


class BadReducer(ScriptedNoiseReducer):
    def __init__(self, spoil: Callable[[Samples, Samples], Any]) -> None:
        super().__init__()
        self.spoil = spoil

    def new_filter(self, kind: NoiseKind) -> Any:
        return BadFilter(super().new_filter(kind), self.spoil)


class OneForAll(ScriptedNoiseReducer):
    """All sessions go through the same filter."""

    def __init__(self) -> None:
        super().__init__()
        self.only = super().new_filter("near_field")

    def new_filter(self, kind: NoiseKind) -> Any:
        return self.only


def doubling_in_place(frame: Samples, result: Samples) -> Samples:
    frame *= 2
    return result


_SHAPE = "frames_keep_their_shape_type_and_range"

REDUCERS = [
    *(
        Broken(NOISE, "rate_frame_and_delay_are_stated", with_attribute(NOISE, name, value), f"{name} is {value}")
        for name, value in (("sample_rate_hz", 0), ("frame_samples", 0.5), ("delay_samples", -1))
    ),
    *(
        Broken(NOISE, check, partial(BadReducer, spoil), finding)
        for check, spoil, finding in (
            (_SHAPE, lambda frame, result: list(result), "returned list, no array"),
            (_SHAPE, lambda frame, result: result.astype(np.float64), "is float64"),
            (_SHAPE, lambda frame, result: result[1:], "shape is (159,)"),
            (_SHAPE, lambda frame, result: result * np.float32(5), "outside -1..1: 2.5"),
            ("speech_comes_delay_samples_later", lambda frame, result: frame, "comes 0 samples later, not 96"),
            ("frames_are_not_changed", doubling_in_place, "wrote into the frame"),
        )
    ),
    Broken(NOISE, "filters_do_not_hear_each_other", OneForAll, "beside another session"),
]


JUDGES = [
    Broken(JUDGE, check, partial(BadJudge, answer), finding)
    for check, answer, finding in (
        ("any_length_of_audio_is_judged", lambda samples: 1.5, "1.5, outside 0..1"),
        ("any_length_of_audio_is_judged", lambda samples: float("nan"), "nan, outside 0..1"),
        ("any_length_of_audio_is_judged", lambda samples: True, "True, no float"),
        ("any_length_of_audio_is_judged", lambda samples: 1 / len(samples), "ZeroDivisionError came out"),
        ("the_audio_is_not_changed", writing_into_the_audio, "wrote into the samples"),
    )
]


class BadVoice(ScriptedTts):
    """Speaks every clause as the pieces that it is told to, or fails."""

    def __init__(self, pieces: Callable[[Clause, int], list[Any]], **options: Any) -> None:
        super().__init__(**options)
        self.pieces = pieces

    async def synthesize(self, clauses: Any, **options: Any) -> Any:
        offset = 0
        async for clause in clauses:
            for piece in self.pieces(clause, offset):
                yield piece
            offset += len(clause.text)


class WaitsForTheWholeText(ScriptedTts):
    async def synthesize(self, clauses: Any, **options: Any) -> Any:
        text = "".join([clause.text async for clause in clauses])
        yield SpokenAudio(b"\0\0", 0, len(text))


class HasSomethingToSay(ScriptedTts):
    async def synthesize(self, clauses: Any, **options: Any) -> Any:
        yield SpokenAudio(b"\0\0", 0, 0)


class KnowsItsVoicesOnly(ScriptedTts):
    async def synthesize(self, clauses: Any, *, voice: str, **options: Any) -> Any:
        self.voices.index(voice)
        yield SpokenAudio(b"\0\0", 0, 0)


class DumbInOneVoice(ScriptedTts):
    async def synthesize(self, clauses: Any, *, voice: str, **options: Any) -> Any:
        if voice != "high":
            yield SpokenAudio(b"\0\0", 0, 0)


class SlowerWhenFast(ScriptedTts):
    async def synthesize(self, clauses: Any, *, speed: float, **options: Any) -> Any:
        yield SpokenAudio(b"\0\0" * int(1000 * speed), 0, 0)


def whole(clause: Clause, offset: int, *, pcm: Any = b"\0\0", start: int = 0, end: int = 0) -> list[SpokenAudio]:
    return [SpokenAudio(pcm, offset + start, offset + len(clause.text) + end)]


def _not_spoken(clause: Clause, offset: int) -> list[SpokenAudio]:
    return [] if "test" in clause.text else whole(clause, offset)


def _latin_only(clause: Clause, offset: int) -> list[SpokenAudio]:
    clause.spoken.encode("latin-1")
    return whole(clause, offset)


_SPANS = "speech_is_whole_samples_with_spans_in_order"
_SILENT = "a_clause_with_no_spoken_form_is_silent"

VOICES = [
    Broken(TTS, "rate_and_voices_are_stated", with_attribute(TTS, "sample_rate_hz", 24000.0), "is 24000.0"),
    Broken(TTS, "rate_and_voices_are_stated", with_attribute(TTS, "voices", ()), "voices are ()"),
    Broken(TTS, "rate_and_voices_are_stated", with_attribute(TTS, "voices", ("a", "")), "not all of them names"),
    Broken(TTS, "rate_and_voices_are_stated", with_attribute(TTS, "voices", ("a", "a")), "one of them twice"),
    *(
        Broken(TTS, check, partial(BadVoice, pieces), finding)
        for check, pieces, finding in (
            (_SPANS, lambda clause, at: [clause.text], "no SpokenAudio"),
            (_SPANS, lambda clause, at: whole(clause, at, pcm=bytearray(2)), "bytearray, not bytes"),
            (_SPANS, lambda clause, at: whole(clause, at, pcm=b"\0"), "half a sample"),
            (_SPANS, lambda clause, at: whole(clause, at, start=99), "runs backwards"),
            (_SPANS, lambda clause, at: whole(clause, at, end=9), "lies beyond"),
            (_SPANS, lambda clause, at: whole(clause, 0), "lies before"),
            (_SPANS, _not_spoken, "no piece speaks the clause 'a test. '"),
            (_SILENT, whole, "audio came for the silent clause: span (0, 12)"),
            (_SILENT, lambda clause, at: [], "the clause beside it was not spoken"),
            ("strange_texts_are_spoken_or_refused", _latin_only, "UnicodeEncodeError came out"),
        )
    ),
    Broken(TTS, _SILENT, HasSomethingToSay, "span (0, 0)"),
    Broken(TTS, "no_clause_gives_no_speech", HasSomethingToSay, "1 pieces came"),
    Broken(TTS, "clauses_are_spoken_as_they_come", WaitsForTheWholeText, "no end after"),
    Broken(TTS, "an_unknown_voice_is_mapped", KnowsItsVoicesOnly, "ValueError came out"),
    Broken(TTS, "an_unknown_voice_is_mapped", DumbInOneVoice, "the voice 'high' says nothing"),
    Broken(TTS, "speed_shortens_speech", SlowerWhenFast, "1500 bytes became 3000"),
]


class BadReader(ScriptedImageReader):
    def __init__(self, answer: Callable[[ImageContent], Any]) -> None:
        super().__init__()
        self.answer = answer

    async def read(self, image: ImageContent, **options: Any) -> Any:
        return self.answer(image)


def reads(text: Any, *box: float) -> Callable[[ImageContent], Any]:
    return lambda image: ImageReading((TextLine(text, *box),))


READERS = [
    Broken(READER, check, partial(BadReader, answer), finding)
    for check, answer, finding in (
        ("an_image_without_text_has_no_lines", reads("Hi", 0.1, 0.1, 0.2, 0.2), "was read in a grey area"),
        ("an_image_without_text_has_no_lines", lambda image: "a cat", "returned 'a cat', no ImageReading"),
        ("any_size_is_read", reads("Hi", 10, 10, 20, 20), "is not within 0..1"),
        ("any_size_is_read", reads(None, 0.1, 0.1, 0.2, 0.2), "is no text"),
        ("any_size_is_read", lambda image: ImageReading(colours=(1,)), "colours are (1,)"),  # type: ignore[arg-type]
        ("any_size_is_read", lambda image: 1 / 0, "ZeroDivisionError came out"),
        ("data_that_is_no_image_is_refused", lambda image: ImageReading(), "from data that is no image"),
    )
]

BROKEN = [*VADS, *REDUCERS, *JUDGES, *STTS, *LLMS, *VOICES, *READERS]


@pytest.mark.parametrize(
    "broken", [pytest.param(row, id=f"{place}-{row.kind}-{row.check}") for place, row in enumerate(BROKEN)]
)
def test_a_check_finds_the_engine_that_breaks_its_rule(broken: Broken) -> None:
    (check,) = (check for check in conformance.checks_for(broken.kind) if check.name == broken.check)
    with pytest.raises(ContractError) as found:
        run_virtual(check(broken.engine()))
    assert broken.finding in str(found.value)
    assert check.rule in str(found.value)


def test_every_check_of_one_kind_is_shown_to_find_something() -> None:
    checks = [(kind, check.name) for kind in EngineKind for check in conformance.checks_for(kind)]
    kinds = Counter(name for _, name in checks)
    assert {(row.kind, row.check) for row in BROKEN} == {(kind, name) for kind, name in checks if kinds[name] == 1}
