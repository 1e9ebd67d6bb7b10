"""The language model behind an OpenAI-compatible server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx
import pytest

from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.llm_openai import OpenAiLlm, OpenAiLlmOptions, create
from antiphon.vocabulary.errors import EngineErrorKind as Kind
from antiphon.vocabulary.llm import (
    AssistantMessage,
    GenerationFinished,
    ImageContent,
    LlmChunk,
    LlmRequest,
    NamedTool,
    SystemMessage,
    TextChunk,
    TextContent,
    TokenUsage,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
    ToolSpec,
    UserMessage,
)

CONTEXT = CallContext("sess_1")
WEATHER = ToolSpec("get_weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
HELLO = LlmRequest((UserMessage((TextContent("Hello"),)),))


class Body(httpx.AsyncByteStream):
    """An event stream; ``hold`` makes it wait for ever after its last event."""

    def __init__(self, events: list[Any], *, hold: bool = False) -> None:
        self._events = events
        self._hold = hold
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._events:
            yield b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n"
        if self._hold:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def finish(reason: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def call(index: int | None, arguments: Any, *, name: str = "", call_id: str = "") -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    piece: dict[str, Any] = {"function": function} | ({"id": call_id} if call_id else {})
    return piece if index is None else piece | {"index": index}


Answer = Callable[[httpx.Request], httpx.Response]


def engine(answer: Answer, **options: Any) -> OpenAiLlm:
    chosen = OpenAiLlmOptions(base_url="http://models.test/v1", **options)
    return OpenAiLlm(chosen, transport=httpx.MockTransport(answer))


def generated(llm: OpenAiLlm, request: LlmRequest = HELLO, context: CallContext = CONTEXT) -> list[LlmChunk]:
    async def collect() -> list[LlmChunk]:
        try:
            return [chunk async for chunk in llm.generate(request, context=context)]
        finally:
            await llm.aclose()

    return asyncio.run(collect())


def chunks_of(*events: Any) -> list[LlmChunk]:
    return generated(engine(lambda request: httpx.Response(200, stream=Body([*events, b"[DONE]"]))))


def sent(request: LlmRequest = HELLO, **options: Any) -> dict[str, Any]:
    """The body of the HTTP request."""
    seen: list[httpx.Request] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        seen.append(asked)
        return httpx.Response(200, stream=Body([finish("stop")]))

    generated(engine(answer, **options), request)
    assert seen[0].url.path == "/v1/chat/completions"
    body: dict[str, Any] = json.loads(seen[0].content)
    return body


# --- answers -----------------------------------------------------------------------------------------------------


def test_text_and_usage_come_as_the_server_sends_them() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    assert chunks_of(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo."),
        finish("stop"),
        {"choices": [], "usage": usage},
    ) == [TextChunk("Hel"), TextChunk("lo."), GenerationFinished("stop", TokenUsage(9, 4, 2))]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([delta(content="a"), finish("length")], "length"),
        ([delta(content="a"), finish("content_filter")], "content_filter"),
        ([delta(content="a"), finish("something new")], "stop"),
        ([delta(content="a")], "stop"),
        ([delta(content="a"), finish("tool_calls")], "stop"),
        ([delta(tool_calls=[call(0, "{}", name="f", call_id="1")]), finish("stop")], "tool_calls"),
        ([delta(tool_calls=[call(0, "{}", name="f", call_id="1")]), finish("length")], "length"),
        ([finish("stop")], "stop"),
    ],
)
def test_reason_says_how_the_generation_ended(events: list[Any], reason: str) -> None:
    last = chunks_of(*events)[-1]
    assert isinstance(last, GenerationFinished)
    assert last.reason == reason


CALLS = {
    "indexed pieces": [
        [call(0, "", name="get_weather", call_id="a")],
        [call(0, '{"city":')],
        [call(0, ' "Bern"}')],
        [call(1, '{"city": "Rome"}', name="get_weather", call_id="b")],
    ],
    "whole calls in one event": [
        [
            call(0, '{"city": "Bern"}', name="get_weather", call_id="a"),
            call(1, '{"city": "Rome"}', name="get_weather", call_id="b"),
        ]
    ],
    "all with index 0, told apart by their ids": [
        [call(0, '{"city": "Bern"}', name="get_weather", call_id="a")],
        [call(0, '{"city": "Rome"}', name="get_weather", call_id="b")],
    ],
    "without an index": [
        [call(None, '{"city": "Bern"}', name="get_weather", call_id="a")],
        [call(None, '{"city": "Rome"}', name="get_weather", call_id="b")],
    ],
    "indexes from 1": [
        [call(1, '{"city": "Bern"}', name="get_weather", call_id="a")],
        [call(2, '{"city": "Rome"}', name="get_weather", call_id="b")],
    ],
    "name and id repeated": [
        [call(0, '{"city":', name="get_weather", call_id="a")],
        [call(0, ' "Bern"}', name="get_weather", call_id="a")],
        [call(1, '{"city": "Rome"}', name="get_weather", call_id="b")],
    ],
}


@pytest.mark.parametrize("pieces", CALLS.values(), ids=CALLS.keys())
def test_calls_are_told_apart_however_a_server_numbers_them(pieces: list[list[dict[str, Any]]]) -> None:
    found: dict[int, list[str]] = {}
    for chunk in chunks_of(*(delta(tool_calls=piece) for piece in pieces), finish("tool_calls")):
        if isinstance(chunk, ToolCallChunk):
            name, arguments = found.setdefault(chunk.index, [chunk.name, ""])
            assert chunk.name in ("", name)
            found[chunk.index][1] = arguments + chunk.arguments_delta
    assert found == {0: ["get_weather", '{"city": "Bern"}'], 1: ["get_weather", '{"city": "Rome"}']}


def test_arguments_as_an_object_become_their_json_text() -> None:
    chunks = chunks_of(delta(tool_calls=[call(0, {"city": "Bern"}, name="get_weather")]))
    assert chunks[0] == ToolCallChunk(0, "get_weather", '{"city":"Bern"}')


@pytest.mark.parametrize(
    ("pieces", "heard"),
    [
        (["<think>", "Hm, he", "llo.</thi", "nk>\n\nHello"], "Hello"),
        (["\n<think>a</think>", "\n", "Hi <think>"], "Hi <think>"),
        (["<", "b>bold"], "<b>bold"),
        (["<th"], "<th"),
        (["<think>never ends"], ""),
        (["Hello <think>x</think>"], "Hello <think>x</think>"),
        ([" Hello"], " Hello"),
    ],
)
def test_thoughts_before_the_answer_are_not_spoken(pieces: list[str], heard: str) -> None:
    chunks = chunks_of(*(delta(content=piece) for piece in pieces), finish("stop"))
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk)) == heard


# --- requests ----------------------------------------------------------------------------------------------------


def test_messages_tools_and_limits_are_sent_in_the_api_s_form() -> None:
    request = LlmRequest(
        (
            SystemMessage("Be brief."),
            UserMessage((TextContent("What is this?"), ImageContent("data:image/png;base64,AA", "low"))),
            AssistantMessage("", (ToolCall("call_1", "get_weather", '{"city": "Bern"}'),)),
            ToolMessage("call_1", "get_weather", "rain"),
            AssistantMessage("It rains."),
            UserMessage((TextContent("Thanks."), TextContent("Bye."))),
        ),
        (WEATHER,),
        NamedTool("get_weather"),
        max_output_tokens=7,
        parallel_tool_calls=False,
    )
    called = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Bern"}'}}
    assert sent(request, model="m") == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 7,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            {"role": "assistant", "content": "It rains."},
            {"role": "user", "content": "Thanks.\nBye."},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "get_weather", "description": "The weather.", "parameters": WEATHER.parameters},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "parallel_tool_calls": False,
    }


def test_what_was_not_asked_for_is_not_sent() -> None:
    assert sent(model="m", include_usage=False) == {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": "Hello"}],
    }


def test_operators_fields_are_added_and_win() -> None:
    assert (
        sent(extra_body='{"temperature": 0.5, "model": "other"}').items()
        >= {
            "temperature": 0.5,
            "model": "other",
        }.items()
    )
    assert sent(extra_body={"keep_alive": "1h"})["keep_alive"] == "1h"
    assert sent(max_output_tokens=50, max_tokens_name="max_completion_tokens")["max_completion_tokens"] == 50


def test_the_effort_of_thinking_is_sent_where_the_server_takes_it_and_the_operators_own_wins() -> None:
    request = replace(HELLO, reasoning_effort="low")
    assert "reasoning_effort" not in sent(request)
    assert "reasoning_effort" not in sent(HELLO, reasoning=True)
    assert sent(request, reasoning=True)["reasoning_effort"] == "low"
    assert sent(request, reasoning=True, extra_body={"reasoning_effort": "none"})["reasoning_effort"] == "none"


def test_openai_itself_gets_the_limit_under_its_newer_name() -> None:
    seen: list[dict[str, Any]] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        seen.append(json.loads(asked.content))
        return httpx.Response(200, stream=Body([finish("stop")]))

    options = OpenAiLlmOptions(max_output_tokens=5)
    generated(OpenAiLlm(options, transport=httpx.MockTransport(answer)))
    assert seen[0]["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    "options",
    [{"extra_body": "{"}, {"extra_body": "[1]"}, {"context_tokens": 0}, {"modle": "x"}, {"max_tokens_name": "limit"}],
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(EngineSettingsError):
        create(options)


def test_options_from_the_environment_are_texts() -> None:
    llm = create({"context_tokens": "8192", "images": "false", "timeout_s": "5"})
    assert (llm.capabilities.context_tokens, llm.capabilities.images) == (8192, False)
    asyncio.run(llm.aclose())


# --- errors and ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx.Response(400, json={"error": {"code": "context_length_exceeded"}}), Kind.CONTEXT_OVERFLOW),
        (httpx.Response(400, json={"error": {"message": "bad schema"}}), Kind.BAD_INPUT),
        (httpx.Response(429), Kind.OVERLOADED),
        (httpx.Response(503), Kind.UNAVAILABLE),
        (httpx.Response(200, stream=Body([b"no json"])), Kind.FAILED),
        (httpx.Response(200, stream=Body([{"error": {"code": "context_length_exceeded"}}])), Kind.CONTEXT_OVERFLOW),
        (httpx.Response(200, stream=Body([b"[DONE]"])), Kind.FAILED),
    ],
)
def test_what_the_server_refuses_is_an_engine_error(response: httpx.Response, kind: Kind) -> None:
    with pytest.raises(EngineError) as caught:
        generated(engine(lambda request: response))
    assert caught.value.kind is kind


def test_no_answer_before_the_deadline_is_a_time_out_and_closes_the_request() -> None:
    body = Body([], hold=True)
    with pytest.raises(EngineError) as caught:
        generated(
            engine(lambda request: httpx.Response(200, stream=body)), context=CallContext("sess_1", deadline_s=0.01)
        )
    assert caught.value.kind is Kind.TIMEOUT
    assert body.closed


def test_deadline_is_for_the_first_piece_only() -> None:
    body = Body([delta(content="a")], hold=True)
    llm = engine(lambda request: httpx.Response(200, stream=body))

    async def read() -> bool:
        async with aclosing(llm.generate(HELLO, context=CallContext("sess_1", deadline_s=0.01))) as chunks:
            assert await anext(chunks) == TextChunk("a")
            try:
                async with asyncio.timeout(0.05):
                    await anext(chunks)
            except TimeoutError:
                return True
            finally:
                await llm.aclose()
        return False

    assert asyncio.run(read())


def test_closing_the_stream_closes_the_request_at_once() -> None:
    body = Body([delta(content="a"), delta(content="b")], hold=True)
    llm = engine(lambda request: httpx.Response(200, stream=body))

    async def read_one() -> None:
        async with aclosing(llm.generate(HELLO, context=CONTEXT)) as chunks:
            assert await anext(chunks) == TextChunk("a")
            assert not body.closed
        assert body.closed
        await llm.aclose()

    asyncio.run(read_one())


def test_tokens_are_estimated_from_bytes() -> None:
    llm = create({})

    async def count() -> list[int]:
        try:
            return await llm.count(["", "a", "12345678", "123456789", "日本語", "\ud800"])
        finally:
            await llm.aclose()

    assert asyncio.run(count()) == [0, 1, 2, 3, 3, 1]
