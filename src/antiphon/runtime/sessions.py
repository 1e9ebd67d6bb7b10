"""All sessions of one process: admission, what they share, and their common end."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal

from antiphon.core.config import SessionConfig, TurnPolicy, realtime_session, transcription_session
from antiphon.core.mcp_definitions import defined_servers
from antiphon.core.session_update import updated_session
from antiphon.core.stored_prompts import update_with_prompt
from antiphon.engines.base import CallContext, Prefills
from antiphon.protocol.base import UNSET, given
from antiphon.protocol.session_config import RealtimeSessionUpdate, SessionObject, SessionUpdateBody, Tool
from antiphon.runtime.budget import ByteBudget
from antiphon.runtime.credentials import Credentials
from antiphon.runtime.draft_places import DraftPlaces
from antiphon.runtime.engines import Engines
from antiphon.runtime.ids import new_id
from antiphon.runtime.image_checks import ImageChecks
from antiphon.runtime.mcp_work import McpClient
from antiphon.runtime.observer import Observer
from antiphon.runtime.orchestrator import Orchestrator
from antiphon.runtime.recorder import open_recorder
from antiphon.runtime.session_handle import SessionHandle
from antiphon.runtime.settings import RuntimeSettings
from antiphon.runtime.transport import Transport
from antiphon.runtime.vad_batch import VadBatcher
from antiphon.vocabulary.llm import LlmRequest, SystemMessage

__all__ = ["Admission", "Opening", "Sessions"]

_BALANCE_S = 1.0
_CLOSE_S = 12.0
"""Longer than a session takes to end, at most, after it was told to."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a client asked for its session."""

    kind: Literal["realtime", "transcription"]
    model: str
    connection_id: str
    bound: SessionUpdateBody | None = field(default=None, repr=False)
    """What the client's secret says of the session, of the same kind; applied before anything that the client sends."""
    asked: SessionUpdateBody | None = field(default=None, repr=False)
    """What the client says of it when it asks for the session, of the same kind; applied after ``bound``."""
    beta: bool = False
    """Whether the client asked for the beta's events."""
    safety_hash: str | None = None
    """Of the identifier that the application gave to its own user: for the log, which never holds the identifier."""
    traceparent: str | None = None
    """Where in the client's own trace it asked, by the W3C's header; and what goes with it."""
    tracestate: str | None = None


class Admission:
    """A place for one session; leaving the ``with`` block gives it back."""

    def __init__(self, sessions: "Sessions") -> None:
        self._sessions = sessions

    def __enter__(self) -> "Admission":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions.leave()


