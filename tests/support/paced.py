"""A transport that plays audio in real time, as far as the core knows one, and the rules of the output audio buffer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from antiphon.core.inputs import PlayoutCleared, PlayoutEnded, PlayoutStarted
from antiphon.core.outputs import ClearPlayout, PlayAudio
from tests.support.response_rules import ResponseRules

__all__ = ["BufferRules", "PacedTransport"]

Event: TypeAlias = Mapping[str, Any]
Fact: TypeAlias = PlayoutStarted | PlayoutEnded | PlayoutCleared
Tag: TypeAlias = tuple[str, str]
"""Response and item."""

_ON_ITS_WAY_MS = 10


class PacedTransport:
    """One queue, played in its order as far as ``progress`` says."""

    def __init__(self) -> None:
        self.given: dict[Tag, int] = {}
        """Samples, by tag; of all that there ever was."""
        self.sent: dict[Tag, int] = {}
        self.facts: list[Fact] = []
        """That the core is still to be told."""
        self._queue: list[tuple[Tag, int]] = []

    @property
    def pending(self) -> set[str]:
        """The responses that have something to play."""
        return {tag[0] for tag in self.pending_tags}

    @property
    def pending_tags(self) -> list[Tag]:
        return [tag for tag, _ in self._queue]

    def play(self, order: PlayAudio) -> None:
        tag, samples = (order.response_id, order.item_id), len(order.pcm) // 2
        assert samples, "an order to play nothing"
        self._queue.append((tag, samples))
        self.given[tag] = self.given.get(tag, 0) + samples

    def clear(self, response_ids: Collection[str]) -> None:
        dropped = dict.fromkeys(tag for tag, _ in self._queue if tag[0] in response_ids)
        self._queue = [(tag, samples) for tag, samples in self._queue if tag not in dropped]
        for tag in dropped:
            sent = self.sent.get(tag, 0)
            self.facts.append(PlayoutCleared(*tag, sent, sent // 24 - _ON_ITS_WAY_MS))

    def progress(self, samples: int) -> None:
        """So much more leaves."""
        while samples and self._queue:
            tag, left = self._queue.pop(0)
            if tag not in self.sent:
                self.sent[tag] = 0
                self.facts.append(PlayoutStarted(*tag))
            leaves = min(left, samples)
            samples -= leaves
            self.sent[tag] += leaves
            if leaves < left:
                self._queue.insert(0, (tag, left - leaves))
            elif all(other != tag for other, _ in self._queue):
                self.facts.append(PlayoutEnded(*tag, self.sent[tag]))


@dataclass
class BufferRules:
    """Follows every response from its first audio to ``output_audio_buffer.stopped`` or ``.cleared``."""

    transport: PacedTransport
    responses: ResponseRules
    open: dict[str, bool] = field(default_factory=dict)
    """In the buffer: whether it was told to have started."""
    ended: set[str] = field(default_factory=set)
    beside: set[str] = field(default_factory=set)
    """Responses that are not of the conversation."""
    _owed: set[str] = field(default_factory=set)
    """Cut, and not told to be."""
    _may_be_cut: set[str] = field(default_factory=set)
    """Items that the latest clear, or a client's truncation, may cut; each once."""
    _must_be_cut: set[str] = field(default_factory=set)
    """Items of the conversation that a clear took out."""

    # --- orders ----------------------------------------------------------------------------------------------------

    def play(self, order: PlayAudio) -> None:
        response = self.responses.active[order.response_id]
        assert order.item_id in {out.item["id"] for out in response.output}
        assert order.response_id not in self.ended, "audio of a response that was cut"
        self.open.setdefault(order.response_id, False)
        self.responses.play(order.item_id, len(order.pcm))
        self.transport.play(order)

    def clear(self, order: ClearPlayout) -> None:
        assert order.response_ids
        assert set(order.response_ids) <= set(self.open), "cut without any audio"
        self._owed |= set(order.response_ids)
        self._may_be_cut |= {item_id for response_id, item_id in self.transport.given if response_id in self._owed}
        taken = [tag for tag in self.transport.pending_tags if tag[0] in self._owed]
        self._must_be_cut |= {item_id for response_id, item_id in taken if response_id not in self.beside}
        self.transport.clear(order.response_ids)

    def client_truncates(self, item_id: str) -> None:
        self._may_be_cut.add(item_id)

    # --- events ----------------------------------------------------------------------------------------------------

    def event(self, event: Event) -> None:
        match event["type"]:
            case "response.output_audio.delta":
                raise AssertionError("audio in an event of a call")
            case "response.created" if event["response"]["conversation_id"] is None:
                self.beside.add(event["response"]["id"])
            case "output_audio_buffer.started":
                self._started(event["response_id"])
            case "output_audio_buffer.stopped":
                self._stopped(event["response_id"])
            case "output_audio_buffer.cleared":
                self._owed.remove(event["response_id"])
                self._end(event["response_id"])
            case "conversation.item.truncated":
                self._truncated(event)
            case "input_audio_buffer.timeout_triggered":
                assert not self.transport.pending, "the user is taken to be silent while something is played"

    def settled(self) -> None:
        assert not self._owed, "cut without a word"

    def assert_cut(self, items: Collection[str]) -> None:
        """Once the transport has told all: of the items that there are, those that were taken out were cut."""
        assert not self._must_be_cut & set(items), "the rest of it was not heard"
        self._must_be_cut.clear()

    def assert_silent(self) -> None:
        """Once all has been played."""
        assert not self.open, "neither stopped nor cleared"

    def broke_off(self) -> None:
        assert self.transport.pending <= self.beside, "the conversation goes on talking over the user"

    def _started(self, response_id: str) -> None:
        assert self.open[response_id] is False
        assert any(tag[0] == response_id for tag in self.transport.sent)
        self.open[response_id] = True

    def _stopped(self, response_id: str) -> None:
        assert self.open[response_id] is True
        assert response_id in self.responses.finished
        assert response_id not in self.transport.pending
        self._end(response_id)

    def _end(self, response_id: str) -> None:
        del self.open[response_id]
        self.ended.add(response_id)

    def _truncated(self, event: Event) -> None:
        item_id = event["item_id"]
        self._may_be_cut.remove(item_id)
        self._must_be_cut.discard(item_id)
        (sent,) = [sent for tag, sent in self._all_sent() if tag[1] == item_id]
        assert 0 <= event["audio_end_ms"] <= sent // 24

    def _all_sent(self) -> list[tuple[Tag, int]]:
        for tag, sent in self.transport.sent.items():
            assert sent <= self.transport.given[tag]
        return [(tag, self.transport.sent.get(tag, 0)) for tag in self.transport.given]
