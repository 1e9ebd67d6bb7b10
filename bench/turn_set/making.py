"""Makes the set: every clip from its words, its voice and its pause or noise, the same on every run."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from antiphon.audio.pcm import samples_to_pcm
from bench.turn_set import sounds
from bench.turn_set.clips import RATE_HZ, Clip, Kind, Span
from bench.turn_set.sounds import Sound
from bench.turn_set.voices import PEOPLE, Voices
from bench.turn_set.words import ANSWER, BACKCHANNELS, FILLERS, INTERRUPTIONS, PAUSES, QUESTIONS

__all__ = ["made"]

_LEAD_S = 1.0
_LEAD_OVER_ANSWER_S = 2.0
_TAIL_S = 9.0
"""Longer than any turn detection waits."""
_TAIL_OVER_ANSWER_S = 3.0
_ROOM = 3e-4
"""The faint noise of a quiet room, -70 dBFS: no microphone sends zeros."""
_PAUSES_MS = (300, 500, 700, 1000, 1500)
"""By how much the pauses inside turns are made longer."""
_GO_ON = (("austen_0880", "austen_0890"), ("austen_0920", "austen_0930"))
"""Read on from one to the other; they were cut there by those who made the recordings."""
_COMPLETE_AT_ANY_PAUSE = ("cards_004", "numbers")
_WORDS = RATE_HZ * 2 // 5
"""Of speech on either side of a pause inside a turn."""
_BELOW_DB = (20, 10, 5)
_ECHO_S = 0.08
_ECHO_LEAD_S = 0.5
"""About when the answer is heard first."""


def made(voices: Voices) -> Iterator[Clip]:
    yield from _questions(voices)
    yield from _pauses(voices)
    yield from _fillers(voices)
    yield from _noisy(voices)
    yield from _not_speech(voices)
    yield from _over_answer(voices)


# --- turns ---------------------------------------------------------------------------------------------------------


def _questions(voices: Voices) -> Iterator[Clip]:
    for number, (words, voice) in enumerate(_shared(QUESTIONS, voices)):
        yield _turn(f"question_{number:02}", "question", voice, words, voices.say(voice, words))
    for name in voices.people:
        if name in dict(_GO_ON):
            continue
        yield _turn(f"question_{name}", "question", PEOPLE[name][0], voices.words_of(name), voices.person(name))


def _pauses(voices: Voices) -> Iterator[Clip]:
    for number, (words, voice) in enumerate(_shared(PAUSES, voices)):
        yield _paused(f"pause_{number:02}", "pause", voice, words, voices, _PAUSES_MS[number % 5])
    number = 0
    for name in voices.people:
        if name in _COMPLETE_AT_ANY_PAUSE:
            continue
        sound = voices.person(name)
        inner = [pause for pause in sounds.pauses(sound) if pause[0] > _WORDS and len(sound) - pause[1] > _WORDS]
        longest = sorted(inner, key=lambda pause: pause[0] - pause[1])
        for pause in longest[: 2 if len(sound) > 4 * RATE_HZ else 1]:
            clip = f"pause_{name}_{pause[0]}"
            longer, at = sounds.lengthened(sound, pause, _PAUSES_MS[number % 5], clip)
            yield _turn(clip, "pause", PEOPLE[name][0], voices.words_of(name), longer, at)
            number += 1
    for first, second in _GO_ON:
        if first in voices.people and second in voices.people:
            clip = f"pause_{first}_and_on"
            before, after = voices.person(first), voices.person(second)
            gap = sounds.random(clip).normal(0.0, _ROOM, int(0.6 * RATE_HZ))
            words = f"{voices.words_of(first)} {voices.words_of(second)}"
            pause = (len(before), len(before) + len(gap))
            yield _turn(clip, "pause", PEOPLE[first][0], words, np.concatenate((before, gap, after)), pause)


def _fillers(voices: Voices) -> Iterator[Clip]:
    for number, (words, voice) in enumerate(_shared(FILLERS, voices, skip=3)):
        yield _paused(f"filler_{number:02}", "filler", voice, words, voices, _PAUSES_MS[(number + 2) % 5])


def _paused(name: str, kind: Kind, voice: str, words: str, voices: Voices, by_ms: int) -> Clip:
    """One synthesis, so that the voice does not fall as at an end; the pause nearest to the mark is made longer."""
    said = words.replace("|", "")
    sound = voices.say(voice, said)
    about = len(sound) * words.index("|") / len(said)
    nearest = max(sounds.pauses(sound, 25), key=lambda pause: _fitness(pause, about, len(sound)), default=None)
    pause = nearest or (int(about), int(about) + 1)
    longer, at = sounds.lengthened(sound, pause, by_ms, name)
    return _turn(name, kind, voice, said, longer, at)


def _fitness(pause: Span, about: float, whole: int) -> float:
    """Long, and near."""
    return (pause[1] - pause[0]) / RATE_HZ - 2.5 * abs((pause[0] + pause[1]) / 2 - about) / whole


def _turn(name: str, kind: Kind, voice: str, words: str, speech: Sound, pause: Span | None = None) -> Clip:
    return _clip(name, kind, voice, words, _between(name, _LEAD_S, speech, _TAIL_S), _spans(speech, _LEAD_S, pause))


def _spans(speech: Sound, lead_s: float, pause: Span | None = None) -> tuple[Span, ...]:
    lead = round(lead_s * RATE_HZ)
    first, end = sounds.voiced(speech)
    if pause is None:
        return ((lead + first, lead + end),)
    return ((lead + first, lead + pause[0]), (lead + pause[1], lead + end))


def _between(name: str, lead_s: float, sound: Sound, tail_s: float) -> Sound:
    """In a quiet room, with silence on both sides."""
    size = round(lead_s * RATE_HZ), round(tail_s * RATE_HZ)
    whole = np.concatenate((np.zeros(size[0]), sound, np.zeros(size[1])))
    return whole + sounds.random(f"room {name}").normal(0.0, _ROOM, len(whole))


def _clip(
    name: str, kind: Kind, voice: str, words: str, sound: Sound, spoken: tuple[Span, ...], noise: str = ""
) -> Clip:
    return Clip(name, kind, voice, words, spoken, noise, pcm=samples_to_pcm(sound))


def _shared(texts: Sequence[str], voices: Voices, skip: int = 0) -> Iterator[tuple[str, str]]:
    """Each text, in the voice whose turn it is."""
    for number, text in enumerate(texts):
        yield text, voices.names[(number + skip) % len(voices.names)]


# --- noise ---------------------------------------------------------------------------------------------------------


def _babble(voices: Voices) -> Sound:
    crowd = [voices.say(voice, words) for words, voice in _shared(QUESTIONS[:10], voices, skip=1)]
    return sounds.babble(crowd, 12.0, "babble")


def _noisy(voices: Voices) -> Iterator[Clip]:
    babble = _babble(voices)
    noises: dict[str, Sound] = {
        "white": sounds.white(12, "white"),
        "pink": sounds.pink(12, "pink"),
        "babble": babble,
    }
    said = [(voice, words, voices.say(voice, words)) for words, voice in _shared(QUESTIONS[3:9], voices, skip=2)]
    said += [(PEOPLE[name][0], voices.words_of(name), voices.person(name)) for name in voices.people[4:7]]
    places = [(noise, below_db) for noise in noises for below_db in _BELOW_DB]
    for number, (noise, below_db) in enumerate(places):
        voice, words, speech = said[number % len(said)]
        name = f"noisy_{noise}_{below_db}"
        clean = _between(name, _LEAD_S, speech, _TAIL_S)
        sound = sounds.with_noise(clean, speech, noises[noise], below_db)
        spoken = _spans(speech, _LEAD_S)
        yield _clip(name, "noisy", voice, words, _loud(sound), spoken, f"{noise} {below_db} dB")


def _loud(sound: Sound) -> Sound:
    return sound / max(1.0, float(np.max(np.abs(sound))))


_SOUNDS: Final[dict[str, Callable[[], Sound]]] = {
    "white_faint": lambda: 0.1 * sounds.white(12, "a"),
    "white_loud": lambda: 0.5 * sounds.white(12, "b"),
    "pink": lambda: 0.5 * sounds.pink(12, "c"),
    "hum": lambda: sounds.hum(12, "d"),
    "clicks_1": lambda: sounds.clicks(12, "e"),
    "clicks_2": lambda: sounds.clicks(12, "f", per_s=3),
    "keyboard_1": lambda: sounds.keyboard(12, "g"),
    "keyboard_2": lambda: 2 * sounds.keyboard(12, "h"),
    "cough_0": lambda: _coughs(0),
    "cough_1": lambda: _coughs(1),
    "cough_2": lambda: _coughs(2),
    "cough_3": lambda: _coughs(3),
}


def _not_speech(voices: Voices) -> Iterator[Clip]:
    found = {name: make() for name, make in _SOUNDS.items()}
    found["babble"] = 0.4 * _babble(voices)
    for name, sound in found.items():
        whole = _between(name, _LEAD_S, _loud(sound), 1.0)
        yield _clip(f"nothing_{name}", "not speech", "", "", whole, (), name.split("_")[0])


def _coughs(number: int) -> Sound:
    return np.concatenate((sounds.cough(f"cough {number}"), np.zeros(2 * RATE_HZ)))


# --- while the assistant talks -------------------------------------------------------------------------------------


def _over_answer(voices: Voices) -> Iterator[Clip]:
    for number, (words, voice) in enumerate(_shared(INTERRUPTIONS, voices, skip=1)):
        yield _over(f"barge_in_{number}", "barge-in", voice, words, voices.say(voice, words))
    for number, (words, voice) in enumerate(_shared(BACKCHANNELS, voices, skip=2)):
        yield _over(f"backchannel_{number}", "backchannel", voice, words, voices.say(voice, words))
    for number in range(4):
        yield _over(f"cough_{number}", "cough", "", "", sounds.cough(f"cough {number}"))
    answer = voices.say("hibari marin", ANSWER)
    for number, gain in enumerate((0.1, 0.2, 0.4)):
        # The loudspeaker, heard by the microphone: what the assistant said a moment ago.
        late = np.concatenate((np.zeros(round(_ECHO_S * RATE_HZ)), answer))[: 6 * RATE_HZ] * gain
        yield _clip(
            f"echo_{number}", "echo", "hibari marin", ANSWER, _between(f"echo {number}", _ECHO_LEAD_S, late, 1.0), ()
        )


def _over(name: str, kind: Kind, voice: str, words: str, sound: Sound) -> Clip:
    whole = _between(name, _LEAD_OVER_ANSWER_S, sound, _TAIL_OVER_ANSWER_S)
    return _clip(name, kind, voice, words, whole, _spans(sound, _LEAD_OVER_ANSWER_S))
