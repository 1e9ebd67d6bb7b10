"""A server process: how it starts, what it says, and how it ends."""

import asyncio
import json
import signal
import ssl
from pathlib import Path

import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from tests.support.server import running_server

pytestmark = pytest.mark.e2e
SCRIPTED = ["--engine", "scripted", "--set", "drain_s=0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_sessions_with_a_close_frame_and_the_process_with_status_0(number: signal.Signals) -> None:
    with running_server(SCRIPTED) as server:

        async def scenario() -> int | None:
            async with websockets.connect(server.websocket_url) as socket:
                assert json.loads(await socket.recv())["type"] == "session.created"
                server.process.send_signal(number)
                with pytest.raises(ConnectionClosed) as caught:
                    await socket.recv()
                return caught.value.rcvd.code if caught.value.rcvd else None

        assert asyncio.run(scenario()) in (1001, 1012)
        assert server.process.wait(20) == 0
    assert not any("Traceback" in line for line in server.lines)


def test_a_second_signal_does_not_wait_for_sessions() -> None:
    with running_server(["--engine", "scripted", "--set", "drain_s=600"]) as server:

        async def scenario() -> None:
            async with websockets.connect(server.websocket_url) as socket:
                await socket.recv()
                server.process.send_signal(signal.SIGINT)
                async with asyncio.timeout(10):
                    while not any("draining" in line for line in server.lines):
                        await (await socket.ping())
                server.process.send_signal(signal.SIGINT)
                with pytest.raises(ConnectionClosed):
                    await socket.recv()

        asyncio.run(scenario())
        assert server.process.wait(20) == 0


def test_a_session_may_finish_while_the_server_drains() -> None:
    with running_server(["--engine", "scripted", "--set", "drain_s=600"]) as server:

        async def scenario() -> None:
            async with websockets.connect(server.websocket_url) as socket:
                await socket.recv()
                server.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(10):
                    while not any("draining" in line for line in server.lines):
                        await (await socket.ping())
                await socket.send(json.dumps({"type": "response.create"}))
                while json.loads(await socket.recv())["type"] != "response.done":
                    pass

        asyncio.run(scenario())
        assert server.process.wait(20) == 0


def test_a_self_signed_server_is_trusted_by_the_certificate_that_it_names(tmp_path: Path) -> None:
    with running_server([*SCRIPTED, "--tls-self-signed"], environment={"XDG_STATE_HOME": str(tmp_path)}) as server:
        assert server.websocket_url.startswith("wss://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(tmp_path / "antiphon" / "tls" / "ca.pem"))

        async def scenario() -> None:
            async with websockets.connect(server.websocket_url, ssl=trust) as socket:
                assert json.loads(await socket.recv())["type"] == "session.created"

        asyncio.run(scenario())


def test_a_tls_client_that_vanishes_is_no_fault_of_the_server(tmp_path: Path) -> None:
    with running_server([*SCRIPTED, "--tls-self-signed"], environment={"XDG_STATE_HOME": str(tmp_path)}) as server:
        trust = ssl.create_default_context(cafile=str(tmp_path / "antiphon" / "tls" / "ca.pem"))

        async def vanish() -> None:
            socket = await websockets.connect(server.websocket_url, ssl=trust)
            await socket.recv()
            await (await socket.ping())  # it waits for the next message
            socket.transport.abort()

        async def scenario() -> None:
            for _ in range(10):
                await vanish()
            async with asyncio.timeout(10):
                while sum("session_ended" in line for line in server.lines) < 10:
                    async with websockets.connect(server.websocket_url, ssl=trust) as socket:
                        await socket.recv()

        asyncio.run(scenario())
        assert [line for line in server.lines if "session_fault" in line or "Traceback" in line] == []


def test_the_banner_shouts_that_the_engines_are_scripted() -> None:
    with running_server(SCRIPTED) as server:
        assert any(line.startswith("!! SCRIPTED ENGINES") for line in server.lines)
        assert any("any key is accepted" in line for line in server.lines)


def test_a_handshake_that_is_refused_is_one_line_of_the_log_and_no_error() -> None:
    async def scenario(url: str) -> None:
        with pytest.raises(websockets.InvalidStatus, match="401"):
            await websockets.connect(url, additional_headers={"Authorization": "Bearer another-key"})

    with running_server(SCRIPTED, environment={"ANTIPHON_API_KEYS": "a-key"}) as server:
        asyncio.run(scenario(server.websocket_url))
    told = [line for line in server.lines if "connection_refused" in line or " error " in line]
    assert [("reason=invalid_api_key" in line, " error " in line) for line in told] == [(True, False)]
