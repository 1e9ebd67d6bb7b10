"""The scorer of turns: its arithmetic on courses of one's own, and the real core and engines on a few clips."""

from collections.abc import Iterator

import numpy as np
import pytest

from antiphon.audio.pcm import samples_to_pcm
from bench.turn_set import sounds
from bench.turn_set.clips import RATE_HZ, Clip, Kind, Span, load, save
from bench.turns.ears import Ears
from bench.turns.play import Course, Latencies, Setting, play
from bench.turns.score import interruptions, score
from bench.turns.window import plain_window
from tests.support.audio import recording

SERVER_VAD = Setting("server_vad", {"type": "server_vad"})
EAGER = Setting("high", {"type": "semantic_vad", "eagerness": "high"})


def clip(kind: Kind, *spoken_s: tuple[float, float], pcm: bytes = b"") -> Clip:
    spans = tuple((round(start * RATE_HZ), round(end * RATE_HZ)) for start, end in spoken_s)
    return Clip("a", kind, "somebody", "words", spans, pcm=pcm)


ONE = clip("question", (1.0, 2.0))
TWO = clip("pause", (1.0, 2.0), (3.0, 4.0))
NOISE = clip("not speech")


@pytest.mark.parametrize(
    ("clip", "course", "cut", "talked_into", "lost", "false_starts", "latencies_ms"),
    [
        (ONE, Course(started=[(1.1, 0.7)], stopped=[2.5]), 0, 0, 0, 0, [500]),
        (ONE, Course(), 0, 0, 1, 0, []),
        (ONE, Course(started=[(0.3, 0.1), (1.1, 0.7)], stopped=[0.8, 2.5]), 0, 0, 0, 1, [500]),
        (TWO, Course(started=[(1.1, 0.7)], stopped=[4.6]), 0, 0, 0, 0, [600]),
        (TWO, Course(started=[(1.1, 0.7), (3.1, 2.7)], stopped=[2.5, 4.6]), 1, 0, 0, 0, [600]),
        (TWO, Course(started=[(1.1, 0.7), (3.1, 2.7)], stopped=[2.5, 4.6], spoken=[2.9]), 1, 1, 0, 0, [600]),
        (TWO, Course(started=[(1.1, 0.7), (3.1, 2.7)], stopped=[2.5, 4.6], spoken=[4.9]), 1, 0, 0, 0, [600]),
        (NOISE, Course(started=[(1.1, 0.7)], stopped=[2.5]), 0, 0, 0, 1, []),
    ],
)
def test_a_turn_counts_as_what_became_of_it(
    clip: Clip, course: Course, cut: int, talked_into: int, lost: int, false_starts: int, latencies_ms: list[float]
) -> None:
    found = score([(clip, course)])
    assert (found.cut, found.talked_into, found.lost, found.false_starts) == (cut, talked_into, lost, false_starts)
    assert found.latencies_ms == pytest.approx(latencies_ms)


def test_a_noise_is_answered_where_a_response_began() -> None:
    found = score([(NOISE, Course()), (NOISE, Course(answers=[2.0]))])
    assert (found.answered_noises, found.noises) == (1, 2)


def test_an_interruption_is_counted_from_the_first_voiced_sample() -> None:
    over = clip("barge-in", (2.0, 3.0))
    found = interruptions([(over, Course(started=[(2.4, 1.7)])), (over, Course())], "barge-in")
    assert (found.interrupted, found.clips) == (1, 2)
    assert found.after_ms == pytest.approx([400])


def test_the_set_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("set")
    save([clip("pause", (0.1, 0.2), (0.5, 0.6), pcm=bytes(4800))], folder)
    (read,) = load(folder)
    assert read.spoken == ((2400, 4800), (12000, 14400))
    assert read.pcm == bytes(4800)
    assert load(folder, kinds=["cough"]) == []


def test_a_longer_pause_moves_what_follows_and_keeps_what_is_said() -> None:
    speech = np.full(RATE_HZ, 0.5)
    quiet = np.zeros(RATE_HZ // 10)
    sound = np.concatenate((speech, quiet, speech))
    longer, (start, end) = sounds.lengthened(sound, sounds.pauses(sound)[0], 500, "a")
    assert (start, end) == (RATE_HZ, RATE_HZ + RATE_HZ // 10 + RATE_HZ // 2)
    assert sounds.voiced(longer) == (0, len(sound) + RATE_HZ // 2)


def test_a_noise_is_as_far_below_the_speech_as_was_asked() -> None:
    speech = np.full(RATE_HZ, 0.5)
    mixed = sounds.with_noise(np.zeros(RATE_HZ), speech, sounds.white(1, "a"), 20)
    assert sounds.rms(mixed) == pytest.approx(0.05, rel=0.01)


# --- the real core and engines -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ears() -> Iterator[Ears]:
    with Ears(None) as ears:
        yield ears


def quiet_room(pcm: bytes, *, lead_s: float = 0.6, tail_s: float = 4.0) -> bytes:
    rng = sounds.random("room")
    before, after = (samples_to_pcm(rng.normal(0, 3e-4, round(length * RATE_HZ))) for length in (lead_s, tail_s))
    return before + pcm + after


def said(name: str) -> tuple[bytes, Span]:
    """A recording in a quiet room, and where somebody speaks in it."""
    pcm = quiet_room(recording(name))
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2")) > 650)
    return pcm, (int(loud[0]), int(loud[-1]))


@pytest.mark.engines
@pytest.mark.parametrize("noise", ["white", "clicks", "keyboard"])
def test_noise_alone_never_starts_a_turn(ears: Ears, noise: str) -> None:
    sound = {"white": sounds.white, "clicks": sounds.clicks, "keyboard": sounds.keyboard}[noise](4.0, noise)
    silent = clip("not speech", pcm=quiet_room(samples_to_pcm(0.5 * sound), tail_s=1.0))
    course = play(silent, ears.hear(silent), ears, SERVER_VAD, Latencies())
    assert (course.started, course.answers) == ([], [])


@pytest.mark.engines
@pytest.mark.parametrize(("setting", "least_ms", "most_ms"), [(SERVER_VAD, 450, 700), (EAGER, 100, 1000)])
def test_a_plain_turn_ends_once_and_is_answered(ears: Ears, setting: Setting, least_ms: int, most_ms: int) -> None:
    pcm, span = said("cards_005.wav")
    spoken = Clip("a", "question", "player", "", (span,), pcm=pcm)
    heard = ears.hear(spoken)
    course = play(spoken, heard, ears, setting, Latencies())
    found = score([(spoken, course)])
    assert (found.cut, found.lost, found.false_starts, len(course.answers)) == (0, 0, 0, 1)
    assert least_ms <= found.latencies_ms[0] <= most_ms
    assert len(plain_window(heard, 500).stopped) == 1
