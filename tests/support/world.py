"""A session with a client and a runtime around it that only look at its outputs, and every rule that always holds.

``World`` keeps what a client can know (items, responses, audio) and what a runtime can know (engine streams under way),
from outputs alone, and fails where they contradict each other.
"""

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from antiphon.core.inputs import INPUT_HZ, McpCallFailed, McpCallFinished, McpListFailed, McpToolsListed
from antiphon.core.outputs import (
    AdoptDraft,
    AskHypothesis,
    BargeInJudged,
    CallMcpTool,
    ClearPlayout,
    CloseSession,
    DiscardDraft,
    DuckPlayout,
    Emit,
    EndDraft,
    EndTranscription,
    FeedTranscription,
    JudgeTurn,
    ListMcpTools,
    MeasureItem,
    Output,
    PlayAudio,
    PrefillPrompt,
    ReadImage,
    SeekDraft,
    StartResponse,
    StartTranscription,
    StopMcp,
    StopReading,
    StopResponse,
    StopTranscription,
    TurnClosed,
)
from antiphon.vocabulary.llm import FinishReason, TokenUsage, UserMessage
from antiphon.vocabulary.mcp import McpFault
from tests.support.draft_rules import DraftRules
from tests.support.item_rules import ItemRules
from tests.support.paced import BufferRules, PacedTransport
from tests.support.prompt_rules import assert_legal_request
from tests.support.response_rules import ResponseRules
from tests.support.session import Driver, events_of, payload_of

__all__ = ["World"]

_ID = re.compile(r"\b(?:item|resp|call|event|pad)_\d+")


