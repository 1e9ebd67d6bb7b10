"""One session: turns what happens into core inputs, and performs the core's outputs. It decides nothing."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from antiphon.core.config import SessionConfig
from antiphon.core.inputs import AudioBudgetChanged, Input, TransportClosed, TransportOpened
from antiphon.core.outputs import (
    CallMcpTool,
    ClearPlayout,
    CloseSession,
    Emit,
    ListMcpTools,
    Output,
    PlayAudio,
    StopMcp,
    TurnClosed,
)
from antiphon.core.session import Session
from antiphon.protocol.beta.dialect import BetaDialect
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import Tool
from antiphon.runtime.budget import ByteBudget
from antiphon.runtime.credentials import Credentials
from antiphon.runtime.engine_work import EngineFact, EngineWork
from antiphon.runtime.engines import Engines
from antiphon.runtime.hearing import Hearing
from antiphon.runtime.ids import new_id
from antiphon.runtime.image_checks import ImageChecks
from antiphon.runtime.mcp_work import McpClient, McpFact, McpWork
from antiphon.runtime.observer import Observer, Outcome
from antiphon.runtime.outbox import Outbox
from antiphon.runtime.reading import Reading
from antiphon.runtime.recorder import RecordedSession, Recorder
from antiphon.runtime.session_report import SessionReport
from antiphon.runtime.settings import RuntimeSettings
from antiphon.runtime.transport import Transport, TransportClosedError
from antiphon.runtime.vad_batch import VadBatcher

__all__ = ["Orchestrator"]

_DRAIN_S = 5.0
"""How long the last events of a session may take to leave, and its connection to close."""
_GOODBYE_S = 0.2
_EXPIRED = 1001
_SLOW_CLIENT = CloseSession(1008, "slow client: too many events were not read")
_BUG = CloseSession(1011, "server_error.server_error")


class _SessionEnded(Exception):  # noqa: N818 - not an error: it ends the task group
    pass


class Orchestrator:
    """Run it once: ``await Orchestrator(...).run()`` returns when the session is over and nothing of it is left."""

    def __init__(
        self,
        transport: Transport,
        config: SessionConfig,
        *,
        engines: Engines,
        batcher: VadBatcher,
        settings: RuntimeSettings,
        observer: Observer,
        decoding: ByteBudget,
        images: ImageChecks,
        connection_id: str,
        beta: bool = False,
        recorder: Recorder | None = None,
        mcp: McpClient | None = None,
        tools: Sequence[Tool] = (),
    ) -> None:
        """``beta``: the client asked for the beta's events; ``tools``: those with which the session begins."""
        self.session = (
            Session(config, new_id=new_id, limits=settings.limits)
            if recorder is None
            else RecordedSession(config, new_id=new_id, limits=settings.limits, recorder=recorder)
        )
        self._id = config.session.id
        self._report = SessionReport(observer, self._id, connection_id)
        self._transport = transport
        self._recorder = recorder
        self._batcher = batcher
        self._listener = batcher.listen(self._handle, self._handle, self._fail)
        dialect = BetaDialect(conversation_id=self.session.conversation_id, new_id=new_id) if beta else None
        self._outbox = Outbox(transport, settings.outbox_bytes, dialect)
        self._work = EngineWork(
            engines,
            self._spawn,
            report=self._learn,
            room=self._outbox.room,
            session_id=self._id,
            audio_bytes=settings.limits.audio_bytes,
        )
        self._hearing = Hearing(
            batcher, self._listener, lambda: self.session.settings.audio.input, engines.noise_reducer, observer
        )
        credentials = Credentials()
        self._mcp = McpWork(mcp, credentials, self._spawn, report=self._learn_of_mcp, limits=settings.limits)
        self._opened = TransportOpened(tuple(credentials.sealed_tools(tools, "session.tools")))
        self._reading = Reading(
            transport,
            self._hearing,
            images,
            settings=settings,
            decoding=decoding,
            report=self._handle,
            sealed=credentials.sealed,
            unknown_field=self._report.unknown_field,
            dialect=dialect,
        )
        self._start = asyncio.get_running_loop().time()
        self._deadline: float | None = None
        """When the core wants to be called, as far as the timer knows."""
        self._deadline_moved = asyncio.Event()
        self._ended = asyncio.Event()
        self._close = CloseSession()
        self._outcome: Outcome = "closed"
        self._lost: TransportClosedError | None = None

    @property
    def now(self) -> float:
        """Seconds since the session began."""
        return asyncio.get_running_loop().time() - self._start

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Never raises for a fault of the session; cancelling it ends the session at once."""
        try:
            self._report.started()
            try:
                await self._live()
            except* _SessionEnded:
                await self._close_transport()
        finally:
            self._batcher.leave(self._listener)
            self._hearing.close()
            if self._recorder is not None:
                self._recorder.close()
            self._report.ended(self._outcome, self.now)

    def end(self, code: int, reason: str, outcome: Outcome) -> None:
        """End the session from outside; what was said so far is still sent."""
        self._end(outcome, CloseSession(code, reason))

    def set_audio_budget(self, max_bytes: int) -> None:
        self._handle(AudioBudgetChanged(max_bytes))

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            writer = self._spawn(self._write, "writer")
            self._spawn(self._read, "reader")
            self._spawn(self._keep_time, "timer")
            self._work.start()
            if self._recorder is not None:
                self._spawn(self._recorder.run, "recorder")
            self._handle(self._opened)
            try:
                await self._ended.wait()
            finally:
                self._end("shutdown", CloseSession())  # where it is cancelled: nothing is begun any more
            self._work.stop()
            self._mcp.stop()
            if self._lost is None and self._outcome != "slow_client":
                self._outbox.end()
                await asyncio.wait([writer], timeout=_DRAIN_S)
            raise _SessionEnded

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
        return self._tasks.create_task(self._guarded(work), name=f"{name}:{self._id}")

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as bug:
            self._fail(bug)

    async def _close_transport(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._transport.close(self._close.code, self._close.reason)
        except TimeoutError:
            pass  # whoever accepted the connection cuts it

    def _end(self, outcome: Outcome, close: CloseSession) -> None:
        """The first reason to end is the one that is told."""
        if not self._ended.is_set():
            self._outcome, self._close = outcome, close
            self._ended.set()

    def _fail(self, bug: BaseException) -> None:
        """A fault of ours ends this session, cleanly and without details; the process lives."""
        if self._outcome == "failed":
            return  # what the first fault has led to
        self._report.fault(bug)
        if not self._ended.is_set():
            error = ProtocolError("server_error", "The server had an error; the session ends.", type="server_error")
            self._outbox.post(error.as_event(new_id("event")))
            self._end("failed", _BUG)

    # --- the connection --------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            await self._reading.run()
        except TransportClosedError as closed:
            self._disconnected(closed)

    async def _write(self) -> None:
        try:
            await self._outbox.run()
        except TransportClosedError as closed:
            # The reader knows whether the peer said goodbye; it is given the time to find out.
            await asyncio.sleep(_GOODBYE_S)
            self._disconnected(closed)

    def _disconnected(self, closed: TransportClosedError) -> None:
        self._lost = self._lost or closed
        self._handle(TransportClosed(closed.clean))

    # --- facts -----------------------------------------------------------------------------------------------------

    def _handle(self, fact: Input) -> None:
        """The one way into the core. Never raises: whoever calls it may serve other sessions too."""
        if self._ended.is_set():
            return
        try:
            self._perform(self.session.handle(fact, self.now))
            if self.session.deadline != self._deadline:
                self._deadline_moved.set()
        except Exception as bug:
            self._fail(bug)

    def _learn(self, fact: EngineFact) -> None:
        self._report.fact(fact, self.now)
        self._handle(fact)

    def _learn_of_mcp(self, fact: McpFact) -> None:
        self._report.mcp_fact(fact)
        self._handle(fact)

    async def _keep_time(self) -> None:
        while (deadline := self.session.deadline) is not None:
            self._deadline = deadline
            self._deadline_moved.clear()
            try:
                async with asyncio.timeout(deadline - self.now):
                    await self._deadline_moved.wait()
            except TimeoutError:
                if not self._ended.is_set():
                    # A clock that rounds must not make it early, and so come back for ever.
                    self._perform(self.session.tick(max(self.now, deadline)))

    # --- orders ----------------------------------------------------------------------------------------------------

    def _perform(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            self._perform_one(output)

    def _perform_one(self, output: Output) -> None:
        self._report.order(output, self.now)
        match output:
            case Emit():
                self._emit(output)
            case TurnClosed():
                pass  # it is for the report only
            case PlayAudio() | ClearPlayout():
                pass  # only where the transport paces playout
            case CloseSession():
                clean = self._lost is None or self._lost.clean
                self._end("expired" if output.code == _EXPIRED else "closed" if clean else "lost", output)
            case ListMcpTools() | CallMcpTool() | StopMcp():
                self._mcp.perform(output)
            case _:
                self._work.perform(output)

    def _emit(self, order: Emit) -> None:
        self._outbox.post(order.event)
        if self._outbox.full:
            self._end("slow_client", _SLOW_CLIENT)
