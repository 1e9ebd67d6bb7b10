"""Text to speech by any server of the OpenAI-compatible ``/audio/speech``, as raw PCM."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import msgspec

from antiphon.audio.pcm import BYTES_PER_SAMPLE
from antiphon.engines.base import CallContext, EngineInfo, parse_options
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.openai_http import (
    EndpointOptions,
    body_chunks,
    due_s_of,
    ensure_success,
    next_before,
    open_client,
    probe,
    translate_errors,
)
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.speech import Clause, SpokenAudio
from antiphon.web.hosts import is_loopback

__all__ = ["OpenAiTts", "OpenAiTtsOptions", "create"]

_NAME = "tts openai"
_OWN_VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
_SLOWEST, _FASTEST = 0.25, 4.0
_AHEAD = 1
"""Clauses asked for while another one is being delivered."""
_RESIDUAL_MS = 100
"""Closing a call closes its requests; what the server then does is its own affair."""
_CONTAINERS = {b"RIFF": "a WAV file", b"OggS": "an Ogg file", b"fLaC": "a FLAC file", b"ID3": "an MP3 file"}
_MAGIC_BYTES = 4


class OpenAiTtsOptions(EndpointOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str = "gpt-4o-mini-tts"
    voice: str = ""
    """The server's voice for every name that ``voices`` does not have."""
    voices: dict[str, str] | str = ""
    """Voices of sessions -> voices of the server, as a table or as a text ``marin=af_heart, cedar=am_adam``. With
    neither this nor ``voice`` the API's own names are passed on, and any other becomes alloy."""
    sample_rate_hz: Annotated[int, msgspec.Meta(ge=8_000, le=192_000)] = 24_000
    """Of the PCM that the server sends (OpenAI: 24 kHz)."""
    instructions: str = ""
    """How to speak, for models that know this parameter; empty: it is not sent."""


def create(options: Mapping[str, Any]) -> "OpenAiTts":
    """Raises ``EngineSettingsError`` for a bad option; connects at the first call."""
    return OpenAiTts(parse_options(_NAME, options, OpenAiTtsOptions))


