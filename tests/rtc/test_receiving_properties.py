"""What holds for every network, and for every peer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.pcm import S16LE
from antiphon.rtc.receiving import AudioReceiver
from antiphon.rtc.rtp import RtpPacket
from antiphon.rtc.sdp import Codec
from tests.support.properties import bounded
from tests.support.rtc_network import CODEC, CONCEALED, Arrival, deliver, numbered, numbered_receiver, runs

_PCMU = Codec(0, "PCMU", 8_000)
_SECONDS = 20


def _over_a_network(
    seed: int, *, loss: float, jitter_s: float, doubled: float, skew: float, duration_ms: int, start: int
) -> list[Arrival]:
    """A sender that talks without a pause, and what the network makes of it. ``skew``: how much faster its clock is."""
    random = np.random.default_rng(seed)
    arrivals = []
    for number in range(1, 1 + _SECONDS * 1000 // duration_ms):
        sent_s = number * duration_ms / 1000 / (1 + skew)
        packet = numbered(number, duration_ms=duration_ms)
        packet = replace(
            packet, sequence=(start + number) & 0xFFFF, timestamp=(start * 65_537 + packet.timestamp) & 0xFFFFFFFF
        )
        copies = 0 if random.random() < loss else 2 if random.random() < doubled else 1
        arrivals += [Arrival(sent_s + random.exponential(jitter_s), packet) for _ in range(copies)]
    return arrivals


_NETWORKS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "loss": st.floats(0, 0.2),
        "jitter_s": st.floats(0, 0.03),
        "doubled": st.floats(0, 0.2),
        "skew": st.floats(-0.002, 0.002),
        "duration_ms": st.sampled_from([10, 20, 40, 60, 120]),
        "start": st.integers(0, 0xFFFF),
    }
)


@bounded(60)
@given(_NETWORKS)
def test_the_input_lasts_as_long_as_real_time_in_its_order_and_nothing_comes_twice(network: dict[str, float]) -> None:
    delivered = deliver(_over_a_network(**network), _SECONDS)  # type: ignore[arg-type]
    heard = runs(delivered)
    heard_s = sum(duration_ms for _, duration_ms in heard) / 1000
    assert heard_s == pytest.approx(_SECONDS, abs=0.01 * _SECONDS + 2 * network["duration_ms"] / 1000)
    spoken = [value for value, _ in heard if value > 0]
    assert spoken == sorted(set(spoken))
    recovered = [-value for value, _ in heard if value < CONCEALED]
    assert recovered == sorted(set(recovered))
    assert not {number - 1 for number in recovered} & set(spoken)
    assert all(duration_ms <= network["duration_ms"] for value, duration_ms in heard if value > 0)


@bounded(30)
@given(st.integers(0, 2**32), st.floats(0, 0.2))
def test_without_delay_nothing_that_arrives_is_lost(seed: int, loss: float) -> None:
    arrivals = _over_a_network(seed, loss=loss, jitter_s=0, doubled=0, skew=0, duration_ms=20, start=0)
    heard = {value for value, _ in runs(deliver(arrivals, _SECONDS))}
    sent = [int.from_bytes(arrival.packet.payload[:2]) for arrival in arrivals]
    assert set(sent[:-3]) <= heard


@bounded(60)
@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 100), st.booleans()), min_size=1, max_size=12),
)
def test_talk_and_pauses_of_any_kind_keep_to_the_clock(spurts: list[tuple[float, int, bool]]) -> None:
    """In a pause the sender's clock goes on, or stands still."""
    arrivals, at_s, number, timestamp = [], 0.02, 0, 0
    for pause_s, packets, clock_stands in spurts:
        pause = round(pause_s * 50)
        at_s += pause / 50
        timestamp += 0 if clock_stands else pause * 960
        for _ in range(packets):
            number, at_s, timestamp = number + 1, at_s + 0.02, timestamp + 960
            arrivals.append(Arrival(at_s, numbered(number, timestamp=timestamp)))
    first_s = arrivals[0].at_s
    heard = runs(deliver(arrivals, at_s + 1))
    heard_s = sum(duration_ms for _, duration_ms in heard) / 1000
    assert heard_s <= at_s + 1 - first_s + 0.04 * len(spurts)
    short_s = sum(pause_s for pause_s, _, clock_stands in spurts if clock_stands and pause_s < 0.25)
    assert heard_s >= at_s + 1 - first_s - 0.1 - short_s - 0.04 * len(spurts)
    spoken = [value for value, _ in heard if value > 0]
    assert spoken == sorted(set(spoken))


