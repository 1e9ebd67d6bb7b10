"""A page that talks, and the application behind it: the key stays here, the page gets a call or a client secret.

    python examples/session_endpoint.py

Then open http://127.0.0.1:3000. The Realtime server is the one in OPENAI_BASE_URL, else http://127.0.0.1:8000/v1;
OPENAI_API_KEY is sent to it if it is set. PORT chooses another port.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from antiphon.broker import BrokerSettings, create_broker

UPSTREAM = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")


def session(request: Request, user: str | None) -> Mapping[str, Any]:
    """What every session of this application begins with. The page cannot change what is decided here beforehand."""
    return {
        "type": "realtime",
        "model": "gpt-realtime",
        "instructions": "Be brief and kind.",
        "audio": {"input": {"transcription": {"model": "whisper-1"}}},
    }


async def page(request: Request) -> Response:
    # The page's WebSocket goes to the Realtime server itself, with a client secret.
    return HTMLResponse(PAGE.replace("wss://api.openai.com/v1", UPSTREAM.replace("http", "ws", 1)))


broker = create_broker(
    BrokerSettings(upstream=UPSTREAM, api_key=os.environ.get("OPENAI_API_KEY", "")),
    # Here only this machine is answered. Elsewhere: authorize=a function that says who calls.
    session=session,
)
app = Starlette(routes=[Route("/", page), Mount("/api/realtime", broker)], lifespan=broker.lifespan)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "3000")))
