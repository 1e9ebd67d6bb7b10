"""What every event is measured against: each rule has an event that breaks it, and nothing else."""

import json
from typing import Any

import pytest

from antiphon.conform.check import RuleError
from antiphon.conform.observed import Observer, Stream


def event(type: str, **fields: Any) -> dict[str, Any]:
    return {"type": type, "event_id": "event_1", **fields}


def item(**fields: Any) -> dict[str, Any]:
    return {"id": "item_1", "type": "message", "role": "user", "content": [], **fields}


def added(**fields: Any) -> dict[str, Any]:
    return event("conversation.item.added", previous_item_id=None, item=item(**fields))


def part(**fields: Any) -> dict[str, Any]:
    place = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    return event("response.content_part.added", **place, part=fields)


def session(**audio: Any) -> dict[str, Any]:
    return event("session.updated", session={"type": "realtime", "audio": audio})


_IN_NO_RESPONSE = {"response-frame", "item-frame"}
TABLE: tuple[tuple[dict[str, Any], set[str]], ...] = (
    (added(), set()),
    (event("no.such.event"), {"known-types"}),
    ({"type": "input_audio_buffer.cleared"}, {"event-id"}),
    ({"type": "input_audio_buffer.cleared", "event_id": ""}, {"event-id"}),
    (event("input_audio_buffer.cleared", surprise=1), {"known-fields"}),
    (event("input_audio_buffer.cleared", padding="." * 2**20), {"known-fields", "frame-size"}),
    (event("conversation.item.deleted"), {"fields.conversation.item.deleted"}),
    (event("conversation.item.deleted", item_id=5), {"fields.conversation.item.deleted"}),
    (added(status=None), {"no-nulls-in-items"}),
    (added(content=[{"type": "input_audio"}]), {"transcript-key"}),
    (added(content=[{"type": "input_audio", "transcript": None}]), set()),
    (event("input_audio_buffer.speech_started", item_id="a", audio_start_ms=1.5), {"whole-ms"}),
    (event("input_audio_buffer.speech_started", item_id="a"), {"fields.input_audio_buffer.speech_started"}),
    (event("response.output_text.delta", response_id="resp_1", item_id="item_1", output_index=0, content_index=0,
           delta="a", obfuscation=None), {"obfuscation"} | _IN_NO_RESPONSE),
    (event("response.done", response={"output": [item(object=None)]}), {"no-nulls-in-items", "response-frame"}),
    (part(type="output_text", text=""), {"part-types"} | _IN_NO_RESPONSE),
    (part(type="text", text=""), _IN_NO_RESPONSE),
    (session(output={"voice": {"id": "voice_1"}}), {"voice-name"}),
    (session(input={"format": {"type": "audio/pcm", "rate": 16000}}), {"pcm-rate"}),
    (session(input={"format": {"type": "audio/pcmu"}}), set()),
)  # fmt: skip


@pytest.mark.parametrize(("sent", "rules"), TABLE, ids=range(len(TABLE)))
def test_an_event_breaks_exactly_these_rules(sent: dict[str, Any], rules: set[str]) -> None:
    observer = Observer()
    Stream(observer).take(json.dumps(sent))
    assert _without_missing_fields(observer) == rules


def _without_missing_fields(observer: Observer) -> set[str]:
    """The rules; that the short events above lack fields of a session or a part's frame is not their point."""
    return {rule for rule in observer.complaints if rule != "fields.session.updated"}


def test_an_event_id_may_not_come_twice_on_one_connection_but_on_two() -> None:
    observer = Observer()
    text = json.dumps(event("input_audio_buffer.cleared"))
    for stream in (Stream(observer), Stream(observer)):
        stream.take(text)
    assert not observer.complaints
    stream.take(text)
    assert set(observer.complaints) == {"unique-event-ids"}


def test_a_binary_frame_is_taken_and_noted() -> None:
    observer = Observer()
    assert Stream(observer).take(json.dumps(added()).encode())["type"] == "conversation.item.added"
    assert set(observer.complaints) == {"text-frames"}


@pytest.mark.parametrize("data", ["", "{", "[]", "{}", '{"type": 5}'])
def test_what_is_no_event_is_a_failure(data: str) -> None:
    with pytest.raises(RuleError):
        Stream(Observer()).take(data)


def test_few_complaints_of_a_kind_are_kept() -> None:
    observer = Observer()
    stream = Stream(observer)
    for number in range(50):
        stream.take(json.dumps({"type": "no.such.event", "event_id": str(number)}))
    assert len(observer.complaints["known-types"]) == 5
    assert observer.counts == {"no.such.event": 50}


def test_an_event_that_never_came_is_awaited_once_and_one_that_came_often() -> None:
    observer = Observer()
    observer.missed("response.done")
    assert observer.is_given_up("response.done")
    observer.counts["response.done"] = 1
    assert not observer.is_given_up("response.done")
    for _ in range(15):
        observer.missed("response.done")
    assert observer.is_given_up("response.done")
