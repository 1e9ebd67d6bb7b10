"""What a client may rely on in the events of items and turns: their order, what is told of each, and when."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.response_rules import ResponseRules

__all__ = ["ItemRules"]

Event = Mapping[str, Any]

_BYTES_PER_MS: Final = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}


@dataclass
class _Words:
    """What is told of one part that is being transcribed."""

    pieces: list[str] = field(default_factory=list)
    settled: bool = False


class ItemRules:
    """Follows the items as a client does: their order, and each as it was last told."""

    def __init__(self, responses: ResponseRules) -> None:
        self.order: list[str] = []
        self.told: dict[str, dict[str, Any]] = {}
        self._responses = responses
        self.deleted: set[str] = set()
        self._undone: set[str] = set()
        self._words: dict[tuple[str, int], _Words] = {}
        self._cut: dict[str, int] = {}
        """Items that were truncated, and where."""
        self._speaking: str | None = None
        self._turns_ms = 0

    def event(self, event: Event) -> None:
        rule = _RULES.get(event["type"])
        assert rule is not None or not event["type"].startswith("conversation.item."), f"no rule for {event['type']}"
        if rule is not None:
            rule(self, event)

    def assert_settled(self) -> None:
        """Once nothing runs: every item was told to be done."""
        assert not self._undone

    # --- items -----------------------------------------------------------------------------------------------------

    def _added(self, event: Event) -> None:
        item, previous = event["item"], event["previous_item_id"]
        assert item["id"] not in self.order
        self.order.insert(0 if previous is None else self.order.index(previous) + 1, item["id"])
        self.told[item["id"]] = item
        self.deleted.discard(item["id"])
        self._undone.add(item["id"])

    def _done(self, event: Event) -> None:
        item = event["item"]
        assert event["previous_item_id"] == self._before(item["id"])
        assert item.get("status") != "in_progress"
        self._undone.remove(item["id"])
        self.told[item["id"]] = item

    def _deleted(self, event: Event) -> None:
        self.order.remove(event["item_id"])
        del self.told[event["item_id"]]
        self._undone.discard(event["item_id"])
        self.deleted.add(event["item_id"])

    def _retrieved(self, event: Event) -> None:
        self.assert_as_told(event["item"])

    def assert_as_told(self, item: dict[str, Any]) -> None:
        """``item``, as the server shows it now, is what its events have said."""
        told = self.told[item["id"]]
        if item["type"] == "mcp_call" and item["id"] in self._undone:
            # Its arguments and its question for approval were told by other events.
            item = {**told, **{name: value for name, value in item.items() if name in ("output", "error")}}
        assert {**item, "content": None} == {**told, "content": None}
        parts, told_parts = item.get("content", []), told.get("content", [])
        assert len(parts) == len(told_parts)
        for index, (part, told_part) in enumerate(zip(parts, told_parts, strict=True)):
            self._assert_part(item["id"], index, part, told_part)

    def _assert_part(self, item_id: str, index: int, part: Event, told: Event) -> None:
        words = {key: value for key, value in part.items() if key != "audio"}
        if part["type"] == "input_audio" and told["transcript"] is None and (item_id, index) not in self._words:
            words["transcript"] = None  # nobody told the client, which did not ask for it
        if item_id in self._cut:
            assert told["transcript"].startswith(part["transcript"])
            words["transcript"] = told["transcript"]
            kept_bytes = len(base64.b64decode(part.get("audio", "")))
            assert kept_bytes <= self._cut[item_id] * _BYTES_PER_MS[self._responses.formats[item_id]]
        assert words == told

    def _truncated(self, event: Event) -> None:
        item_id = event["item_id"]
        assert item_id in self.order
        assert item_id not in self._undone, "cut before it was done"
        sent = self._responses.sent_bytes.get(item_id, 0)
        assert event["audio_end_ms"] <= sent // _BYTES_PER_MS[self._responses.formats[item_id]]
        assert event["audio_end_ms"] <= self._cut.get(item_id, event["audio_end_ms"]), "it grew"
        self._cut[item_id] = event["audio_end_ms"]

    def _before(self, item_id: str) -> str | None:
        place = self.order.index(item_id)
        return self.order[place - 1] if place else None

    # --- words -----------------------------------------------------------------------------------------------------

    def _words_of(self, event: Event) -> _Words:
        item_id = event["item_id"]
        assert item_id in self.told or item_id == self._speaking, f"{event['type']} of an unknown item"
        words = self._words.setdefault((item_id, event["content_index"]), _Words())
        assert not words.settled, f"{event['type']} after its end"
        return words

    def _words_delta(self, event: Event) -> None:
        self._words_of(event).pieces.append(event["delta"])

    def _words_end(self, event: Event) -> None:
        self._words_of(event).settled = True
        part = self.told[event["item_id"]]["content"][event["content_index"]]
        assert part["type"] == "input_audio"
        if "transcript" in event:
            part["transcript"] = event["transcript"]
            usage = event["usage"]
            assert usage["type"] == "duration"
            assert usage["seconds"] >= 0

    # --- turns -----------------------------------------------------------------------------------------------------

    def _speech_started(self, event: Event) -> None:
        assert event["item_id"] not in self.order
        assert event["audio_start_ms"] >= self._turns_ms, "a turn begins before the one before it ended"
        self._speaking, self._turns_ms = event["item_id"], event["audio_start_ms"]

    def _speech_stopped(self, event: Event) -> None:
        assert event["item_id"] == self._speaking
        assert event["audio_end_ms"] >= self._turns_ms
        self._turns_ms = event["audio_end_ms"]

    def _committed(self, event: Event) -> None:
        assert event["previous_item_id"] == (self.order[-1] if self.order else None)
        assert event["item_id"] not in self.order
        self._speaking = None

    def _cleared(self, _: Event) -> None:
        self._speaking = None


_RULES: Final[Mapping[str, Callable[[ItemRules, Event], object]]] = {
    "conversation.item.added": ItemRules._added,
    "conversation.item.done": ItemRules._done,
    "conversation.item.deleted": ItemRules._deleted,
    "conversation.item.retrieved": ItemRules._retrieved,
    "conversation.item.truncated": ItemRules._truncated,
    "conversation.item.input_audio_transcription.delta": ItemRules._words_delta,
    "conversation.item.input_audio_transcription.completed": ItemRules._words_end,
    "conversation.item.input_audio_transcription.failed": ItemRules._words_end,
    "input_audio_buffer.speech_started": ItemRules._speech_started,
    "input_audio_buffer.speech_stopped": ItemRules._speech_stopped,
    "input_audio_buffer.committed": ItemRules._committed,
    "input_audio_buffer.cleared": ItemRules._cleared,
}
