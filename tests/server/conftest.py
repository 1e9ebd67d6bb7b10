"""A real server on a free port of this machine, with scripted engines, for as long as a test's coroutine runs."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from antiphon.engines.base import Engine
from antiphon.engines.registry import EngineKind
from antiphon.server.listen import bind, port_of
from antiphon.server.serving import serve
from antiphon.server.settings import load_settings
from antiphon.testing import scripted


@dataclass
class RunningServer:
    port: int
    ready: asyncio.Event
    stop: asyncio.Event

    def connect(self, query: str = "?model=gpt-realtime", **options: Any) -> websockets.connect:
        options.setdefault("compression", None)
        return websockets.connect(f"ws://127.0.0.1:{self.port}/v1/realtime{query}", **options)

    async def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> httpx.Response:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", trust_env=False) as client:
            return await client.request(method, path, headers=dict(headers or {}))

    async def listening(self) -> None:
        """Returns as soon as the server answers anything."""
        async with asyncio.timeout(5):
            while True:
                try:
                    await self.get("/healthz")
                except httpx.ConnectError:
                    continue
                return

    async def raw(self, *pieces: bytes) -> bytes:
        """What the server answers to these bytes, until it closes; fails the test if it does not."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(5):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                return await reader.read()
        finally:
            writer.close()


Scenario = Callable[[RunningServer], Awaitable[None]]
RunServer = Callable[..., str]


@pytest.fixture
def run_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunServer:
    """Call it with a coroutine function and flags; returns what ``serve`` returned."""
    for name in list(os.environ):
        if name.upper().startswith(("ANTIPHON_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(
        scenario: Scenario,
        flags: Mapping[str, Any] | None = None,
        *,
        engines: Mapping[EngineKind, Engine] | None = None,
        tls: ssl.SSLContext | None = None,
        wait_until_ready: bool = True,
    ) -> str:
        return asyncio.run(_run(scenario, dict(flags or {}), engines, tls, wait_until_ready))

    return run


async def _run(
    scenario: Scenario,
    flags: dict[str, Any],
    engines: Mapping[EngineKind, Engine] | None,
    tls: ssl.SSLContext | None,
    wait_until_ready: bool,
) -> str:
    # Calls have tests of their own; the others' servers need no ports for them.
    settings = load_settings({"drain_s": 0, "rtc": False, **flags})
    sockets = bind("127.0.0.1", 0)
    server = RunningServer(port_of(sockets), asyncio.Event(), asyncio.Event())
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(
            serve(
                settings,
                engines or scripted.engines(),
                sockets,
                tls,
                on_ready=server.ready.set,
                stop=server.stop,
            )
        )
        ready = tasks.create_task(server.ready.wait())
        if wait_until_ready:
            await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        try:
            await scenario(server)
        finally:
            # Whatever happened, the server ends by itself: a cancelled one would leave its sockets open.
            server.stop.set()
            await asyncio.wait({serving})
    return await serving
