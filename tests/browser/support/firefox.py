"""Debian's Firefox, headless, driven by WebDriver BiDi over its own WebSocket."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

__all__ = ["MICROPHONE_HZ", "PROGRAM", "FirefoxPage", "firefox"]

PROGRAM: Final = "/usr/bin/firefox-esr"
MICROPHONE_HZ: Final = 600
_START_S: Final = 60.0
_PREFERENCES: Final = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "media.autoplay.blocking_policy": 0,
    "media.autoplay.default": 0,
    "media.navigator.audio.fake_frequency": MICROPHONE_HZ,
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}


class FirefoxPage:
    """A page, as ``ChromiumPage`` is one."""

    def __init__(self, bidi: "_Bidi", context: str) -> None:
        self._bidi = bidi
        self._context = context

    async def run(self, script: str, argument: Any = None) -> Any:
        # Values go both ways as JSON, which spares this the protocol's own notation.
        given = json.dumps(json.dumps(argument))
        body = f"async () => {{ const it = {script}; const value = JSON.parse({given});"
        body += " return JSON.stringify((typeof it === 'function' ? await it(value) : await it) ?? null) }"
        result = await self._bidi.do(
            "script.callFunction",
            functionDeclaration=body,
            target={"context": self._context},
            awaitPromise=True,
        )
        if result["type"] == "exception":
            raise AssertionError(result["exceptionDetails"]["text"])
        return json.loads(result["result"]["value"])


class _Bidi:
    """One command at a time."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)

    async def do(self, method: str, **params: Any) -> Any:
        number = next(self._ids)
        await self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        async for text in self._connection:
            message = json.loads(text)
            if message.get("id") == number:
                assert message["type"] == "success", f"{method}: {message}"
                return message["result"]
        raise AssertionError(f"{method}: Firefox has gone")


@asynccontextmanager
async def firefox(folder: Path, address: str) -> AsyncIterator[FirefoxPage]:
    """A Firefox with a new profile in ``folder``, at an address."""
    profile = folder / "firefox"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [PROGRAM, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(profile)]
    with (folder / "firefox.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        async with connect(await _socket_of(profile), max_size=None, ping_interval=None) as connection:
            bidi = _Bidi(connection)
            await bidi.do("session.new", capabilities={})
            tree = await bidi.do("browsingContext.getTree")
            context = tree["contexts"][0]["context"]
            await bidi.do("browsingContext.navigate", context=context, url=address, wait="complete")
            yield FirefoxPage(bidi, context)
    finally:
        process.terminate()
        await process.wait()


async def _socket_of(profile: Path) -> str:
    """Firefox writes into its profile where it listens."""
    note = profile / "WebDriverBiDiServer.json"
    end = time.monotonic() + _START_S
    while True:
        try:
            place = json.loads(note.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            assert time.monotonic() < end, "Firefox does not listen"
            await asyncio.sleep(0.1)
        else:
            return f"ws://{place['ws_host']}:{place['ws_port']}/session"
