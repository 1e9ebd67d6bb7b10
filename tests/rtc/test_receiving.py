import pytest

from antiphon.rtc.receiving import AudioReceiver
from antiphon.rtc.rtp import RtpPacket
from antiphon.rtc.sdp import Codec
from tests.support.rtc_network import CONCEALED, SILENCE, Arrival, deliver, numbered, numbered_receiver, runs, told

_PCMU = Codec(0, "PCMU", 8_000)


def _sent(*numbers: int, duration_ms: int = 20) -> list[Arrival]:
    """Each at its time: packet n at n * ``duration_ms``."""
    return [Arrival(number * duration_ms / 1000, numbered(number, duration_ms=duration_ms)) for number in numbers]


def test_nothing_is_heard_before_the_first_packet() -> None:
    receiver = numbered_receiver()
    assert all(receiver.tick(number / 50) == b"" for number in range(100))
    assert len(receiver.push(numbered(1), _PCMU, 2.0)) == 960


def test_packets_in_order_are_delivered_at_once() -> None:
    delivered = deliver(_sent(1, 2, 3), 0.1)
    assert [(at_s, len(pcm)) for at_s, pcm in delivered if pcm] == [(0.02, 960), (0.04, 960), (0.06, 960)]


@pytest.mark.parametrize("duration_ms", [10, 20, 40, 60, 120])
def test_packets_last_as_long_as_they_say(duration_ms: int) -> None:
    delivered = deliver(_sent(*range(1, 6), duration_ms=duration_ms), 5 * duration_ms / 1000)
    assert runs(delivered) == [(number, duration_ms) for number in range(1, 6)]


@pytest.mark.parametrize("duration_ms", [20, 60])
def test_one_lost_packet_is_told_by_the_next(duration_ms: int) -> None:
    delivered = deliver(_sent(1, 2, 4, 5, 6, duration_ms=duration_ms), 7 * duration_ms / 1000)
    lost = (told(4), duration_ms)
    assert runs(delivered) == [(1, duration_ms), (2, duration_ms), lost, *[(n, duration_ms) for n in (4, 5, 6)]]


def test_of_several_lost_packets_the_last_is_told_and_those_before_are_concealed() -> None:
    delivered = deliver(_sent(1, 5, 6, 7), 0.16)
    assert runs(delivered) == [(1, 20), (CONCEALED, 40), (told(5), 20), (5, 20), (6, 20), (7, 20)]


def test_what_is_too_long_to_invent_is_silence() -> None:
    arrivals = [Arrival(0.02, numbered(1)), *[Arrival(0.05 + n / 1000, numbered(n)) for n in (12, 13, 14)]]
    heard = runs(deliver(arrivals, 0.08))
    assert heard[:4] == [(1, 20), (CONCEALED, 100), (SILENCE, 80), (told(12), 20)]


def test_a_packet_out_of_order_takes_its_place() -> None:
    arrivals = [Arrival(0.02, numbered(1)), Arrival(0.06, numbered(3)), Arrival(0.07, numbered(2))]
    assert runs(deliver(arrivals, 0.1)) == [(1, 20), (2, 20), (3, 20)]


def test_a_gap_at_the_end_waits_no_longer_than_three_ticks() -> None:
    delivered = deliver(_sent(1, 3), 0.14)
    assert runs(delivered) == [(1, 20), (told(3), 20), (3, 20)]
    assert max(at_s for at_s, pcm in delivered if pcm) <= 0.06 + 0.05 + 0.02


def test_a_packet_that_comes_twice_is_heard_once() -> None:
    receiver = numbered_receiver()
    arrivals = [Arrival(arrival.at_s + shift, arrival.packet) for arrival in _sent(1, 2, 3) for shift in (0, 0.015)]
    assert runs(deliver(arrivals, 0.1, receiver)) == [(1, 20), (2, 20), (3, 20)]
    assert receiver.dropped_packets == 3


def test_a_pause_that_time_stamps_tell_is_silence() -> None:
    after = [Arrival((n + 5) / 50, numbered(n, timestamp=(n + 5) * 960)) for n in (3, 4)]
    assert runs(deliver([*_sent(1, 2), *after], 0.24)) == [(1, 20), (2, 20), (SILENCE, 100), (3, 20), (4, 20)]


def test_silence_goes_on_by_the_clock_after_160_ms() -> None:
    delivered = deliver(_sent(1, 2), 3.0)
    silent = [(at_s, len(pcm) / 48) for at_s, pcm in delivered if at_s > 0.04 and pcm]
    assert 0.2 < silent[0][0] <= 0.225
    assert silent[0][1] >= 120
    assert {duration_ms for _, duration_ms in silent[1:]} <= {19, 20, 21}
    total_s = sum(len(pcm) for _, pcm in delivered) / 48_000
    assert 3.0 - 0.02 - total_s == pytest.approx(0.04, abs=0.025)


