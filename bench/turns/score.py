"""From what the client saw to figures."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.turn_set.clips import Clip
from bench.turns.play import Course

__all__ = ["Score", "interruptions", "median_and_p90", "score"]

_PREFIX_S = 0.35
"""Audio kept from before the detected start, and a little."""
_HEARD_S = 0.05

Played = Sequence[tuple[Clip, Course]]


@dataclass(frozen=True)
class Score:
    turns: int
    latencies_ms: Sequence[float]
    """From the last voiced sample to ``speech_stopped``; of the turns that ended at all, cut or not."""
    cut: int
    """Turns that were ended before they were over."""
    talked_into: int
    """Of those: the assistant was heard before the user went on, or while they did."""
    lost: int
    """Turns that never ended."""
    false_starts: int
    """Times that speech was announced where nobody spoke, in all clips."""
    noises: int
    answered_noises: int


def score(played: Played) -> Score:
    """Of the clips in which the assistant does not talk."""
    turns = [(clip, course) for clip, course in played if clip.spoken and not clip.over_answer]
    noises = [course for clip, course in played if clip.kind == "not speech"]
    cut = [(clip, course) for clip, course in turns if _early(clip, course)]
    ends = [_last_stop(clip, course) for clip, course in turns]
    return Score(
        turns=len(turns),
        latencies_ms=[
            (end - clip.ends_s) * 1000 for (clip, _), end in zip(turns, ends, strict=True) if end is not None
        ],
        cut=len(cut),
        talked_into=sum(_talked_into(clip, course) for clip, course in cut),
        lost=sum(end is None for end in ends),
        false_starts=sum(_false_starts(clip, course) for clip, course in played if not clip.over_answer),
        noises=len(noises),
        answered_noises=sum(bool(course.answers) for course in noises),
    )


def _early(clip: Clip, course: Course) -> list[float]:
    return [stop for stop in course.stopped if clip.begins_s < stop < clip.ends_s]


def _talked_into(clip: Clip, course: Course) -> bool:
    """A piece of an answer came before the user went on; what came in the same moment was not heard."""
    resumed = [started for started, _ in course.started if started > _early(clip, course)[0]]
    until = min([*resumed, clip.ends_s])
    return any(at < until - _HEARD_S for at in course.spoken)


def _last_stop(clip: Clip, course: Course) -> float | None:
    stops = [stop for stop in course.stopped if stop >= clip.ends_s]
    return stops[0] if stops else None


def _false_starts(clip: Clip, course: Course) -> int:
    """Announced speech that ended before anybody spoke, or began after they were done."""
    if not clip.spoken:
        return len(course.started)
    stops = [*course.stopped, float("inf")]
    false = 0
    for told, since in course.started:
        until = next(stop for stop in stops if stop >= told)
        false += until < clip.begins_s or since + _PREFIX_S > clip.ends_s + _HEARD_S + _PREFIX_S
    return false


@dataclass(frozen=True)
class Interruptions:
    clips: int
    interrupted: int
    after_ms: Sequence[float]
    """From the first voiced sample to ``speech_started``."""


def interruptions(played: Played, kind: str) -> Interruptions:
    """Of the clips in which the assistant talks."""
    chosen = [(clip, course) for clip, course in played if clip.kind == kind]
    told = [(clip, course.started[0][0]) for clip, course in chosen if course.started]
    after_ms = [(at - clip.begins_s) * 1000 for clip, at in told if clip.spoken]
    return Interruptions(len(chosen), len(told), after_ms)


def median_and_p90(values: Sequence[float]) -> tuple[str, str]:
    if not values:
        return "", ""
    ordered = sorted(values)
    return f"{statistics.median(ordered):.0f}", f"{ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]:.0f}"
