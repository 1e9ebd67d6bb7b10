"""The rules of drafts, from what a session orders and what its client is told."""

import json
import re
from typing import Any

from antiphon.core.outputs import AdoptDraft, DiscardDraft, EndDraft, SeekDraft, StartResponse

__all__ = ["DraftRules"]

_ID = re.compile(r"\b(?:item|resp)_\d+")


class DraftRules:
    """A place for each turn, one draft at a time, each adopted or discarded once; nobody hears of one before."""

    def __init__(self) -> None:
        self.held: str | None = None
        """The draft under way."""
        self.places: list[str] = []
        """The turn that has sought one."""
        self.ends: list[str] = []
        """What became of each draft: adopted, or the reason why it was discarded."""
        self._format = ""
        self._sought: set[str] = set()
        self._ended: set[str] = set()
        """Drafts that were adopted or discarded."""
        self._secret: dict[str, str] = {}
        """Ids of drafts that were not adopted, and the draft they belong to."""

    def is_narrow(self, response_id: str) -> bool:
        """Whether the audio of the draft is wanted as G.711."""
        return response_id == self.held and self._format in ("audio/pcmu", "audio/pcma")

    def place(self, order: SeekDraft | EndDraft) -> None:
        if isinstance(order, SeekDraft):
            assert order.item_id not in self._sought, "sought twice"
            assert not self.places, "two turns at once"
            self._sought.add(order.item_id)
            self.places.append(order.item_id)
        else:
            assert self.held is None, "a draft without a place"
            self.places.remove(order.item_id)

    def begin(self, order: StartResponse) -> None:
        assert self.held is None, "two drafts"
        assert self.places, "a draft without a place"
        assert order.response_id not in self._ended
        self.held = order.response_id
        self._format = order.speech.format if order.speech is not None else ""
        self._secret[order.response_id] = order.response_id
        if order.speech is not None:
            self._secret[order.speech.item_id] = order.response_id

    def adopt(self, order: AdoptDraft) -> None:
        self._end(order.response_id, "adopted")

    def discard(self, order: DiscardDraft) -> None:
        self._end(order.response_id, order.reason)

    def _end(self, response_id: str, how: str) -> None:
        assert self.held == response_id, "it is not under way"
        self.held = None
        self._ended.add(response_id)
        self.ends.append(how)

    def event(self, event: dict[str, Any]) -> None:
        """Nothing that the client is told names a draft, but the announcement with which it becomes one of its own."""
        if event["type"] == "response.created":
            told = event["response"]["id"]
            self._secret = {key: draft for key, draft in self._secret.items() if draft != told or draft != self.held}
        if self._secret:
            named = set(_ID.findall(json.dumps(event)))
            assert not named & self._secret.keys(), "the client is told of a draft"