def test_what_comes_after_its_time_has_passed_replaces_nothing() -> None:
    """A jam: what was sent from 0.06 to 0.5 s comes at 0.5 s."""
    jam = [Arrival(0.5 + n / 10_000, numbered(n)) for n in range(3, 25)]
    receiver = numbered_receiver()
    delivered = deliver([*_sent(1, 2), *jam, *_sent(*range(25, 50))], 1.0, receiver)
    heard = runs(delivered)
    assert [value for value, _ in heard[:3]] == [1, 2, SILENCE]
    after = [value for value, _ in heard[3:]]
    assert after == list(range(after[0], 50))
    assert 22 <= after[0] <= 25
    assert sum(duration_ms for _, duration_ms in heard) == pytest.approx(980, abs=20)
    assert receiver.dropped_packets >= 19


@pytest.mark.parametrize("hitch_s", [0.012, 0.03, 0.2])
def test_a_jam_that_begins_as_if_it_were_spoken_now_is_not_heard_ahead_of_time(hitch_s: float) -> None:
    """What was sent from 0.06 to 4 s comes at 4 s, the first packet a little before the others."""
    jam = [Arrival(4.0 + (n > 3) * hitch_s + n / 10_000, numbered(n)) for n in range(3, 200)]
    delivered = deliver([*_sent(1, 2), *jam, *_sent(*range(220, 300))], 6.0)
    assert sum(duration_ms for _, duration_ms in runs(delivered)) == pytest.approx(5_980, abs=250)


@pytest.mark.parametrize("pause_s", [0.5, 1.0, 30.0])
def test_a_sender_whose_clock_stood_still_while_it_paused_is_heard_from_its_first_word(pause_s: float) -> None:
    after = [Arrival(0.06 + pause_s + n / 50, numbered(n)) for n in range(3, 20)]
    delivered = deliver([*_sent(1, 2), *after], pause_s + 0.5)
    heard = runs(delivered)
    assert [value for value, _ in heard[:3]] == [1, 2, SILENCE]
    assert heard[3:] == [(n, 20) for n in range(3, 20)] + heard[20:]
    assert sum(duration_ms for _, duration_ms in heard) / 1000 == pytest.approx(0.5 + pause_s, abs=0.08)


@pytest.mark.parametrize("jump_s", [-4000.0, -3.0, 3.0, 4000.0])
def test_where_time_stamps_jump_the_stream_goes_on_now(jump_s: float) -> None:
    after = [Arrival(n / 50, numbered(n, timestamp=n * 960 + round(jump_s * 48_000))) for n in range(10, 30)]
    delivered = deliver([*_sent(*range(1, 10)), *after], 0.6)
    heard = runs(delivered)
    assert [value for value, _ in heard if value > 0] == list(range(1, 30))
    assert sum(duration_ms for _, duration_ms in heard) == pytest.approx(580, abs=20)


def test_a_new_source_is_heard_at_once_in_place_of_the_other() -> None:
    new = [Arrival(0.1 + n / 50, numbered(100 + n, sequence=7000 + n, timestamp=n * 960 + 5, ssrc=2)) for n in range(5)]
    old = _sent(*range(1, 10))
    heard = runs(deliver([*old, *new], 0.2))
    assert heard[:4] == [(n, 20) for n in range(1, 5)]
    values = [value for value, _ in heard]
    assert values[-5:] == [100, 101, 102, 103, 104]


def test_a_known_source_is_heard_again_when_the_present_one_is_silent() -> None:
    other = [Arrival(0.1, numbered(900, ssrc=2))]
    heard = runs(deliver([*_sent(*range(1, 30)), *other], 0.6))
    values = [value for value, _ in heard if value > 0]
    assert values[:5] == [1, 2, 3, 4, 900] or values[:6] == [1, 2, 3, 4, 5, 900]
    assert values[-1] == 29
    assert sum(duration_ms for _, duration_ms in heard) == pytest.approx(580, abs=45)


def test_four_sources_are_remembered() -> None:
    receiver = numbered_receiver()
    for ssrc in range(1000):
        receiver.push(numbered(1, ssrc=ssrc), _PCMU, ssrc / 50)
        assert len(receiver._streams) <= 4


def test_another_codec_of_the_same_source_has_a_clock_of_its_own() -> None:
    receiver = numbered_receiver()
    opus = Codec(111, "opus", 48_000)
    first = receiver.push(numbered(1), opus, 0.02)
    second = receiver.push(numbered(2, timestamp=160), _PCMU, 0.04)
    third = receiver.push(numbered(3, timestamp=320), _PCMU, 0.06)
    assert [len(pcm) for pcm in (first, second, third)] == [960, 960, 960]


def test_an_empty_packet_of_another_codec_changes_nothing() -> None:
    empty = Arrival(0.085, RtpPacket(0, False, 5, 160, 1, b""), _PCMU)
    assert runs(deliver([*_sent(1, 2, 4, 5), empty], 0.16)) == [(1, 20), (2, 20), (told(4), 20), (4, 20), (5, 20)]


