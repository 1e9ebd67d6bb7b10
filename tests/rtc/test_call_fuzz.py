"""Whatever arrives at a live endpoint, from strangers or inside a call: packets are dropped, and the call goes on."""

import asyncio
import random
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from antiphon.rtc import dtls
from antiphon.rtc.rtp import RtpPacket, pack_rtp
from antiphon.rtc.stun import binding_request
from tests.support.rtc_caller import Caller, calling
from tests.support.rtc_endpoint import Owner, answered_by, open_endpoint, until
from tests.support.rtc_loop import in_real_time

PACKETS = 3000
SIZES = (0, 1, 2, 4, 8, 11, 12, 13, 20, 28, 60, 200, 1200, 1499, 1500, 1501, 2047, 2048, 9000)


def random_bytes(fate: random.Random) -> bytes:
    """Of every kind that the first byte tells apart, and of every size."""
    packet = bytearray(fate.randbytes(fate.choice(SIZES)))
    if packet:
        packet[0] = fate.choice([0, 1, 3, 4, 19, 20, 22, 23, 63, 64, 127, 128, 144, 160, 191, 192, 255])
    return bytes(packet)


def bent(packet: bytes, fate: random.Random) -> bytes:
    """A packet with some bytes changed, cut, or repeated."""
    bent = bytearray(packet)
    for _ in range(fate.randrange(1, 4)):
        bent[fate.randrange(len(bent))] = fate.randrange(256)
    return bytes(bent[: fate.choice([len(bent), fate.randrange(len(bent) + 1)])]) + packet[: fate.choice([0, 0, 30])]


def checks(caller: Caller, fate: random.Random) -> Iterator[bytes]:
    assert caller.answer is not None
    name = f"{caller.answer.ufrag}:them"
    while True:
        request = binding_request(
            secrets.token_bytes(12), name, caller.answer.pwd.encode(), priority=1, tie_breaker=1, use_candidate=True
        )
        yield bent(request, fate)


def handshakes(fate: random.Random) -> Iterator[bytes]:
    """DTLS records of all types, with bodies that are none."""
    while True:
        body = fate.randbytes(fate.choice([0, 1, 12, 40, 300, 1400]))
        yield (
            bytes([fate.randrange(20, 64), 0xFE, fate.choice([0xFD, 0xFF, 0])])
            + bytes(8)
            + len(body).to_bytes(2)
            + body
        )


async def shower(caller: Caller, packets: Iterator[bytes] | Callable[[], bytes]) -> None:
    for number in range(PACKETS):
        packet = packets() if callable(packets) else next(packets)
        try:
            caller.send_raw(packet)
        except OSError:
            continue  # larger than the network carries
        if number % 50 == 0:
            await asyncio.sleep(0.001)


async def lives(caller: Caller, owner: Owner) -> None:
    word = secrets.token_hex(8)
    caller.send(word)
    await owner.until("message", word)
    assert owner.call is not None
    owner.call.play(word, bytes(960))
    await owner.until("ended", word)
    before = len(owner.pcm) // 2
    for number in range(5):
        caller.say(b"\xf8\xff\xfe", marker=not number)
    await owner.heard(before + 480)


@pytest.mark.parametrize("kind", ["random bytes", "bent checks", "DTLS records"])
@in_real_time
async def test_bytes_from_the_callers_own_address_are_dropped(kind: str) -> None:
    fate, owner = random.Random(1), Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        sources: dict[str, Any] = {
            "random bytes": lambda: random_bytes(fate),
            "bent checks": checks(caller, fate),
            "DTLS records": handshakes(fate),
        }
        await shower(caller, sources[kind])
        await lives(caller, owner)
        dropped = endpoint.statistics.dropped
        assert sum(dropped.values()) > PACKETS / 4 or kind == "DTLS records", "OpenSSL drops those without a word"


