"""Speech to text by any server of the OpenAI-compatible ``/audio/transcriptions``."""

import asyncio
import wave
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from io import BytesIO
from typing import Annotated, Any

import httpx
import msgspec

from antiphon.audio.pcm import BYTES_PER_SAMPLE, pcm_to_samples
from antiphon.engines.base import CallContext, EngineInfo, parse_options
from antiphon.engines.errors import EngineError
from antiphon.engines.intake import End, Intake
from antiphon.engines.loudness import goes_on_quietly
from antiphon.engines.openai_http import (
    EndpointOptions,
    due_s_of,
    ensure_success,
    next_before,
    open_client,
    probe,
    sse_events,
    translate_errors,
)
from antiphon.vocabulary.speech import SttOptions, SttUsage, Transcript, WordLogprob
from antiphon.web.hosts import is_loopback

__all__ = ["OpenAiStt", "OpenAiSttOptions", "create"]

_NAME = "stt openai"
_RATE_HZ = 16_000
_LEAST_SAMPLES = _RATE_HZ // 10
"""The API refuses audio of under 0.1 s; there is no word in it."""
_LONGEST_BYTES = 60 * _RATE_HZ * BYTES_PER_SAMPLE
"""More is not sent at a pause: the same audio is sent again at the next one."""
_RESIDUAL_MS = 100
"""Closing a call closes its request; what the server then does is its own affair."""


