"""Routes that applications have in front of the API work with another base URL, and nothing else changed."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.clients import node
from tests.support.calls import an_offer
from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.clients

_SECRET = """
export async function POST(request: Request) {
  const { method } = await request.json()

  if (method === 'client_secret') {
    const response = await fetch('https://api.openai.com/v1/realtime/client_secrets', {
      method: 'POST',
      headers: {
        'Authorization': `Bearer ${process.env.OPENAI_API_KEY}`,
        'Content-Type': 'application/json'
      },
      body: JSON.stringify({
        model: 'gpt-realtime',
        ttl: 600 // 10 minutes
      })
    })

    return Response.json(await response.json())
  }
}
"""
_RUN = """
const [route, content] = process.argv.slice(2)
const { POST } = await import(route)
const answer = await POST(new Request('http://app.example/api/realtime/session', { method: 'POST', body: content }))
const text = await answer.text()
console.log(JSON.stringify({ status: answer.status, type: answer.headers.get('Content-Type'), text }))
"""
_PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "keep-the-key-out-of-the-browser.md"
_KEY = "a-key-of-the-application"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    environment = {"ANTIPHON_API_KEYS": _KEY, "ANTIPHON_DRAIN_S": "0"}  # nobody takes part in the call that is offered
    with running_server(["--engine", "scripted"], environment=environment) as running:
        yield running


def _routed(route: str, content: str, server: ServerProcess, folder: Path) -> Any:
    """What the route answers to a page that posts ``content``, run by Node without its types."""
    script = route.replace("request: Request", "request").replace("https://api.openai.com/v1", server.base_url)
    (folder / "route.mjs").write_text(script)
    (folder / "run.mjs").write_text(_RUN)
    command: list[str | Path] = [node() / "bin" / "node", folder / "run.mjs", folder / "route.mjs", content]
    environment = {**os.environ, "OPENAI_API_KEY": _KEY}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_route_that_hands_out_client_secrets(server: ServerProcess, tmp_path: Path) -> None:
    answer = _routed(_SECRET, '{"method": "client_secret"}', server, tmp_path)
    assert answer["status"] == 200
    body = json.loads(answer["text"])
    assert body["client_secret"]["value"].startswith("ek_")
    assert body["session"]["model"] == "gpt-realtime"


def test_a_route_that_exchanges_offers(server: ServerProcess, tmp_path: Path) -> None:
    routes = re.findall(r"^```typescript\n(// app/.*?)^```", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (route,) = [text.replace("http://127.0.0.1:8000/v1", server.base_url) for text in routes]
    answer = _routed(route, asyncio.run(an_offer()), server, tmp_path)
    assert (answer["status"], answer["type"]) == (200, "application/sdp")
    assert answer["text"].startswith("v=0\r\n")
    assert "a=ice-lite" in answer["text"]
