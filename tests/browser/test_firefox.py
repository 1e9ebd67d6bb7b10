"""Another browser, as people have it, with the same page."""

import pytest

from antiphon.rtc.call import CallEnd
from tests.browser.support.firefox import MICROPHONE_HZ, FirefoxPage, firefox
from tests.browser.support.rig import SAID_HZ, strongest_hz
from tests.browser.support.world import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

_VOICE_HZ = 220
"""The scripted voice."""


async def test_firefox_calls_a_server_on_loopback_talks_both_ways_and_hangs_up(world: World) -> None:
    """It gathers no loopback address, and calls none from another. One Firefox does all: it is slow to start."""
    async with firefox(world.new_folder("firefox"), f"{world.rig.address}/page.html") as page:
        await _talks_with_the_rig(world, page)
        await _is_answered_by_a_server(page, world.open_server.base_url)


async def _talks_with_the_rig(world: World, page: FirefoxPage) -> None:
    call = await world.called(page, at="own")
    assert "a=candidate" not in (await page.run("peer.sdp"))["offer"]
    await call.hears(MICROPHONE_HZ)
    assert strongest_hz(await page.run("peer.recorded(1500)"), 6_000) == pytest.approx(SAID_HZ, abs=20)
    assert await page.run("peer.echo(100_000)") == 100_000
    await page.run("peer.hangUp()")
    assert await call.has_ended(1.0) is CallEnd.HUNG_UP


async def _is_answered_by_a_server(page: FirefoxPage, base_url: str) -> None:
    """The process that ``antiphon serve`` starts, with its own choice of addresses."""
    await page.run(
        "async (url) => { window.peer = new Peer({ url }); await peer.call({ audio: 'recvonly' }) }",
        f"{base_url}/realtime/calls",
    )
    await page.run(
        """async () => {
            await peer.event("session.created");
            const content = [{ type: "input_text", text: "long 50" }];
            peer.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
            peer.send({ type: "response.create" });
            await peer.event("output_audio_buffer.started");
        }"""
    )
    assert strongest_hz(await page.run("peer.recorded(1500)"), 6_000) == pytest.approx(_VOICE_HZ, abs=20)
    await page.run("peer.hangUp()")
