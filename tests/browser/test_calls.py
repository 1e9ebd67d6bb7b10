"""Pages and a server process: what an application's page does with the Realtime API in a call."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import websockets

from antiphon.testing.wire import assert_valid_server_event
from tests.browser.support.chromium import PeerPage
from tests.browser.support.world import KEY, World
from tests.support.images import TINY

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

_VOICE_HZ = 220
"""The scripted voice."""
_SPOKEN = "say " + "These are words that take a while to be spoken. " * 3


async def opened_call(world: World, page: PeerPage) -> None:
    """``peer`` calls the server with a client secret, and ``voice`` is its microphone."""
    await page.run(
        """async (given) => {
            window.voice = new Voice();
            window.peer = new Peer(given);
            peer.openChannel();
            peer.pc.addTrack(voice.track);
            await peer.negotiate();
            await peer.connected();
        }""",
        {
            "url": f"{world.server.base_url}/realtime/calls",
            "headers": {"Authorization": f"Bearer {await secret(world)}"},
        },
    )
    assert (await event(page, "session.created"))["session"]["type"] == "realtime"


async def secret(world: World) -> str:
    async with httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = await http.post(f"{world.server.base_url}/realtime/client_secrets", headers=headers, json={})
    return str(answer.raise_for_status().json()["value"])


async def event(page: PeerPage, type: str) -> dict[str, Any]:
    """The next event of this type."""
    found: dict[str, Any] = await page.run(f"peer.event({type!r})")
    return found


async def say(page: PeerPage, *events: dict[str, Any]) -> None:
    for one in events:
        await page.run("(event) => peer.send(event)", one)


def user_message(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


async def all_events(page: PeerPage) -> list[dict[str, Any]]:
    """Everything so far, each valid."""
    events = [json.loads(message) for message in await page.run("peer.messages")]
    for one in events:
        assert_valid_server_event(one)
    return events


def without_runs(events: list[dict[str, Any]]) -> list[str]:
    """Types; runs of the same type as one."""
    types = [one["type"] for one in events]
    return [one for index, one in enumerate(types) if index == 0 or types[index - 1] != one]


# --- the reference's own page --------------------------------------------------------------------------------------

_UPDATE = {
    "type": "session.update",
    "session": {
        "type": "realtime",
        "instructions": "Be concise. If the user sends an image, describe key elements first.",
        "output_modalities": ["text", "audio"],
        "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}, "output": {"voice": "verse"}},
    },
}
_SCREENSHOT = {
    "type": "conversation.item.create",
    "item": {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What do you see in this screenshot?"},
            {"type": "input_image", "image_url": TINY["%png"]},
        ],
    },
}


async def reference_conversation(page: PeerPage) -> None:
    await page.run("start()")
    await page.run("until(() => isConnected, 'an open channel')")
    await page.run("until(() => received.length, 'session.created')")
    assert await page.run("received[0].type") == "session.created"
    answer = {"type": "response.create", "response": {"output_modalities": ["text"]}}
    await page.run("(events) => events.forEach(send)", [_UPDATE, _SCREENSHOT, answer])
    await page.run("until(() => received.some((one) => one.type === 'response.done'), 'response.done')")
    events = await page.run("received")
    for one in events:
        assert_valid_server_event(one)
    said = "".join(one["delta"] for one in events if one["type"] == "response.output_text.delta")
    assert said.startswith("You said: What do you see in this screenshot?")
    assert [one for one in events if one["type"] == "error"] == []
    assert (await page.run("location_")).startswith("/api/realtime/session/calls/rtc_")
    await page.run("cleanup()")


async def test_the_page_of_the_reference_talks_through_the_application(world: World) -> None:
    async with world.application_page("founding.html") as page:
        await reference_conversation(page)


async def test_the_page_of_the_reference_talks_through_the_servers_own_endpoint(world: World) -> None:
    async with world.page_of_the_server("page.js", "founding.js") as page:
        await reference_conversation(page)


async def test_an_offer_of_nothing_is_answered_by_what_to_do_first(world: World) -> None:
    """The reference creates the data channel after the offer, when it is too late."""
    async with world.application_page("founding.html") as page:
        status, text = await page.run(
            """async () => {
                const offer = await new RTCPeerConnection().createOffer();
                const headers = { "Content-Type": "text/plain" };
                const answer = await fetch("/api/realtime/session", { method: "POST", headers, body: offer.sdp });
                return [answer.status, await answer.text()];
            }"""
        )
        assert status == 400
        assert "createOffer" in json.loads(text)["error"]["message"]


async def test_the_page_of_the_reference_starts_and_stops_its_microphone(world: World) -> None:
    async with world.application_page("founding.html") as page:
        await page.run("start()")
        await page.run("until(() => isConnected, 'an open channel')")
        await page.run("startMic()")
        await page.run(
            "until(() => received.some((one) => one.type === 'input_audio_buffer.speech_started'), 'a turn')"
        )
        await page.run("stopMic()")
        await page.run("until(() => received.some((one) => one.type === 'response.done'), 'the answer')")
        await page.run("cleanup()")


async def test_the_page_of_the_reference_connects_by_websocket_with_a_secret(world: World) -> None:
    address = f"{world.server.websocket_url}?model=gpt-realtime"
    async with world.application_page("founding.html") as page:
        first = await page.run(
            """async (address) => {
                const socket = await connectWithSecret(address);
                const first = await new Promise((done, failed) => {
                    socket.onmessage = (event) => done(JSON.parse(event.data));
                    socket.onclose = () => failed(new Error("closed"));
                });
                socket.onclose = null;
                socket.close();
                return { ...first, protocol: socket.protocol };
            }""",
            address,
        )
        assert (first["type"], first["protocol"]) == ("session.created", "realtime")


# --- a conversation ------------------------------------------------------------------------------------------------


async def test_a_page_of_another_origin_calls_with_a_secret_and_learns_its_address(world: World) -> None:
    async with world.page() as page:
        await opened_call(world, page)
        location = await page.run("peer.location")
        assert location.startswith(f"{world.server.base_url}/realtime/calls/rtc_")
        assert (await page.run("peer.sdp.answer")).startswith("v=0")


async def test_settings_and_text_go_over_the_data_channel(world: World) -> None:
    async with world.page() as page:
        await opened_call(world, page)
        await say(page, {"type": "session.update", "session": {"type": "realtime", "instructions": "Be kind."}})
        assert (await event(page, "session.updated"))["session"]["instructions"] == "Be kind."
        await say(page, user_message("hello"), {"type": "response.create", "response": {"output_modalities": ["text"]}})
        done = await event(page, "response.output_text.done")
        assert done["text"] == "You said: hello"
        await event(page, "response.done")
        types = without_runs(await all_events(page))
        assert not [one for one in types if one.startswith("output_audio_buffer.")]
        assert "error" not in types


async def test_an_answer_is_spoken_on_the_track_and_the_buffers_events_frame_it(world: World) -> None:
    async with world.page() as page:
        await opened_call(world, page)
        await say(page, user_message(_SPOKEN), {"type": "response.create"})
        started = await event(page, "output_audio_buffer.started")
        await page.run(f"peer.hears({_VOICE_HZ})")
        stopped = await event(page, "output_audio_buffer.stopped")
        await page.run("peer.hearsNothing()")
        events = await all_events(page)
        (done,) = [one["response"] for one in events if one["type"] == "response.done"]
        assert done["status"] == "completed"
        assert started["response_id"] == stopped["response_id"] == done["id"]
        types = without_runs(events)
        assert "response.output_audio.delta" not in types
        assert types.index("response.output_audio.done") < types.index("response.done")
        assert types[-1] == "output_audio_buffer.stopped"


async def test_a_spoken_turn_is_answered(world: World) -> None:
    async with world.page() as page:
        await opened_call(world, page)
        await page.run(f"() => {{ window.answered = peer.hears({_VOICE_HZ}, 20000) }}")  # it is short
        await page.run("voice.speak(1200)")
        await event(page, "input_audio_buffer.speech_started")
        await event(page, "input_audio_buffer.speech_stopped")
        await event(page, "input_audio_buffer.committed")
        await event(page, "output_audio_buffer.started")
        await page.run("answered")
        await event(page, "output_audio_buffer.stopped")
        await all_events(page)


async def test_speaking_into_an_answer_cuts_it_to_what_was_heard(world: World) -> None:
    async with world.page() as page:
        await opened_call(world, page)
        await say(page, user_message("long 200"), {"type": "response.create"})
        started = await event(page, "output_audio_buffer.started")
        await page.run(f"peer.hears({_VOICE_HZ})")
        await page.run("voice.on()")
        await event(page, "input_audio_buffer.speech_started")
        cleared = await event(page, "output_audio_buffer.cleared")
        assert cleared["response_id"] == started["response_id"]
        truncated = await event(page, "conversation.item.truncated")
        assert 0 < truncated["audio_end_ms"] < 20_000
        await page.run("peer.hearsNothing(2000)")
        await page.run("voice.off()")
        await event(page, "output_audio_buffer.started")  # the answer to what was said
        events = await all_events(page)
        ends = [one["response"] for one in events if one["type"] == "response.done"]
        assert ends[0]["id"] == started["response_id"]
        await say(page, {"type": "conversation.item.retrieve", "item_id": truncated["item_id"]})
        (part,) = (await event(page, "conversation.item.retrieved"))["item"]["content"]
        assert "word 200" not in part["transcript"]


async def test_a_page_can_cut_an_answer_by_itself(world: World) -> None:
    async with world.page() as page:
        await opened_call(world, page)
        await say(page, user_message("long 200"), {"type": "response.create"})
        await event(page, "output_audio_buffer.started")
        await page.run(f"peer.hears({_VOICE_HZ})")
        await say(page, {"type": "response.cancel"}, {"type": "output_audio_buffer.clear"})
        await event(page, "output_audio_buffer.cleared")
        await page.run("peer.hearsNothing(2000)")


async def test_an_image_that_is_too_large_for_the_channel_is_posted_to_the_call(world: World) -> None:
    async with world.page() as page:
        await opened_call(world, page)
        posted = await page.run(
            """async () => {
                const canvas = Object.assign(document.createElement("canvas"), { width: 400, height: 400 });
                const noise = new ImageData(400, 400);
                noise.data.forEach((_, index) => (noise.data[index] = index % 4 === 3 ? 255 : Math.random() * 256));
                canvas.getContext("2d").putImageData(noise, 0, 0);
                const content = [{ type: "input_image", image_url: canvas.toDataURL("image/png") }];
                const body = JSON.stringify({ item: { type: "message", role: "user", content } });
                const headers = { ...peer.headers, "Content-Type": "application/json" };
                const answer = await fetch(`${peer.location}/items`, { method: "POST", headers, body });
                return [answer.status, body.length, (await answer.json()).id];
            }"""
        )
        assert posted[0] == 200
        assert posted[1] > 262_144
        assert (await event(page, "conversation.item.added"))["item"]["id"] == posted[2]


async def test_a_call_is_hung_up_at_its_address(world: World) -> None:
    async with world.page() as page:
        await opened_call(world, page)
        status = await page.run(
            "fetch(`${peer.location}/hangup`, { method: 'POST', headers: peer.headers }).then((it) => it.status)"
        )
        assert status == 200
        await page.run("until(() => peer.channel.readyState === 'closed', 'a closed channel', 2000)")


async def test_a_sideband_sees_what_the_page_sees_and_speaks_in_the_same_session(world: World) -> None:
    async with world.page() as page:
        await opened_call(world, page)
        call_id = (await page.run("peer.location")).rpartition("/")[2]
        address = f"{world.server.websocket_url}?call_id={call_id}"
        async with websockets.connect(address, additional_headers={"Authorization": f"Bearer {KEY}"}) as sideband:
            await sideband.send(json.dumps(user_message(_SPOKEN)))
            await sideband.send(json.dumps({"type": "response.create"}))
            seen: list[dict[str, Any]] = []
            async with asyncio.timeout(20):
                while not seen or seen[-1]["type"] != "output_audio_buffer.stopped":
                    seen.append(json.loads(await sideband.recv()))
            await event(page, "output_audio_buffer.stopped")
            await page.run("peer.hangUp()")
            async with asyncio.timeout(3):
                await sideband.wait_closed()
        on_the_page = [json.loads(message) for message in await page.run("peer.messages")]
        assert without_runs(seen) == without_runs(on_the_page[1:])
        assert [one["event_id"] for one in seen] == [one["event_id"] for one in on_the_page[1:]]


# --- a client that people use --------------------------------------------------------------------------------------


async def test_the_agents_sdk_connects_speaks_and_interrupts(world: World) -> None:
    async with world.application_page("agents.html") as page:
        base = f"{world.server.base_url}/realtime/calls"
        await page.run("until(() => window.connectAgent, 'the SDK')")
        await page.run("async ([base, key]) => { await connectAgent(base, key) }", [base, await secret(world)])
        assert await page.run("took") < 4_000  # it gives up waiting for session.updated after 5 s
        assert await page.run("transport.status") == "connected"
        assert (await page.run("transport.callId")).startswith("rtc_")
        await page.run("session.sendMessage('long 200')")
        await page.run("until(() => events.includes('output_audio_buffer.started'), 'speech')")
        await page.run(
            "until(() => player.srcObject, 'a track').then(() => {"
            " window.peer = new Peer(); peer.listen(player.srcObject.getAudioTracks()[0]); })"
        )
        await page.run(f"peer.hears({_VOICE_HZ})")
        await page.run("session.interrupt()")
        await page.run("until(() => events.includes('output_audio_buffer.cleared'), 'the end of it')")
        await page.run("peer.hearsNothing(2000)")
        await page.run("session.close()")
        assert await page.run("errors") == []
