"""The examples run as they stand, against a server with scripted engines."""

import asyncio
import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
import websockets.sync.client

from tests.support.audio import tone_ms
from tests.support.calls import DATA_ONLY, call_of, post
from tests.support.example import running_command, running_example
from tests.support.server import ServerProcess

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def write_wav(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(pcm)


def test_the_wav_example_asks_and_writes_the_answer(scripted_server: ServerProcess, tmp_path: Path) -> None:
    question, answer = tmp_path / "question.wav", tmp_path / "answer.wav"
    write_wav(question, tone_ms(1500))
    run = subprocess.run(
        [sys.executable, str(EXAMPLES / "ask_wav.py"), str(question), str(answer)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENAI_BASE_URL": scripted_server.base_url},
    )
    assert run.returncode == 0, run.stderr
    assert "question: I heard 1500 milliseconds." in run.stdout
    with wave.open(str(answer)) as file:
        assert file.getframerate() == 24_000
        assert file.getnframes() > 12_000


@pytest.fixture(scope="module")
def address(scripted_server: ServerProcess) -> Iterator[str]:
    """Where the example of the session endpoint listens."""
    with running_example(scripted_server.base_url) as address:
        yield address


def test_the_page_s_requests_are_answered_by_the_application_behind_it(
    scripted_server: ServerProcess, address: str
) -> None:
    with httpx.Client(base_url=address, headers={"Origin": address, "Sec-Fetch-Site": "same-origin"}) as page:
        text = page.get("/").text
        assert f"new WebSocket('{scripted_server.websocket_url}?model=gpt-realtime'" in text
        secret = page.post("/api/realtime/session", json={"method": "client_secret"}).json()
        assert secret["session"]["instructions"] == "Be brief and kind."
        assert secret["client_secret"] == {"value": secret["value"], "expires_at": secret["expires_at"]}

        foreign = page.post("/api/realtime/session", content="v=0", headers={"Origin": "https://evil.example"})
        assert foreign.json()["error"]["code"] == "cross_site_request"

        subprotocols = ["realtime", f"openai-insecure-api-key.{secret['client_secret']['value']}"]
        with websockets.sync.client.connect(
            f"{scripted_server.websocket_url}?model=gpt-realtime",
            subprotocols=[websockets.Subprotocol(name) for name in subprotocols],
            origin=websockets.Origin(address),
        ) as socket:
            created = msgspec.json.decode(socket.recv())
            assert created["session"]["instructions"] == "Be brief and kind."


def test_a_page_calls_and_hangs_up_through_the_application(address: str) -> None:
    async def run(port: int) -> None:
        async with call_of(port, "/api/realtime/session", {"content-type": "text/plain"}, DATA_ONLY) as call:
            assert call.path.startswith("/api/realtime/session/calls/rtc_")
            assert (await call.next())["session"]["instructions"] == "Be brief and kind."
            assert (await post(port, f"{call.path}/hangup")).status_code == 200
            async with asyncio.timeout(5):
                await call.caller.ended.wait()

    asyncio.run(run(int(address.rpartition(":")[2])))


def test_an_offer_made_too_early_is_told_to_the_page(address: str) -> None:
    empty = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=msid-semantic: WMS\r\n"
    answer = httpx.post(f"{address}/api/realtime/session", content=empty, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400
    assert "createOffer" in answer.json()["error"]["message"]


def test_the_endpoint_serves_pages_and_secrets_by_itself(scripted_server: ServerProcess, tmp_path: Path) -> None:
    session = tmp_path / "session.json"
    session.write_text('{"type": "realtime", "instructions": "From a file."}')
    arguments = ["--upstream", scripted_server.base_url, "--pages", str(EXAMPLES), "--session", str(session)]
    with running_command(arguments) as address, httpx.Client(base_url=address) as page:
        assert "/api/realtime/session" in page.get("/session_endpoint.html").text
        secret = page.post("/api/realtime/session", json={"method": "client_secret"}).json()
        assert secret["session"]["instructions"] == "From a file."
