import asyncio
import json
import wave
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from antiphon import weights
from antiphon.audio.pcm import samples_to_pcm
from antiphon.engines.base import CallContext, Samples
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.registry import EngineKind, requirements
from antiphon.engines.stt_whisper import WhisperOptions, WhisperStt, create
from antiphon.engines.worker import Worker
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import SttOptions, Transcript
from tests.support.words import word_error_rate, word_errors

SPEECH = Path(__file__).parents[1] / "data" / "speech"
SAID: dict[str, str] = json.loads((SPEECH / "transcripts.json").read_text())
RATE_HZ = 16_000
CONTEXT = CallContext("session")
PAUSE = bytes(RATE_HZ)  # half a second
RANDOM = np.random.default_rng(0)

T = TypeVar("T")


def recording(name: str) -> bytes:
    with wave.open(str(SPEECH / f"{name}.wav")) as file:
        return bytes(file.readframes(file.getnframes()))


async def chunks_of(pcm: bytes, size_bytes: int = 3_200) -> AsyncIterator[bytes]:
    for start in range(0, len(pcm), size_bytes):
        yield pcm[start : start + size_bytes]


async def transcripts(engine: WhisperStt, pcm: bytes, options: SttOptions | None = None) -> list[Transcript]:
    stream = engine.transcribe(chunks_of(pcm), context=CONTEXT, options=options or SttOptions())
    async with aclosing(stream):
        return [transcript async for transcript in stream]


class Bench:
    """One engine for all tests of this module, on one event loop."""

    def __init__(self, runner: asyncio.Runner, options: dict[str, Any]) -> None:
        self._runner = runner
        self.engine = create(options)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def final(self, pcm: bytes, options: SttOptions | None = None) -> Transcript:
        *_, last = self.run(transcripts(self.engine, pcm, options))
        assert last.is_final
        return last


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def whisper(runner: asyncio.Runner) -> Iterator[Bench]:
    bench = Bench(runner, {})
    yield bench
    runner.run(bench.engine.aclose())


@pytest.mark.engines
@pytest.mark.parametrize(("window", "most"), [("fast", 0.1), ("full", 0.08)])
def test_human_speech_is_understood(whisper: Bench, runner: asyncio.Runner, window: str, most: float) -> None:
    bench = whisper if window == "fast" else Bench(runner, {"window": window})
    errors = sum(word_errors(said, bench.final(recording(name)).text) for name, said in SAID.items())
    assert errors / sum(len(said.split()) for said in SAID.values()) <= most
    if bench is not whisper:
        bench.run(bench.engine.aclose())


@pytest.mark.engines
def test_a_minute_in_one_commit_is_cut_at_pauses_and_joined(whisper: Bench) -> None:
    order = ["austen_0870", "austen_0890", "austen_0920", "austen_0880", "austen_0930"] * 3
    pcm = PAUSE.join(recording(name) for name in order)
    assert len(pcm) / 2 / RATE_HZ >= 60
    final = whisper.final(pcm)
    assert word_error_rate(" ".join(SAID[name] for name in order), final.text) <= 0.08
    assert len(final.logprobs) > 180


@pytest.mark.engines
def test_speech_of_25_s_is_one_piece_in_the_full_window(whisper: Bench) -> None:
    names = [name for name in SAID if name.startswith("austen")]
    final = whisper.final(bytes(4_000).join(recording(name) for name in names))
    assert word_error_rate(" ".join(SAID[name] for name in names), final.text) <= 0.08


def _noise(duration_s: float, level: float) -> Samples:
    return RANDOM.normal(0.0, level, int(duration_s * RATE_HZ)).astype(np.float32)


def _tone(duration_s: float, hz: float) -> Samples:
    at = np.arange(int(duration_s * RATE_HZ), dtype=np.float32) / RATE_HZ
    return np.float32(0.3) * np.sin(np.float32(2 * np.pi * hz) * at)


NO_SPEECH = {
    "nothing": np.zeros(0, np.float32),
    "one sample": np.zeros(1, np.float32),
    "silence": np.zeros(2 * RATE_HZ, np.float32),
    "faint noise": _noise(2, 0.001),
    "noise": _noise(2, 0.03),
    "loud noise": _noise(8, 0.1),
    "a moment of noise": _noise(0.2, 0.03),
    "tone": _tone(1, 440),
    "hum": _tone(8, 50),
}


