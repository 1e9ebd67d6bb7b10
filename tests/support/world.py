"""A session with a client and a runtime around it that only look at its outputs, and every rule that always holds.

``World`` keeps what a client can know (items, responses, audio) and what a runtime can know (engine streams under way),
from outputs alone, and fails where they contradict each other.
"""

import base64
import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.core.outputs import (
    CloseSession,
    Emit,
    EndTranscription,
    FeedTranscription,
    MeasureItem,
    Output,
    StartResponse,
    StartTranscription,
    StopResponse,
    StopTranscription,
    TurnClosed,
)
from antiphon.vocabulary.llm import FinishReason
from tests.support.session import Driver, events_of, payload_of

__all__ = ["World"]

_BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}
_ID = re.compile(r"\b(?:item|resp|call|event|pad)_\d+")


@dataclass
class _Response:
    in_conversation: bool
    format: str
    items: list[str] = field(default_factory=list)
    open_items: set[str] = field(default_factory=set)
    streams: int = 0


class World:
    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.items: list[str] = []
        self.responses: dict[str, _Response] = {}
        self.finished: list[str] = []
        self.generating: set[str] = set()
        self.transcribing: dict[tuple[str, int], str] = {}
        """State of each transcription stream: open, ended."""
        self.past_places: list[tuple[str, int]] = []
        self.sent_bytes: dict[str, int] = {}
        self.formats: dict[str, str] = {}
        self.closed = False

    # --- steps -----------------------------------------------------------------------------------------------------

    def client(self, event_type: str, fields: Mapping[str, Any]) -> None:
        """A client event; where it is refused, nothing may have changed."""
        before = copy.deepcopy(self.driver.session)
        self.driver.send(event_type, **fields)
        outputs = self.settle()
        kinds = [event["type"] for event in map(payload_of, events_of(outputs))]
        if kinds == ["error"] and len(outputs) == 1:
            assert self.seen_by_client(self.driver.session) == self.seen_by_client(before)
        else:
            assert "error" not in kinds or "conversation.item.truncated" in kinds, kinds

    def words(self, place: tuple[str, int], text: str | None, *, final: bool) -> None:
        """The recogniser's word on a part, wanted or not; None: it failed."""
        if final or text is None:
            self.transcribing.pop(place, None)
        if text is None:
            self.driver.transcript_failed(place[0], index=place[1])
        else:
            self.driver.transcript(place[0], text, index=place[1], final=final)
        self.settle()

    def ended(self, response_id: str, reason: FinishReason = "stop", fault: str = "") -> None:
        """The end of a generation, or its failure."""
        self.generating.discard(response_id)
        if fault:
            self.driver.broke(response_id, fault)
        else:
            self.driver.ended(response_id, reason)
        self.settle()

    def settle(self) -> list[Output]:
        """Check what came out."""
        outputs = self.driver.take()
        for output in outputs:
            assert not self.closed, f"after the end: {output}"
            if isinstance(output, Emit):
                self._event(payload_of(output.event))
            else:
                self._order(output)
        self._check_state()
        return outputs

    def finish(self) -> None:
        """Let everything that runs come to its end."""
        for _ in range(100):
            if not (self.generating or self.transcribing or self.responses) or self.closed:
                break
            self.client("input_audio_buffer.clear", {})
            for place in list(self.transcribing):
                self.words(place, None, final=True)
            for response_id in list(self.generating):
                self.ended(response_id)
        assert self.closed or not (self.responses or self.generating or self.transcribing)

    # --- what a client can ask for ---------------------------------------------------------------------------------

    def seen_by_client(self, session: Any) -> list[Any]:
        """Everything that a client can find out about a session, without touching it."""
        probe = Driver(self.driver.settings, self.driver.limits, self.driver.now, check_events=False)
        probe.session = copy.deepcopy(session)
        seen: list[Any] = [probe.session.audio_bytes, probe.session.deadline, probe.session.settings]
        probes: list[tuple[str, dict[str, Any]]] = [
            *(("conversation.item.retrieve", {"item_id": item_id}) for item_id in self.items),
            ("input_audio_buffer.commit", {}),
            ("response.cancel", {}),
        ]
        for event_type, fields in probes:
            probe.send(event_type, **fields)
            seen += [self._without_new_ids(event) for event in probe.take_events()]
        return seen

    def _without_new_ids(self, event: dict[str, Any]) -> str:
        """An answer to a probe, without the ids that were made for it."""
        known = {*self.items, *self.responses, *(item for one in self.responses.values() for item in one.items)}
        return _ID.sub(lambda match: match.group() if match.group() in known else "new", json.dumps(event))

    # --- events ----------------------------------------------------------------------------------------------------

    def _event(self, event: dict[str, Any]) -> None:
        name = event["type"]
        if name.startswith("response."):
            self._response_event(name, event)
        elif name.startswith("conversation.item."):
            self._item_event(name.removeprefix("conversation.item."), event)
        elif name == "input_audio_buffer.committed":
            assert event["previous_item_id"] == (self.items[-1] if self.items else None)

    def _response_event(self, name: str, event: dict[str, Any]) -> None:
        if name == "response.created":
            self._response_created(event["response"])
            return
        response_id = event["response"]["id"] if name == "response.done" else event["response_id"]
        assert response_id in self.responses, f"{name} of a response that is not active"
        response = self.responses[response_id]
        if name == "response.done":
            assert not response.open_items
            assert [item["id"] for item in event["response"]["output"]] == response.items
            assert event["response"]["usage"] is not None
            del self.responses[response_id]
            self.finished.append(response_id)
        elif name == "response.output_item.added":
            assert event["output_index"] == len(response.items)
            response.items.append(event["item"]["id"])
            response.open_items.add(event["item"]["id"])
            self.formats[event["item"]["id"]] = response.format
        elif name == "response.output_item.done":
            response.open_items.remove(event["item"]["id"])
        else:
            assert event["item_id"] in response.open_items, f"{name} outside its item"
            assert response.items[event["output_index"]] == event["item_id"]
            if name == "response.output_audio.delta":
                size = len(base64.b64decode(event["delta"]))
                self.sent_bytes[event["item_id"]] = self.sent_bytes.get(event["item_id"], 0) + size

    def _response_created(self, response: dict[str, Any]) -> None:
        assert response["id"] not in self.responses
        assert response["id"] not in self.finished
        in_conversation = response["conversation_id"] is not None
        if in_conversation:
            assert not any(other.in_conversation for other in self.responses.values()), "two default responses"
        self.responses[response["id"]] = _Response(in_conversation, response["audio"]["output"]["format"]["type"])

    def _item_event(self, name: str, event: dict[str, Any]) -> None:
        if name == "added":
            item_id = event["item"]["id"]
            assert item_id not in self.items
            self.items.insert(self._place_behind(event["previous_item_id"]), item_id)
        elif name == "done":
            place = self.items.index(event["item"]["id"])
            assert event["previous_item_id"] == (self.items[place - 1] if place else None)
        elif name == "deleted":
            self.items.remove(event["item_id"])
        elif name == "truncated":
            assert event["item_id"] in self.items
            sent = self.sent_bytes.get(event["item_id"], 0)
            assert event["audio_end_ms"] <= sent // _BYTES_PER_MS[self.formats[event["item_id"]]]
        elif name == "retrieved":
            assert event["item"]["id"] in self.items

    def _place_behind(self, previous: str | None) -> int:
        return 0 if previous is None else self.items.index(previous) + 1

    # --- orders ----------------------------------------------------------------------------------------------------

    def _order(self, order: Output) -> None:
        match order:
            case StartResponse():
                response = self.responses[order.response_id]
                response.streams += 1
                assert response.streams <= 2
                self.generating.add(order.response_id)
            case StopResponse():
                self.generating.remove(order.response_id)
            case StartTranscription():
                self._start_transcription((order.item_id, order.content_index))
            case FeedTranscription():
                assert self.transcribing[order.item_id, order.content_index] == "open"
            case EndTranscription():
                assert self.transcribing[order.item_id, order.content_index] == "open"
                self.transcribing[order.item_id, order.content_index] = "ended"
            case StopTranscription():
                del self.transcribing[order.item_id, order.content_index]
            case CloseSession():
                assert not self.transcribing
                assert not self.generating
                self.closed = True
            case MeasureItem():
                assert order.item_id in self.items
            case TurnClosed():
                assert order.silence_ms >= 0

    def _start_transcription(self, place: tuple[str, int]) -> None:
        assert place not in self.transcribing
        self.transcribing[place] = "open"
        self.past_places.append(place)

    def _check_state(self) -> None:
        limits = self.driver.limits
        assert len(self.items) <= limits.items
        assert self.driver.session.audio_bytes <= limits.audio_bytes + 256 * 1024
        if not self.closed:
            assert self.driver.session.deadline is not None
