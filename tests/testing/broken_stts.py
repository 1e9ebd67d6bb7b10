"""Recognisers that break a rule each."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from antiphon.engines.errors import EngineError
from antiphon.testing.scripted import (
    ScriptedStt,
)
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import Transcript
from tests.testing.broken import STT, Broken, with_attribute

__all__ = ["STTS"]

FINAL = Transcript("one two", is_final=True)


def early(text: str) -> Transcript:
    return Transcript(text, is_final=False)


class NeedsWholeSamples(ScriptedStt):
    async def transcribe(self, audio: Any, **options: Any) -> Any:
        size = 0
        async for chunk in audio:
            size += len(np.frombuffer(chunk, "<i2"))
        yield Transcript("x", is_final=True)


class DividesByLength(ScriptedStt):
    async def transcribe(self, audio: Any, **options: Any) -> Any:
        size = sum([len(chunk) async for chunk in audio])
        yield Transcript(f"{1 / size}", is_final=True)


class KnowsEnglishOnly(ScriptedStt):
    async def transcribe(self, audio: Any, *, context: Any, options: Any) -> Any:
        async for _ in audio:
            pass
        yield Transcript({"en": "x", None: "x"}[options.language], is_final=True)


class TellsItsPath(ScriptedStt):
    async def transcribe(self, audio: Any, **options: Any) -> Any:
        size = sum([len(chunk) async for chunk in audio])
        if size < 1000:
            raise EngineError(EngineErrorKind.BAD_INPUT, "cannot read /var/lib/model.bin")
        yield FINAL


class TextsOnly(ScriptedStt):
    async def transcribe(self, audio: Any, **options: Any) -> Any:
        async for _ in audio:
            pass
        yield "one two"


class Marked(ScriptedStt):
    """Takes marks for words, and answers them with what it likes."""

    def __init__(self, *answers: Transcript, misled: bool = False) -> None:
        super().__init__()
        self.answers = answers
        self.misled = misled

    async def transcribe(self, audio: Any, **options: Any) -> Any:
        marks = 0
        async for chunk in audio:
            marks += not chunk
            for answer in self.answers:
                yield answer
        yield Transcript("one " * (1 + marks * self.misled), is_final=True)


def hears(check: str, script: list[Any], finding: str) -> Broken:
    return Broken(STT, check, lambda: ScriptedStt([script]), finding)


STTS = [
    Broken(STT, "the_rate_is_stated", with_attribute(STT, "sample_rate_hz", None), "sample_rate_hz is None"),
    hears("without_partials_only_the_final_comes", [early("one"), FINAL], "1 partials came"),
    hears("partials_extend_each_other", [early("one"), early("won two"), FINAL], "'won two' does not extend 'one'"),
    hears("partials_extend_each_other", [early("one")], "there were 0 final transcripts"),
    hears("partials_extend_each_other", [FINAL, FINAL], "there were 2 final transcripts"),
    hears("partials_extend_each_other", [FINAL, early("one")], "is not the last"),
    Broken(STT, "partials_extend_each_other", TextsOnly, "no Transcript"),
    Broken(STT, "audio_may_come_in_chunks_of_any_size", NeedsWholeSamples, "ValueError came out"),
    Broken(STT, "marks_change_no_words", partial(Marked, misled=True), "'one' became 'one one one one'"),
    *(
        Broken(STT, "a_hypothesis_tells_what_it_covers", partial(Marked, answer), finding)
        for answer, finding in (
            (replace(early(""), thorough=True), "thorough before anything was marked"),
            (replace(early(""), audio_s=0.2), "covers 0.2 s of 0.1 s"),
            (replace(early(""), audio_s=-1), "covers -1 s of 0.1 s"),
            (replace(early(""), hypothesis=None), "a hypothesis is None"),  # type: ignore[arg-type]
        )
    ),
    Broken(STT, "poor_audio_gives_a_transcript_or_an_engine_error", DividesByLength, "ZeroDivisionError came out"),
    Broken(STT, "poor_audio_gives_a_transcript_or_an_engine_error", TellsItsPath, "not safe to show"),
    Broken(STT, "any_options_give_a_transcript_or_an_engine_error", KnowsEnglishOnly, "KeyError came out"),
]