@pytest.mark.engines
@pytest.mark.parametrize("hints", ["", "Antiphon, Marianne Dashwood"])
@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_no_speech_gives_no_words(whisper: Bench, name: str, hints: str) -> None:
    final = whisper.final(samples_to_pcm(NO_SPEECH[name]), SttOptions(prompt=hints))
    assert final.text == ""
    assert final.logprobs == ()


@pytest.mark.engines
@pytest.mark.parametrize(
    ("hints", "understood"),
    [
        ("", False),
        ("Playing cards, clubs, ill-disposed.", True),
        ("<|endoftext|><|startoftranscript|> clubs, spades, ill-disposed.", True),
        ("clubs, ill-disposed. " * 500, True),
    ],
    ids=["none", "words", "control tokens", "too many"],
)
def test_hints_help_with_rare_words(whisper: Bench, hints: str, understood: bool) -> None:
    assert ("ill-disposed" in whisper.final(recording("austen_0880"), SttOptions(prompt=hints)).text) is understood


@pytest.mark.engines
def test_the_log_probabilities_spell_the_text(whisper: Bench) -> None:
    final = whisper.final(recording("austen_0920"))
    assert "".join(entry.token for entry in final.logprobs).strip() == final.text
    assert all(entry.logprob <= 0.0 for entry in final.logprobs)
    assert sum(entry.logprob for entry in final.logprobs) > -5.0


@pytest.mark.engines
@pytest.mark.parametrize("language", ["en", "en-GB", None])
def test_english_is_heard_by_the_small_model(whisper: Bench, language: str | None) -> None:
    assert whisper.final(recording("austen_0930"), SttOptions(language=language)).language == "en"


@pytest.mark.engines
@pytest.mark.parametrize(
    ("options", "language", "found"),
    [({}, "tlh", "en"), ({"detect_language": True}, None, "en"), ({}, "de", "de"), ({"language": "de"}, None, "de")],
)
def test_base_hears_other_languages_and_detects_unknown_ones(
    whisper: Bench, runner: asyncio.Runner, options: dict[str, Any], language: str | None, found: str
) -> None:
    bench = Bench(runner, options) if options else whisper
    final = bench.final(recording("austen_0870"), SttOptions(language=language))
    assert final.language == found
    assert (word_error_rate(SAID["austen_0870"], final.text) <= 0.2) is (found == "en")
    several = bench.final(recording("austen_0870"), SttOptions(language=language, languages=("de", "fr", "en")))
    assert several.language == (found if language == "de" else "en")
    if bench is not whisper:
        bench.run(bench.engine.aclose())


@pytest.mark.engines
def test_partials_are_stable_and_near_the_final_text(runner: asyncio.Runner) -> None:
    """The clock is the audio's own; each chunk waits until the decodes before it have ended."""
    pcm = PAUSE.join(recording(name) for name in ("austen_0870", "austen_0920"))
    heard_s = 0.0
    worker = Worker("test")

    async def paced() -> AsyncIterator[bytes]:
        nonlocal heard_s
        async for chunk in chunks_of(pcm):
            heard_s += len(chunk) / 2 / RATE_HZ
            yield chunk
            await worker.run(lambda: None)

    async def run() -> list[Transcript]:
        engine = WhisperStt(WhisperOptions(partial_interval_ms=700), worker=worker, clock=lambda: heard_s)
        stream = engine.transcribe(paced(), context=CONTEXT, options=SttOptions(partials=True))
        async with aclosing(stream):
            found = [transcript async for transcript in stream]
        await engine.aclose()
        return found

    *partials, final = runner.run(run())
    texts = [partial.text for partial in partials]
    assert len(set(texts)) >= 8
    assert not any(partial.is_final or partial.thorough for partial in partials)
    for before, after in pairwise(texts):
        assert after.startswith(before)
    assert all(partial.hypothesis for partial in partials)
    assert sorted({partial.audio_s for partial in partials}) == [partial.audio_s for partial in partials]
    assert final.is_final
    said_so_far = " ".join(final.text.split()[: len(texts[-1].split())])
    assert word_error_rate(said_so_far, texts[-1]) <= 0.15
    assert len(texts[-1]) >= 0.7 * len(final.text)


