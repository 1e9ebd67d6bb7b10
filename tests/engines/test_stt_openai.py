import asyncio
import json
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from email import message_from_bytes
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest

from antiphon.audio.pcm import samples_to_pcm
from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.stt_openai import OpenAiStt, OpenAiSttOptions, create
from antiphon.testing.clock import run_virtual
from antiphon.vocabulary.errors import EngineErrorKind as Kind
from antiphon.vocabulary.speech import SttOptions, SttUsage, Transcript, WordLogprob

PCM = bytes(range(256)) * 100
Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


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


def events(*bodies: object) -> list[bytes]:
    return [b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies] + [b"data: [DONE]\n\n"]


def streamed(body: Body) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, stream=body)


async def once(pcm: bytes) -> AsyncIterator[bytes]:
    yield pcm[:999]
    yield pcm[999:]


def transcribe(
    answer: Answer,
    pcm: bytes = PCM,
    options: SttOptions | None = None,
    deadline_s: float | None = None,
    **settings: Any,
) -> list[Transcript]:
    async def run() -> list[Transcript]:
        transport = httpx.MockTransport(answer)  # type: ignore[arg-type]
        engine = OpenAiStt(OpenAiSttOptions(base_url="http://test/v1", **settings), transport=transport)
        context = CallContext("session", deadline_s=deadline_s)
        stream = engine.transcribe(once(pcm), context=context, options=options or SttOptions(partials=True))
        async with aclosing(stream):
            found = [transcript async for transcript in stream]
        await engine.aclose()
        return found

    return asyncio.run(run())


