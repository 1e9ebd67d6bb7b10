"""What holds for every event, whichever check it was sent for."""

import functools

from antiphon.conform.check import Level, NotApplicableError, RuleError, Rules
from antiphon.conform.probe import Probe
from antiphon.conform.shapes import api_shapes

__all__ = ["RULES"]

RULES = Rules("wire", "Every event received in the other checks")

_SERVER = "API reference, server events"
_RECORDED = "recorded sessions of the hosted API"
_PARSED = "observed: clients drop the event or the session otherwise"
_RULES: tuple[tuple[str, str, str, Level], ...] = (
    ("known-types", "Every event's type is in the reference", _SERVER, Level.REQUIRED),
    ("event-id", "Every event has an event_id", f"{_SERVER}, event_id; {_PARSED}", Level.REQUIRED),
    ("unique-event-ids", "No event_id comes twice on a connection", f"{_SERVER}, event_id: the unique ID",
     Level.REQUIRED),
    ("text-frames", "Events come in text frames", "Guide 'Realtime API with WebSocket'", Level.REQUIRED),
    ("frame-size", "No frame is larger than 1 MiB", "observed: some clients close the connection", Level.REQUIRED),
    ("part-types", "part.type is 'audio' or 'text'", f"{_SERVER}, response.content_part.added; {_PARSED}",
     Level.REQUIRED),
    ("no-nulls-in-items", "What an item does not have is left out, not null", f"{_RECORDED}; {_PARSED}",
     Level.REQUIRED),
    ("transcript-key", "An input_audio part has the key transcript", f"{_RECORDED}; {_PARSED}", Level.REQUIRED),
    ("whole-ms", "Times in milliseconds are whole numbers", f"{_SERVER}; {_PARSED}", Level.REQUIRED),
    ("obfuscation", "obfuscation, where it is there, is a string", f"{_RECORDED}; {_PARSED}", Level.REQUIRED),
    ("usage-keys", "The usage of a response has all its keys", _RECORDED, Level.REQUIRED),
    ("voice-name", "A voice is shown by its name", _PARSED, Level.REQUIRED),
    ("pcm-rate", "audio/pcm has the rate 24000", f"API reference, audio formats; {_PARSED}", Level.REQUIRED),
    ("response-frame", "Events of a response come after its response.created and before its response.done", _SERVER,
     Level.REQUIRED),
    ("item-frame", "What is told of an answer's item lies between its added and its done, and no item stays open",
     _SERVER, Level.REQUIRED),
    ("known-fields", "No event has a field that is not in the reference", _SERVER, Level.RECOMMENDED),
)  # fmt: skip


async def _no_complaint(kind: str, needed: str, probe: Probe) -> None:
    observer = probe.observer
    seen = observer.counts.get(needed, 0) if needed else sum(observer.counts.values())
    if not seen:
        raise NotApplicableError("no such event came")
    complaints = observer.complaints.get(kind)
    if complaints:
        raise RuleError("none of this", [one.text for one in complaints], complaints[0].event)


for _name, _title, _source, _level in _RULES:
    _run = functools.partial(_no_complaint, _name, "")
    RULES.add(_name, _title, _source, _run, level=_level, observes=True)

for _type in api_shapes().server_events:
    RULES.add(
        f"fields.{_type}",
        f"{_type} has its required fields, each of its kind",
        f"{_SERVER}, {_type}",
        functools.partial(_no_complaint, f"fields.{_type}", _type),
        observes=True,
    )
