"""The responses of one session that are being generated, drafts among them."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from antiphon.core.inputs import GenerationEnded
from antiphon.core.outputs import StartResponse
from antiphon.runtime.draft_places import DraftPlace
from antiphon.runtime.engines import Engines
from antiphon.runtime.speaking import Fact, Speaking
from antiphon.runtime.transcribing import Spawn
from antiphon.vocabulary.errors import EngineErrorKind, EngineFault
from antiphon.vocabulary.llm import TokenUsage

__all__ = ["Responding"]

_NO_PLACE = EngineFault(EngineErrorKind.OVERLOADED, message="There is no room for a draft any more.")


class Responding:
    """``stop`` closes the streams of both engines in the next step of the loop."""

    def __init__(
        self,
        engines: Engines,
        spawn: Spawn,
        place: DraftPlace,
        *,
        report: Callable[[Fact], None],
        first_clause: Callable[[str], None] = lambda _: None,
        room: Callable[[], Awaitable[None]],
        session_id: str,
        first_words: int,
    ) -> None:
        """``first_clause`` is told the id of a response whose first clause goes to the voice; ``first_words``: where
        the first piece of speech ends at the latest, punctuation or not."""
        self._engines = engines
        self._spawn = spawn
        self._place = place
        self._report = report
        self._first_clause = first_clause
        self._room = room
        self._session_id = session_id
        self._first_words = first_words
        self._running: dict[str, tuple[Speaking, asyncio.Task[None]]] = {}

    def start(self, order: StartResponse) -> None:
        if order.draft and not self._place.holds:
            # Not from within the core's own order.
            asyncio.get_running_loop().call_soon(self._no_place, order.response_id)
            return
        speaking = Speaking(
            order,
            self._engines.llm,
            self._engines.tts,
            report=self._report,
            first_clause=self._first_clause,
            room=self._room,
            session_id=self._session_id,
            first_words=self._first_words,
        )
        self._place.begins(order.response_id, draft=order.draft)
        task = self._spawn(partial(self._respond, order.response_id, speaking), f"response:{order.response_id}")
        self._running[order.response_id] = (speaking, task)

    def stop(self, response_id: str) -> None:
        if running := self._running.pop(response_id, None):
            speaking, task = running
            speaking.stop()
            task.cancel()
            self._place.ends(response_id)

    def stop_all(self) -> None:
        for response_id in list(self._running):
            self.stop(response_id)

    def adopt(self, response_id: str) -> None:
        """A draft goes on as any response; one that has said all it has to say is over already."""
        if running := self._running.get(response_id):
            running[0].adopt()
            self._place.begins(response_id, draft=False)

    def drop_drafts(self) -> None:
        """Those that still compute; what waits to be adopted costs nothing."""
        for response_id, (speaking, _) in list(self._running.items()):
            if speaking.is_draft and not speaking.is_held:
                self.stop(response_id)
                self._no_place(response_id)

    def _no_place(self, response_id: str) -> None:
        self._report(GenerationEnded(response_id, "stop", TokenUsage(), _NO_PLACE))

    async def _respond(self, response_id: str, speaking: Speaking) -> None:
        try:
            await speaking.run()
        finally:
            # A response that was begun again, with a shorter prompt, has another one by now.
            if (running := self._running.get(response_id)) and running[0] is speaking:
                del self._running[response_id]
                self._place.ends(response_id)
