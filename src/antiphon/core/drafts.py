"""Answers that are begun in a pause, before it is known whether the user is done."""

from antiphon.core.config import TurnPolicy
from antiphon.core.effects import Effects
from antiphon.core.hearing import Hearing
from antiphon.core.inputs import DraftGranted
from antiphon.core.outputs import EndDraft, SeekDraft
from antiphon.core.settings import Settings

__all__ = ["Drafts"]


class Drafts:
    """The draft of the turn that is being spoken: at most one, and nobody is told of it unless it is adopted."""

    def __init__(self, effects: Effects, hearing: Hearing, settings: Settings, policy: TurnPolicy) -> None:
        self._effects = effects
        self._hearing = hearing
        self._settings = settings
        self._policy = policy
        self._sought: str | None = None
        self._granted = False

    def turn_began(self, item_id: str) -> None:
        """A turn was announced. Whatever becomes of it, ``turn_over`` or ``dropped`` follows."""
        if self._policy.drafts and self._settings.realtime is not None:
            self._sought = item_id
            self._effects.order(SeekDraft(item_id))

    def granted(self, fact: DraftGranted) -> None:
        self._granted = fact.item_id == self._sought

    def paused(self, item_id: str, start_sample: int, voiced_to: int, silence_ms: int) -> None:
        """Nobody has spoken for ``silence_ms`` in an announced turn, of which ``start_sample:voiced_to`` is more than
        silence. Told on every silent window from 64 ms on; ``voiced_to`` tells one pause from another."""

    def resumed(self, item_id: str) -> None:
        """The pause is over: somebody speaks on."""
        self._hearing.spoke_on(item_id)

    def turn_over(self, item_id: str) -> None:
        """The turn has become an item, and is answered as the session says."""
        self._end(item_id)

    def dropped(self, item_id: str) -> None:
        """The turn comes to nothing, or is none that we would have ended."""
        self._end(item_id)

    def _end(self, item_id: str) -> None:
        if self._sought == item_id:
            self._sought = None
            self._granted = False
            self._effects.order(EndDraft(item_id))
