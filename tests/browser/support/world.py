"""What the tests of browsers find: one Chromium for all of them, the rig, a server and an application that uses it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser

from tests.browser.support.application import PAGES, running_application
from tests.browser.support.chromium import ChromiumPage, PeerPage, chromium, opened_page
from tests.browser.support.rig import Rig, RigCall, running_rig
from tests.support.server import ServerProcess

__all__ = ["KEY", "Servers", "World", "running_world"]

KEY: Final = "sk-the-applications-own"


@dataclass(frozen=True)
class Servers:
    """Two processes, with scripted engines."""

    closed: ServerProcess
    """It wants ``KEY``."""
    open: ServerProcess
    """It takes any key, from this machine."""


class World:
    def __init__(
        self, browser: Browser, rig: Rig, servers: "Servers", application: str, new_folder: Callable[[str], Path]
    ) -> None:
        self.browser = browser
        self.rig = rig
        self.server = servers.closed
        self.open_server = servers.open
        self.application = application
        """Its address; it holds the server's key."""
        self.new_folder = new_folder
        self.notes: list[str] = []
        """Said at the end of the run."""

    @asynccontextmanager
    async def page(self, name: str = "page.html") -> AsyncIterator[ChromiumPage]:
        """A page of the rig."""
        async with opened_page(self.browser, f"{self.rig.address}/{name}") as page:
            yield page

    @asynccontextmanager
    async def application_page(self, name: str) -> AsyncIterator[ChromiumPage]:
        async with opened_page(self.browser, f"{self.application}/{name}") as page:
            yield page

    @asynccontextmanager
    async def page_of_the_server(self, *scripts: str) -> AsyncIterator[ChromiumPage]:
        """A page of the open server's own origin, where there is none yet."""
        origin = self.open_server.base_url.removesuffix("/v1")
        content = "".join(f"<script>{(PAGES / name).read_text()}</script>" for name in scripts)
        async with opened_page(self.browser, f"{origin}/test.html", content) as page:
            yield page

    async def called(self, page: PeerPage, options: dict[str, Any] | None = None, **peer: Any) -> RigCall:
        """``peer`` of the page calls the rig; the options are those of ``call``, the rest the peer's own."""
        peer["url"] = f"/calls?at={peer.pop('at', 'patient')}"
        await page.run(
            "async ([peer, call]) => { window.peer = new Peer(peer); await window.peer.call(call) }",
            [peer, options or {}],
        )
        return self.rig.named(await page.run("peer.location"))


@asynccontextmanager
async def running_world(servers: Servers, new_folder: Callable[[str], Path]) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(running_rig())
        application = await stack.enter_async_context(running_application(servers.closed.base_url, KEY))
        browser = await stack.enter_async_context(chromium(new_folder("chromium")))
        yield World(browser, rig, servers, application, new_folder)
