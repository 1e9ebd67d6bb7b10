"""Whole sessions as a client of the beta sees them: it could keep a copy of the conversation from what it is told."""

import json
from typing import Any

import pytest

from antiphon.core.outputs import Emit
from antiphon.protocol.beta.dialect import BetaDialect
from tests.protocol.beta.test_dialect_out import NEWER
from tests.support.beta import complaints_about_beta_event
from tests.support.script import Scenario, play, scenarios


class Copy:
    """What the reference client of the beta keeps. Like that one it breaks at an event about what it does not know."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.responses: dict[str, bool] = {}
        """By id, whether the response belongs to the conversation."""
        self.deleted: set[str] = set()
        """A client that deletes an item in progress has to expect more of it."""

    def take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "conversation.item.created":
                assert event["item"]["id"] not in self.items
                self.items[event["item"]["id"]] = event["item"]
            case "conversation.item.deleted":
                del self.items[event["item_id"]]
                self.deleted.add(event["item_id"])
            case "response.created":
                self.responses[event["response"]["id"]] = event["response"]["conversation_id"] is not None
            case "response.content_part.added" if self._is_kept(event):
                self.items[event["item_id"]]["content"].append(event["part"])
            case "response.text.delta" if self._is_kept(event):
                self._part(event)["text"] += event["delta"]
            case "response.audio_transcript.delta" if self._is_kept(event):
                self._part(event)["transcript"] += event["delta"]
            case "response.function_call_arguments.delta" if self._is_kept(event):
                self.items[event["item_id"]]["arguments"] += event["delta"]
            case "response.output_item.done" if self._is_kept(event):
                self._finish(event["item"])

    def _is_kept(self, event: dict[str, Any]) -> bool:
        item_id = event.get("item_id") or event["item"]["id"]
        return self.responses[event["response_id"]] and item_id not in self.deleted

    def _part(self, event: dict[str, Any]) -> dict[str, Any]:
        part: dict[str, Any] = self.items[event["item_id"]]["content"][event["content_index"]]
        return part

    def _finish(self, item: dict[str, Any]) -> None:
        """The item as it ended is the one that the deltas made, as far as it was told."""
        kept = self.items[item["id"]]
        if item.get("status") != "completed":
            return
        if item["type"] == "function_call":
            assert kept["arguments"] == item["arguments"]
        elif item["type"] == "message":
            assert kept["content"] == item["content"]


@pytest.mark.parametrize("scenario", scenarios(), ids=str)
def test_a_session_makes_sense_to_a_client_of_the_beta(scenario: Scenario) -> None:
    driver = play(scenario)
    dialect = BetaDialect(conversation_id=driver.session.conversation_id, new_id=lambda prefix: f"{prefix}_0")
    copy = Copy()
    for output in driver.history:
        if not isinstance(output, Emit):
            continue
        for frame in dialect.encode(output.event):
            event = json.loads(frame)
            copy.take(event)
            if event["type"] not in NEWER:
                assert complaints_about_beta_event(event) == []