class World:
    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.buffer: BufferRules | None = None
        self._responses = ResponseRules()
        self._items = ItemRules(self._responses)
        if driver.settings.paced:
            self.buffer = BufferRules(PacedTransport(), self._responses)
        self._streams: dict[str, int] = {}
        """Generations ordered, by response."""
        self.generating: set[str] = set()
        self.transcribing: dict[tuple[str, int], str] = {}
        """State of each transcription stream: open, ended."""
        self.reading: set[tuple[str, int]] = set()
        """Images that are being read."""
        self.past_images: list[tuple[str, int]] = []
        self.past_places: list[tuple[str, int]] = []
        self.mcp: dict[str, str] = {}
        """Lists and calls of MCP tools under way, by item."""
        self.drafts = DraftRules()
        self.fed_samples: dict[tuple[str, int], int] = {}
        """What each transcription stream was given."""
        self.closed = False
        self._sent = 0

    # --- what there is ---------------------------------------------------------------------------------------------

    @property
    def items(self) -> list[str]:
        return self._items.order

    @property
    def responses(self) -> list[str]:
        return list(self._responses.active)

    @property
    def finished(self) -> list[str]:
        return self._responses.finished

    @property
    def spoken(self) -> list[str]:
        """The items that have audio of the assistant."""
        return [item_id for item_id in self.items if item_id in self._responses.sent_bytes]

    def is_narrow(self, response_id: str) -> bool:
        """Whether the audio of a response goes out as G.711."""
        narrow = self._responses.is_narrow(response_id) or self.drafts.is_narrow(response_id)
        return self.buffer is None and narrow

    # --- steps -----------------------------------------------------------------------------------------------------

    def client(self, event_type: str, fields: Mapping[str, Any], origin: int = 0) -> None:
        """A client event; where it is refused, nothing may have changed."""
        before = copy.deepcopy(self.driver.session)
        if self.buffer is not None and event_type == "conversation.item.truncate":
            self.buffer.client_truncates(str(fields.get("item_id")))
        self._sent += 1
        event = {"type": event_type, "event_id": f"mine_{self._sent}", **fields}
        self.driver.send_text(json.dumps(event), origin)
        outputs = self.settle(answering=(event["event_id"], origin))
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

    def image(self, place: tuple[str, int], text: str | None) -> None:
        """The reader's word on an image, wanted or not; None: it failed."""
        self.reading.discard(place)
        if text is None:
            self.driver.image_unread(place[0], index=place[1])
        else:
            self.driver.image(place[0], text, index=place[1])
        self.settle()

    def ended(
        self, response_id: str, reason: FinishReason = "stop", fault: str = "", usage: TokenUsage | None = None
    ) -> None:
        """The end of a generation, or its failure."""
        self.generating.discard(response_id)
        if fault:
            self.driver.broke(response_id, fault)
        else:
            self.driver.ended(response_id, reason, usage)
        self.settle()

    def of_mcp(self, fact: McpToolsListed | McpListFailed | McpCallFinished | McpCallFailed) -> None:
        """What comes of a list or a call, wanted or not."""
        self.mcp.pop(fact.item_id, None)
        self.driver.do(fact)
        self.settle()

    @property
    def unapproved(self) -> list[str]:
        """The items that ask for approval, answered or not."""
        return [item_id for item_id in self.items if self._items.told[item_id]["type"] == "mcp_approval_request"]

    def wait(self, seconds: float) -> None:
        """Time goes on, and the session is called whenever it asked to be."""
        until = self.driver.now + seconds
        while not self.closed and (deadline := self.driver.session.deadline) is not None and deadline <= until:
            self.driver.now = max(self.driver.now, deadline)
            self._tick()
            after = self.driver.session.deadline
            assert after is None or after > self.driver.now, "called at its deadline, it asks to be called at once"
        self.driver.now = until
        self._tick()

    def _tick(self) -> None:
        self.driver.tick()
        over = self.driver.now >= self.driver.limits.session_max_s
        self.settle(answering=(None, None) if over else None)

    def settle(self, answering: tuple[str | None, int | None] | None = None) -> list[Output]:
        """Check what came out. ``answering``: the only event, and its connection, that an error may answer."""
        outputs = self.driver.take()
        self._check(outputs, answering)
        while self.buffer is not None and self.buffer.transport.facts:
            self.driver.do(self.buffer.transport.facts.pop(0))
            more = self.driver.take()
            self._check(more, answering)
            outputs += more
        if self.buffer is not None:
            self.buffer.assert_cut(self.items)
        self._check_state()
        return outputs

    def _check(self, outputs: list[Output], answering: tuple[str | None, int | None] | None) -> None:
        for output in outputs:
            assert not self.closed, f"after the end: {output}"
            if isinstance(output, Emit):
                self._event(output, answering)
            else:
                self._order(output)
        if self.buffer is not None:
            self.buffer.settled()
            detection = self.driver.session.settings.audio.input.turn_detection
            kinds = [event.__struct_config__.tag for event in events_of(outputs)]
            if detection and detection.interrupt_response and "input_audio_buffer.speech_started" in kinds:
                self.buffer.broke_off()

    def progress(self, samples: int) -> None:
        """The transport, if it plays the audio, goes on playing."""
        if self.buffer is not None:
            self.buffer.transport.progress(samples)
            self.settle()

    def finish(self) -> None:
        """Let everything that runs come to its end."""
        for _ in range(100):
            running = (self.drafts.places, self.generating, self.transcribing, self.reading, self.responses, self.mcp)
            if self.closed or not any(running):
                break
            self.client("input_audio_buffer.clear", {})
            for place in list(self.transcribing):
                self.words(place, None, final=True)
            for place in list(self.reading):
                self.image(place, None)
            for response_id in list(self.generating):
                self.ended(response_id)
            for item_id, kind in list(self.mcp.items()):
                fault = McpFault("http", "Gone.")
                self.of_mcp(McpListFailed(item_id, fault) if kind == "list" else McpCallFailed(item_id, fault))
        for item_id in [] if self.closed else self.unapproved:
            self.client("conversation.item.delete", {"item_id": item_id})
        if not self.closed:
            self.progress(10**9)
            if self.buffer is not None:
                self.buffer.assert_silent()
            left = [
                *self.drafts.places,
                *self.responses,
                *self.generating,
                *self.transcribing,
                *self.reading,
                *self.mcp,
            ]
            assert left == self.drafts.places == [], "it does not come to its end"
            self._items.assert_settled()
            self.assert_items_as_told()

    # --- what a client can ask for ---------------------------------------------------------------------------------

    def assert_items_as_told(self) -> None:
        """Every item is what its events have said, and none is there that should not be."""
        probe = self._probe(self.driver.session)
        for item_id in self.items:
            probe.send("conversation.item.retrieve", item_id=item_id)
            (event,) = probe.take_events()
            self._items.assert_as_told(event["item"])

    def seen_by_client(self, session: Any) -> list[Any]:
        """Everything that a client can find out about a session, without touching it."""
        probe = self._probe(session)
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

    def _probe(self, session: Any) -> Driver:
        probe = Driver(self.driver.settings, self.driver.limits, self.driver.now, check_events=False)
        probe.session = copy.deepcopy(session)
        return probe

    def _without_new_ids(self, event: dict[str, Any]) -> str:
        """An answer to a probe, without the ids that were made for it."""
        known = {*self.items, *self.responses, *self._responses.item_ids}
        return _ID.sub(lambda match: match.group() if match.group() in known else "new", json.dumps(event))

    # --- events ----------------------------------------------------------------------------------------------------

    def _event(self, emitted: Emit, answering: tuple[str | None, int | None] | None) -> None:
        event = payload_of(emitted.event)
        if event["type"] == "error" and event["error"]["code"] == "mcp_list_tools_failed":
            return
        if event["type"] == "error":
            assert answering == (event["error"]["event_id"], emitted.origin), f"an error that nobody caused: {event}"
            return
        self.drafts.event(event)
        assert emitted.origin == (0 if event["type"] == "session.created" else None)
        if self.buffer is not None:
            self.buffer.event(event)
        self._responses.event(event)
        self._items.event(event)

    # --- orders ----------------------------------------------------------------------------------------------------

    def _order(self, order: Output) -> None:  # noqa: C901 - a table
        match order:
            case StartResponse():
                self._start_response(order)
            case PlayAudio() | ClearPlayout():
                self._playout_order(order)
            case StopResponse():
                self.generating.remove(order.response_id)
                assert order.response_id != self.drafts.held
            case SeekDraft() | EndDraft() | PrefillPrompt() | AdoptDraft() | DiscardDraft():
                self._draft_order(order)
            case JudgeTurn() | DuckPlayout() | BargeInJudged():
                self._turn_order(order)
            case StartTranscription():
                self._start_transcription((order.item_id, order.content_index))
            case FeedTranscription():
                assert self.transcribing[order.item_id, order.content_index] == "open"
                self.fed_samples[order.item_id, order.content_index] += len(order.pcm) // 2
            case AskHypothesis():
                assert self.transcribing[order.item_id, order.content_index] == "open"
            case EndTranscription():
                assert self.transcribing[order.item_id, order.content_index] == "open"
                self.transcribing[order.item_id, order.content_index] = "ended"
            case StopTranscription():
                del self.transcribing[order.item_id, order.content_index]
            case ReadImage():
                place = (order.item_id, order.content_index)
                assert place not in self.reading
                self.reading.add(place)
                self.past_images.append(place)
            case StopReading():
                self.reading.remove((order.item_id, order.content_index))
            case ListMcpTools() | CallMcpTool() | StopMcp():
                self._mcp_order(order)
            case CloseSession():
                assert not self.mcp
                assert not self.transcribing
                assert not self.reading
                assert not self.generating
                assert not self.drafts.places
                self.closed = True
            case MeasureItem():
                assert order.item_id in self.items
            case TurnClosed():
                assert order.silence_ms >= 0

    def _draft_order(self, order: SeekDraft | EndDraft | PrefillPrompt | AdoptDraft | DiscardDraft) -> None:
        match order:
            case PrefillPrompt():
                assert_legal_request(order.request)
                assert isinstance(order.request.messages[-1], UserMessage)
                assert self.drafts.places, "read ahead for nobody"
            case AdoptDraft():
                assert order.response_id in self._responses.active, "adopted, and nobody was told"
                self.drafts.adopt(order)
            case DiscardDraft():
                self.drafts.discard(order)
                self.generating.discard(order.response_id)
            case SeekDraft() | EndDraft():
                self.drafts.place(order)

    def _turn_order(self, order: JudgeTurn | DuckPlayout | BargeInJudged) -> None:
        match order:
            case JudgeTurn():
                assert 0 < len(order.pcm) <= 8 * 2 * INPUT_HZ
                assert order.at_sample <= self.driver.samples
            case DuckPlayout():
                assert self.buffer is not None, "the client plays the audio"
            case BargeInJudged():
                assert order.after_ms >= 0

    def _playout_order(self, order: PlayAudio | ClearPlayout) -> None:
        assert self.buffer is not None, "the client plays the audio"
        if isinstance(order, PlayAudio):
            self.buffer.play(order)
        else:
            self.buffer.clear(order)

    def _mcp_order(self, order: ListMcpTools | CallMcpTool | StopMcp) -> None:
        if isinstance(order, StopMcp):
            del self.mcp[order.item_id]
            return
        assert order.item_id not in self.mcp
        self.mcp[order.item_id] = "list" if isinstance(order, ListMcpTools) else "call"
        assert list(self.mcp.values()).count("call") <= self.driver.limits.mcp_calls

    def _start_response(self, order: StartResponse) -> None:
        if order.draft:
            self.drafts.begin(order)
            assert not any(response.in_conversation for response in self._responses.active.values())
        else:
            assert order.response_id in self._responses.active
        assert order.response_id not in self.generating
        self._streams[order.response_id] = self._streams.get(order.response_id, 0) + 1
        assert self._streams[order.response_id] <= 2
        self.generating.add(order.response_id)
        assert_legal_request(order.request)

    def _start_transcription(self, place: tuple[str, int]) -> None:
        assert place not in self.transcribing
        self.transcribing[place] = "open"
        self.fed_samples[place] = 0
        self.past_places.append(place)

    def _check_state(self) -> None:
        limits = self.driver.limits
        assert len(self.items) <= limits.items
        assert not self._items.deleted & {item_id for item_id, _ in self.transcribing}, "heard, and gone"
        # Audio in the prompts of responses comes on top, and what was spoken since it was last looked at.
        own = limits.audio_bytes if self.responses else 0
        own += limits.audio_bytes if self.drafts.held else 0
        spoken = min(256 * 1024, sum(self._responses.sent_bytes.values()))
        assert self.driver.session.audio_bytes <= limits.audio_bytes + own + spoken
        if not self.closed:
            assert self.driver.session.deadline is not None