class Sessions:
    """``run`` it in a task for as long as the server lives; ``serve`` each connection that was admitted."""

    def __init__(
        self, engines: Engines, settings: RuntimeSettings, observer: Observer, mcp: McpClient | None = None
    ) -> None:
        """``mcp`` reaches MCP servers, where any are allowed.

        The engines are made resilient here; whoever built them warms them up and closes them.
        """
        self._engines = engines.resilient(settings.resilience)
        self._settings = _fitted(settings, engines)
        self._observer = observer
        self._mcp = mcp
        self._batcher = VadBatcher(engines.vad, observer)
        self._decoding = ByteBudget(settings.decode_budget_bytes)
        self._images = ImageChecks(settings.limits)
        self._places = DraftPlaces(_draft_places(settings), shared=engines.llm.info.computes_here)
        self._running: dict[Orchestrator, asyncio.Task[Any]] = {}
        self._admitted = 0
        self._empty = asyncio.Event()
        self._draining = False
        self._limited = False

    @property
    def active(self) -> int:
        return self._admitted

    @property
    def draining(self) -> bool:
        return self._draining

    def strain(self, strained: bool) -> None:
        """Whether the process falls behind what it is sent: nothing is drafted while it does."""
        self._places.strain(strained)

    def try_admit(self) -> Admission | None:
        """A place, or None where the process is full or shutting down."""
        if self._draining or self._admitted >= self._settings.max_sessions:
            return None
        self._admitted += 1
        self._empty.clear()
        return Admission(self)

    def leave(self) -> None:
        self._admitted -= 1
        if not self._admitted:
            self._empty.set()

    async def prepare(self) -> None:
        """Let the model read the default instructions ahead, so that the first turn is not slower than the second.

        Raises ``EngineError``. Call it once the engines are warm.
        """
        llm = self._engines.llm
        if isinstance(llm, Prefills):
            request = LlmRequest((SystemMessage(self._settings.instructions),))
            await llm.prefill(request, context=CallContext("preparation"))

    async def run(self) -> None:
        """What the sessions share: the detector's batches, the audio budget, and the thread that decodes images."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._batcher.run(), name="vad")
                tasks.create_task(self._balance(), name="audio budget")
        finally:
            self._images.close()

    async def serve(
        self,
        transport: Transport,
        opening: Opening,
        started: Callable[[SessionHandle], None] = lambda _: None,
    ) -> None:
        """One admitted session, to its end. Never raises for a fault of the session.

        ``started`` is given what others need to reach it, before anything happens in it; it must not raise.
        """
        config = self._config(opening, paced=transport.media is not None)
        settings = self._settings
        orchestrator = Orchestrator(
            transport,
            config,
            engines=self._engines,
            batcher=self._batcher,
            settings=settings,
            observer=self._observer,
            decoding=self._decoding,
            images=self._images,
            places=self._places,
            connection_id=opening.connection_id,
            beta=opening.beta,
            tools=self._tools(opening),
            mcp=self._mcp,
            recorder=open_recorder(settings.record_dir, config.session.id, with_audio=settings.record_audio),
        )
        task = asyncio.current_task()
        assert task is not None
        self._running[orchestrator] = task
        try:
            started(SessionHandle(orchestrator))
            await orchestrator.run()
        finally:
            del self._running[orchestrator]

    async def drain(self, drain_s: float) -> None:
        """Admit nobody; give the sessions ``drain_s`` to finish, then close them, and at last cut them off."""
        self._draining = True
        if await self._emptied(drain_s):
            return
        for orchestrator in list(self._running):
            orchestrator.end(1001, "The server is shutting down.", "shutdown")
        if await self._emptied(_CLOSE_S):
            return
        for task in list(self._running.values()):
            task.cancel()
        await self._emptied(_CLOSE_S)

    async def _emptied(self, patience_s: float) -> bool:
        """Whether all sessions are over, by then."""
        if self._admitted:
            try:
                async with asyncio.timeout(patience_s):
                    await self._empty.wait()
            except TimeoutError:
                return False
        return True

    def new_session(
        self, kind: Literal["realtime", "transcription"], model: str, *updates: SessionUpdateBody | None
    ) -> SessionObject:
        """A session as it begins, with an id of its own. Raises ``ProtocolError`` where an update is refused."""
        now = int(time.time())
        limits = self._settings.limits
        session: SessionObject
        if kind == "transcription":
            session = transcription_session(
                id=new_id("sess"), created_at_unix_s=now, max_s=limits.session_max_s, model=model
            )
        else:
            session = realtime_session(
                id=new_id("sess"),
                model=model,
                created_at_unix_s=now,
                max_s=limits.session_max_s,
                instructions=self._settings.instructions,
            )
        for update in updates:
            if update is not None:
                session = self._begun_with(session, update)
        return session

    def _begun_with(self, session: SessionObject, update: SessionUpdateBody) -> SessionObject:
        limits = self._settings.limits
        if isinstance(update, RealtimeSessionUpdate):
            update = self._with_prompt(update)
            # Nobody is there to be told of them when the session begins.
            tools = given(update.tools, [])
            defined_servers(tools, {}, limits, "session.tools")
            Credentials().sealed_tools(tools, "session.tools")
        return updated_session(session, update, limits, voice_frozen=False)

    def _tools(self, opening: Opening) -> Sequence[Tool]:
        """Those with which the session begins, what is secret in them included."""
        tools: Sequence[Tool] = ()
        for update in (opening.bound, opening.asked):
            if isinstance(update, RealtimeSessionUpdate):
                named = self._with_prompt(update).tools
                tools = tools if named is UNSET else named or ()
        return tools

    def _with_prompt(self, update: RealtimeSessionUpdate) -> RealtimeSessionUpdate:
        """With what the prompt says that it refers to. Raises ``ProtocolError``."""
        return update_with_prompt(update, self._settings.prompts, self._settings.limits)

    def _config(self, opening: Opening, *, paced: bool) -> SessionConfig:
        engines = self._engines
        return SessionConfig(
            self.new_session(opening.kind, opening.model, opening.bound, opening.asked),
            int(time.time()),
            capabilities=engines.llm.capabilities,
            partials=self._settings.partials,
            reads_images=engines.image_reader is not None,
            prompts=self._settings.prompts,
            paced=paced,
            turns=self._turns(),
        )

    def _turns(self) -> TurnPolicy:
        settings = self._settings
        return TurnPolicy(
            judges=self._engines.turn_judge is not None,
            drafts=settings.drafts,
            prefills=settings.drafts and isinstance(self._engines.llm, Prefills),
            barge_in=settings.barge_in,
            barge_in_ms=settings.barge_in_ms,
            echo_grace_ms=settings.echo_grace_ms,
        )

    async def _balance(self) -> None:
        """Where all sessions together keep too much audio, those above the fair share are cut to it."""
        while True:
            await asyncio.sleep(_BALANCE_S)
            total = sum(orchestrator.session.audio_bytes for orchestrator in self._running)
            over = total > self._settings.process_audio_bytes
            if over or self._limited:
                share = self._settings.process_audio_bytes // max(1, len(self._running))
                budget = share if over else self._settings.limits.audio_bytes
                for orchestrator in list(self._running):
                    orchestrator.set_audio_budget(budget)
            self._limited = over


def _draft_places(settings: RuntimeSettings) -> int:
    if not settings.drafts:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return settings.draft_sessions or max(1, cores // 2)


def _fitted(settings: RuntimeSettings, engines: Engines) -> RuntimeSettings:
    """The prompt is built for the model that is there."""
    limits = replace(settings.limits, context_tokens=engines.llm.capabilities.context_tokens)
    return replace(settings, limits=limits)
