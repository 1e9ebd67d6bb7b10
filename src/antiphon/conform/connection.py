"""One connection to the server under test: send, expect, collect."""

import asyncio
import itertools
import json
from collections.abc import Mapping
from typing import Any

import websockets

from antiphon.conform.check import BlockedError, Event, RuleError
from antiphon.conform.events import Events
from antiphon.conform.observed import Observer, Stream

__all__ = ["Connection", "message"]

_EVENTS_MAX = 20_000
"""More than any check makes a server send: then it does not stop by itself."""
_ANSWER_TIMES = 6
"""Times the patience for one event, for all events of an answer."""
_FENCE_ASKED = "input_audio_buffer.clear"
_FENCE = "input_audio_buffer.cleared"
"""Its answer shows that all sent before was dealt with; it changes nothing where no audio waits."""


def message(text: str, role: str = "user", **fields: Any) -> dict[str, Any]:
    """A message item of one text part."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields}


class Connection:
    """Every event that comes is shown to the observer. An ``error`` that nobody asked for fails the check."""

    def __init__(self, socket: websockets.ClientConnection, observer: Observer, timeout_s: float) -> None:
        self.socket = socket
        self.timeout_s = timeout_s
        self.session: Event = {}
        """The session object of ``session.created``."""
        self.received = Events()
        self._stream = Stream(observer)
        self._observer = observer
        self._ids = itertools.count(1)
        self._fences_sent = 0
        self._fences_passed = 0

    # --- sending ---------------------------------------------------------------------------------------------------

    def new_id(self, kind: str = "event") -> str:
        return f"{kind}_conform_{next(self._ids)}"

    async def send(self, type: str, **fields: Any) -> None:
        await self.send_json({"type": type, **fields})

    async def send_json(self, event: Mapping[str, Any]) -> None:
        self._fences_sent += event.get("type") == _FENCE_ASKED
        await self.send_raw(json.dumps(event))

    async def send_raw(self, data: str | bytes) -> None:
        try:
            await self.socket.send(data)
        except websockets.ConnectionClosed as error:
            raise RuleError("a connection that stays open", f"closed by the server: {_close(error)}") from error

    async def create(self, item: Mapping[str, Any], **fields: Any) -> str:
        """Send ``conversation.item.create``; waits for nothing. Returns the item's id."""
        item_id = str(item.get("id") or self.new_id("item"))
        await self.send("conversation.item.create", item={**item, "id": item_id}, **fields)
        return item_id

    # --- receiving -------------------------------------------------------------------------------------------------

    async def next(self) -> Event:
        """One event; waits without a limit of its own."""
        try:
            data = await self.socket.recv()
        except websockets.ConnectionClosed as error:
            raise RuleError("an open connection", f"closed by the server: {_close(error)}") from error
        event = self._stream.take(data)
        self.received.append(event)
        self._fences_passed += event.get("type") == _FENCE
        if len(self.received) > _EVENTS_MAX:
            raise RuleError("an end of the events", f"more than {_EVENTS_MAX} on one connection")
        return event

    async def collect(self, type: str, *, errors: bool = False, **fields: Any) -> Events:
        """All events up to the first of this type with these fields.

        An ``error`` on the way is a failure, unless ``errors``. A slow answer may take its time while it goes on.
        """
        wanted = type + "".join(f", {name} {value!r}" for name, value in fields.items())
        events = Events()
        try:
            async with asyncio.timeout(self.timeout_s) as waiting:
                end_s = asyncio.get_running_loop().time() + _ANSWER_TIMES * self.timeout_s
                while True:
                    event = await self.next()
                    waiting.reschedule(min(end_s, asyncio.get_running_loop().time() + self.timeout_s))
                    events.append(event)
                    if event.get("type") == type and all(event.get(name) == fields[name] for name in fields):
                        return events
                    if event.get("type") == "error" and not errors:
                        raise RuleError(wanted, "an error", event)
        except TimeoutError:
            raise RuleError(wanted, f"within {self.timeout_s:g} s only {events.sequence}") from None

    async def expect(self, type: str, **fields: Any) -> Event:
        """The first event of this type, others skipped."""
        return (await self.collect(type, **fields))[-1]

    async def until(self, types: set[str]) -> Events:
        """All events up to the first of any of these types."""
        events = Events()
        try:
            async with asyncio.timeout(self.timeout_s):
                while not events or events[-1].get("type") not in types:
                    events.append(await self.next())
        except TimeoutError:
            raise RuleError(f"one of {sorted(types)}", f"within {self.timeout_s:g} s only {events.sequence}") from None
        return events

    async def fence(self) -> Events:
        """What the server had to say before it answers one more event, which empties the input buffer."""
        return await self._prepared(_FENCE, self._fence())

    async def _fence(self) -> Events:
        await self.send(_FENCE_ASKED)
        events = Events()
        try:
            async with asyncio.timeout(self.timeout_s):
                while self._fences_passed < self._fences_sent:
                    events.append(await self.next())
        except TimeoutError:
            raise RuleError(_FENCE, f"within {self.timeout_s:g} s only {events.sequence}") from None
        return Events(events[:-1])

    @property
    def _session_type(self) -> str:
        return "transcription" if self.session.get("type") == "transcription" else "realtime"

    # --- what prepares a check -------------------------------------------------------------------------------------

    async def configure(self, **session: Any) -> Event:
        """``session.update``; returns the session object of the answer."""
        return (await self._prepared("session.updated", self._configure(session)))[-1]["session"]  # type: ignore[no-any-return]

    async def _configure(self, session: Mapping[str, Any]) -> Events:
        await self.send("session.update", session={"type": self._session_type, **session})
        return await self.collect("session.updated")

    async def respond(self, **response: Any) -> Events:
        """``response.create``; returns the events up to its ``response.done``."""
        return await self._prepared("response.done", self._respond(response))

    async def _respond(self, response: Mapping[str, Any]) -> Events:
        await self.send("response.create", response=dict(response))
        return await self.collect("response.done")

    async def turn(self, text: str, **response: Any) -> Events:
        """A user message and its answer, as text unless said otherwise; returns the events of the answer."""
        await self.create(message(text))
        response.setdefault("output_modalities", ["text"])
        events = await self.respond(**response)
        return _from_response(events)

    async def _prepared(self, what: str, answer: Any) -> Events:
        """Await what other checks test. Where it never came, or was missed too often, nobody waits for it again."""
        if self._observer.is_given_up(what):
            answer.close()
            raise BlockedError(f"needs {what}, which does not come")
        try:
            events: Events = await answer
        except RuleError as failure:
            if failure.event is not None or not str(failure.got).startswith("within"):
                raise
            self._observer.missed(what)
            raise BlockedError(f"needs {what}, which did not come within {self.timeout_s:g} s") from failure
        return events

    async def refusal(self, type: str, **fields: Any) -> Event:
        """Send what has to be refused; returns the ``error`` event that names it, or the first that comes."""
        return await self.refusal_of({"type": type, **fields})

    async def refusal_of(self, event: Mapping[str, Any]) -> Event:
        event_id = self.new_id()
        await self.send_json({"event_id": event_id, **event})
        await self.send(_FENCE_ASKED)
        events = Events()
        while self._fences_passed < self._fences_sent and "error" not in events.types[-1:]:
            events += await self.until({"error", _FENCE})
        if events[-1].get("type") != "error":
            raise RuleError("an error event", f"none, but {events.sequence}", events[0])
        return events[-1]


def _from_response(events: Events) -> Events:
    for index, event in enumerate(events):
        if event.get("type") == "response.created":
            return Events(events[index:])
    return events


def _close(error: websockets.ConnectionClosed) -> str:
    received = error.rcvd
    return f"{received.code} {received.reason}".strip() if received is not None else "without a close frame"
