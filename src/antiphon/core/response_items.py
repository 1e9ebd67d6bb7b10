"""Messages and function calls that a response is writing: their pieces, and the events of each to its end."""

from dataclasses import dataclass, field
from typing import Any

from antiphon.core.conversation import Entry
from antiphon.core.effects import Effects
from antiphon.protocol.items import FunctionCall, ItemStatus, Message, OutputAudio, OutputText
from antiphon.protocol.server_events import (
    AudioPart,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
    TextPart,
)
from antiphon.protocol.session_config import Modality

__all__ = ["OpenCall", "OpenMessage"]


@dataclass(slots=True, eq=False)
class OpenMessage:
    """Words, spoken or written; the only part of its message."""

    entry: Entry
    response_id: str
    output_index: int
    modality: Modality
    text_start: int
    """Where its text begins in the text of the whole response."""
    length: int = 0
    _pieces: list[str] = field(default_factory=list)

    @property
    def _place(self) -> dict[str, Any]:
        return {
            "response_id": self.response_id,
            "item_id": self.entry.id,
            "output_index": self.output_index,
            "content_index": 0,
        }

    @property
    def text(self) -> str:
        """Its words so far."""
        return "".join(self._pieces)

    def begin(self, effects: Effects) -> None:
        part = TextPart(text="") if self.modality == "text" else AudioPart(transcript="")
        effects.emit(ResponseContentPartAdded(event_id=effects.event_id(), part=part, **self._place))

    def add(self, text: str, effects: Effects) -> None:
        self._pieces.append(text)
        self.length += len(text)
        kind = ResponseOutputTextDelta if self.modality == "text" else ResponseOutputAudioTranscriptDelta
        effects.emit(kind(event_id=effects.event_id(), delta=text, obfuscation=effects.padding(text), **self._place))

    def speak(self, audio: bytes, effects: Effects) -> None:
        effects.emit(ResponseOutputAudioDelta(event_id=effects.event_id(), delta=audio, **self._place))

    def end(self, status: ItemStatus, effects: Effects) -> Message:
        """Every ``*.done`` of its part; returns the item as it is from now on."""
        text, place = self.text, self._place
        if self.modality == "text":
            effects.emit(ResponseOutputTextDone(event_id=effects.event_id(), text=text, **place))
            part: TextPart | AudioPart = TextPart(text=text)
            content: OutputText | OutputAudio = OutputText(text=text)
        else:
            effects.emit(ResponseOutputAudioDone(event_id=effects.event_id(), **place))
            effects.emit(ResponseOutputAudioTranscriptDone(event_id=effects.event_id(), transcript=text, **place))
            part = AudioPart(transcript=text)
            content = OutputAudio(transcript=text)
        effects.emit(ResponseContentPartDone(event_id=effects.event_id(), part=part, **place))
        return Message(id=self.entry.id, status=status, role="assistant", content=[content])


@dataclass(slots=True, eq=False)
class OpenCall:
    """A call of one of the client's functions."""

    entry: Entry
    response_id: str
    output_index: int
    call_id: str
    name: str
    is_done: bool = False
    _pieces: list[str] = field(default_factory=list)

    def add(self, arguments_delta: str, effects: Effects) -> None:
        self._pieces.append(arguments_delta)
        effects.emit(
            ResponseFunctionCallArgumentsDelta(
                event_id=effects.event_id(),
                response_id=self.response_id,
                item_id=self.entry.id,
                output_index=self.output_index,
                call_id=self.call_id,
                delta=arguments_delta,
                obfuscation=effects.padding(arguments_delta),
            )
        )

    def end(self, status: ItemStatus, effects: Effects) -> FunctionCall:
        """Its arguments are complete, or all that will come; returns the item as it is from now on."""
        arguments = "".join(self._pieces)
        effects.emit(
            ResponseFunctionCallArgumentsDone(
                event_id=effects.event_id(),
                response_id=self.response_id,
                item_id=self.entry.id,
                output_index=self.output_index,
                call_id=self.call_id,
                name=self.name,
                arguments=arguments,
            )
        )
        return FunctionCall(id=self.entry.id, status=status, name=self.name, call_id=self.call_id, arguments=arguments)