@in_real_time
async def test_bytes_while_a_call_is_set_up_do_not_keep_it_from_it() -> None:
    fate, owner = random.Random(2), Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller._offer()
        await caller._reach()
        for _ in range(200):
            packet = random_bytes(fate)
            if packet and not 19 < packet[0] < 64:
                caller._send(packet[:1500])
        await caller._encrypt()
        await caller._open_channel()
        await lives(caller, owner)


def media(fate: random.Random, caller: Caller) -> bytes:
    """RTP as only the caller can encrypt it, with anything inside."""
    packet = pack_rtp(
        RtpPacket(
            fate.choice([111, 111, 0, 8, 13, 126]),
            fate.random() < 0.2,
            fate.randrange(1 << 16) if fate.random() < 0.3 else caller.sequence + fate.randrange(10),
            fate.randrange(1 << 32) if fate.random() < 0.3 else caller.timestamp + fate.randrange(10_000),
            fate.choice([caller.ssrc, caller.ssrc, fate.randrange(1 << 32)]),
            fate.randbytes(fate.choice([0, 1, 2, 20, 200, 1200])),
        )
    )
    if fate.random() < 0.3:
        packet = bytes([packet[0] ^ fate.choice([0x10, 0x20, 0x0F, 0x30]), *packet[1:]])
    return packet


@in_real_time
async def test_encrypted_media_of_any_content_is_heard_or_dropped() -> None:
    fate, owner = random.Random(3), Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()

        def packet() -> bytes:
            while True:
                try:
                    return bytes(caller._dtls._tx_srtp.protect(media(fate, caller)))
                except Exception:
                    continue  # libsrtp itself does not take it

        await shower(caller, packet)
        seconds = len(owner.pcm) / 48_000
        assert seconds < 30
        caller.ssrc += 1
        await lives(caller, owner)


@in_real_time
async def test_encrypted_reports_of_any_content_are_read_or_dropped() -> None:
    fate, owner = random.Random(4), Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()

        def packet() -> bytes:
            body = fate.randbytes(4 * fate.randrange(1, 60))
            kind = fate.choice([200, 201, 202, 203, 204, 205, 206, 207, 192])
            words = fate.choice([len(body) // 4, 0, 1, 6, 65_535])
            report = bytes([0x80 | fate.randrange(64), kind]) + words.to_bytes(2) + body
            return bytes(caller._dtls._tx_srtp.protect_rtcp(report))

        await shower(caller, packet)
        assert owner.call is not None
        assert 0 <= owner.call.heard_delay_ms() <= 1000
        await lives(caller, owner)


@in_real_time
async def test_encrypted_data_of_any_content_and_size_is_dropped() -> None:
    fate, owner = random.Random(5), Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        for number in range(500):
            await caller._dtls._send_data(fate.randbytes(fate.choice([1, 11, 12, 16, 100, 1100])))
            if number % 50 == 0:
                await asyncio.sleep(0.001)
        await lives(caller, owner)
        assert endpoint.statistics.dropped["sctp"] > 100


@in_real_time
async def test_a_flood_of_data_lets_other_calls_have_their_turn() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        assert owner.call is not None
        for _ in range(320):
            owner.call.dtls_arrived(b"\x17\xfe\xfd" + bytes(100))
        turns = 0
        while owner.call._dtls._wire._arrived:
            await asyncio.sleep(0)
            turns += 1
        assert turns >= 320 // dtls._DATAGRAMS_A_TURN
        await lives(caller, owner)


@in_real_time
async def test_all_records_of_a_datagram_are_taken_at_once() -> None:
    owner = Owner()
    async with open_endpoint() as endpoint, calling(answered_by(endpoint, owner)) as caller:
        await caller.connect()
        ssl = caller._dtls._ssl
        assert ssl is not None
        for _ in range(20):
            ssl.send(bytes(24))
        datagram = ssl.bio_read(2048)
        assert len(datagram) > 20 * 20
        caller.send_raw(datagram)
        await until(lambda: endpoint.statistics.dropped.get("sctp") == 20)
        await lives(caller, owner)
