"""A server of the OpenAI-compatible stage protocol over scripted engines, for the engines that speak to one."""

import json
import socket
import threading
import wave
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from io import BytesIO
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError
from antiphon.testing.scripted import ScriptedLlm, ScriptedStt, ScriptedTts
from antiphon.vocabulary.llm import (
    AssistantMessage,
    ChatMessage,
    GenerationFinished,
    LlmChunk,
    LlmRequest,
    NamedTool,
    SystemMessage,
    TextChunk,
    TextContent,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from antiphon.vocabulary.speech import Clause, SttOptions

CONTEXT = CallContext("stage")


async def _once(value: Any) -> AsyncGenerator[Any, None]:
    yield value


def _event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


async def _transcriptions(request: Request) -> Response:
    """Finds the wav in the form by its first bytes; the names of the other parts are enough to read them."""
    body = await request.body()
    with wave.open(BytesIO(body[body.index(b"RIFF") :])) as file:
        pcm, rate_hz = file.readframes(file.getnframes()), file.getframerate()
    stt = ScriptedStt(sample_rate_hz=rate_hz)
    text = ""
    async with aclosing(stt.transcribe(_once(pcm), context=CONTEXT, options=SttOptions())) as transcripts:
        async for transcript in transcripts:
            text = transcript.text
    if b'name="stream"\r\n\r\ntrue' not in body:
        return JSONResponse({"text": text})
    events = [{"type": "transcript.text.delta", "delta": text}, {"type": "transcript.text.done", "text": text}]
    return Response(b"".join(map(_event, events)) + b"data: [DONE]\n\n", media_type="text/event-stream")


async def _speech(request: Request) -> Response:
    asked = await request.json()
    clause = Clause(asked["input"], asked["input"])

    async def pcm() -> AsyncGenerator[bytes, None]:
        speech = ScriptedTts().synthesize(
            _once(clause), voice=asked["voice"], speed=asked.get("speed", 1.0), context=CONTEXT
        )
        async with aclosing(speech) as pieces:
            async for piece in pieces:
                yield piece.pcm

    return StreamingResponse(pcm(), media_type="audio/pcm")


async def _completions(request: Request) -> Response:
    body = await request.json()
    generation = ScriptedLlm().generate(_llm_request(body), context=CONTEXT)
    try:
        first = await anext(generation)
    except EngineError as error:
        code = "context_length_exceeded" if error.kind == "context_overflow" else None
        return JSONResponse({"error": {"message": error.message, "code": code}}, status_code=400)

    async def events() -> AsyncGenerator[bytes, None]:
        async with aclosing(generation):
            for event in _completion_events(first):
                yield event
            async for chunk in generation:
                for event in _completion_events(chunk):
                    yield event
        yield b"data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def _completion_events(chunk: LlmChunk) -> Iterator[bytes]:
    if isinstance(chunk, GenerationFinished):
        usage = {"prompt_tokens": chunk.usage.input_tokens, "completion_tokens": chunk.usage.output_tokens}
        yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": chunk.reason}]})
        yield _event({"choices": [], "usage": usage})
        return
    if isinstance(chunk, TextChunk):
        delta: dict[str, Any] = {"content": chunk.text}
    else:
        call: dict[str, Any] = {"index": chunk.index, "function": {"arguments": chunk.arguments_delta}}
        if chunk.name:
            call |= {"id": f"call_{chunk.index}", "type": "function"}
            call["function"]["name"] = chunk.name
        delta = {"tool_calls": [call]}
    yield _event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def _llm_request(body: dict[str, Any]) -> LlmRequest:
    functions = [tool["function"] for tool in body.get("tools") or ()]
    choice = body.get("tool_choice", "auto")
    return LlmRequest(
        tuple(_message(message) for message in body["messages"]),
        tuple(ToolSpec(f["name"], f.get("description", ""), f.get("parameters", {})) for f in functions),
        NamedTool(choice["function"]["name"]) if isinstance(choice, dict) else choice,
        max_output_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
    )


def _message(message: dict[str, Any]) -> ChatMessage:
    text = _text(message.get("content"))
    match message["role"]:
        case "system" | "developer":
            return SystemMessage(text)
        case "user":
            return UserMessage((TextContent(text),))
        case "tool":
            return ToolMessage(message["tool_call_id"], "", text)
    calls = [(call["id"], call["function"]) for call in message.get("tool_calls") or ()]
    return AssistantMessage(text, tuple(ToolCall(id_, f["name"], f["arguments"]) for id_, f in calls))


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return content or ""


async def _models(request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model"}]})


@pytest.fixture(scope="session")
def stage_server() -> Iterator[str]:
    """Its base URL, up to and including the version."""
    app = Starlette(
        routes=[
            Route("/v1/models", _models),
            Route("/v1/audio/transcriptions", _transcriptions, methods=["POST"]),
            Route("/v1/audio/speech", _speech, methods=["POST"]),
            Route("/v1/chat/completions", _completions, methods=["POST"]),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        server.should_exit = True
        thread.join()
