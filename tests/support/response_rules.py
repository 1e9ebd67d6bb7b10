"""What a client may rely on in the events of responses: nothing outside its place, every ``done`` once and complete."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["ResponseRules"]

Event = Mapping[str, Any]

_PART_ENDS: Final = {
    "text": {"response.output_text.done"},
    "audio": {"response.output_audio.done", "response.output_audio_transcript.done"},
}
_WORDS: Final = {"text": "text", "audio": "transcript"}


@dataclass
class _Part:
    kind: str
    pieces: list[str] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)
    closed: bool = False

    @property
    def words(self) -> str:
        return "".join(self.pieces)


@dataclass
class _Output:
    item: dict[str, Any]
    parts: list[_Part] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    arguments_ended: bool = False
    done: dict[str, Any] | None = None


@dataclass
class _Response:
    in_conversation: bool
    format: str
    output: list[_Output] = field(default_factory=list)


class ResponseRules:
    """Follows every response from ``response.created`` to ``response.done``."""

    def __init__(self) -> None:
        self.active: dict[str, _Response] = {}
        self.finished: list[str] = []
        self.sent_bytes: dict[str, int] = {}
        """Audio sent, by item."""
        self.formats: dict[str, str] = {}
        self._rate_limits_owed = 0
        self._answered = False
        """Whether the conversation had an answer since the last idle time-out."""
        self._mcp_calls: dict[str, str] = {}
        """What was told last of each call of an MCP tool."""

    @property
    def item_ids(self) -> set[str]:
        return {out.item["id"] for response in self.active.values() for out in response.output}

    def is_narrow(self, response_id: str) -> bool:
        """Whether its audio goes out as G.711."""
        return response_id in self.active and self.active[response_id].format != "audio/pcm"

    def play(self, item_id: str, size_bytes: int) -> None:
        """Audio that goes to the transport, as PCM whatever the client asked for."""
        self.sent_bytes[item_id] = self.sent_bytes.get(item_id, 0) + size_bytes
        self.formats[item_id] = "audio/pcm"

    def event(self, event: Event) -> None:
        name = event["type"]
        if name == "rate_limits.updated":
            self._rate_limits_owed -= 1
            return
        assert not self._rate_limits_owed, f"{name} between response.done and its rate limits"
        if name == "input_audio_buffer.timeout_triggered":
            assert self._answered, "two time-outs for one answer"
            assert not self.active, "a time-out while something is being answered"
            self._answered = False
        elif name == "response.created":
            self._created(event["response"])
        elif name == "response.done":
            self._done(event["response"])
        elif name.startswith("response.mcp_call."):
            self._mcp_call(name.removeprefix("response.mcp_call."), event)
        elif name.startswith("response."):
            assert event["response_id"] in self.active, f"{name} of a response that is not active"
            _RULES[name](self, self.active[event["response_id"]], event)

    # --- responses -------------------------------------------------------------------------------------------------

    def _created(self, response: Event) -> None:
        assert response["id"] not in self.active
        assert response["id"] not in self.finished
        assert response["status"] == "in_progress"
        assert response["output"] == []
        in_conversation = response["conversation_id"] is not None
        if in_conversation:
            assert not any(other.in_conversation for other in self.active.values()), "two default responses"
        self.active[response["id"]] = _Response(in_conversation, response["audio"]["output"]["format"]["type"])

    def _done(self, response: Event) -> None:
        told = self.active.pop(response["id"])
        self._answered |= told.in_conversation
        self.finished.append(response["id"])
        self._rate_limits_owed += 1
        assert response["status"] != "in_progress"
        assert (response["status"] == "completed") == (response["status_details"] is None)
        assert response["output"] == [out.done for out in told.output], "an item that is not done, or another one"
        _assert_sums(response["usage"])

    # --- items -----------------------------------------------------------------------------------------------------

    def _item_added(self, response: _Response, event: Event) -> None:
        item = event["item"]
        assert event["output_index"] == len(response.output)
        assert item.get("status") == (None if item["type"] == "mcp_call" else "in_progress")
        response.output.append(_Output(item))
        self.formats[item["id"]] = response.format

    def _item_done(self, response: _Response, event: Event) -> None:
        out, item = response.output[event["output_index"]], event["item"]
        assert out.done is None
        assert all(part.closed for part in out.parts)
        out.done = item
        if item["type"] == "mcp_call":
            assert item["output"] is not None or "error" in item or "approval_request_id" in item
            self._mcp_calls.setdefault(item["id"], "asked")
        if item["type"] in ("function_call", "mcp_call"):
            assert out.arguments_ended
            assert item["arguments"] == "".join(out.arguments)
        else:
            words = [part[_WORDS[part["type"].removeprefix("output_")]] for part in item["content"]]
            assert words == [part.words for part in out.parts]

    # --- parts -----------------------------------------------------------------------------------------------------

    def _part_added(self, response: _Response, event: Event) -> None:
        out = _open_output(response, event)
        assert out.item["type"] == "message"
        assert event["content_index"] == len(out.parts)
        out.parts.append(_Part(event["part"]["type"]))

    def _part_done(self, response: _Response, event: Event) -> None:
        part = _open_part(response, event)
        assert part.ended == _PART_ENDS[part.kind]
        assert event["part"][_WORDS[part.kind]] == part.words
        part.closed = True

    def _words_delta(self, response: _Response, event: Event) -> None:
        part = _open_part(response, event)
        assert event["type"].removesuffix("delta") + "done" not in part.ended
        assert event["type"].startswith("response.output_text") == (part.kind == "text")
        part.pieces.append(event["delta"])

    def _words_done(self, response: _Response, event: Event) -> None:
        part = self._part_kind_ended(response, event)
        assert event[_WORDS[part.kind]] == part.words

    def _audio_delta(self, response: _Response, event: Event) -> None:
        part = _open_part(response, event)
        assert part.kind == "audio"
        assert "response.output_audio.done" not in part.ended
        size = len(base64.b64decode(event["delta"]))
        self.sent_bytes[event["item_id"]] = self.sent_bytes.get(event["item_id"], 0) + size

    def _part_kind_ended(self, response: _Response, event: Event) -> _Part:
        part = _open_part(response, event)
        assert event["type"] not in part.ended
        part.ended.add(event["type"])
        return part

    # --- calls -----------------------------------------------------------------------------------------------------

    def _arguments_delta(self, response: _Response, event: Event) -> None:
        out = _open_output(response, event)
        assert event.get("call_id") == out.item.get("call_id")
        assert not out.arguments_ended
        out.arguments.append(event["delta"])

    def _arguments_done(self, response: _Response, event: Event) -> None:
        out = _open_output(response, event)
        if out.item["type"] == "function_call":
            assert (event["call_id"], event["name"]) == (out.item["call_id"], out.item["name"])
        assert not out.arguments_ended
        assert event["arguments"] == "".join(out.arguments)
        out.arguments_ended = True

    def _mcp_call(self, name: str, event: Event) -> None:
        """It may outlive its response; it runs once and ends once."""
        before = self._mcp_calls.get(event["item_id"])
        if name == "in_progress":
            assert before in (None, "asked")
        else:
            assert before == "in_progress" or (before in (None, "asked") and name == "failed")
        self._mcp_calls[event["item_id"]] = name


_RULES: Final[Mapping[str, Callable[[ResponseRules, _Response, Event], object]]] = {
    "response.output_item.added": ResponseRules._item_added,
    "response.output_item.done": ResponseRules._item_done,
    "response.content_part.added": ResponseRules._part_added,
    "response.content_part.done": ResponseRules._part_done,
    "response.output_text.delta": ResponseRules._words_delta,
    "response.output_text.done": ResponseRules._words_done,
    "response.output_audio_transcript.delta": ResponseRules._words_delta,
    "response.output_audio_transcript.done": ResponseRules._words_done,
    "response.output_audio.delta": ResponseRules._audio_delta,
    "response.output_audio.done": ResponseRules._part_kind_ended,
    "response.mcp_call_arguments.delta": ResponseRules._arguments_delta,
    "response.mcp_call_arguments.done": ResponseRules._arguments_done,
    "response.function_call_arguments.delta": ResponseRules._arguments_delta,
    "response.function_call_arguments.done": ResponseRules._arguments_done,
}


def _open_output(response: _Response, event: Event) -> _Output:
    out = response.output[event["output_index"]]
    assert out.item["id"] == event["item_id"]
    assert out.done is None, f"{event['type']} after its item"
    return out


def _open_part(response: _Response, event: Event) -> _Part:
    out = _open_output(response, event)
    assert event["content_index"] < len(out.parts), f"{event['type']} outside its part"
    part = out.parts[event["content_index"]]
    assert not part.closed, f"{event['type']} after its part"
    return part


def _assert_sums(usage: Event) -> None:
    into, out = usage["input_token_details"], usage["output_token_details"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens"] == into["text_tokens"] + into["audio_tokens"] + into["image_tokens"]
    assert usage["output_tokens"] == out["text_tokens"] + out["audio_tokens"]
    cached = into["cached_tokens_details"]
    assert into["cached_tokens"] == cached["text_tokens"] + cached["audio_tokens"] + cached["image_tokens"]
    assert into["cached_tokens"] <= usage["input_tokens"]
