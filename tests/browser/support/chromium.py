"""Debian's Chromium, headless, with a microphone that hears a tone."""

import asyncio
import os
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from playwright.async_api import Browser, Page, Route, async_playwright
from playwright.async_api import Error as PlaywrightError

__all__ = ["MICROPHONE_HZ", "PROGRAM", "ChromiumPage", "PeerPage", "chromium", "opened_page"]

PROGRAM: Final = "/usr/bin/chromium"
MICROPHONE_HZ: Final = 700
_TONE_HZ: Final = 48_000
_TONE_S: Final = 10
_FLAGS: Final = (
    "--allow-loopback-in-peer-connection",  # also where the machine has no other network
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


class PeerPage(Protocol):
    """A page with ``page.js``, of whichever browser."""

    async def run(self, script: str, argument: Any = None) -> Any:
        """The value of an expression, or of a function of ``argument``, awaited there; its exception is raised."""
        ...


class ChromiumPage:
    def __init__(self, page: Page) -> None:
        self.page = page

    async def run(self, script: str, argument: Any = None) -> Any:
        return await self.page.evaluate(script, argument)

    async def crash(self) -> None:
        """End the page's process, as a fault of the browser does: nobody says goodbye."""
        session = await self.page.context.new_cdp_session(self.page)
        async with self.page.expect_event("crash"):
            with suppress(PlaywrightError, TimeoutError):
                # Nobody is left to answer it.
                async with asyncio.timeout(0.5):
                    await session.send("Page.crash")


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """``folder``: where the microphone's tone is kept."""
    tone = folder / "microphone.wav"
    _write_tone(tone)
    flags = [*_FLAGS, f"--use-file-for-fake-audio-capture={tone}"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=PROGRAM, args=flags, headless=True, ignore_default_args=["--mute-audio"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened_page(browser: Browser, address: str, content: str | None = None) -> AsyncIterator[ChromiumPage]:
    """A page in a browsing context, and thus a process, of its own; its errors fail the test.

    With ``content`` the page is this document, whatever the server has at its address.
    """
    context = await browser.new_context()
    errors: list[str] = []
    try:
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        if content is not None:
            await page.route(address, lambda route: _fulfil(route, content))
        await page.goto(address)
        yield ChromiumPage(page)
    finally:
        with suppress(PlaywrightError):  # one that crashed
            await context.close()
    assert not errors, errors


async def _fulfil(route: Route, content: str) -> None:
    await route.fulfill(body=content, content_type="text/html")


def _write_tone(path: Path) -> None:
    at = np.arange(_TONE_HZ * _TONE_S) / _TONE_HZ
    samples = (0.4 * 32767 * np.sin(2 * np.pi * MICROPHONE_HZ * at)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_TONE_HZ)
        file.writeframes(samples.tobytes())
