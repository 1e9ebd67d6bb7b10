"""Speech to text by any server of the OpenAI-compatible ``/audio/transcriptions``."""

import asyncio
import wave
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from io import BytesIO
from typing import Any

import httpx
import msgspec

from antiphon.audio.pcm import BYTES_PER_SAMPLE
from antiphon.engines.base import CallContext, EngineInfo, parse_options
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
_RESIDUAL_MS = 100
"""Closing a call closes its request; what the server then does is its own affair."""


class OpenAiSttOptions(EndpointOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str = "whisper-1"
    stream: bool = False
    """Ask for server-sent events: partial transcripts as the server makes them. Not every server knows them."""
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
    """One HTTP client for all sessions. The utterance is sent when it has ended."""

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
        async for chunk in audio:
            pcm += chunk
        if len(pcm) < _LEAST_SAMPLES * BYTES_PER_SAMPLE:
            yield Transcript("", is_final=True)
            return
        due_s = due_s_of(context.deadline_s)
        with translate_errors(_NAME):
            async with asyncio.timeout_at(due_s):
                response = await self._client.send(self._request(bytes(pcm), options), stream=True)
            try:
                async with asyncio.timeout_at(due_s):
                    await ensure_success(response, _NAME)
                transcripts = _transcripts(response, due_s)
                async with aclosing(transcripts):
                    async for transcript in transcripts:
                        if transcript.is_final or options.partials:
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