_HOSTILE = st.tuples(
    st.floats(0, 0.1),
    st.one_of(st.integers(-3, 3), st.integers(0, 0xFFFF)),
    st.one_of(st.integers(-2000, 6000), st.integers(0, 96_000), st.integers(0, 0xFFFFFFFF)),
    st.sampled_from([1, 1, 1, 1, 2, 3, 4, 5, 6]),
    st.sampled_from([0, 1, 10, 20, 60, 120]),
    st.booleans(),
)


@bounded(300)
@given(st.lists(_HOSTILE, max_size=300), st.sampled_from([0.0, 0.01, 1.0]))
def test_no_peer_can_make_it_deliver_more_than_real_time_and_a_burst(
    steps: list[tuple[float, int, int, int, int, bool]], pace: float
) -> None:
    receiver = numbered_receiver()
    at_s, sequence, timestamp = 0.0, 0, 0
    arrivals = []
    for wait_s, sequence_step, timestamp_step, ssrc, duration_ms, pcmu in steps:
        at_s += wait_s * pace
        sequence, timestamp = sequence + sequence_step, timestamp + timestamp_step
        packet = numbered(9, sequence=sequence, timestamp=timestamp, ssrc=ssrc, duration_ms=duration_ms)
        if not duration_ms:
            packet = replace(packet, payload=b"" if sequence % 2 else b"broken")
        arrivals.append(Arrival(at_s, packet, _PCMU if pcmu else CODEC))
    total_samples = 0
    for served_s, pcm in deliver(arrivals, at_s + 0.5, receiver):
        total_samples += len(pcm) // 2
        assert total_samples <= 24_000 * (2.3 + 1.01 * served_s)
        assert len(receiver._streams) <= 4
        assert all(stream.jitter.waiting <= 2 for stream in receiver._streams.values())


@bounded(20)
@given(st.integers(0, 2**32), st.booleans())
def test_however_fast_packets_come_they_are_heard_in_real_time(seed: int, steady: bool) -> None:
    random = np.random.default_rng(seed)
    arrivals = []
    for number in range(1, 3000):
        packet = numbered(number, duration_ms=120 if steady else int(random.choice([20, 60, 120])))
        arrivals.append(Arrival(number / 1000, packet))
    total_s = sum(len(pcm) for _, pcm in deliver(arrivals, 3.0)) / 48_000
    assert total_s <= 3.0 * 1.01 + 2.3


def test_real_opus_survives_hostile_packets() -> None:
    random = np.random.default_rng(7)
    receiver = AudioReceiver()
    total_samples = 0
    for number in range(2000):
        packet = RtpPacket(
            111,
            bool(random.integers(2)),
            int(random.integers(0x10000)) if random.random() < 0.1 else number & 0xFFFF,
            int(random.integers(2**32)) if random.random() < 0.1 else number * 960,
            int(random.integers(6)) if random.random() < 0.1 else 1,
            random.bytes(int(random.integers(0, 60))),
        )
        pcm = receiver.push(packet, CODEC, number / 50) + receiver.tick(number / 50)
        total_samples += len(pcm) // 2
        assert np.frombuffer(pcm, S16LE).size * 2 == len(pcm)
    assert total_samples <= 24_000 * (40 * 1.01 + 2.3)
    receiver.close()
