"""Ways to spoil what a Realtime server says, and which conformance checks each has to fail."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.support.bending import Bend, Event

__all__ = ["FAULTS", "Fault"]

_ITEM = ("conversation.item.added", "conversation.item.done")
_SESSION = ("session.created", "session.updated")
_RESPONSE = ("response.created", "response.done")
_PART = ("response.content_part.added", "response.content_part.done")


@dataclass(frozen=True)
class Fault:
    name: str
    new_bend: Callable[[], Bend]
    failed: frozenset[str]
    """The checks that fail; no other does."""
    blocks: bool = False
    """Whether checks cannot be made for it, because what they need does not come."""
    alone: bool = False
    """Whether it hides or feeds other faults."""


def drop(*types: str) -> Callable[[], Bend]:
    return lambda: lambda event: [] if event["type"] in types else [event]


def change(types: Iterable[str], spoil: Callable[[Event], None]) -> Callable[[], Bend]:
    """Spoil events of some types; of all if there are none."""
    kinds = frozenset(types)

    def bend(event: Event) -> Iterable[Event]:
        if not kinds or event["type"] in kinds:
            spoil(event)
        return [event]

    return lambda: bend


def follow(type: str, more: Callable[[Event], Iterable[Event | bytes]]) -> Callable[[], Bend]:
    """Send more events after one of a type."""
    return lambda: lambda event: [event, *(more(event) if event["type"] == type else [])]


def swap(first: str, second: str) -> Callable[[], Bend]:
    """Hold back an event until another one has come."""

    def new_bend() -> Bend:
        held: list[Event] = []

        def bend(event: Event) -> Iterable[Event]:
            if event["type"] == first:
                held.append(event)
                return []
            if event["type"] == second and held:
                return [event, held.pop()]
            return [event]

        return bend

    return new_bend


def _set(*path: str, to: Any) -> Callable[[Event], None]:
    def spoil(event: Event) -> None:
        *places, last = path
        for place in places:
            event = event[place]
            if not isinstance(event, dict):
                return
        if last in event:
            event[last] = to

    return spoil


def _remove(*path: str) -> Callable[[Event], None]:
    def spoil(event: Event) -> None:
        *places, last = path
        for place in places:
            event = event.get(place) or {}
        event.pop(last, None)

    return spoil


# --- those that are more than a line -------------------------------------------------------------------------------


def _nulls(event: Event) -> None:
    event["item"]["object"] = None


def _fractions(event: Event) -> None:
    for name in ("audio_start_ms", "audio_end_ms"):
        if name in event:
            event[name] += 0.5


def _item_part_names(event: Event) -> None:
    event["part"]["type"] = f"output_{event['part']['type']}"


def _unfilled(event: Event) -> None:
    detection = event["session"]["audio"]["input"]["turn_detection"]
    if detection is not None:
        event["session"]["audio"]["input"]["turn_detection"] = {"type": detection["type"]}


def _without_nulls(event: Event) -> None:
    session = event["session"]
    event["session"] = {name: value for name, value in session.items() if value is not None}


def _code(wrong_for: str) -> Callable[[Event], None]:
    def spoil(event: Event) -> None:
        if event["error"]["code"] == wrong_for:
            event["error"]["code"] = "bad_request"

    return spoil


def _cancelled_as_completed(event: Event) -> None:
    if event["response"]["status"] == "cancelled":
        event["response"]["status"] = "completed"


def _by_the_client(event: Event) -> None:
    details = event["response"]["status_details"]
    if details and details.get("reason") == "turn_detected":
        details["reason"] = "client_cancelled"


def _without_transcript_key(event: Event) -> None:
    for part in event["item"].get("content", ()):
        if part["type"] == "input_audio":
            part.pop("transcript", None)


def _param_without_path(event: Event) -> None:
    param = event["error"]["param"] or ""
    if param.startswith("item."):
        event["error"]["param"] = param.removeprefix("item.")


def _big(event: Event) -> None:
    event["obfuscation"] = "." * 2**20


def _some_deltas_only() -> Bend:
    count = 0

    def bend(event: Event) -> Iterable[Event]:
        nonlocal count
        count += event["type"] == "response.output_text.delta"
        return [] if event["type"] == "response.output_text.delta" and count % 2 == 0 else [event]

    return bend


def _same_ids() -> Bend:
    def bend(event: Event) -> Iterable[Event]:
        return [{**event, "event_id": "event_1"} if event["type"] == "response.output_text.delta" else event]

    return bend


def _late_delta() -> Bend:
    kept: list[Event] = []

    def bend(event: Event) -> Iterable[Event]:
        if event["type"] == "response.output_text.delta":
            kept[:] = [{**event, "event_id": event["event_id"] + "x"}]
        return [event, *(kept if event["type"] == "response.done" else [])]

    return bend


def _response_in_transcription() -> Bend:
    transcribes = False

    def bend(event: Event) -> Iterable[Event]:
        nonlocal transcribes
        transcribes = transcribes or event.get("session", {}).get("type") == "transcription"
        if not (transcribes and event["type"] == "input_audio_buffer.committed"):
            return [event]
        response = {
            "object": "realtime.response", "id": "resp_1", "status": "in_progress", "status_details": None,
            "output": [], "conversation_id": "conv_1", "output_modalities": ["text"], "max_output_tokens": "inf",
            "usage": None, "metadata": None,
        }  # fmt: skip
        return [event, {"type": "response.created", "event_id": event["event_id"] + "x", "response": response}]

    return bend


def _items_beside() -> Bend:
    """Items of responses beside the conversation are announced like those in it."""
    beside: set[str] = set()

    def bend(event: Event) -> Iterable[Event]:
        if event["type"] == "response.created" and event["response"]["conversation_id"] is None:
            beside.add(event["response"]["id"])
        if event["type"] == "response.output_item.done" and event["response_id"] in beside:
            added = {"type": "conversation.item.added", "event_id": event["event_id"] + "x", "previous_item_id": None}
            return [event, {**added, "item": event["item"]}]
        return [event]

    return bend


def _error_after_done(event: Event) -> Iterable[Event]:
    error = {"type": "server_error", "code": None, "message": "Oops.", "param": None, "event_id": None}
    return [{"type": "error", "event_id": event["event_id"] + "x", "error": error}]


def _as_bytes(type: str) -> Callable[[], Bend]:
    return lambda: lambda event: [json.dumps(event).encode() if event["type"] == type else event]


def _new_session_id() -> Bend:
    def bend(event: Event) -> Iterable[Event]:
        if event["type"] == "session.updated":
            event["session"]["id"] += "x"
        return [event]

    return bend


def _milliseconds(event: Event) -> None:
    event["session"]["expires_at"] *= 1000


def _voice_object(event: Event) -> None:
    output = event["session"]["audio"].get("output")
    if output:
        output["voice"] = {"id": output["voice"]}


def _low_rate(event: Event) -> None:
    for side in event["session"]["audio"].values():
        if side["format"]["type"] == "audio/pcm":
            side["format"]["rate"] = 16000


def _always_in_progress(event: Event) -> None:
    if event["item"].get("type") == "message":
        event["item"]["status"] = "in_progress"


def _later(event: Event) -> None:
    event["audio_end_ms"] += 40


def _other_item(event: Event) -> None:
    event["item_id"] += "x"


def _fault(name: str, new_bend: Callable[[], Bend], failed: str, *, blocks: bool = False, alone: bool = False) -> Fault:
    return Fault(name, new_bend, frozenset(failed.split()), blocks, alone)


FAULTS: tuple[Fault, ...] = (
    _fault(
        "no session.updated", drop("session.updated"), "session.updated errors.unknown-field", blocks=True, alone=True
    ),
    _fault(
        "no conversation.item.added",
        drop("conversation.item.added"),
        (
            "audio.order functions.early-output functions.order input.item input.order items.added-done items.after "
            "items.appended items.assistant-text items.audio-not-echoed items.deleted-leaves-chain "
            "items.empty-previous items.first-has-no-previous items.function-call items.function-output "
            "items.inserted items.root items.system-text items.two-parts items.user-text responses.announced-item "
            "responses.cancel-closes responses.input-in-conversation responses.items-while-running responses.order "
            "responses.second-turn turns.order"
        ),
        alone=True,
    ),
    _fault(
        "no conversation.item.done",
        drop("conversation.item.done"),
        ("functions.item-done input.order items.added-done responses.item-done responses.item-done-first turns.order"),
    ),
    _fault(
        "no response.content_part.added",
        drop("response.content_part.added"),
        "audio.order audio.part-added responses.cancel-closes responses.order responses.part-added",
    ),
    _fault(
        "no input_audio_buffer.speech_stopped",
        drop("input_audio_buffer.speech_stopped"),
        "transcription.detected turns.order turns.times turns.times-go-on",
    ),
    _fault("an event without event_id", change(["conversation.item.deleted"], _remove("event_id")), "wire.event-id"),
    _fault("one event_id for all deltas", _same_ids, "wire.unique-event-ids"),
    _fault("part types of items", change(_PART, _item_part_names), "wire.part-types"),
    _fault("nulls in items", change(_ITEM, _nulls), "wire.no-nulls-in-items"),
    _fault("fractional milliseconds", change(["input_audio_buffer.speech_started"], _fractions), "wire.whole-ms"),
    _fault("a wrong error code", change(["error"], _code("item_delete_invalid_item_id")), "errors.delete-unknown"),
    _fault("errors without event_id", change(["error"], _set("error", "event_id", to=None)), "errors.event-id"),
    _fault(
        "params without their path",
        change(["error"], _param_without_path),
        "errors.item-type errors.output-without-call errors.role errors.seeded-audio",
    ),
    _fault(
        "usage without cached tokens",
        change(["response.done"], _remove("response", "usage", "input_token_details", "cached_tokens_details")),
        "wire.usage-keys",
    ),
    _fault(
        "content_part.done before output_text.done",
        swap("response.output_text.done", "response.content_part.done"),
        "responses.cancel-closes responses.order",
    ),
    _fault(
        "response.done before output_item.done",
        swap("response.output_item.done", "response.done"),
        (
            "audio.content-type audio.order audio.transcript-agrees functions.answered functions.arguments "
            "functions.call-id functions.order items.retrieve-spoken items.truncated items.truncated-at-end "
            "responses.cancel-closes responses.cancel-incomplete responses.content-type responses.item-done-first "
            "responses.order responses.text-agrees wire.item-frame wire.response-frame"
        ),
        alone=True,
    ),
    _fault(
        "audio before its transcript",
        swap("response.output_audio_transcript.delta", "response.output_audio.delta"),
        "audio.transcript-agrees audio.transcript-first",
    ),
    _fault(
        "a response in a transcription session",
        _response_in_transcription,
        "transcription.detected transcription.no-response wire.response-frame",
    ),
    _fault("frames above 1 MiB", change(["response.function_call_arguments.delta"], _big), "wire.frame-size"),
    _fault(
        "turn detection unfilled",
        change(["session.updated"], _unfilled),
        (
            "session.set-eagerness session.set-idle-timeout session.set-semantic-vad "
            "session.set-turn-detection-filled session.set-turn-detection-tuned session.update-repeats-all "
            "transcription.turn-detection-filled"
        ),
    ),
    _fault(
        "previous_item_id always null",
        change(_ITEM, _set("previous_item_id", to=None)),
        (
            "items.after items.appended items.deleted-leaves-chain items.empty-previous items.inserted "
            "responses.announced-item responses.second-turn"
        ),
    ),
    _fault(
        "cancelled as completed",
        change(["response.done"], _cancelled_as_completed),
        (
            "responses.cancel responses.cancel-beside responses.cancel-by-id responses.cancel-speech turns.barge-in "
            "turns.interrupt-off"
        ),
    ),
    _fault("interrupted as cancelled by the client", change(["response.done"], _by_the_client), "turns.barge-in"),
    _fault(
        "nulls left out of the session",
        change(_SESSION, _without_nulls),
        (
            "session.created-complete session.default-tracing session.set-tracing-null session.updated-complete "
            "transcription.created"
        ),
    ),
    _fault(
        "metadata not echoed",
        change(_RESPONSE, _set("response", "metadata", to=None)),
        "responses.metadata responses.out-of-band-metadata",
    ),
    _fault("items announced that are beside the conversation", _items_beside, "responses.out-of-band-items"),
    _fault("a voice as an object", change(_SESSION, _voice_object), "session.set-voice wire.voice-name"),
    _fault(
        "a PCM rate of 16 kHz",
        change(_SESSION, _low_rate),
        "session.default-input-format session.default-output-format session.update-repeats-all wire.pcm-rate",
    ),
    _fault(
        "a name of the beta",
        change(["response.output_audio.done"], _set("type", to="response.audio.done")),
        "audio.done-order audio.order wire.known-types",
    ),
    _fault(
        "two modalities",
        change(_RESPONSE, _set("response", "output_modalities", to=["text", "audio"])),
        "audio.default responses.modalities session.between-turns",
    ),
    _fault(
        "no key transcript",
        change(_ITEM, _without_transcript_key),
        "input.item items.audio-not-echoed wire.transcript-key",
    ),
    _fault(
        "no name in arguments.done",
        change(["response.function_call_arguments.done"], _remove("name")),
        "functions.name wire.fields.response.function_call_arguments.done",
    ),
    _fault(
        "every second text delta lost",
        _some_deltas_only,
        "responses.instructions-of-a-response responses.out-of-band-own-input responses.text-agrees",
    ),
    _fault("a delta after response.done", _late_delta, "wire.item-frame wire.response-frame"),
    _fault("truncated elsewhere", change(["conversation.item.truncated"], _later), "items.truncated"),
    _fault(
        "created as completed",
        change(["response.created"], _set("response", "status", to="completed")),
        "responses.created",
    ),
    _fault(
        "an error after every response",
        follow("response.done", _error_after_done),
        (
            "audio.speed errors.none-unasked functions.answered functions.two-outputs items.retrieve-spoken "
            "items.truncated items.truncated-at-end responses.after-cancel responses.conversation-id responses.failed "
            "responses.overrides-stay-out responses.parallel responses.second-turn session.voice-frozen "
            "session.voice-repeated turns.barge-in-truncate turns.truncate-running"
        ),
        alone=True,
    ),
    _fault("binary frames", _as_bytes("response.output_text.done"), "wire.text-frames"),
    _fault("unknown fields", change(["rate_limits.updated"], lambda event: event.update(extra=1)), "wire.known-fields"),
    _fault("a new session id with every update", _new_session_id, "session.id-stays transcription.updated"),
    _fault("expires_at in milliseconds", change(["session.created"], _milliseconds), "session.expires"),
    _fault("messages never completed", change(_ITEM, _always_in_progress), "input.item items.status"),
    _fault(
        "committed names another item",
        change(["input_audio_buffer.committed"], _other_item),
        (
            "input.one-item input.place input.retrieved input.transcribed transcription.manual "
            "transcription.two-turns turns.one-item turns.transcribed"
        ),
    ),
    _fault(
        "a transcript without usage",
        change(["conversation.item.input_audio_transcription.completed"], _remove("usage")),
        (
            "input.transcription-usage transcription.usage "
            "wire.fields.conversation.item.input_audio_transcription.completed"
        ),
    ),
)
