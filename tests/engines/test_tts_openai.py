import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.registry import EngineKind, requirements
from antiphon.engines.tts_openai import OpenAiTts, OpenAiTtsOptions, create
from antiphon.vocabulary.errors import EngineErrorKind as Kind
from antiphon.vocabulary.speech import Clause, SpokenAudio

PCM = bytes(range(200)) * 10
CLAUSES = (Clause("**One,** ", "One, "), Clause("```x``` ", ""), Clause("two.", "two."), Clause(" 3", " three"))
Answer = Callable[[httpx.Request], httpx.Response]


class Body(httpx.AsyncByteStream):
    """A body in chunks; after the last one it ends, breaks or hangs."""

    def __init__(self, chunks: Iterable[bytes], end: Exception | None = None, *, hangs: bool = False) -> None:
        self._chunks = list(chunks)
        self._end = end
        self._hangs = hangs
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._hangs:
            await asyncio.get_running_loop().create_future()
        if self._end:
            raise self._end

    async def aclose(self) -> None:
        self.is_closed = True


def engine_on(answer: Answer, **settings: Any) -> OpenAiTts:
    options = OpenAiTtsOptions(base_url="http://test/v1", **settings)
    return OpenAiTts(options, transport=httpx.MockTransport(answer))


async def given_at_once(clauses: Iterable[Clause]) -> AsyncIterator[Clause]:
    for clause in clauses:
        yield clause


def speak(
    answer: Answer,
    clauses: Sequence[Clause] = CLAUSES,
    *,
    voice: str = "marin",
    speed: float = 1.0,
    deadline_s: float | None = None,
    options: dict[str, Any] | None = None,
) -> list[SpokenAudio]:
    async def run() -> list[SpokenAudio]:
        engine = engine_on(answer, **(options or {}))
        context = CallContext("session", deadline_s=deadline_s)
        stream = engine.synthesize(given_at_once(clauses), voice=voice, speed=speed, context=context)
        async with aclosing(stream):
            found = [piece async for piece in stream]
        await engine.aclose()
        return found

    return asyncio.run(run())


def failure(answer: Answer, **settings: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        speak(answer, **settings)
    return caught.value


def whole(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=PCM)


def asked(clauses: Sequence[Clause] = CLAUSES[:1], **settings: Any) -> list[dict[str, Any]]:
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return whole(request)

    speak(answer, clauses, **settings)
    return bodies


def test_each_spoken_clause_is_a_request_for_raw_pcm() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, str(request.url)) == ("POST", "http://test/v1/audio/speech")
        assert request.headers["authorization"] == "Bearer key"
        return whole(request)

    speak(answer, options={"api_key": "key"})
    plain = {"model": "gpt-4o-mini-tts", "voice": "marin", "response_format": "pcm"}
    assert asked(CLAUSES) == [plain | {"input": text} for text in ("One,", "two.", "three")]


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({"options": {"model": "m", "instructions": "slowly"}}, {"model": "m", "instructions": "slowly"}),
        ({"speed": 1.25}, {"speed": 1.25}),
        ({"speed": 0.01}, {"speed": 0.25}),
        ({"speed": 9.0}, {"speed": 4.0}),
    ],
)
def test_settings_become_parameters(settings: dict[str, Any], parameters: dict[str, Any]) -> None:
    (body,) = asked(**settings)
    assert body | parameters == body


@pytest.mark.parametrize(
    ("settings", "voice", "server_voice"),
    [
        ({}, "cedar", "cedar"),
        ({}, "no-such-voice", "alloy"),
        ({}, "", "alloy"),
        ({"voice": "af_heart"}, "cedar", "af_heart"),
        ({"voices": {"cedar": "am_adam"}}, "cedar", "am_adam"),
        ({"voices": {"cedar": "am_adam"}}, "marin", "am_adam"),
        ({"voices": "cedar=am_adam, marin = af_sky", "voice": "af_heart"}, "marin", "af_sky"),
        ({"voices": "cedar=am_adam, marin = af_sky", "voice": "af_heart"}, "verse", "af_heart"),
    ],
)
def test_any_voice_is_mapped_to_one_that_the_server_has(
    settings: dict[str, Any], voice: str, server_voice: str
) -> None:
    assert asked(voice=voice, options=settings)[0]["voice"] == server_voice


@pytest.mark.parametrize(
    ("settings", "voices"),
    [
        ({}, ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")),
        ({"voice": "x"}, ("x",)),
        ({"voices": "a=b,c=d", "voice": "a"}, ("a", "c")),
    ],
)
def test_voices_are_those_that_are_mapped(settings: dict[str, Any], voices: tuple[str, ...]) -> None:
    assert engine_on(whole, **settings).voices == voices


@pytest.mark.parametrize(
    "options",
    [
        {"voices": "marin"},
        {"voices": "=x"},
        {"sample_rate_hz": 1},
        {"base_url": "nowhere"},
        {"speed": 1},
    ],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(EngineSettingsError):
        create(options)


def test_options_may_be_texts_as_they_come_from_the_environment() -> None:
    engine = create({"sample_rate_hz": "16000", "timeout_s": "5", "voices": "marin=x"})
    assert engine.sample_rate_hz == 16_000
    assert requirements(EngineKind.TTS, "openai").modules == ()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096])
