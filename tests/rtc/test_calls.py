"""Whole calls over loopback: what their owners hear, and what goes back to their callers."""

import asyncio
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription

from antiphon.audio.pcm import S16LE, silence
from antiphon.rtc.call import CallEnd
from antiphon.rtc.codecs import make_decoder, make_encoder
from antiphon.rtc.rtcp import SenderReport
from antiphon.rtc.sdp import CodecName, SdpError
from antiphon.rtc.settings import EndpointSettings
from tests.support.rtc_caller import calling
from tests.support.rtc_endpoint import PATIENCE_S, Owner, answered_by, open_endpoint, until
from tests.support.rtc_loop import in_real_time
from tests.support.rtc_offer import CODECS, Plan

HZ = 24_000
FRAME = 480
TONE = (np.sin(np.arange(HZ) * 2 * math.pi * 440 / HZ) * 8000).astype(S16LE).tobytes()
SETTINGS = EndpointSettings((), 0)


def loudness(pcm: bytes) -> float:
    return float(np.abs(np.frombuffer(pcm, S16LE).astype(float)).mean()) if pcm else 0.0


def payloads(codec: CodecName, frames: int) -> list[bytes]:
    encoder = make_encoder(CODECS[codec], SETTINGS)
    return [encoder.encode(TONE[at * 2 * FRAME : (at + 1) * 2 * FRAME]) for at in range(frames)]


@in_real_time
async def test_a_browser_like_caller_talks_and_is_answered() -> None:
    async with open_endpoint() as endpoint:
        owner, opened, answers = Owner(), asyncio.Event(), asyncio.Queue[str]()
        tracks: list[Any] = []
        caller = RTCPeerConnection()
        channel = caller.createDataChannel("oai-events")
        channel.on("open", opened.set)
        channel.on("message", answers.put_nowait)
        caller.addTrack(AudioStreamTrack())
        caller.on("track", tracks.append)
        await caller.setLocalDescription(await caller.createOffer())
        call = endpoint.call(caller.localDescription.sdp, owner)
        await caller.setRemoteDescription(RTCSessionDescription(call.answer, "answer"))
        async with asyncio.timeout(PATIENCE_S):
            await opened.wait()
            channel.send("hello")
            await owner.until("message", "hello")
            call.send("world")
            assert await answers.get() == "world"
            call.play("greeting", TONE)
            loudest = 0
            while loudest < 4000:
                loudest = abs((await tracks[0].recv()).to_ndarray()).max()
            await owner.until("ended", "greeting", HZ)
            await owner.heard(HZ // 2)
            await caller.close()
            await owner.until("closed")
    assert [told[0] for told in owner.told] == ["connected", "channel", "message", "started", "ended", "closed"]
    assert owner.told[1] == ("channel", "oai-events")
    assert owner.told[-1] == ("closed", CallEnd.HUNG_UP)


@pytest.mark.parametrize("codec", ["opus", "PCMU", "PCMA"])
@in_real_time
async def test_audio_passes_both_ways(codec: CodecName) -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner), Plan(codecs=[codec])) as caller:
        caller.received.kept = True
        await caller.connect()
        assert owner.call is not None
        assert owner.call.hears
        for payload in payloads(codec, 10):
            caller.say(payload)
        await owner.heard(9 * FRAME)
        assert loudness(bytes(owner.pcm)) > 3000
        owner.call.play("greeting", TONE[: 2 * 10 * FRAME])
        await owner.until("ended", "greeting", 10 * FRAME)
        await asyncio.sleep(0.02)
    packets = caller.received.media
    decoder = make_decoder(CODECS[codec])
    assert [packet.marker for packet in packets] == [True] + [False] * 9
    assert {packet.payload_type for packet in packets} == {CODECS[codec].payload_type}
    step = CODECS[codec].clock_hz // 50
    for before, after in pairwise(packets):
        assert (after.sequence - before.sequence) & 0xFFFF == 1
        assert (after.timestamp - before.timestamp) & 0xFFFFFFFF == step
    assert loudness(b"".join(decoder.decode(packet.payload) for packet in packets)) > 3000


@in_real_time
async def test_nothing_is_sent_while_silent_and_time_stamps_go_on_by_the_clock() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        caller.received.kept = caller.received.timed = True
        await caller.connect()
        assert owner.call is not None
        owner.call.play(1, TONE[: 2 * FRAME])
        await owner.until("ended", 1)
        await asyncio.sleep(0.3)
        assert caller.received.packets == 1
        owner.call.play(2, TONE[: 4 * FRAME])
        await owner.until("ended", 2)
        await asyncio.sleep(0.02)
    first, second, third = caller.received.media
    passed_s = caller.received.arrivals_s[1] - caller.received.arrivals_s[0]
    assert passed_s > 0.3
    assert ((second.timestamp - first.timestamp) & 0xFFFFFFFF) / 48_000 == pytest.approx(passed_s, abs=0.03)
    assert [first.marker, second.marker, third.marker] == [True, True, False]
    assert third.sequence == (first.sequence + 2) & 0xFFFF


