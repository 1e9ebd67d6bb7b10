"""Models that answer at once, behind the OpenAI-compatible addresses: what is left is the server's own cost.

``python -m bench.backend PORT``
"""

import json
import sys
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

REPLY = ["Sure, ", "here ", "is ", "a ", "short ", "reply. ", "It ", "has ", "two ", "sentences."]
_HZ = 24_000
_TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(_HZ) / _HZ)).astype("<i2").tobytes()


async def transcribe(request: Request) -> Response:
    await request.body()
    return JSONResponse({"text": "hello there how are you"})


async def complete(request: Request) -> Response:
    await request.body()
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in REPLY
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 10, "completion_tokens": len(REPLY), "total_tokens": 10 + len(REPLY)}
    lines = [json.dumps(chunk) for chunk in [*chunks, {"choices": [], "usage": usage}]]
    return StreamingResponse((f"data: {line}\n\n" for line in [*lines, "[DONE]"]), media_type="text/event-stream")


async def speak(request: Request) -> Response:
    await request.body()
    pieces = [_TONE[start : start + 4800] for start in range(0, len(_TONE), 4800)]
    return StreamingResponse(iter(pieces), media_type="audio/pcm")


async def models(_: Request) -> Response:
    return JSONResponse({"object": "list", "data": []})


app = Starlette(
    routes=[
        Route("/v1/audio/transcriptions", transcribe, methods=["POST"]),
        Route("/v1/chat/completions", complete, methods=["POST"]),
        Route("/v1/audio/speech", speak, methods=["POST"]),
        Route("/v1/models", models),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
