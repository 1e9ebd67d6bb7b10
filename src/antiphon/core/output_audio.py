"""Where the speech of responses goes, and what became of it: to a client that plays it, or to a transport that does."""

from typing import Protocol, TypeAlias

from antiphon.core.conversation import Entry
from antiphon.core.effects import Effects
from antiphon.core.inputs import AudioProduced, PlayoutCleared, PlayoutEnded, PlayoutStarted
from antiphon.core.lately_said import LATELY_S, LatelySaid
from antiphon.core.outputs import MeasureItem
from antiphon.core.playout import Playback
from antiphon.core.prompt import item_text
from antiphon.core.response_items import OpenMessage
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.server_events import ConversationItemTruncated
from antiphon.protocol.session_config import FormatName

__all__ = ["OutputAudio", "PlayoutFact", "StreamedOutput", "cut_item", "past_the_end"]

PlayoutFact: TypeAlias = PlayoutStarted | PlayoutEnded | PlayoutCleared

_ROUNDING_MS = 1
"""A client that rounds the length of its audio up is right."""


class OutputAudio(Protocol):
    @property
    def ends_s(self) -> float:
        """When all that was given so far will have been played; infinite while only the transport can tell."""

    @property
    def audible(self) -> bool:
        """Whether the assistant can be heard now, by all that is known."""

    @property
    def first_played_s(self) -> float | None:
        """When the first sound of the session was played, where the transport tells."""

    def lately_said(self, now: float, back_s: float = LATELY_S) -> str:
        """The words that were audible in the last seconds."""

    def format_of(self, asked: FormatName) -> FormatName:
        """In which format the speech of a response is wanted, and kept, for which the client asked for ``asked``."""

    def play(self, message: OpenMessage, spoken: AudioProduced, start: int, end: int, *, in_conversation: bool) -> None:
        """More of a message, behind all that was given before; it speaks the characters ``start:end`` of it."""

    def finished(self, response_id: str) -> None:
        """The response is done: no more audio of it will come."""

    def break_off(self) -> None:
        """Barge-in: nothing more is to be heard of the conversation's responses."""

    def clear(self) -> list[str]:
        """The client wants silence. Returns the responses that were cut. Raises ``ProtocolError``."""

    def truncates(self, entry: Entry, audio_end_ms: int) -> bool:
        """A client truncates an item: nothing more is to be heard of its response, where it is being played.

        True: it will be truncated once it is known what has left of it; else it is the caller's to do.
        """

    def learn(self, fact: PlayoutFact) -> None:
        """The transport's word; what it is about may be over by now."""


class StreamedOutput:
    """The client has all audio as soon as it is there, and plays it; only the clock tells how far it can be."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._playback = Playback()
        self._lately = LatelySaid()

    @property
    def ends_s(self) -> float:
        return self._playback.ends_s

    @property
    def audible(self) -> bool:
        return self._effects.now < self._playback.ends_s

    @property
    def first_played_s(self) -> float | None:
        return None

    def lately_said(self, now: float, back_s: float = LATELY_S) -> str:
        return self._lately.words(now, back_s)

    def format_of(self, asked: FormatName) -> FormatName:
        return asked

    def play(self, message: OpenMessage, spoken: AudioProduced, start: int, end: int, *, in_conversation: bool) -> None:
        assert message.entry.playout is not None
        self._playback.play(message.entry.playout, spoken.samples, start, end, self._effects.now)
        self._lately.note(message)
        message.speak(spoken.audio, self._effects)

    def finished(self, response_id: str) -> None:
        pass

    def break_off(self) -> None:
        """The client was told that speech has started, and stops."""
        self._playback.stop(self._effects.now)

    def clear(self) -> list[str]:
        raise ProtocolError(
            "invalid_value", "'output_audio_buffer.clear' is only available over WebRTC and SIP.", "type"
        )

    def truncates(self, entry: Entry, audio_end_ms: int) -> bool:
        if entry.playout is not None and self._playback.plays(entry.playout, self._effects.now):
            self._playback.stop(self._effects.now)
        return False

    def learn(self, fact: PlayoutFact) -> None:
        pass


def cut_item(entry: Entry, ms: int, effects: Effects) -> int:
    """Keep what was heard of an assistant's item: its first ``ms``. Returns the true end, never past its audio."""
    assert entry.playout is not None
    end_ms = entry.playout.truncate(ms)
    entry.cut_to_heard()
    if 0 in entry.audio:
        entry.audio[0].cut(end_ms)
    effects.order(MeasureItem(entry.id, item_text(entry)))
    effects.emit(
        ConversationItemTruncated(event_id=effects.event_id(), item_id=entry.id, content_index=0, audio_end_ms=end_ms)
    )
    return end_ms


def past_the_end(asked_ms: int, end_ms: int) -> ProtocolError | None:
    """The API's complaint where a client truncates an item behind its end."""
    if asked_ms <= end_ms + _ROUNDING_MS:
        return None
    return ProtocolError(
        "invalid_value", f"Audio content of {end_ms}ms is already shorter than {asked_ms}ms", "audio_end_ms"
    )