def failure(answer: Answer, **settings: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        transcribe(answer, **settings)
    return caught.value


def form_of(request: httpx.Request) -> dict[str, bytes]:
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    parts = message_from_bytes(head + request.content).get_payload()
    assert isinstance(parts, list)
    fields = {}
    for part in parts:
        assert not isinstance(part, str)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        fields[str(part.get_param("name", header="content-disposition"))] = content
    return fields


@pytest.mark.parametrize(
    ("settings", "options", "fields"),
    [
        ({}, SttOptions(), {"model": b"whisper-1"}),
        ({"model": "m"}, SttOptions(language="de"), {"model": b"m", "language": b"de"}),
        ({}, SttOptions(language="en-GB", prompt="Grüße"), {"language": b"en", "prompt": "Grüße".encode()}),
        ({"stream": True}, SttOptions(), {"stream": b"true"}),
        ({"logprobs": True}, SttOptions(), {"include[]": b"logprobs"}),
    ],
)
def test_the_utterance_is_sent_as_a_form(
    settings: dict[str, Any], options: SttOptions, fields: dict[str, bytes]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, str(request.url)) == ("POST", "http://test/v1/audio/transcriptions")
        assert request.headers["authorization"] == "Bearer key"
        form = form_of(request)
        with wave.open(BytesIO(form.pop("file"))) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
            assert file.readframes(file.getnframes()) == PCM
        assert form == {"model": b"whisper-1", "response_format": b"json"} | fields
        return httpx.Response(200, json={"text": "fine"})

    assert transcribe(answer, options=options, api_key="key", **settings)[-1].text == "fine"


@pytest.mark.parametrize(
    ("body", "final"),
    [
        ({"text": " Hello. "}, Transcript("Hello.", is_final=True)),
        ({"text": ""}, Transcript("", is_final=True)),
        ({"text": "Hallo", "language": "german", "duration": 1}, Transcript("Hallo", is_final=True, language="german")),
        (
            {"text": "Hi", "logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}]},
            Transcript("Hi", is_final=True, logprobs=(WordLogprob("Hi", -0.5),)),
        ),
        (
            {
                "text": "Hi",
                "usage": {
                    "type": "tokens",
                    "input_tokens": 14,
                    "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
                    "output_tokens": 3,
                    "total_tokens": 17,
                },
            },
            Transcript("Hi", is_final=True, usage=SttUsage(4, 10, 3)),
        ),
        ({"text": "Hi", "usage": {"type": "duration", "seconds": 1.5}}, Transcript("Hi", is_final=True)),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_plain_answer_is_the_final_transcript_asked_for_or_not(
    body: dict[str, Any], final: Transcript, stream: bool
) -> None:
    assert transcribe(lambda _: httpx.Response(200, json=body), stream=stream) == [final]


OPENAI = [
    {"type": "transcript.text.delta", "delta": " He"},
    {"type": "transcript.text.delta", "delta": "llo"},
    {"type": "transcript.text.segment", "id": "seg", "start": 0, "end": 1, "speaker": "A"},
    {"type": "transcript.text.done", "text": "Hello.", "usage": {"total_tokens": 3}},
]
VLLM = [
    {"object": "transcription.chunk", "choices": [{"delta": {"content": " He"}}]},
    {"object": "transcription.chunk", "choices": [{"delta": {"content": "llo."}, "finish_reason": "stop"}]},
    {"object": "transcription.chunk", "choices": [], "usage": {"total_tokens": 3}},
]


@pytest.mark.parametrize(
    ("stream", "partials"), [(OPENAI, ["He", "Hello"]), (VLLM, ["He", "Hello."])], ids=["openai", "vllm"]
)
@pytest.mark.parametrize("wanted", [True, False])
def test_events_become_partials_where_they_are_wanted(
    stream: list[dict[str, Any]], partials: list[str], wanted: bool
) -> None:
    found = transcribe(lambda _: streamed(Body(events(*stream))), options=SttOptions(partials=wanted), stream=True)
    assert [transcript.text for transcript in found] == [*(partials if wanted else []), "Hello."]
    assert [transcript.is_final for transcript in found[:-1]] == [False] * (len(found) - 1)
    assert found[-1].is_final


@pytest.mark.parametrize("pcm", [b"", b"\0", bytes(3_198)])
def test_less_than_100_ms_is_not_sent(pcm: bytes) -> None:
    assert transcribe(lambda _: pytest.fail("a request was made"), pcm=pcm) == [Transcript("", is_final=True)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Kind.BAD_INPUT),
        (413, Kind.BAD_INPUT),
        (401, Kind.FAILED),
        (404, Kind.FAILED),
        (429, Kind.OVERLOADED),
        (500, Kind.UNAVAILABLE),
        (504, Kind.TIMEOUT),
    ],
)
def test_a_refusal_is_an_engine_error(status: int, kind: Kind) -> None:
    assert failure(lambda _: httpx.Response(status, json={"error": {"message": "key sk-1"}})).kind is kind


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="Hello"),
        httpx.Response(200, json={"transcript": "Hello"}),
        httpx.Response(200, json={"text": 5}),
        httpx.Response(200, content=b'{"text": "\xff"}'),
        httpx.Response(302, headers={"location": "http://elsewhere/"}),
    ],
)
def test_an_answer_that_is_none_is_a_failure(answer: httpx.Response) -> None:
    assert failure(lambda _: answer).kind is Kind.FAILED


@pytest.mark.parametrize(
    ("chunks", "end", "kind"),
    [
        ([], None, Kind.FAILED),
        ([b"data: [DONE]\n\n"], None, Kind.FAILED),
        ([b"data: nonsense\n\n"], None, Kind.FAILED),
        (events({"type": "error", "error": {"message": "boom"}}), None, Kind.FAILED),
        (events(OPENAI[0])[:1], httpx.RemoteProtocolError("cut"), Kind.UNAVAILABLE),
        (events(OPENAI[0])[:1], httpx.ReadTimeout("slow"), Kind.TIMEOUT),
    ],
)
def test_a_stream_that_breaks_is_an_engine_error(chunks: list[bytes], end: Exception | None, kind: Kind) -> None:
    assert failure(lambda _: streamed(Body(chunks, end)), stream=True).kind is kind


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


