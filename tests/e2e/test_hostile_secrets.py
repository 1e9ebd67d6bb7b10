"""Strangers, and what the server tells: nothing is read before the key, and no line of the log is a client's own."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.server import ServerProcess, running_server
from tests.support.wire_client import append, connected, frame, message, raw_socket, resident_mib, update

pytestmark = pytest.mark.e2e

KEY = "sk-right-key-of-the-test"
WRONG = "sk-wrong-key-of-the-test"


@pytest.fixture(scope="module")
def keyed_server() -> Iterator[ServerProcess]:
    with running_server(["--engine", "scripted"], environment={"ANTIPHON_API_KEYS": KEY}) as server:
        yield server


def _header(key: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


def _subprotocol(key: str) -> dict[str, Any]:
    return {"subprotocols": ["realtime", f"openai-insecure-api-key.{key}"]}


@pytest.mark.parametrize("options", [_header(KEY), _subprotocol(KEY)], ids=["header", "subprotocol"])
def test_the_right_key_opens_a_session(keyed_server: ServerProcess, options: dict[str, Any]) -> None:
    async def run() -> None:
        async with connected(keyed_server, **options) as client:
            await client.assert_works()

    asyncio.run(run())


@pytest.mark.parametrize(
    "options",
    [{}, _header(WRONG), _header(""), {"additional_headers": {"Authorization": f"Basic {KEY}"}}],
    ids=["no key", "a wrong key", "an empty key", "another scheme"],
)
def test_without_the_key_the_handshake_is_401(keyed_server: ServerProcess, options: dict[str, Any]) -> None:
    async def run() -> None:
        with pytest.raises(InvalidStatus) as caught:
            async with connected(keyed_server, **options):
                pass
        answer = caught.value.response
        assert answer.status_code == 401
        assert json.loads(answer.body)["error"]["code"] == "invalid_api_key"
        assert WRONG.encode() not in answer.body

    asyncio.run(run())


def test_a_wrong_key_in_a_subprotocol_is_told_on_the_socket_which_then_closes(keyed_server: ServerProcess) -> None:
    async def run() -> None:
        async with websockets.connect(keyed_server.websocket_url, **_subprotocol(WRONG)) as socket:
            assert json.loads(await socket.recv())["error"]["code"] == "invalid_api_key"
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (3000, "invalid_request_error.invalid_api_key")

    asyncio.run(run())


def test_what_a_stranger_sends_is_not_read(keyed_server: ServerProcess) -> None:
    flood = frame(append("A" * 1_000_000).encode()) * 16

    async def run() -> None:
        before_mib = resident_mib(keyed_server)
        protocols = f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{WRONG}\r\n".encode()
        async with raw_socket(keyed_server, upgrade=True, headers=protocols) as (reader, writer):
            writer.write(flood)
            async with asyncio.timeout(20):
                answer = await reader.readuntil(b"invalid_request_error.invalid_api_key")
        assert answer.count(b'"type":"error"') == 1
        assert resident_mib(keyed_server) - before_mib < 40

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt-realtime"])
def test_without_the_key_an_address_tells_nothing(keyed_server: ServerProcess, path: str) -> None:
    url = keyed_server.base_url.removesuffix("/v1") + path
    for headers in ({}, {"Authorization": f"Bearer {WRONG}"}):
        answer = httpx.get(url, headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert WRONG not in answer.text
    assert httpx.get(url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False).status_code == 200


# --- the log -------------------------------------------------------------------------------------------------------

START = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:debug|info|warning|error) ")
VALUE = re.compile(r'=("(?:[^"\\]|\\.)*"|\S+)')
SECRETS = (KEY, WRONG, "hush-words", "hush-instructions", "hush-arguments")
FORGED = "x\r\n2026-01-01T00:00:00.000Z error   forged_line \x1b[31mred\x1b[0m \u2028 \x9b0m " + "y" * 300


async def _noise(server: ServerProcess) -> None:
    """Everything by which a client's own words could reach the log."""
    await asyncio.to_thread(
        httpx.get, server.base_url + "/nothing/" + "z" * 300, headers={"User-Agent": "agent\tof " + "u" * 300}
    )
    latin = {"User-Agent": "\x9b31mred \u00a0" + "u" * 300}
    agent = {"additional_headers": latin | {"Authorization": f"Bearer {KEY}"}, "user_agent_header": None}
    with pytest.raises(InvalidStatus):
        async with connected(server, "?model=a%0D%0A2026-01-01T00:00:00.000Z%20error%20forged_line", **agent):
            pass
    async with connected(server, '?model=m"%20forged=1%20' + "m" * 200, **agent) as client:
        await client.send(json.dumps({"type": "input_audio_buffer.clear", FORGED: 1, "nested": {FORGED: FORGED}}))
        await client.next()
        await client.refusal({"type": FORGED})
        await client.refusal(json.dumps({"type": "response.cancel", "event_id": FORGED}))
        await client.send(update(instructions="hush-instructions"))
        await client.until("session.updated")
        call = {"type": "function_call", "name": "f", "arguments": "hush-arguments"}
        await client.send({"type": "conversation.item.create", "item": call})
        await client.ask("hush-words")
        await client.ask(f"fail {FORGED}")
        await client.ask("crash")
        await client.send(message("hang"))
        await client.send({"type": "response.create", "response": {"metadata": {"k": "hush-words"}}})
        await client.until("response.created")


def _values(line: str) -> list[str]:
    return [json.loads(value) if value.startswith('"') else value for value in VALUE.findall(line)]


def test_no_line_of_the_log_is_a_clients_own(keyed_server: ServerProcess) -> None:
    first = len(keyed_server.lines)

    async def run() -> None:
        await _noise(keyed_server)
        async with asyncio.timeout(10), connected(keyed_server, **_header(KEY)) as client:
            while not any("session_ended" in line for line in keyed_server.lines[first:]):
                await client.assert_works()

    asyncio.run(run())
    lines = keyed_server.lines[first:]
    # Lines of a traceback (an engine crashed) are indented.
    own = [line for line in lines if not line.startswith("    | ")]
    assert not [line for line in lines if not line.isascii() or not line.isprintable()]
    assert not [line for line in own if "forged_line" in line.split("=")[0]]
    assert max(len(value) for line in own for value in _values(line)) == 128
    assert any("unknown_field" in line for line in own)
    assert any("connection_refused" in line for line in own)
    assert not [line for line in lines if any(secret in line for secret in SECRETS)]
    assert not [line for line in own if not START.match(line)]
