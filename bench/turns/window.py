"""What a plain window does, beside which the turn detection is scored: voiced, or not for so long."""

from collections.abc import Sequence

from antiphon.core.inputs import SpeechProbability
from bench.turns.ears import Heard
from bench.turns.play import Course

__all__ = ["plain_window"]

_THRESHOLD = 0.5
_RATE_HZ = 24_000


def plain_window(heard: Heard, silence_ms: int) -> Course:
    """The same detector of speech; every voiced window starts a turn, and every such silence ends it."""
    course = Course()
    speaking = False
    silent_samples = 0
    for now, window in _windows(heard):
        if window.value >= _THRESHOLD:
            silent_samples = 0
            if not speaking:
                speaking = True
                course.started.append((now, window.first_sample / _RATE_HZ))
        elif speaking:
            silent_samples += window.window_samples
            if silent_samples * 1000 >= silence_ms * _RATE_HZ:
                speaking = False
                course.stopped.append(now)
                course.answers.append(now)
    return course


def _windows(heard: Heard) -> Sequence[tuple[float, SpeechProbability]]:
    return [(now, fact) for now, fact in heard if isinstance(fact, SpeechProbability)]