async def _silent(request: httpx.Request) -> httpx.Response:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (_unreachable, Kind.UNAVAILABLE),
        (_silent, Kind.TIMEOUT),
        (lambda _: httpx.Response(200, stream=Body([], hangs=True)), Kind.TIMEOUT),
        (lambda _: streamed(Body([], hangs=True)), Kind.TIMEOUT),
        (lambda _: httpx.Response(500, stream=Body([], hangs=True)), Kind.TIMEOUT),
    ],
    ids=["unreachable", "silent", "no body", "no event", "no error body"],
)
def test_a_server_that_does_not_answer_by_the_deadline_is_given_up(answer: Answer, kind: Kind) -> None:
    error = failure(answer, deadline_s=0.02)
    assert error.kind is kind
    assert error.retryable


def test_the_deadline_is_for_the_first_result_only() -> None:
    class Slow(Body):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            first, *rest = events(*OPENAI)
            yield first
            await asyncio.to_thread(lambda: None)
            while asyncio.get_running_loop().time() < self.late_s:
                await asyncio.to_thread(lambda: None)
            for chunk in rest:
                yield chunk

        late_s = 0.0

    body = Slow([])

    def answer(_: httpx.Request) -> httpx.Response:
        body.late_s = asyncio.get_running_loop().time() + 0.05
        return streamed(body)

    assert transcribe(answer, deadline_s=0.03, stream=True)[-1].text == "Hello."


@pytest.mark.parametrize("reads", [1, 2])
def test_closing_the_stream_closes_the_request(reads: int) -> None:
    body = Body(events(*OPENAI)[:2], hangs=True)

    async def run() -> None:
        engine = OpenAiStt(OpenAiSttOptions(stream=True), transport=httpx.MockTransport(lambda _: streamed(body)))
        options = SttOptions(partials=True)
        async with aclosing(engine.transcribe(once(PCM), context=CallContext("s"), options=options)) as stream:
            for _ in range(reads):
                await anext(stream)
            assert not body.is_closed
        assert body.is_closed
        await engine.aclose()

    asyncio.run(run())


@pytest.mark.parametrize("options", [{"modell": "x"}, {"base_url": "nowhere"}, {"stream": "maybe"}, {"timeout_s": "0"}])
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(EngineSettingsError):
        create(options)


def test_options_may_be_texts_as_from_the_environment() -> None:
    engine = create({"base_url": "http://127.0.0.1:1/v1", "stream": "true", "timeout_s": "2.5", "model": "m"})
    assert engine.info.version == "m"


# --- pauses ------------------------------------------------------------------------------------------------------

NOISE = samples_to_pcm(np.random.default_rng(0).normal(0.0, 0.1, 16_000).astype(np.float32))
QUIET = bytes(16_000)
MARK = b""