def test_chunks_of_any_size_become_whole_samples(size: int) -> None:
    chunks = [PCM[start : start + size] for start in range(0, len(PCM), size)]
    pieces = speak(lambda _: httpx.Response(200, stream=Body(chunks)), CLAUSES[:1])
    assert all(piece.pcm and len(piece.pcm) % 2 == 0 for piece in pieces)
    assert b"".join(piece.pcm for piece in pieces) == PCM


def test_half_a_sample_at_the_end_is_dropped() -> None:
    assert [piece.pcm for piece in speak(lambda _: httpx.Response(200, content=PCM + b"x"), CLAUSES[:1])] == [PCM]


def test_spans_follow_the_text_of_the_response() -> None:
    assert [(piece.text_start, piece.text_end) for piece in speak(whole)] == [(0, 9), (17, 21), (21, 23)]


def test_the_next_clause_is_asked_for_during_the_present_one_and_no_further() -> None:
    inputs: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        inputs.append(json.loads(request.content)["input"])
        return httpx.Response(200, stream=Body([PCM, PCM]))

    async def run() -> list[list[str]]:
        engine = engine_on(answer)
        clauses = [Clause(name, name) for name in "abcd"]
        seen = []
        stream = engine.synthesize(given_at_once(clauses), voice="", speed=1.0, context=CallContext("session"))
        async with aclosing(stream):
            async for _ in stream:
                for _ in range(20):  # let the request beside run as far as it goes
                    await asyncio.sleep(0)
                seen.append(list(inputs))
        await engine.aclose()
        return seen

    assert asyncio.run(run()) == [list("ab")] * 2 + [list("abc")] * 2 + [list("abcd")] * 4


def test_closing_a_call_closes_all_of_its_requests() -> None:
    bodies: list[Body] = []

    def answer(_: httpx.Request) -> httpx.Response:
        bodies.append(Body([PCM], hangs=True))
        return httpx.Response(200, stream=bodies[-1])

    async def run() -> None:
        engine = engine_on(answer)
        stream = engine.synthesize(given_at_once(CLAUSES), voice="", speed=1.0, context=CallContext("session"))
        await anext(stream)
        for _ in range(20):
            await asyncio.sleep(0)
        await stream.aclose()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("tts openai")]
        await engine.aclose()

    asyncio.run(run())
    assert [body.is_closed for body in bodies] == [True, True]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(400, json={"error": {"message": "bad"}}), Kind.BAD_INPUT),
        (httpx.Response(401), Kind.FAILED),
        (httpx.Response(429), Kind.OVERLOADED),
        (httpx.Response(503), Kind.UNAVAILABLE),
        (httpx.Response(200, json={"error": "no"}), Kind.FAILED),
        (httpx.Response(200, text="hello"), Kind.FAILED),
        (httpx.Response(200, content=b"RIFF" + PCM), Kind.FAILED),
        (httpx.Response(200, content=b"ID3" + PCM), Kind.FAILED),
        (httpx.Response(200, stream=Body([b"R", b"IF", b"F..."])), Kind.FAILED),
        (httpx.Response(200, stream=Body([PCM], httpx.ReadError("lost"))), Kind.UNAVAILABLE),
        (httpx.Response(200, stream=Body([PCM], httpx.ReadTimeout("slow"))), Kind.TIMEOUT),
    ],
)
def test_what_is_no_speech_is_an_engine_error(answer: httpx.Response, kind: Kind) -> None:
    assert failure(lambda _: answer, clauses=CLAUSES[:1]).kind is kind


def test_a_server_that_cannot_be_reached_is_unavailable() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    error = failure(refuse)
    assert (error.kind, error.retryable) == (Kind.UNAVAILABLE, True)


@pytest.mark.parametrize("chunks", [[], [b"x"]])
def test_no_sound_within_the_deadline_is_a_timeout(chunks: list[bytes]) -> None:
    error = failure(lambda _: httpx.Response(200, stream=Body(chunks, hangs=True)), deadline_s=0.01)
    assert error.kind is Kind.TIMEOUT


def test_an_error_of_a_later_clause_comes_after_the_speech_before_it() -> None:
    answers = iter([httpx.Response(200, content=PCM), httpx.Response(500)])

    async def run() -> None:
        engine = engine_on(lambda _: next(answers))
        stream = engine.synthesize(given_at_once(CLAUSES), voice="", speed=1.0, context=CallContext("session"))
        async with aclosing(stream):
            assert (await anext(stream)).pcm == PCM
            with pytest.raises(EngineError):
                await anext(stream)
        await engine.aclose()

    asyncio.run(run())


def test_an_error_of_the_clauses_themselves_comes_out_as_it_is() -> None:
    async def broken() -> AsyncIterator[Clause]:
        yield CLAUSES[0]
        raise LookupError("of the caller")

    async def run() -> None:
        engine = engine_on(whole)
        stream = engine.synthesize(broken(), voice="", speed=1.0, context=CallContext("session"))
        async with aclosing(stream):
            assert (await anext(stream)).pcm == PCM
            with pytest.raises(LookupError):
                await anext(stream)
        await engine.aclose()

    asyncio.run(run())
