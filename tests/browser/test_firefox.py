"""Another browser, with the same page: connect, a tone both ways, messages, hang-up."""

import pytest

from antiphon.rtc.call import CallEnd
from tests.browser.support.firefox import MICROPHONE_HZ, firefox
from tests.browser.support.rig import SAID_HZ, strongest_hz
from tests.browser.support.world import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


async def test_firefox_calls_without_candidates_talks_both_ways_and_hangs_up(world: World) -> None:
    # It gathers no loopback address where there are others.
    async with firefox(world.new_folder("firefox"), f"{world.rig.address}/page.html") as page:
        call = await world.called(page, at="everywhere")
        assert "a=candidate" not in (await page.run("peer.sdp"))["offer"]
        await call.hears(MICROPHONE_HZ)
        assert strongest_hz(await page.run("peer.recorded(1500)"), 6_000) == pytest.approx(SAID_HZ, abs=20)
        assert await page.run("peer.echo(100_000)") == 100_000
        await page.run("peer.hangUp()")
        assert await call.has_ended(1.0) is CallEnd.HUNG_UP
