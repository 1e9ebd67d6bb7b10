"""Prompts that the language model reads ahead while somebody still speaks."""

import asyncio
import logging

from antiphon.core.outputs import PrefillPrompt
from antiphon.engines.base import CallContext, LanguageModel, Prefills
from antiphon.engines.errors import EngineError
from antiphon.runtime.draft_places import DraftPlace, DraftPlaces
from antiphon.runtime.transcribing import Spawn
from antiphon.vocabulary.llm import LlmRequest

__all__ = ["Prefilling"]

_log = logging.getLogger(__name__)


class Prefilling:
    """The prompts of one session: one at a time, the newest next, and none while somebody generates."""

    def __init__(self, llm: LanguageModel, spawn: Spawn, places: DraftPlaces, session_id: str) -> None:
        self._llm = llm
        self._spawn = spawn
        self._places = places
        self._session_id = session_id
        self._next: LlmRequest | None = None
        self._task: asyncio.Task[None] | None = None

    def put(self, order: PrefillPrompt, place: DraftPlace) -> None:
        """What cannot be read now is not read: words that come later replace it soon."""
        if not isinstance(self._llm, Prefills) or not place.is_quiet:
            return
        self._next = order.request
        if self._task is None:
            self._task = self._spawn(lambda: self._run(place), f"prefill:{self._session_id}")

    def stop(self) -> None:
        """At once, whatever was being read."""
        self._next = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, place: DraftPlace) -> None:
        try:
            async with self._places.prefilling:
                while self._next is not None and place.is_quiet:
                    request, self._next = self._next, None
                    await self._prefill(request)
        finally:
            if self._task is asyncio.current_task():
                self._task = self._next = None

    async def _prefill(self, request: LlmRequest) -> None:
        assert isinstance(self._llm, Prefills)
        try:
            await self._llm.prefill(request, context=CallContext(self._session_id))
        except EngineError as error:
            _log.debug("a prompt was not read ahead: %s", error.message)
        except Exception:
            # It was for speed alone: the session goes on.
            _log.exception("reading a prompt ahead failed")
