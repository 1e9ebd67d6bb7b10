"""What every received event is measured against, whichever check it was sent for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from antiphon.conform.check import Event, RuleError
from antiphon.conform.events import item_id_of
from antiphon.conform.shapes import api_shapes, item_complaints, table_complaints

__all__ = ["Complaint", "Observer", "Stream"]

_FRAME_BYTES = 2**20
_KEPT = 5
"""Complaints kept of each kind."""
_MISSES_MAX = 16
_NO_EVENT_ID = "input_audio_buffer.dtmf_event_received"
_PARTS = ("response.content_part.added", "response.content_part.done")
_ITEMS = ("item.", "response.output[")
_UNKNOWN = ": no field of "
_IN_DETAILS = ("text_tokens", "audio_tokens")
_TIMES = ("audio_start_ms", "audio_end_ms")
_CACHED = (*_IN_DETAILS, "image_tokens")


@dataclass(frozen=True, slots=True)
class Complaint:
    text: str
    event: Event


@dataclass(slots=True)
class Observer:
    """Shared by all connections of a run."""

    complaints: dict[str, list[Complaint]] = field(default_factory=dict)
    """By kind: the rule that was broken, or ``fields.`` and the event's type."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many events of each type came."""
    misses: dict[str, int] = field(default_factory=dict)
    """How often events were awaited in vain to prepare a check, by type."""

    def complain(self, kind: str, text: str, event: Event) -> None:
        kept = self.complaints.setdefault(kind, [])
        if len(kept) < _KEPT:
            kept.append(Complaint(text, event))

    def missed(self, what: str) -> None:
        self.misses[what] = self.misses.get(what, 0) + 1

    def is_given_up(self, what: str) -> bool:
        """Whether to await it no longer. A slow server misses some; one that has none of it is not waited for twice."""
        misses = self.misses.get(what, 0)
        return misses >= _MISSES_MAX or (misses > 0 and not self.counts.get(what))