def test_sequence_numbers_and_time_stamps_wrap() -> None:
    arrivals = [
        Arrival(n / 50, numbered(n, sequence=0xFFFF - 5 + n, timestamp=0xFFFFFFFF - 4000 + n * 960))
        for n in range(1, 20)
        if n not in (5, 9)
    ]
    heard = [value for value, duration_ms in runs(deliver(arrivals, 0.4)) if duration_ms == 20]
    assert heard == [told(6) if n == 5 else told(10) if n == 9 else n for n in range(1, 20)]


def test_a_broken_packet_is_made_up_for_like_a_lost_one() -> None:
    arrivals = _sent(1, 2, 3, 4)
    arrivals[1] = Arrival(0.04, RtpPacket(111, False, 2, 1920, 1, b"broken"))
    assert runs(deliver(arrivals, 0.1)) == [(1, 20), (told(3), 20), (3, 20), (4, 20)]


def test_an_empty_packet_is_no_loss_and_no_sound() -> None:
    arrivals = [*_sent(1, 2), Arrival(0.055, RtpPacket(111, False, 3, 1920 + 960, 1, b""))]
    later = [Arrival(n / 50, numbered(n, sequence=n + 1)) for n in (3, 4)]
    assert runs(deliver([*arrivals, *later], 0.1)) == [(1, 20), (2, 20), (3, 20), (4, 20)]


def test_a_stall_of_our_own_loses_nothing() -> None:
    """For two seconds neither packets nor ticks are served; then the ticks come first."""
    receiver = numbered_receiver()
    delivered = deliver(_sent(*range(1, 11)), 0.22, receiver)
    for number in range(5):
        delivered.append((2.2, receiver.tick(2.2 + number / 10_000)))
    for arrival in _sent(*range(11, 110)):
        delivered.append((2.2, receiver.push(arrival.packet, arrival.codec, 2.2)))
    assert runs(delivered) == [(n, 20) for n in range(1, 110)]


@pytest.mark.parametrize(("late_ms", "heard_ms"), [(0, 20), (24, 20), (28, 16), (44, 16)])
def test_of_a_packet_whose_time_has_passed_in_part_the_rest_is_heard(late_ms: int, heard_ms: int) -> None:
    after = [Arrival(1.0 + late_ms / 1000, numbered(3, timestamp=48_000))]
    heard = runs(deliver([*_sent(1, 2), *after], 1.06))
    assert heard == [(1, 20), (2, 20), (SILENCE, 960 - heard_ms), (3, heard_ms)]


def test_what_is_lost_after_silence_is_not_invented() -> None:
    after = [Arrival(n / 50, numbered(n)) for n in range(53, 60)]
    heard = [value for value, _ in runs(deliver([*_sent(1, 2), *after], 1.2))]
    assert heard[:5] == [1, 2, SILENCE, told(53), 53]


def test_a_packet_within_what_was_heard_changes_nothing() -> None:
    inside = numbered(2, timestamp=2400, duration_ms=10)
    arrivals = [Arrival(0.12, numbered(1, timestamp=0, duration_ms=120)), Arrival(0.13, inside)]
    after = [Arrival(n / 50, numbered(n, sequence=n - 4, timestamp=n * 960 - 960)) for n in (7, 8)]
    assert runs(deliver([*arrivals, *after], 0.2)) == [(1, 120), (7, 20), (8, 20)]


def test_single_late_packets_are_heard_one_after_the_other_without_their_pauses() -> None:
    late = [Arrival(1.0 + n, numbered(n, timestamp=n * 48_000 - 46_000)) for n in (2, 3)]
    heard = runs(deliver([*_sent(1), *late], 5.0))
    assert [value for value, _ in heard] == [1, SILENCE, 2, 3, SILENCE]
    assert sum(duration_ms for _, duration_ms in heard) / 1000 == pytest.approx(4.98, abs=0.08)


def test_pauses_that_only_time_stamps_tell_are_not_delivered_ahead_of_time() -> None:
    arrivals = [Arrival(n / 50, numbered(n, timestamp=n * 91_200)) for n in range(1, 100)]
    assert sum(len(pcm) for _, pcm in deliver(arrivals, 2.0)) / 48_000 < 2.0 * 1.01 + 2.1


def test_time_that_a_sender_left_out_is_not_made_up_for_in_a_burst() -> None:
    slow = [Arrival(n * 0.15, numbered(n)) for n in range(1, 400)]
    burst = [Arrival(60.0 + n / 1000, numbered(n)) for n in range(400, 1400)]
    delivered = deliver([*slow, *burst], 62.0)
    assert sum(len(pcm) for at_s, pcm in delivered if at_s >= 60.0) / 48_000 < 2.0 * 1.01 + 2.3


def test_what_is_closed_hears_nothing() -> None:
    receiver = AudioReceiver()
    receiver.push(RtpPacket(0, False, 1, 0, 1, bytes(160)), _PCMU, 1.0)
    receiver.close()
    assert receiver.tick(5.0) == b""