class OpenAiTts:
    """One HTTP client for all sessions, one request a clause; the next clause is asked for during the present one."""

    def __init__(self, options: OpenAiTtsOptions, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._options = options
        self._voices = _voice_table(options.voices)
        self._client = open_client(options, transport=transport)
        self.sample_rate_hz = options.sample_rate_hz
        self.info = EngineInfo(
            "openai", options.model, _RESIDUAL_MS, computes_here=is_loopback(self._client.base_url.host)
        )

    @property
    def voices(self) -> tuple[str, ...]:
        own = (*self._voices, self._options.voice) if self._options.voice else tuple(self._voices)
        return tuple(dict.fromkeys(own)) or _OWN_VOICES

    async def warm_up(self) -> None:
        await probe(self._client, _NAME)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def synthesize(
        self, clauses: AsyncIterable[Clause], *, voice: str, speed: float, context: CallContext
    ) -> AsyncGenerator[SpokenAudio, None]:
        """``speed`` is held between 0.25 and 4. ``context.deadline_s`` counts from the first clause that is spoken."""
        requests = _Requests(self._client, self._parameters(voice, speed), context.deadline_s)
        # Its owner is this generator, which ends it below: around a ``yield`` no TaskGroup may be open.
        asking = asyncio.get_running_loop().create_task(requests.ask(clauses), name=f"{_NAME}: requests")
        try:
            while (answer := await requests.next_answer()) is not None:
                async with aclosing(answer.pieces(requests)) as pieces:
                    async for piece in pieces:
                        yield piece
                requests.delivered()
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            await requests.aclose()

    def _parameters(self, voice: str, speed: float) -> Mapping[str, Any]:
        parameters: dict[str, Any] = {
            "model": self._options.model,
            "voice": self._server_voice(voice.strip()),
            "response_format": "pcm",
        }
        speed = round(min(max(speed, _SLOWEST), _FASTEST), 3)
        if speed != 1.0:
            parameters["speed"] = speed
        if self._options.instructions:
            parameters["instructions"] = self._options.instructions
        return parameters

    def _server_voice(self, name: str) -> str:
        if self._voices or self._options.voice:
            return self._voices.get(name) or self._options.voice or next(iter(self._voices.values()))
        return name if name in _OWN_VOICES else _OWN_VOICES[0]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The server's response for one clause."""

    response: httpx.Response
    text_start: int
    text_end: int

    async def pieces(self, requests: "_Requests") -> AsyncGenerator[SpokenAudio, None]:
        """Whole samples, however the network cut them; half a sample at the end is dropped."""
        rest = b""
        chunks = body_chunks(self.response)
        is_first = True
        async with aclosing(chunks):
            while (chunk := await requests.within_deadline(chunks)) is not None:
                rest += chunk
                if is_first and len(rest) < _MAGIC_BYTES:
                    continue
                if is_first:
                    _refuse_container(rest)
                    is_first = False
                whole = len(rest) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
                pcm, rest = rest[:whole], rest[whole:]
                if pcm:
                    requests.due_s = None
                    yield SpokenAudio(pcm, self.text_start, self.text_end)


class _Requests:
    """Asks for the speech of one clause after the other, one ahead of the one that is being delivered."""

    def __init__(self, client: httpx.AsyncClient, parameters: Mapping[str, Any], deadline_s: float | None) -> None:
        self._client = client
        self._parameters = parameters
        self._deadline_s = deadline_s
        self._places = asyncio.Semaphore(1 + _AHEAD)
        self._answers: asyncio.Queue[_Answer | BaseException | None] = asyncio.Queue()
        self._under_way: _Answer | None = None
        self.due_s: float | None = None
        """When the first sound must be there, on the loop's clock; None once it is."""

    async def ask(self, clauses: AsyncIterable[Clause]) -> None:
        start = 0
        try:
            async for clause in clauses:
                end = start + len(clause.text)
                if clause.spoken.strip():
                    await self._places.acquire()
                    self._answers.put_nowait(await self._open(clause.spoken.strip(), start, end))
                start = end
            self._answers.put_nowait(None)
        except Exception as error:  # handed to whoever waits for the next answer
            self._answers.put_nowait(error)
        except asyncio.CancelledError as error:
            self._answers.put_nowait(error)
            raise

    async def next_answer(self) -> _Answer | None:
        answer = await self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        self._under_way = answer
        return answer

    def delivered(self) -> None:
        self._under_way = None
        self._places.release()

    async def within_deadline(self, chunks: AsyncGenerator[bytes, None]) -> bytes | None:
        with translate_errors(_NAME):
            return await next_before(self.due_s, chunks)

    async def aclose(self) -> None:
        """Close what was asked for and is not delivered."""
        waiting = [self._under_way]
        while not self._answers.empty():
            answer = self._answers.get_nowait()
            waiting.append(answer if isinstance(answer, _Answer) else None)
        for left in waiting:
            if left is not None:
                await left.response.aclose()

    async def _open(self, spoken: str, start: int, end: int) -> _Answer:
        if self._deadline_s is not None:
            self.due_s = due_s_of(self._deadline_s)
            self._deadline_s = None
        body = {**self._parameters, "input": spoken}
        request = self._client.build_request("POST", "audio/speech", json=body)
        with translate_errors(_NAME):
            async with asyncio.timeout_at(self.due_s):
                response = await self._client.send(request, stream=True)
                try:
                    await ensure_success(response, _NAME)
                    _refuse_text(response)
                except BaseException:
                    await response.aclose()
                    raise
        return _Answer(response, start, end)


def _refuse_text(response: httpx.Response) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind == "application/json":
        raise EngineError(EngineErrorKind.FAILED, f"{_NAME}: the server sent text where audio was asked for")


def _refuse_container(beginning: bytes) -> None:
    for magic, what in _CONTAINERS.items():
        if beginning.startswith(magic):
            raise EngineError(EngineErrorKind.FAILED, f"{_NAME}: the server sent {what} where raw PCM was asked for")


def _voice_table(voices: Mapping[str, str] | str) -> Mapping[str, str]:
    if not isinstance(voices, str):
        return voices
    table = {}
    for entry in filter(None, map(str.strip, voices.split(","))):
        name, equals, voice = (part.strip() for part in entry.partition("="))
        if not (name and equals and voice):
            raise EngineSettingsError(f"{_NAME}: voices must look like marin=af_heart, cedar=am_adam")
        table[name] = voice
    return table