class Stream:
    """The events of one connection, one after the other."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._ids: set[str] = set()
        self._responses: dict[str, bool] = {}
        """Id of each announced response, and whether it is done."""
        self._open_items: dict[str, set[str]] = {}
        """By response: its items that were added and not yet done."""

    def take(self, data: str | bytes) -> Event:
        """Parse one message and measure it. Raises ``RuleError`` for what is no event at all."""
        try:
            event = json.loads(data)
        except ValueError:
            raise RuleError("a JSON object", repr(data[:80])) from None
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise RuleError("a JSON object with a type", repr(data[:80]))
        kind = event["type"]
        self._observer.counts[kind] = self._observer.counts.get(kind, 0) + 1
        for rule, text in self._complaints(data, event):
            self._observer.complain(rule, text, event)
        return event

    def _complaints(self, data: str | bytes, event: Event) -> Iterator[tuple[str, str]]:
        if isinstance(data, bytes):
            yield "text-frames", "a binary frame"
        size_bytes = len(data) if isinstance(data, bytes) else len(data.encode())
        if size_bytes > _FRAME_BYTES and event["type"] != "conversation.item.retrieved":
            yield "frame-size", f"a frame of {size_bytes} bytes"
        yield from self._id_complaints(event)
        yield from _field_complaints(event)
        yield from _value_complaints(event)
        yield from self._order_complaints(event)

    def _id_complaints(self, event: Event) -> Iterator[tuple[str, str]]:
        event_id = event.get("event_id")
        if event["type"] == _NO_EVENT_ID:
            return
        if not isinstance(event_id, str) or not event_id:
            yield "event-id", f"event_id is {json.dumps(event_id)}" if "event_id" in event else "no event_id"
        elif event_id in self._ids:
            yield "unique-event-ids", f"{event_id} came before"
        else:
            self._ids.add(event_id)

    def _order_complaints(self, event: Event) -> Iterator[tuple[str, str]]:
        """Events of a response lie between its beginning and its end; what begins in it ends in it."""
        kind = event["type"]
        if not kind.startswith("response."):
            return
        response = event.get("response")
        response_id = str(response.get("id") if isinstance(response, dict) else event.get("response_id"))
        if kind == "response.created":
            if response_id in self._responses:
                yield "response-frame", f"{response_id} is created again"
            self._responses[response_id] = False
        elif ("response_id" in event or kind == "response.done") and self._responses.get(response_id) is not False:
            state = "done" if response_id in self._responses else "not created"
            yield "response-frame", f"{kind} of the response {response_id}, which is {state}"
        yield from self._item_frame(kind, response_id, str(item_id_of(event)))
        if kind == "response.done":
            self._responses[response_id] = True

    def _item_frame(self, kind: str, response_id: str, item_id: str) -> Iterator[tuple[str, str]]:
        items = self._open_items.setdefault(response_id, set())
        if kind == "response.output_item.added":
            items.add(item_id)
        elif kind == "response.output_item.done":
            if item_id not in items:
                yield "item-frame", f"{item_id} is done, but was not added"
            items.discard(item_id)
        elif kind.startswith(("response.content_part", "response.output_", "response.function_call")):
            if item_id not in items:
                yield "item-frame", f"{kind} of the item {item_id}, which is not between added and done"
        elif kind == "response.done" and items:
            yield "item-frame", f"the response is done, its items {sorted(items)} are not"
            items.clear()


def _field_complaints(event: Event) -> Iterator[tuple[str, str]]:
    if event["type"] not in api_shapes().server_events:
        yield "known-types", f"{event['type']} is no server event of the API"
        return
    for text in table_complaints(event):
        if _UNKNOWN in text:
            yield "known-fields", text
        elif not _has_its_own_rule(text.partition(":")[0], text):
            yield f"fields.{event['type']}", text


def _has_its_own_rule(path: str, text: str) -> bool:
    """Whether another complaint says the same more precisely."""
    if text.endswith(": missing"):
        return path in ("event_id", "part.type") or path.startswith("response.usage") or path.endswith("format.rate")
    if text.endswith("got null") and path.startswith(_ITEMS):
        return True
    return path in ("event_id", "part.type", "obfuscation", *_TIMES) or path.endswith("format.rate")


def _value_complaints(event: Event) -> Iterator[tuple[str, str]]:
    for text in item_complaints(event):
        yield ("transcript-key" if "without the key" in text else "no-nulls-in-items"), text
    for name, value in event.items():
        if name.endswith("_ms") and (not isinstance(value, int) or isinstance(value, bool)):
            yield "whole-ms", f"{name} is {json.dumps(value)}"
    if event["type"] in _PARTS:
        part = event.get("part")
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("audio", "text"):
            yield "part-types", f"part.type is {json.dumps(kind)}"
    if not isinstance(event.get("obfuscation", ""), str):
        yield "obfuscation", f"obfuscation is {json.dumps(event['obfuscation'])}"
    if event["type"] in ("session.created", "session.updated"):
        yield from _session_complaints(event.get("session"))
    if event["type"] == "response.done":
        yield from _usage_complaints(event.get("response"))


def _session_complaints(session: object) -> Iterator[tuple[str, str]]:
    audio = session.get("audio") if isinstance(session, dict) else None
    for side in ("input", "output"):
        part = audio.get(side) if isinstance(audio, dict) else None
        if not isinstance(part, dict):
            continue
        if "voice" in part and not isinstance(part["voice"], str):
            yield "voice-name", f"voice is {json.dumps(part['voice'])}"
        sound = part.get("format")
        if isinstance(sound, dict) and sound.get("type") == "audio/pcm" and sound.get("rate") != 24000:
            yield "pcm-rate", f"rate is {json.dumps(sound.get('rate'))}"


def _usage_complaints(response: object) -> Iterator[tuple[str, str]]:
    usage = response.get("usage") if isinstance(response, dict) else None
    if not isinstance(usage, dict):
        return  # a response that failed may have none; that completed ones have it is a check of its own
    yield from _missing(usage, "usage", ("total_tokens", "input_tokens", "output_tokens"))
    details = usage.get("input_token_details")
    yield from _missing(details, "usage.input_token_details", (*_CACHED, "cached_tokens"))
    cached = details.get("cached_tokens_details") if isinstance(details, dict) else None
    yield from _missing(cached, "usage.input_token_details.cached_tokens_details", _CACHED)
    yield from _missing(usage.get("output_token_details"), "usage.output_token_details", _IN_DETAILS)


def _missing(value: Any, path: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield "usage-keys", f"{path} is {json.dumps(value)}"
        return
    for name in names:
        if not isinstance(value.get(name), int):
            yield "usage-keys", f"{path}.{name} is " + (json.dumps(value[name]) if name in value else "missing")
