"""The recorded orders of real sessions are ours: each trace is played, cause by cause, and the events compared.

Left out of the comparison: transcription events, whose place among others is free, ``rate_limits.updated``, which is
missing in some recordings, and how deltas of words and of audio alternate.
"""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.session import Driver, events_of, payload_of

_ORDERS: Final = json.loads((Path(__file__).parents[1] / "data" / "recorded_orders.json").read_text())["orders"]
_FREE: Final = ("conversation.item.input_audio_transcription.", "rate_limits.updated")
_SPOKEN_DELTAS: Final = ("response.output_audio.delta", "response.output_audio_transcript.delta")


class _Puppet:
    """Does what must have caused each recorded event."""

    def __init__(self, order: list[str]) -> None:
        self.driver = Driver()
        self.modality = "audio" if any("output_audio" in line for line in order) else "text"
        self.events: list[dict[str, Any]] = []
        self.spoken_chars = 0

    def play(self, order: list[str]) -> list[str]:
        self.driver.open()
        for line in order:
            mark, event_type, *kind = line.split()
            if mark == ">":
                self._send(event_type, *kind)
            else:
                self._cause(event_type)
            self.events += [payload_of(event) for event in events_of(self.driver.take())]
        return [_line(event) for event in self.events]

    def _send(self, event_type: str, kind: str = "") -> None:
        if event_type == "session.update":
            self.driver.send(event_type, session={"type": "realtime", "output_modalities": [self.modality]})
        elif kind == "function_call_output":
            call_id = self._newest("item", "call_id")
            self.driver.send(event_type, item={"type": kind, "call_id": call_id, "output": "42"})
        elif kind == "message":
            content = [{"type": "input_text", "text": "Hello"}]
            self.driver.send(event_type, item={"type": kind, "role": "user", "content": content})
        elif event_type != "input_audio_buffer.append":
            self.driver.send(event_type)

    def _cause(self, event_type: str) -> None:
        match event_type.removeprefix("response.").removeprefix("input_audio_buffer."):
            case "speech_started":
                self.driver.speech(320)
            case "speech_stopped":
                self.driver.silence(512)
                self.driver.transcript(self._newest("item_id"), "Hello")
            case "output_text.delta" | "output_audio_transcript.delta":
                self.driver.text(self._response_id(), "Hi.")
                self.spoken_chars += 3
            case "output_audio.delta":
                self.driver.spoken(self._response_id(), 100, 0, self.spoken_chars)
            case "function_call_arguments.delta":
                self.driver.call(self._response_id(), 0, "look_up", "{}")
            case "output_text.done" | "output_audio.done" | "function_call_arguments.done":
                self.driver.ended(self._response_id())
                self.spoken_chars = 0

    def _response_id(self) -> str:
        return str(self._newest("response", "id"))

    def _newest(self, *path: str) -> Any:
        found: list[Any] = []
        for event in self.events:
            value: Any = event
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            found += [] if value is None else [value]
        return found[-1]


def _line(event: dict[str, Any]) -> str:
    inner = event.get("item") or event.get("part") or {}
    return " ".join(["<", event["type"], *([inner["type"]] if inner else [])])


def _comparable(lines: Iterable[str]) -> list[str]:
    kept = [line for line in lines if line.startswith("<") and not line[2:].startswith(_FREE)]
    spoken = ["< spoken delta" if line[2:] in _SPOKEN_DELTAS else line for line in kept]
    return [line for line, _ in itertools.groupby(spoken)]


@pytest.mark.parametrize("name", _ORDERS)
def test_a_recorded_session_plays_in_the_recorded_order(name: str) -> None:
    order = _ORDERS[name]
    assert _comparable(_Puppet(order).play(order)) == _comparable(order)


def test_the_fixture_holds_every_kind_of_turn() -> None:
    types = {line.split()[1] for order in _ORDERS.values() for line in order}
    assert types >= {
        "session.updated",
        "response.output_text.delta",
        "response.output_audio.delta",
        "input_audio_buffer.committed",
        "response.function_call_arguments.done",
    }
