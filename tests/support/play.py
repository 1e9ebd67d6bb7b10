"""Plays drawn steps against a ``World``: facts and events about what is there at that moment, now and then not."""

import base64
import json
from collections.abc import Callable
from typing import Any

from antiphon.core.inputs import (
    INPUT_HZ,
    AudioBudgetChanged,
    ControlAttached,
    ControlDetached,
    DraftGranted,
    ItemMeasured,
    McpCallFailed,
    McpCallFinished,
    McpListFailed,
    McpToolsListed,
    PlayoutCleared,
    PlayoutEnded,
    PlayoutStarted,
    TranscriptProduced,
    TurnJudged,
    WritingEnded,
)
from antiphon.vocabulary.llm import TokenUsage
from antiphon.vocabulary.mcp import McpFault, McpToolInfo
from antiphon.vocabulary.speech import Transcript
from tests.support.session import WINDOW_MS
from tests.support.steps import FIND, FREE
from tests.support.world import World

__all__ = ["Play"]

_WINDOW_SAMPLES = WINDOW_MS * 24


class Play:
    """Every step is a method with its name; the numbers of a step choose among what is there."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.driver = world.driver
        self._heard_to = 0
        """The detector has given its word up to here."""
        self._bend: tuple[int, Any] | None = None

    def step(self, name: str, *arguments: Any) -> None:
        act: Callable[..., None] = getattr(self, f"_{name}")
        act(*arguments)
        self.world.settle()

    def _rest(self) -> None:
        pass

    # --- the client ------------------------------------------------------------------------------------------------

    def _client(self, event_type: str, fields: dict[str, Any]) -> None:
        if self._bend is not None:
            number, value = self._bend
            self._bend = None
            fields = json.loads(json.dumps(fields))
            _bend(fields, number, value)
        self.world.client(event_type, fields)

    def _bent(self, step: tuple[Any, ...], number: int, value: Any) -> None:
        """The event of a step with one of its fields changed."""
        self._bend = (number, value)
        self.step(*step)
        self._bend = None

    def _sideband(self, number: int) -> None:
        self.world.client("conversation.item.retrieve", {"item_id": self._item(number, "ghost")}, origin=1)

    def _judged(self, number: int, probability: float | None) -> None:
        """The judge's word, on this turn or another one."""
        self.driver.do(TurnJudged(self._item(number, "ghost"), self.driver.samples, probability))

    def _supposed(self, text: str, thorough: bool) -> None:
        """What the recogniser takes all that it has heard of the newest utterance to say; and the judge, that it is
        complete."""
        self._hypothesis(0, text, thorough, 0)
        for item_id, _ in list(self.world.transcribing)[-1:] if thorough else []:
            self.driver.do(TurnJudged(item_id, self.driver.samples, 0.9))

    def _granted(self, number: int) -> None:
        """A place for the turn that seeks one, or for another one."""
        places = [*self.world.drafts.places, self._item(number, "ghost")]
        self.driver.do(DraftGranted(places[0 if number < 6 else -1]))

    def _hypothesis(self, number: int, text: str, thorough: bool, back_ms: int) -> None:
        """What the recogniser takes the audio so far to say, up to so long ago."""
        places = list(self.world.transcribing) or self.world.past_places[-1:]
        if places:
            place = places[-1 - number % len(places)]
            heard_s = max(0.0, self.world.fed_samples[place] / INPUT_HZ - back_ms / 1000)
            said = Transcript("", is_final=False, hypothesis=text, audio_s=heard_s, thorough=thorough)
            self.driver.do(TranscriptProduced(*place, said))

    def _drafted(self, windows: int, pieces: int, ended: bool, then: str) -> None:
        """A turn with a pause in which its answer is begun, of which so much is produced; and what comes then."""
        self._clear()
        self._speech(3)
        self.world.settle()
        self._granted(0)
        self._silence(windows)
        self.world.settle()
        self._hypothesis(0, "Hello", True, 0)
        self.world.settle()
        draft = self.world.drafts.held
        if draft is None:
            return
        for text in ["Hello there. ", "How are you?"][:pieces]:
            self.driver.text(draft, text)
            self.driver.spoken(draft, 200, 0, len(text), narrow=self.world.is_narrow(draft))
        if then == "fault":
            self.world.ended(draft, fault="failed")
        elif ended:
            self.world.ended(draft)
        {"over": self._silence, "on": self._speech, "item": self._result, "fault": self._silence}[then](16)

    def _control(self, attached: bool) -> None:
        self.driver.do(ControlAttached(1) if attached else ControlDetached(1))

    def _unasked(self, number: int) -> None:
        """Word on the playout of what was never played."""
        place = ("resp_ghost", self._item(number, "ghost"))
        for fact in (PlayoutStarted(*place), PlayoutEnded(*place, 480), PlayoutCleared(*place, 480, 10)):
            self.driver.do(fact)

    def _progress(self, ms: int) -> None:
        self.world.progress(24 * ms)

    def _talk(self, ms: int, last: bool) -> None:
        """An answer of several pieces, of which so much leaves."""
        for text in ("Hello there. ", "How are you?"):
            self._say(text, False)
        if last:
            self.world.ended(self._generating(0))
        self.world.progress(24 * ms)

    def _repeated(self, number: int) -> None:
        """The transport's word on what is over, once more: it changes nothing."""
        buffer = self.world.buffer
        over = [] if buffer is None else [tag for tag in buffer.transport.given if tag[0] in buffer.ended]
        if over and not self.world.closed:
            tag = over[number % len(over)]
            for fact in (PlayoutStarted(*tag), PlayoutEnded(*tag, 480), PlayoutCleared(*tag, 480, 10)):
                assert not self.driver.do(fact)

    def _wire(self, event: dict[str, Any], number: int) -> None:
        """An event of any content, about something that is there."""
        fields = dict(event)
        for name, known in {"item_id": self._item(number, "ghost"), "response_id": self._response(number)}.items():
            if name in fields and number % 2:
                fields[name] = known
        event_type = fields.pop("type")
        if event_type == "input_audio_buffer.append":
            self._append(base64.b64decode(fields["audio"]))
        else:
            self.world.client(event_type, fields)

    def _update(self, session: dict[str, Any]) -> None:
        self._client("session.update", {"session": session})

    def _append(self, audio: bytes) -> None:
        """Audio as a client's event, in the session's format; an odd number of bytes is no PCM."""
        self.world.client("input_audio_buffer.append", {"audio": base64.b64encode(audio).decode()})
        if self.driver.session.settings.audio.input.format.type != "audio/pcm":
            self.driver.samples += 3 * len(audio)
        elif len(audio) % 2 == 0:
            self.driver.samples += len(audio) // 2

    def _sent(self, size: int) -> None:
        self._append(b"y" * size)

    def _commit(self) -> None:
        self._client("input_audio_buffer.commit", {})

    def _clear(self) -> None:
        self._client("input_audio_buffer.clear", {})

    def _clear_output(self) -> None:
        self._client("output_audio_buffer.clear", {})

    def _create(self, role: str, parts: list[Any], number: int, previous: int) -> None:
        item = {"type": "message", "role": role, "content": parts, "id": f"mine_{number}"}
        self._client("conversation.item.create", {"item": item, "previous_item_id": self._item(previous, "root")})

    def _result(self, number: int) -> None:
        item = {"type": "function_call_output", "call_id": f"call_{number}", "output": "42"}
        self._client("conversation.item.create", {"item": item})

    def _called(self, number: int, arguments: str) -> None:
        """A call that the client tells of."""
        item = {"type": "function_call", "call_id": f"call_{number}", "name": "look", "arguments": arguments}
        self._client("conversation.item.create", {"item": item})

    def _retrieve(self, number: int) -> None:
        self._client("conversation.item.retrieve", {"item_id": self._item(number, "ghost")})

    def _truncate(self, number: int, end_ms: int, content_index: int) -> None:
        fields = {"item_id": self._item(number, "ghost"), "content_index": content_index, "audio_end_ms": end_ms}
        self._client("conversation.item.truncate", fields)

    def _delete(self, number: int) -> None:
        self._client("conversation.item.delete", {"item_id": self._item(number, "ghost")})

    def _respond(self, response: dict[str, Any]) -> None:
        self._client("response.create", {"response": response})

    def _cancel(self, number: int | None) -> None:
        self._client("response.cancel", {} if number is None else {"response_id": self._response(number)})

    def _interrupt(self, end_ms: int) -> None:
        """What clients do when the user cuts in: truncate what was played last."""
        spoken = self.world.spoken
        fields = {"item_id": spoken[-1] if spoken else "ghost", "content_index": 0, "audio_end_ms": end_ms}
        self._client("conversation.item.truncate", fields)

    # --- the user --------------------------------------------------------------------------------------------------

    def _audio(self, pieces: int) -> None:
        self.driver.audio(100 * pieces)

    def _chunk(self, samples: int) -> None:
        self.driver.chunk(samples, fill=self.driver.samples // 8 % 251)

    def _detected(self, windows: int, probability: float, level_dbfs: float) -> None:
        """The detector, which may lag behind the audio, goes on."""
        for _ in range(windows):
            if self._heard_to + _WINDOW_SAMPLES <= self.driver.samples:
                self.driver.detected(self._heard_to, probability, level_dbfs)
                self._heard_to += _WINDOW_SAMPLES

    def _skipped(self, back: bool) -> None:
        """The detector goes back over old windows, or leaves some out."""
        self._heard_to = max(0, self._heard_to - 3 * _WINDOW_SAMPLES) if back else self.driver.samples

    def _speech(self, windows: int) -> None:
        self.driver.speech(WINDOW_MS * windows)
        self._heard_to = self.driver.samples

    def _silence(self, windows: int) -> None:
        self.driver.silence(WINDOW_MS * windows)
        self._heard_to = self.driver.samples

    def _turn(self, heard: bool) -> None:
        self._speech(3)
        self._silence(16)
        self.world.settle()
        if heard and self.world.transcribing:
            self.world.words(list(self.world.transcribing)[-1], "Hello", final=True)

    # --- the engines -----------------------------------------------------------------------------------------------

    def _words(self, number: int, text: str | None, final: bool) -> None:
        places = [*self.world.past_places[-4:], *self.world.transcribing]
        if places:
            self.world.words(places[-1 - number % len(places)], text, final=final)

    def _image(self, number: int, text: str | None) -> None:
        places = [*self.world.past_images[-2:], *self.world.reading] or [("ghost", 0)]
        self.world.image(places[-1 - number % len(places)], text)

    def _say(self, text: str, last: bool) -> None:
        if not self.world.generating:
            self._respond({})
        response_id = self._generating(0)
        self.driver.text(response_id, text)
        self.driver.spoken(response_id, 200, 0, len(text), narrow=self.world.is_narrow(response_id))
        self.world.settle()
        if last:
            self.world.ended(response_id)

    def _text(self, number: int, text: str) -> None:
        self.driver.text(self._generating(number), text)

    def _call(self, number: int, index: int, arguments: str) -> None:
        self.driver.call(self._generating(number), index % 3, "look", arguments)

    def _wrote(self, number: int) -> None:
        self.driver.do(WritingEnded(self._generating(number)))

    def _tools(self, free: bool) -> None:
        """A server of the session, and its tools are there."""
        self._update({"type": "realtime", "tools": [FREE if free else FIND]})
        self.world.settle()
        for item_id, kind in list(self.world.mcp.items()):
            if kind == "list":
                self._listed_as(item_id, found=True)

    def _found(self, number: int, arguments: str) -> None:
        """A call of an MCP tool, or of a function of that name where there is none; then the end."""
        if not self.world.generating:
            self._respond({})
        response_id = self._generating(0)
        self.driver.call(response_id, 5, "find", arguments)
        self.world.settle()
        if number % 2:
            self.world.ended(response_id, "tool_calls")

    def _listed(self, number: int, found: bool) -> None:
        self._listed_as(self._of_mcp("list", number), found=found)

    def _listed_as(self, item_id: str, *, found: bool) -> None:
        if found:
            tools = [
                McpToolInfo("find", {"type": "object"}),
                McpToolInfo("look", {}, annotations={"readOnlyHint": True}),
            ]
            self.world.of_mcp(McpToolsListed(item_id, tuple(tools)))
        else:
            self.world.of_mcp(McpListFailed(item_id, McpFault("http", "Gone.", 503)))

    def _output(self, number: int, output: str | None) -> None:
        item_id = self._of_mcp("call", number)
        if output is None:
            self.world.of_mcp(McpCallFailed(item_id, McpFault("tool", "No luck.")))
        else:
            self.world.of_mcp(McpCallFinished(item_id, output))

    def _approve(self, number: int, approve: bool) -> None:
        asked = [*self.world.unapproved, "ghost"]
        item = {
            "type": "mcp_approval_response",
            "approval_request_id": asked[number % len(asked)],
            "approve": approve,
        }
        self._client("conversation.item.create", {"item": item})

    def _of_mcp(self, kind: str, number: int) -> str:
        running = [item_id for item_id, one in self.world.mcp.items() if one == kind]
        return running[number % len(running)] if running else "ghost"

    def _spoken(self, number: int, start: int, ms: int) -> None:
        response_id = self._generating(number)
        narrow = self.world.is_narrow(response_id)
        self.driver.spoken(response_id, ms, start, start + 6, narrow=narrow, fill=1 + ms % 251)

    def _ended(self, number: int, reason: Any, usage: tuple[int, int, int]) -> None:
        self.world.ended(self._generating(number), reason, usage=TokenUsage(*usage))

    def _broke(self, number: int, kind: str) -> None:
        self.world.ended(self._generating(number), fault=kind)

    def _measured(self, number: int, tokens: int) -> None:
        self.driver.do(ItemMeasured(self._item(number, "ghost"), tokens))

    # --- the process -----------------------------------------------------------------------------------------------

    def _budget(self, size: int) -> None:
        self.driver.do(AudioBudgetChanged(size))

    def _wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    # --- who is meant ----------------------------------------------------------------------------------------------

    def _item(self, number: int, other: str) -> str:
        return self.world.items[-1 - number] if number < len(self.world.items) else other

    def _response(self, number: int) -> str:
        ids = [*self.world.finished[-1:], *self.world.responses]
        return ids[-1 - number % len(ids)] if ids else "resp_ghost"

    def _generating(self, number: int) -> str:
        ids = sorted(self.world.generating)
        stale = [*self.world.finished[-1:], "resp_ghost"][0]
        return ids[number % len(ids)] if ids and number < 7 else stale


def _bend(fields: dict[str, Any], number: int, value: Any) -> None:
    """Change one field, or an element of a list, at any depth; ``...`` takes it out."""
    places = _places(fields)
    if not places:
        fields["more"] = None if value is ... else value
        return
    owner, key = places[number % len(places)]
    if value is ...:
        del owner[key]
    else:
        owner[key] = value


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *_places(value[key])]]