@in_real_time
async def test_clearing_silences_the_wire_with_the_next_frame_and_tells_what_was_sent() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert owner.call is not None
        owner.call.play("long", TONE)
        owner.call.play("queued", TONE)
        assert owner.call.playout_pending_s == 2
        await owner.until("started", "long")
        await asyncio.sleep(0.1)
        taken = owner.taken
        cleared = owner.call.clear(lambda tag: True)
        assert [one.tag for one in cleared] == ["long", "queued"]
        assert cleared[0].sent_samples == taken * FRAME
        assert cleared[1].sent_samples == 0
        assert owner.call.playout_pending_s == 0
        await asyncio.sleep(0.1)
        assert caller.received.packets <= taken + 1
        assert [told for told in owner.told if told[0] == "ended"] == []


@pytest.mark.parametrize("plan", [Plan(audio=[]), Plan(audio=["sendonly"]), Plan(audio=["inactive"])])
@in_real_time
async def test_what_the_caller_does_not_want_to_hear_is_not_sent_but_plays_in_its_time(plan: Plan) -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner), plan) as caller:
        await caller.connect()
        assert owner.call is not None
        assert owner.call.hears == (list(plan.audio) == ["sendonly"])
        begun_s = asyncio.get_running_loop().time()
        owner.call.play("tag", TONE[: 2 * 5 * FRAME])
        await owner.until("ended", "tag", 5 * FRAME)
        assert asyncio.get_running_loop().time() - begun_s > 0.06
        assert caller.received.packets == 0


@in_real_time
async def test_a_caller_that_only_listens_is_spoken_to() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner), Plan(audio=["recvonly"])) as caller:
        await caller.connect()
        assert owner.call is not None
        assert not owner.call.hears
        owner.call.play("tag", TONE[: 2 * 5 * FRAME])
        await owner.until("ended", "tag")
        await asyncio.sleep(0.02)
        assert caller.received.packets == 5


@in_real_time
async def test_a_microphone_that_comes_later_is_heard_and_one_that_stops_and_starts_again_too() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner), Plan(audio=["recvonly"])) as caller:
        await caller.connect()
        assert owner.call is not None
        sections = ["recvonly"]
        for cycle in range(3):
            before = len(owner.pcm)
            sections = [*sections, "sendrecv"]
            answer = await caller.renegotiate(sections)  # type: ignore[arg-type]
            assert answer.directions[-1] == "recvonly"
            assert owner.call.hears
            caller.ssrc += 1
            for payload in payloads("opus", 10):
                caller.say(payload)
            await owner.heard(before // 2 + 9 * FRAME)
            sections[-1] = "recvonly" if cycle % 2 else "inactive"
            await caller.renegotiate(sections)  # type: ignore[arg-type]
            assert not owner.call.hears
        owner.call.play("still on the first section", TONE[: 2 * FRAME])
        await owner.until("ended")
        assert len({told[1] for told in owner.told if told[0] == "channel"}) == 1
        caller.send("alive")
        await owner.until("message", "alive")


@in_real_time
async def test_a_data_channel_may_be_added_later() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner), Plan(data=False)) as caller:
        await caller.connect()
        assert owner.call is not None
        with pytest.raises(ConnectionError):
            owner.call.send("early")
        caller.plan = Plan(audio=caller.plan.audio, data=True, credentials=caller.plan.credentials)
        assert (await caller.renegotiate()).data
        async with asyncio.timeout(PATIENCE_S):
            await caller._open_channel()
        await owner.until("channel", "oai-events")
        owner.call.send("hello")
        assert await caller.message() == "hello"


@in_real_time
async def test_an_offer_of_another_connection_and_a_broken_one_change_nothing() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert owner.call is not None
        before = owner.call.answer
        stranger = RTCPeerConnection()
        stranger.createDataChannel("x")
        await stranger.setLocalDescription(await stranger.createOffer())
        for offer in (stranger.localDescription.sdp, "nonsense", "v=0\r\n"):
            with pytest.raises(SdpError):
                owner.call.renegotiate(offer)
        await stranger.close()
        assert owner.call.answer == before
        caller.send("alive")
        await owner.until("message", "alive")


@in_real_time
async def test_reports_tell_the_caller_how_it_is_heard_and_us_how_far_it_is() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert owner.call is not None
        assert owner.call.heard_delay_ms() == 40 + SETTINGS.output_latency_ms
        owner.call.play("long", silence(HZ * 6))
        for payload in payloads("opus", 3):
            caller.say(payload)
        await until(lambda: bool(caller.received.reports))
        report = caller.received.reports[0]
        assert isinstance(report, SenderReport)
        assert report.packets <= caller.received.packets
        assert [block.ssrc for block in report.blocks] == [caller.ssrc]
        assert report.blocks[0].lost == 0
        caller.received.statistics._jitter = 0.05 * 48_000
        caller.report(1_800_000_000)
        call = owner.call
        await until(lambda: 140 <= call.heard_delay_ms() - SETTINGS.output_latency_ms < 200)


@in_real_time
async def test_a_caller_keeps_its_messages_while_none_are_taken() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert owner.call is not None
        owner.call.pause_messages()
        for number in range(3):
            caller.send(f"number {number}")
        await asyncio.sleep(0.05)
        assert "message" not in {told[0] for told in owner.told}
        owner.call.resume_messages()
        await owner.until("message", "number 2")
        assert [told[1] for told in owner.told if told[0] == "message"] == [f"number {number}" for number in range(3)]