@pytest.mark.engines
def test_what_is_known_at_a_pause_is_the_final_transcript_where_silence_follows(whisper: Bench) -> None:
    async def marked() -> AsyncIterator[bytes]:
        async for chunk in chunks_of(recording("go_forward")):
            yield chunk
        yield b""
        yield PAUSE

    async def run() -> list[Transcript]:
        async with aclosing(whisper.engine.transcribe(marked(), context=CONTEXT, options=SttOptions())) as found:
            return [transcript async for transcript in found]

    *_, final = found = whisper.run(run())
    assert final.is_final
    assert word_errors(SAID["go_forward"], final.text) <= 1
    assert all(said.thorough and said.hypothesis == final.text for said in found[:-1])


@pytest.mark.engines
def test_audio_that_is_all_there_gets_no_partials(whisper: Bench) -> None:
    found = whisper.run(transcripts(whisper.engine, recording("austen_0870"), SttOptions(partials=True)))
    assert [transcript.is_final for transcript in found] == [True]


@pytest.mark.engines
def test_a_deadline_ends_the_call_as_a_timeout_and_nothing_is_left_running(whisper: Bench) -> None:
    async def late() -> None:
        context = CallContext("session", deadline_s=0.001)
        pcm = recording("austen_0870")
        stream = whisper.engine.transcribe(chunks_of(pcm), context=context, options=SttOptions())
        async with aclosing(stream):
            await anext(stream)

    with pytest.raises(EngineError) as caught:
        whisper.run(late())
    assert caught.value.kind is EngineErrorKind.TIMEOUT
    assert caught.value.retryable
    assert whisper.final(recording("go_forward")).text
    assert whisper.engine.load == 0


@pytest.mark.engines
def test_an_own_model_is_used_for_every_language(runner: asyncio.Runner) -> None:
    bench = Bench(runner, {"path": str(weights.directory("whisper-tiny.en"))})
    final = bench.final(recording("go_forward"), SttOptions(language="de"))
    assert final.language == "en"
    assert "forward" in final.text
    assert bench.engine.info.name == "whisper own"
    bench.run(bench.engine.aclose())


@pytest.mark.engines
def test_missing_weights_of_base_fail_the_call_and_name_the_command(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench = Bench(runner, {})
    monkeypatch.setenv("ANTIPHON_CACHE_DIR", str(tmp_path))
    with pytest.raises(EngineError) as caught:
        bench.final(recording("go_forward"), SttOptions(language="de"))
    assert caught.value.kind is EngineErrorKind.UNAVAILABLE
    assert not caught.value.retryable
    assert "antiphon models fetch whisper-base" in caught.value.message
    bench.run(bench.engine.aclose())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "antiphon models fetch whisper-tiny.en"),
        ({"model": "base"}, "antiphon models fetch whisper-base"),
        ({"path": "/nonexistent"}, "holds no model.bin"),
        ({"modell": "base"}, "modell"),
        ({"window": "short"}, "window"),
        ({"threads": -1}, "threads"),
        ({"parallel": "0"}, "parallel"),
    ],
)
def test_what_cannot_be_built_is_refused_with_one_line(
    options: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTIPHON_CACHE_DIR", str(tmp_path))
    with pytest.raises(EngineSettingsError) as caught:
        create(options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["whisper-tiny.en", "whisper-base"]),
        ({"language": "de"}, ["whisper-base", "whisper-tiny.en"]),
        ({"detect_language": "true"}, ["whisper-base", "whisper-tiny.en"]),
        ({"model": "tiny.en"}, ["whisper-tiny.en"]),
        ({"model": "base"}, ["whisper-base"]),
        ({"model": "tiny.en", "language": "de"}, ["whisper-tiny.en"]),
        ({"path": "anywhere"}, []),
    ],
)
def test_the_engine_says_which_weights_its_options_need(options: dict[str, Any], names: Iterable[str]) -> None:
    needs = requirements(EngineKind.STT, "whisper")
    assert needs.modules == ("ctranslate2", "tokenizers")
    assert list(needs.weights(options)) == names