class OpenAiSttOptions(EndpointOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str = "whisper-1"
    stream: bool = False
    """Ask for server-sent events: partial transcripts as the server makes them. Not every server knows them."""
    pauses: Annotated[int, msgspec.Meta(ge=0)] = 6
    """So many times an utterance is sent at its pauses already, so that its transcript is known sooner. Each is a
    request of its own."""
    logprobs: bool = False
    """Ask for log probabilities. Only some models give them, others refuse the request."""


class _LogprobBody(msgspec.Struct):
    token: str = ""
    logprob: float = 0.0


class _InputDetails(msgspec.Struct):
    text_tokens: int = 0
    audio_tokens: int = 0


class _Usage(msgspec.Struct):
    type: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: _InputDetails | None = None

    @property
    def tokens(self) -> SttUsage | None:
        """None where the server counts the length of the audio."""
        if self.type != "tokens":
            return None
        text = self.input_token_details.text_tokens if self.input_token_details else 0
        text = min(text, self.input_tokens)
        return SttUsage(text, self.input_tokens - text, self.output_tokens)


class _ChoiceDelta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _ChoiceDelta = msgspec.field(default_factory=_ChoiceDelta)


class _Body(msgspec.Struct):
    """A plain answer, or one event of a stream: ``delta`` (as OpenAI streams) or ``choices`` (as vLLM does)."""

    text: str | None = None
    """The whole transcript: the last event has it, or none."""
    delta: str = ""
    choices: list[_Choice] = []
    language: str | None = None
    logprobs: list[_LogprobBody] | None = None
    usage: _Usage | None = None

    @property
    def added(self) -> str:
        return self.delta + "".join(choice.delta.content or "" for choice in self.choices)


_BODY = msgspec.json.Decoder(_Body)


def create(options: Mapping[str, Any]) -> "OpenAiStt":
    """Raises ``EngineSettingsError`` for a bad option; connects at the first call."""
    return OpenAiStt(parse_options(_NAME, options, OpenAiSttOptions))


class OpenAiStt:
    """One HTTP client for all sessions. The utterance is sent at its pauses, and when it has ended."""

    sample_rate_hz = _RATE_HZ

    def __init__(self, options: OpenAiSttOptions, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._options = options
        self._client = open_client(options, transport=transport)
        self.info = EngineInfo(
            "openai", options.model, _RESIDUAL_MS, computes_here=is_loopback(self._client.base_url.host)
        )

    async def warm_up(self) -> None:
        await probe(self._client, _NAME)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def transcribe(
        self, audio: AsyncIterable[bytes], *, context: CallContext, options: SttOptions
    ) -> AsyncGenerator[Transcript, None]:
        """Partials come only with the option ``stream``. ``context.deadline_s`` counts from the audio's end."""
        pcm = bytearray()
        pauses = _Pauses(lambda said: self._answered(said, options, None), most=self._options.pauses)
        intake = Intake(audio)
        try:
            while not isinstance(chunk := await intake.next(pauses.asking), End):
                if chunk:
                    pcm += chunk
                elif chunk is not None:
                    pauses.mark(bytes(pcm))
                if (known := pauses.collect()) is not None:
                    yield known
            due_s = due_s_of(context.deadline_s)
            final = await pauses.final(bytes(pcm), due_s)
        finally:
            await pauses.aclose()
            await intake.aclose()
        if final is not None or len(pcm) < _LEAST_SAMPLES * BYTES_PER_SAMPLE:
            yield final or Transcript("", is_final=True)
            return
        answered = self._answered(bytes(pcm), options, due_s)
        async with aclosing(answered):
            async for transcript in answered:
                if transcript.is_final or options.partials:
                    yield transcript

    async def _answered(self, pcm: bytes, options: SttOptions, due_s: float | None) -> AsyncGenerator[Transcript, None]:
        """One request, and what it is answered with."""
        with translate_errors(_NAME):
            async with asyncio.timeout_at(due_s):
                response = await self._client.send(self._request(pcm, options), stream=True)
            try:
                async with asyncio.timeout_at(due_s):
                    await ensure_success(response, _NAME)
                transcripts = _transcripts(response, due_s)
                async with aclosing(transcripts):
                    async for transcript in transcripts:
                        yield transcript
            finally:
                await response.aclose()

    def _request(self, pcm: bytes, options: SttOptions) -> httpx.Request:
        form: dict[str, str] = {"model": self._options.model, "response_format": "json"}
        if options.language:
            form["language"] = options.language.partition("-")[0]
        if options.prompt:
            form["prompt"] = options.prompt
        if self._options.stream:
            form["stream"] = "true"
        if self._options.logprobs:
            form["include[]"] = "logprobs"
        files = {"file": ("audio.wav", _wav(pcm), "audio/wav")}
        return self._client.build_request("POST", "audio/transcriptions", data=form, files=files)


class _Pauses:
    """What is asked at the pauses of one utterance: one request at a time, and few of them."""

    def __init__(self, answered: Callable[[bytes], AsyncGenerator[Transcript, None]], *, most: int) -> None:
        self._answered = answered
        self._left = most
        self.asking: asyncio.Task[Transcript | None] | None = None
        """The request that somebody waits for, done or not."""
        self._wanted: bytes | None = None
        """What was heard when somebody last wanted to know."""
        self._known: Transcript | None = None
        self._covered_bytes = 0

    def mark(self, pcm: bytes) -> None:
        """Somebody wants to know now."""
        self._wanted = pcm

    def collect(self) -> Transcript | None:
        """To be called after every chunk and request: what became known, once."""
        news = None
        if self.asking is not None:
            if not self.asking.done():
                return None
            self._known, self.asking = self.asking.result(), None
            news = self._known and _hypothesis(self._known, self._covered_bytes)
        wanted, self._wanted = self._wanted, None
        if wanted is not None and self._known is not None and not self._is_more(wanted):
            return _hypothesis(self._known, len(wanted))
        if wanted is not None:
            self._begin(wanted)
        return news

    def _begin(self, pcm: bytes) -> None:
        if self._left and _LEAST_SAMPLES * BYTES_PER_SAMPLE <= len(pcm) <= _LONGEST_BYTES:
            self._left -= 1
            self._known, self._covered_bytes = None, len(pcm)
            # Its owner is the call, which ends it below: around a ``yield`` no TaskGroup may be open.
            self.asking = asyncio.get_running_loop().create_task(self._ask(pcm), name=f"{_NAME}: pause")

    async def final(self, pcm: bytes, due_s: float | None) -> Transcript | None:
        """The utterance has ended: its transcript, if it was asked for before and only silence followed."""
        if not self._covered_bytes or self._is_more(pcm):
            return None
        if self.asking is not None:
            with translate_errors(_NAME):
                async with asyncio.timeout_at(due_s):
                    self._known = await asyncio.shield(self.asking)
        return self._known

    async def aclose(self) -> None:
        if self.asking is not None:
            self.asking.cancel()
            await asyncio.wait([self.asking])

    def _is_more(self, pcm: bytes) -> bool:
        whole = pcm[: len(pcm) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE]
        return not goes_on_quietly(pcm_to_samples(whole), self._covered_bytes // BYTES_PER_SAMPLE)

    async def _ask(self, pcm: bytes) -> Transcript | None:
        """None where there is no answer: the request at the end may do better, or tell why not."""
        try:
            async with aclosing(self._answered(pcm)) as transcripts:
                async for transcript in transcripts:
                    if transcript.is_final:
                        return transcript
        except EngineError:
            return None
        return None


def _hypothesis(known: Transcript, covered_bytes: int) -> Transcript:
    audio_s = covered_bytes // BYTES_PER_SAMPLE / _RATE_HZ
    return replace(known, text="", is_final=False, hypothesis=known.text, audio_s=audio_s, thorough=True)


async def _transcripts(response: httpx.Response, due_s: float | None) -> AsyncGenerator[Transcript, None]:
    """What a successful answer holds; a server that does not stream answers in one piece."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        async with asyncio.timeout_at(due_s):
            answer = await response.aread()
        yield _final(_BODY.decode(answer))
        return
    text = ""
    events = sse_events(response, _NAME)
    async with aclosing(events):
        while (event := await next_before(due_s, events)) is not None:
            body = _BODY.decode(event)
            if body.text is not None:
                yield _final(body)
                return
            if added := body.added:
                text += added
                due_s = None
                yield Transcript(text.lstrip(), is_final=False)
    yield _final(_Body(text=text or None))


def _final(body: _Body) -> Transcript:
    if body.text is None:
        raise msgspec.ValidationError("the answer has no text")
    logprobs = tuple(WordLogprob(entry.token, entry.logprob) for entry in body.logprobs or ())
    return Transcript(
        body.text.strip(),
        is_final=True,
        language=body.language,
        logprobs=logprobs,
        usage=body.usage.tokens if body.usage else None,
    )


def _wav(pcm: bytes) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(BYTES_PER_SAMPLE)
        writer.setframerate(_RATE_HZ)
        writer.writeframes(pcm[: len(pcm) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE])
    return file.getvalue()
