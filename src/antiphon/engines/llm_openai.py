"""Language model by any server of the OpenAI-compatible ``/chat/completions``."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

import httpx
import msgspec

from antiphon.engines.base import CallContext, EngineInfo, parse_options
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.openai_chat import Answer, chat_body
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
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmCapabilities, LlmChunk, LlmRequest
from antiphon.web.hosts import is_loopback

__all__ = ["OpenAiLlm", "OpenAiLlmOptions", "create"]

_NAME = "llm openai"
_RESIDUAL_MS = 100
"""Closing a call closes its request; what the server then does is its own affair."""
_BYTES_PER_TOKEN = 4
_OWN_HOST = "api.openai.com"


class OpenAiLlmOptions(EndpointOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str = "gpt-4o-mini"
    context_tokens: Annotated[int, msgspec.Meta(ge=1)] = 32_768
    """Of the model; conversations are cut to it."""
    images: bool = True
    """Whether the model can see images."""
    tools: bool = True
    """Whether the model can call tools."""
    reasoning: bool = False
    """Whether the server takes ``reasoning_effort``: then a session's ``reasoning.effort`` is passed on."""
    max_output_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of a generation that states no limit of its own; 0: the server's own limit."""
    max_tokens_name: Literal["", "max_tokens", "max_completion_tokens"] = ""
    """How the server calls its limit; empty: ``max_completion_tokens`` at OpenAI, else ``max_tokens``."""
    include_usage: bool = True
    """Ask for token counts; servers that do not know ``stream_options`` need False."""
    extra_body: dict[str, Any] | str = ""
    """More fields of the request, as a table or as a JSON text: ``{"temperature": 0.3}``."""


def create(options: Mapping[str, Any]) -> "OpenAiLlm":
    """Raises ``EngineSettingsError`` for a bad option; connects at the first call."""
    return OpenAiLlm(parse_options(_NAME, options, OpenAiLlmOptions))


class OpenAiLlm:
    """A ``LanguageModel``. One HTTP client for all sessions; tokens are estimated at 4 bytes each."""

    def __init__(self, options: OpenAiLlmOptions, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._options = options
        self._client = open_client(options, transport=transport)
        self._fixed = _fixed_fields(options)
        self._limit_name = options.max_tokens_name or _limit_name(options.base_url)
        self.info = EngineInfo(
            "openai", options.model, _RESIDUAL_MS, computes_here=is_loopback(self._client.base_url.host)
        )
        self.capabilities = LlmCapabilities(
            images=options.images, tools=options.tools, context_tokens=options.context_tokens
        )

    async def warm_up(self) -> None:
        await probe(self._client, _NAME)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def count(self, texts: Sequence[str]) -> list[int]:
        """An estimate: 4 bytes of UTF-8 a token, rounded up."""
        return [-(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN) for text in texts]

    async def generate(self, request: LlmRequest, *, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
        """See the Protocol. Closing it closes the request at once."""
        answer = Answer()
        due_s = due_s_of(context.deadline_s)
        with translate_errors(_NAME):
            async with aclosing(self._events(self._body(request), due_s)) as events:
                while (event := await next_before(due_s, events)) is not None:
                    for chunk in answer.read(event):
                        due_s = None
                        yield chunk
        for chunk in _end(answer):
            yield chunk

    def _body(self, request: LlmRequest) -> bytes:
        body = chat_body(request) | self._fixed
        if self._options.reasoning and request.reasoning_effort and "reasoning_effort" not in body:
            body["reasoning_effort"] = request.reasoning_effort
        if limit := request.max_output_tokens or self._options.max_output_tokens:
            body[self._limit_name] = limit
        return msgspec.json.encode(body)

    async def _events(self, body: bytes, due_s: float | None) -> AsyncGenerator[bytes, None]:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        request = self._client.build_request("POST", "chat/completions", content=body, headers=headers)
        async with asyncio.timeout_at(due_s):
            response = await self._client.send(request, stream=True)
        try:
            await ensure_success(response, _NAME)
            async with aclosing(sse_events(response, _NAME)) as events:
                async for event in events:
                    yield event
        finally:
            await response.aclose()


def _end(answer: Answer) -> Iterator[LlmChunk]:
    if answer.empty:
        raise EngineError(EngineErrorKind.FAILED, f"{_NAME}: the server sent no answer")
    yield from answer.finish()


def _fixed_fields(options: OpenAiLlmOptions) -> dict[str, Any]:
    """What is the same in every request; the operator's own fields win."""
    fields: dict[str, Any] = {"model": options.model, "stream": True}
    if options.include_usage:
        fields["stream_options"] = {"include_usage": True}
    return fields | _extra_fields(options.extra_body)


def _extra_fields(extra: dict[str, Any] | str) -> dict[str, Any]:
    if not isinstance(extra, str):
        return extra
    if not extra.strip():
        return {}
    try:
        return msgspec.json.decode(extra, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise EngineSettingsError(f"{_NAME}: extra_body is no JSON object: {error}") from error


def _limit_name(base_url: str) -> str:
    return "max_completion_tokens" if httpx.URL(base_url).host == _OWN_HOST else "max_tokens"
