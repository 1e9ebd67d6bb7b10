"""The engines' work of sessions without their cores: orders go in, and facts are noted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from antiphon.core.inputs import DraftGranted
from antiphon.core.outputs import SpeechOrder, StartResponse
from antiphon.engines.resilient import Resilience
from antiphon.runtime.draft_places import DraftPlaces
from antiphon.runtime.engine_work import EngineFact, EngineOrder, EngineWork
from antiphon.runtime.engines import Engines
from antiphon.runtime.text_split import FIRST_WORDS
from antiphon.vocabulary.llm import LlmRequest, TextContent, UserMessage

__all__ = ["Work", "asked", "respond", "turns_passed", "working"]


class Work:
    """One session's."""

    def __init__(self, engines: Engines, places: DraftPlaces, tasks: asyncio.TaskGroup, session_id: str) -> None:
        self.facts: list[EngineFact] = []

        def spawn(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
            return tasks.create_task(work(), name=name)

        self.engine_work = EngineWork(
            engines,
            spawn,
            places,
            report=self.facts.append,
            room=_room,
            session_id=session_id,
            audio_bytes=1 << 25,
            first_words=FIRST_WORDS,
        )

    def order(self, *orders: EngineOrder) -> None:
        for order in orders:
            self.engine_work.perform(order)

    def of(self, kind: type[EngineFact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def granted(self) -> list[str]:
        return [fact.item_id for fact in self.of(DraftGranted)]


async def _room() -> None:
    pass


async def turns_passed(count: int = 3) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def working(engines: Engines, places: DraftPlaces, *, sessions: int = 1) -> AsyncIterator[list[Work]]:
    """Sessions on resilient engines, which are stopped at the end."""
    engines = engines.resilient(Resilience())
    async with asyncio.TaskGroup() as tasks:
        works = [Work(engines, places, tasks, f"sess_{number}") for number in range(sessions)]
        yield works
        for work in works:
            work.engine_work.stop()
            work.engine_work.close()


def asked(text: str) -> LlmRequest:
    return LlmRequest((UserMessage((TextContent(text),)),))


def respond(response_id: str, text: str = "say Hello.", *, draft: bool = False, aloud: bool = True) -> StartResponse:
    speech = SpeechOrder(f"item_of_{response_id}", "low", 1.0, "audio/pcm") if aloud else None
    return StartResponse(response_id, asked(text), speech, draft)
