"""A turn that was ended too soon: where the user speaks on at once, the answer is given up and both are one thought."""

from dataclasses import dataclass

from antiphon.audio.pcm import ms_to_samples, samples_to_ms
from antiphon.core.conversation import Conversation, Entry
from antiphon.core.inputs import INPUT_HZ
from antiphon.protocol.session_config import SemanticVad, TurnDetection
from antiphon.turns.semantic import pace_of

__all__ = ["Resumption"]

_RESUMED_MS = 600
"""Speech that begins so soon after a turn was ended goes on with it."""
_BARELY_MS = 500
"""So much of the answer can be given up: it is not an answer yet."""


@dataclass(frozen=True, slots=True)
class _Ended:
    entry: Entry
    at_sample: int
    within_samples: int


class Resumption:
    """The last turn that was ended by us, not by the client."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._ended: _Ended | None = None

    def turn_ended(self, entry: Entry, at_sample: int, detection: TurnDetection) -> None:
        pace = pace_of(detection.eagerness) if isinstance(detection, SemanticVad) else 1.0
        self._ended = _Ended(entry, at_sample, ms_to_samples(round(_RESUMED_MS * pace), INPUT_HZ))

    def forget(self) -> None:
        """The client ended a turn, or dropped what it had: nothing goes on."""
        self._ended = None

    def resumed(self, voiced_from: int, now: float) -> Entry | None:
        """The turn with which speech that begins there goes on."""
        ended, self._ended = self._ended, None
        if ended is None or voiced_from - ended.at_sample > ended.within_samples:
            return None
        if self._conversation.get(ended.entry.id) is not ended.entry or self._heard_ms(ended.entry, now) > _BARELY_MS:
            return None
        return ended.entry

    def _heard_ms(self, entry: Entry, now: float) -> int:
        """How much was heard of what the assistant has said since."""
        heard = 0
        for later in reversed(list(self._conversation)):
            if later is entry:
                break
            heard += later.playout.heard_by(now) if later.playout is not None else 0
        return samples_to_ms(heard, INPUT_HZ)