class Words:
    """Answers each request with what it holds in seconds, or with the next of ``answers``; notes the lengths."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.lengths_s: list[float] = []
        self.under_way = self.most_under_way = 0
        self.asked = asyncio.Event()
        self._answers = list(answers)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        with wave.open(BytesIO(form_of(request)["file"])) as file:
            self.lengths_s.append(file.getnframes() / 16_000)
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        self.asked.set()
        try:
            await asyncio.sleep(1)
        finally:
            self.under_way -= 1
        answer = (
            self._answers.pop(0) if self._answers else httpx.Response(200, json={"text": f"{self.lengths_s[-1]} s"})
        )
        if isinstance(answer, Exception):
            raise answer
        return answer


def paused(words: Words, chunks: Iterable[bytes], *, wait: bool = True, **settings: Any) -> list[Transcript]:
    """What comes of an utterance; with ``wait`` each mark is followed by the time of an answer."""

    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
            if not chunk and wait:
                await asyncio.sleep(2)

    async def run() -> list[Transcript]:
        options = OpenAiSttOptions(base_url="http://test/v1", **settings)
        engine = OpenAiStt(options, transport=httpx.MockTransport(words))
        async with aclosing(engine.transcribe(source(), context=CallContext("s"), options=SttOptions())) as stream:
            found = [transcript async for transcript in stream]
        await engine.aclose()
        return found

    return run_virtual(run())


def told(transcripts: Iterable[Transcript]) -> list[tuple[str, float]]:
    """Hypotheses with what they cover, then the final transcript."""
    assert all(said.thorough and not said.text for said in transcripts if not said.is_final)
    return [(said.text, 0.0) if said.is_final else (said.hypothesis, said.audio_s) for said in transcripts]


@pytest.mark.parametrize(
    ("chunks", "expected", "lengths_s"),
    [
        ([NOISE, MARK], [("1.0 s", 1.0), ("1.0 s", 0)], [1.0]),
        ([NOISE, MARK, QUIET], [("1.0 s", 1.0), ("1.0 s", 0)], [1.0]),
        ([NOISE, MARK, QUIET, MARK], [("1.0 s", 1.0), ("1.0 s", 1.5), ("1.0 s", 0)], [1.0]),
        ([NOISE, MARK, NOISE], [("1.0 s", 1.0), ("2.0 s", 0)], [1.0, 2.0]),
        ([NOISE, MARK, NOISE, MARK], [("1.0 s", 1.0), ("2.0 s", 2.0), ("2.0 s", 0)], [1.0, 2.0]),
        ([MARK, NOISE], [("1.0 s", 0)], [1.0]),
        ([NOISE] * 61 + [MARK], [("61.0 s", 0)], [61.0]),
    ],
    ids=["its end", "silence", "silence and a mark", "more speech", "and its end", "nothing yet", "a long one"],
)
def test_a_pause_is_answered_and_what_only_silence_follows_is_not_asked_again(
    chunks: list[bytes], expected: list[tuple[str, float]], lengths_s: list[float]
) -> None:
    words = Words()
    assert told(paused(words, chunks)) == expected
    assert words.lengths_s == lengths_s


def test_one_request_of_an_utterance_is_under_way_at_a_time_and_they_are_few() -> None:
    words = Words()
    found = paused(words, [NOISE, MARK, NOISE, MARK, NOISE, MARK, NOISE], wait=False)
    assert (found[-1].text, words.most_under_way) == ("4.0 s", 1)
    words = Words()
    paused(words, [NOISE, MARK] * 5 + [NOISE], pauses=2)
    assert words.lengths_s == [1.0, 2.0, 6.0]


def test_an_answer_that_is_under_way_at_the_end_is_waited_for() -> None:
    words = Words()
    assert told(paused(words, [NOISE, MARK, QUIET], wait=False))[-1] == ("1.0 s", 0.0)
    assert words.lengths_s == [1.0]


@pytest.mark.parametrize("failed", [httpx.Response(500), httpx.ConnectError("x"), httpx.Response(200, text="?")])
def test_a_pause_that_cannot_be_answered_leaves_the_transcript_to_the_end(failed: httpx.Response | Exception) -> None:
    words = Words(failed)
    assert told(paused(words, [NOISE, MARK, QUIET])) == [("1.5 s", 0.0)]
    assert words.lengths_s == [1.0, 1.5]


def test_an_utterance_is_not_sent_at_its_pauses_where_that_is_switched_off() -> None:
    words = Words()
    assert told(paused(words, [NOISE, MARK, NOISE], pauses=0)) == [("2.0 s", 0.0)]
    assert words.lengths_s == [2.0]


def test_closing_the_call_ends_the_request_of_a_pause() -> None:
    words = Words()

    async def source() -> AsyncIterator[bytes]:
        yield NOISE
        yield MARK
        await asyncio.get_running_loop().create_future()

    async def run() -> None:
        engine = OpenAiStt(OpenAiSttOptions(base_url="http://test/v1"), transport=httpx.MockTransport(words))
        async with aclosing(engine.transcribe(source(), context=CallContext("s"), options=SttOptions())) as stream:
            await anext(stream)
        words.asked.clear()
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(_collected(engine))
            await words.asked.wait()
            call.cancel()
        assert words.under_way == 0
        await engine.aclose()

    async def _collected(engine: OpenAiStt) -> None:
        async with aclosing(engine.transcribe(source(), context=CallContext("s"), options=SttOptions())) as stream:
            async for _ in stream:
                pass

    run_virtual(run())
