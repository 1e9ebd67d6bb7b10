"""One session: turns what happens into core inputs, and performs the core's outputs. It decides nothing."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from antiphon.core.config import SessionConfig
from antiphon.core.inputs import (
    AudioBudgetChanged,
    ControlAttached,
    ControlDetached,
    Input,
    TransportClosed,
    TransportOpened,
)
from antiphon.core.outputs import (
    BargeInJudged,
    CallMcpTool,
    ClearPlayout,
    CloseSession,
    DuckPlayout,
    Emit,
    ListMcpTools,
    Output,
    PlayAudio,
    StopMcp,
    TurnClosed,
)
from antiphon.core.session import Session
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.session_config import Tool
from antiphon.runtime.budget import ByteBudget
from antiphon.runtime.connection import BUG, CROWDED, SLOW_CLIENT, Connections, close_transport
from antiphon.runtime.credentials import Credentials
from antiphon.runtime.draft_places import DraftPlaces
from antiphon.runtime.engine_work import EngineWork
from antiphon.runtime.engines import Engines
from antiphon.runtime.hearing import Hearing
from antiphon.runtime.ids import new_id
from antiphon.runtime.image_checks import ImageChecks
from antiphon.runtime.mcp_work import McpClient, McpWork
from antiphon.runtime.observer import Observer, Outcome
from antiphon.runtime.playing import Playing
from antiphon.runtime.reading import Reading
from antiphon.runtime.recorder import RecordedSession, Recorder
from antiphon.runtime.session_report import SessionReport
from antiphon.runtime.settings import RuntimeSettings
from antiphon.runtime.stepping import Stepping
from antiphon.runtime.transport import Transport, TransportClosedError
from antiphon.runtime.vad_batch import VadBatcher

__all__ = ["Orchestrator"]

_EXPIRED = 1001
_CONTROL_S = 30.0
_UNCONTROLLED = CloseSession(1008, "The call has had neither a data channel nor a sideband for 30 s.")


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
        places: DraftPlaces,
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
        self._steps = Stepping(self.session, self._perform, self._fail)
        self.id = config.session.id
        self._report = SessionReport(
            observer,
            self.id,
            connection_id,
            paced=transport.media is not None,
            when_sent=lambda told: self._first.outbox.when_sent(lambda: told(self._steps.now)),
        )
        self._transport = transport
        self._recorder = recorder
        self._batcher = batcher
        self._listener = batcher.listen(self._steps.handle, self._steps.handle, self._fail)
        self._media = transport.media
        self._hearing = Hearing(
            batcher, self._listener, lambda: self.session.settings.audio.input, engines.noise_reducer, observer
        )
        credentials = Credentials()
        self._opened = TransportOpened(tuple(credentials.sealed_tools(tools, "session.tools")))
        self._connections = Connections(
            partial(
                Reading,
                hearing=self._hearing,
                images=images,
                settings=settings,
                decoding=decoding,
                report=self._steps.handle,
                sealed=credentials.sealed,
            ),
            outbox_bytes=settings.outbox_bytes,
            conversation_id=self.session.conversation_id,
            unknown_field=self._report.unknown_field,
        )
        self._first = self._connections.add(
            transport,
            connection_id,
            beta=beta,
            opens_later=self._media is not None,
            lost=self._disconnected,
            slow=lambda: self._end("slow_client", SLOW_CLIENT),
            failed=self._fail,
        )
        self._work = EngineWork(
            engines,
            self._spawn,
            places,
            report=self._learn,
            first_clause=lambda response_id: self._report.first_clause(response_id, self._steps.now),
            room=self._room,
            session_id=self.id,
            audio_bytes=settings.limits.audio_bytes,
            first_words=settings.first_piece_words,
        )
        self._playing = Playing(self._media, self._learn)
        self._mcp = McpWork(mcp, credentials, self._spawn, report=self._learn, limits=settings.limits)
        self._ended = asyncio.Event()
        self._close = CloseSession()
        self._outcome: Outcome = "closed"
        self._lost: TransportClosedError | None = None

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Never raises for a fault of the session; cancelling it ends the session at once."""
        try:
            self._report.started()
            try:
                await self._live()
            except* _SessionEnded:
                pass
        finally:
            self._work.close()
            self._batcher.leave(self._listener)
            self._hearing.close()
            if self._recorder is not None:
                self._recorder.close()
            self._report.ended(self._outcome, self._steps.now)

    def end(self, code: int, reason: str, outcome: Outcome) -> None:
        """End the session from outside; what was said so far is still sent."""
        self._end(outcome, CloseSession(code, reason))

    def set_audio_budget(self, max_bytes: int) -> None:
        self._steps.handle(AudioBudgetChanged(max_bytes))

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._spawn(partial(self._connections.run, self._first), "connection")
            self._spawn(self._steps.run, "timer")
            self._work.start()
            if self._recorder is not None:
                self._spawn(self._recorder.run, "recorder")
            self._steps.handle(self._opened)
            if self._media is not None:
                self._media.attach(self._hear, self._learn)
                self._spawn(self._await_control, "control")
            try:
                await self._ended.wait()
            finally:
                self._end("shutdown", CloseSession())  # where it is cancelled: nothing is begun any more
                self._connections.end(self._close)
            self._work.stop()
            self._mcp.stop()
            await self._connections.closed()
            raise _SessionEnded

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
        return self._tasks.create_task(self._guarded(work), name=f"{name}:{self.id}")

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as bug:
            self._fail(bug)

    def _end(self, outcome: Outcome, close: CloseSession) -> None:
        """The first reason to end is the one that is told."""
        if not self._ended.is_set():
            self._outcome, self._close = outcome, close
            self._steps.stop()
            self._ended.set()

    def _fail(self, bug: BaseException) -> None:
        """A fault of ours ends this session, cleanly and without details; the process lives."""
        if self._outcome == "failed":
            return  # what the first fault has led to
        self._report.fault(bug)
        if not self._ended.is_set():
            error = ProtocolError("server_error", "The server had an error; the session ends.", type="server_error")
            self._connections.post(error.as_event(new_id("event")))
            self._end("failed", BUG)

    # --- connections -----------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """False once it begins to end."""
        return not self._ended.is_set()

    @property
    def has_room(self) -> bool:
        """Whether one more connection may be attached."""
        return self.active and self._connections.has_room

    async def attach(self, transport: Transport, *, connection_id: str, beta: bool = False) -> None:
        """Run a further connection to its end, which ends nothing else; the session's end is its end too."""
        if not self.has_room:
            await close_transport(transport, CROWDED if self.active else self._close)
            return
        connection = self._connections.add(transport, connection_id, beta=beta, failed=self._report.fault)
        self._steps.handle(ControlAttached(connection.origin))
        try:
            await self._connections.run(connection)
        finally:
            self._steps.handle(ControlDetached(connection.origin))

    async def _await_control(self) -> None:
        """A call that nobody can steer is over."""
        try:
            async with asyncio.timeout(_CONTROL_S):
                await self._first.outbox.reached.wait()
        except TimeoutError:
            if not self._connections.had_further:
                self._end("lost", _UNCONTROLLED)

    def _disconnected(self, closed: TransportClosedError) -> None:
        self._lost = self._lost or closed
        self._steps.handle(TransportClosed(closed.clean))

    # --- facts -----------------------------------------------------------------------------------------------------

    def _learn(self, fact: Input) -> None:
        """Of engines, MCP servers and the playout."""
        self._report.fact(fact, self._steps.now)
        self._steps.handle(fact)

    def _hear(self, pcm: bytes) -> None:
        """Of a call's track. Never raises into the network's hands."""
        try:
            if self.active:
                self._hearing.hear(pcm)
        except Exception as bug:
            self._fail(bug)

    async def _room(self) -> None:
        """Wait while the client has much to take, or much to hear."""
        await self._first.outbox.room()
        await self._playing.room()

    # --- orders ----------------------------------------------------------------------------------------------------

    def _perform(self, output: Output) -> None:
        if isinstance(output, Emit):
            self._connections.post(output.event, output.origin)
        self._report.order(output, self._steps.now)
        match output:
            case Emit() | TurnClosed() | BargeInJudged():
                pass  # it is on its way, or for the report only
            case PlayAudio() | ClearPlayout() | DuckPlayout():
                self._playing.perform(output)
            case CloseSession():
                clean = self._lost is None or self._lost.clean
                self._end("expired" if output.code == _EXPIRED else "closed" if clean else "lost", output)
            case ListMcpTools() | CallMcpTool() | StopMcp():
                self._mcp.perform(output)
            case _:
                self._work.perform(output)
