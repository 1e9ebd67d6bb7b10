"""What browsers do with a call, and what comes of it: sound both ways, messages, new offers, bad networks, ends."""

import asyncio
import statistics
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.rtc.call import CallEnd
from tests.browser.support.chromium import MICROPHONE_HZ, PeerPage
from tests.browser.support.network import udp_relay_to
from tests.browser.support.rig import SAID_HZ, SILENT_S, RigCall
from tests.browser.support.turn import turn_server
from tests.browser.support.world import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

_MESSAGE_BYTES = 262_144


async def heard_both_ways(page: PeerPage, call: RigCall) -> None:
    await page.run(f"peer.hears({SAID_HZ})")
    await call.hears(MICROPHONE_HZ)


# --- connecting ----------------------------------------------------------------------------------------------------


async def test_an_offer_without_candidates_posted_at_once_is_enough(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page)
        assert "a=candidate" not in (await page.run("peer.sdp"))["offer"]
        await heard_both_ways(page, call)
        assert await page.run("peer.echo(100)") == 100


async def test_an_offer_with_candidates_is_as_good(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page, wait=True)
        assert "a=candidate" in (await page.run("peer.sdp"))["offer"]
        await heard_both_ways(page, call)


async def test_names_that_nobody_can_resolve_do_no_harm(world: World) -> None:
    hidden = [r"(a=candidate:\S+ \d \S+ \d+) \S+", "$1 1234abcd-0000-4000-8000-000000000000.local"]
    async with world.page() as page:
        call = await world.called(page, wait=True, offer=[hidden])
        assert ".local " in (await page.run("peer.sdp"))["offer"]
        await heard_both_ways(page, call)


async def test_tcp_alone_carries_a_call(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page, at="tcp")
        assert " udp " not in (await page.run("peer.sdp"))["answer"]
        await heard_both_ways(page, call)
        assert (await page.run("peer.path()")).endswith(" tcp")
        assert await page.run(f"peer.echo({_MESSAGE_BYTES})") == _MESSAGE_BYTES


@pytest.mark.parametrize("wait", [True, False])
async def test_a_browser_that_may_use_a_relay_only_is_reached(world: World, wait: bool) -> None:
    async with turn_server(world.new_folder("turn")) as config, world.page() as page:
        call = await world.called(page, wait=wait, config=config)
        await heard_both_ways(page, call)
        assert await page.run("peer.path()") == "relay udp"


# --- sound ---------------------------------------------------------------------------------------------------------


async def test_a_page_that_only_listens_hears(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page, {"audio": "recvonly"})
        await page.run(f"peer.hears({SAID_HZ})")
        assert not call.call.hears
        assert call.samples_heard == 0


async def test_a_data_channel_alone_is_a_call(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page, {"audio": None})
        assert await page.run("peer.echo(100)") == 100
        assert not call.call.hears


async def test_a_transceiver_without_a_track_takes_the_microphone_later_without_a_new_offer(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page, {"audio": "sendrecv"})
        await page.run(f"peer.hears({SAID_HZ})")
        assert call.heard_hz is None
        await page.run("(async () => peer.pc.getSenders()[0].replaceTrack(await microphone()))()")
        await heard_both_ways(page, call)


@pytest.mark.parametrize("codec", ["pcmu", "pcma"])
async def test_a_telephone_codec_is_spoken_where_a_browser_offers_nothing_else(world: World, codec: str) -> None:
    async with world.page() as page:
        call = await world.called(page, {"codec": codec})
        assert "opus" not in (await page.run("peer.sdp"))["answer"].lower()
        await heard_both_ways(page, call)


@pytest.mark.alone
async def test_what_the_browser_plays_is_whole(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page)
        await heard_both_ways(page, call)
        # A machine that stands still for a moment makes a gap; only what is always broken is broken.
        whole = [_whole(np.array(await page.run("peer.record(1)"))) for _ in range(3)]
        assert max(whole) > 0.98, whole


