"""What Smart-Turn says of pauses inside turns and of their ends, by how long the silence is."""

from collections.abc import Sequence
from typing import Final

from bench.turn_set.clips import RATE_HZ, Clip
from bench.turns.ears import Ears

__all__ = ["judged"]

_SILENCES_MS: Final = (96, 200, 400, 700, 1200)
_THRESHOLDS: Final = (0.1, 0.3, 0.5, 0.85, 0.93, 0.96, 0.975, 0.985)
_PREFIX = RATE_HZ * 3 // 10
_HEARD = 8 * RATE_HZ

Place = tuple[str, Clip, int, int]
"""Where it is, in which clip, the last voiced sample, and how long the silence lasts."""


def judged(clips: Sequence[Clip], ears: Ears) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The share of places that are taken for an end."""
    places = [
        place for clip in clips if clip.kind in ("question", "pause", "filler", "noisy") for place in _places(clip)
    ]
    rows = []
    for silence_ms in _SILENCES_MS:
        for where in ("end", "pause", "filler"):
            words = [
                ears.judge(_pcm(clip, end + silence_ms * RATE_HZ // 1000))
                for kind, clip, end, samples in places
                if kind == where and samples * 1000 > silence_ms * RATE_HZ
            ]
            shares = [f"{100 * sum(one >= least for one in words) / max(1, len(words)):.0f}" for least in _THRESHOLDS]
            rows.append((f"{silence_ms} ms", where, str(len(words)), *shares))
    return ("silence", "where", "n", *(f"% >= {least:g}" for least in _THRESHOLDS)), rows


def _places(clip: Clip) -> list[Place]:
    inner = [
        ("filler" if clip.kind == "filler" else "pause", clip, first[1], second[0] - first[1])
        for first, second in zip(clip.spoken, clip.spoken[1:], strict=False)
    ]
    return [*inner, ("end", clip, clip.spoken[-1][1], len(clip.pcm))]


def _pcm(clip: Clip, end: int) -> bytes:
    start = max(0, clip.spoken[0][0] - _PREFIX, end - _HEARD)
    return clip.pcm[2 * start : 2 * end]