def _whole(tone: NDArray[np.float64]) -> float:
    """The share of windows of 10 ms that are as loud as the others."""
    level = np.sqrt(np.mean(tone[: len(tone) // 60 * 60].reshape(-1, 60) ** 2, axis=1))
    return float(np.mean(np.abs(level / np.median(level) - 1) < 0.2))


# --- new offers ----------------------------------------------------------------------------------------------------


async def test_a_microphone_that_is_added_later_is_heard_after_a_new_offer(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page, {"audio": None})
        assert await page.run("peer.echo(100)") == 100
        await page.run("peer.startMic()")
        await heard_both_ways(page, call)
        assert call.call.hears
        assert await page.run("peer.echo(100)") == 100


async def test_a_microphone_comes_and_goes_again_and_again(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page)
        for _ in range(3):
            await call.hears(MICROPHONE_HZ)
            await page.run("(async () => { peer.stopMic(); await peer.negotiate() })()")
            await call.hears_nothing()
            await page.run(f"peer.hears({SAID_HZ})")
            await page.run("peer.startMic()")
        await heard_both_ways(page, call)


async def test_a_restart_of_ice_changes_the_path_and_not_the_call(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page)
        await heard_both_ways(page, call)
        before = await page.run("peer.sdp.answer")
        await page.run("(async () => { await peer.negotiate({ iceRestart: true }); await peer.connected() })()")
        after = await page.run("peer.sdp.answer")
        assert _line(after, "a=ice-ufrag") != _line(before, "a=ice-ufrag")
        assert _line(after, "a=fingerprint") == _line(before, "a=fingerprint")
        heard = call.samples_heard
        await asyncio.sleep(1.5)
        assert call.samples_heard - heard > 24_000
        await heard_both_ways(page, call)
        assert await page.run("peer.echo(100)") == 100


def _line(sdp: str, start: str) -> str:
    return next(line for line in sdp.splitlines() if line.startswith(start))


# --- bad networks --------------------------------------------------------------------------------------------------


def _through(port: int, relay_port: int) -> list[list[str]]:
    """What makes the browser take the relay for the server, and leaves no way beside it."""
    return [[r"^a=candidate:.* tcp .*\r\n", ""], [f" {port} typ host", f" {relay_port} typ host"]]


async def test_a_call_outlives_a_network_that_is_down_for_eight_seconds(world: World) -> None:
    port = world.rig.endpoints["patient"].port
    with udp_relay_to(port) as relay:
        async with world.page() as page:
            call = await world.called(page, answer=_through(port, relay.port))
            await heard_both_ways(page, call)
            relay.is_down = True
            await asyncio.sleep(8)
            assert call.heard_hz is None
            relay.is_down = False
            await heard_both_ways(page, call)
            assert await page.run("peer.echo(100)") == 100
            assert (await page.run("peer.states"))[-2:] == ["disconnected", "connected"]
        assert relay.passed


@pytest.mark.alone
async def test_a_fifth_of_the_packets_may_be_lost_and_the_audio_keeps_its_length(world: World) -> None:
    port = world.rig.endpoints["patient"].port
    with udp_relay_to(port) as relay:
        async with world.page() as page:
            call = await world.called(page, answer=_through(port, relay.port))
            await heard_both_ways(page, call)
            relay.lost_every = 5
            heard, began = call.samples_heard, time.monotonic()
            await asyncio.sleep(4)
            rate = (call.samples_heard - heard) / (time.monotonic() - began)
            assert rate == pytest.approx(24_000, rel=0.05)  # a busy machine is late by a moment
            await heard_both_ways(page, call)
            assert await page.run("peer.echo(10_000)") == 10_000
            assert relay.lost > 50


# --- messages ------------------------------------------------------------------------------------------------------


async def test_messages_to_the_server_have_the_size_that_browsers_allow(world: World) -> None:
    async with world.page() as page:
        await world.called(page, {"audio": None})
        assert await page.run("peer.pc.sctp.maxMessageSize") == _MESSAGE_BYTES
        assert await page.run(f"peer.echo({_MESSAGE_BYTES})") == _MESSAGE_BYTES
        with pytest.raises(Exception, match="larger than"):
            await page.run(f"peer.echo({_MESSAGE_BYTES + 1})")
        assert await page.run("peer.echo(100)") == 100


async def test_messages_to_the_browser_may_be_larger(world: World) -> None:
    async with world.page() as page:
        await world.called(page, {"audio": None})
        await page.run("peer.send('give 1000000')")
        assert await page.run("peer.next().then((message) => message.length)") == 1_000_000
        assert await page.run("peer.echo(100)") == 100


# --- ends ----------------------------------------------------------------------------------------------------------


async def test_hanging_up_is_seen_at_once(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page)
        await page.run("peer.hangUp()")
        assert await call.has_ended(1.0) is CallEnd.HUNG_UP


async def test_a_page_that_is_left_hangs_up(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page)
        await page.page.goto("about:blank")
        assert await call.has_ended(1.0) is CallEnd.HUNG_UP


async def test_the_page_sees_at_once_that_the_server_hung_up(world: World) -> None:
    async with world.page() as page:
        call = await world.called(page)
        call.call.close()
        await page.run("until(() => peer.channel.readyState === 'closed', 'a closed channel', 1000)")


async def test_a_page_that_crashed_is_given_up_after_silence(world: World) -> None:
    """An endpoint of a server waits 20 s; this one is less patient."""
    async with world.page() as page:
        call = await world.called(page, at="impatient")
        await page.crash()
        began = time.monotonic()
        assert await call.has_ended(SILENT_S + 3) is CallEnd.SILENT
        assert time.monotonic() - began > SILENT_S / 2


# --- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.alone
async def test_how_long_it_takes_to_open_a_channel_is_told(world: World) -> None:
    """On a busy machine nothing can be demanded of it, but that it comes."""
    taken = []
    async with world.page() as page:
        for _ in range(12):
            await world.called(page, {"audio": "sendrecv"})
            taken.append(await page.run("peer.marks.open"))
            await page.run("peer.hangUp()")
    low, median, high = min(taken), statistics.median(taken), max(taken)
    world.notes.append(f"createOffer to open channel, Chromium: {median:.0f} ms (median of 12; {low:.0f}..{high:.0f})")
