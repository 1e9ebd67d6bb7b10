"""One session: turns what happens into core inputs, and performs the core's outputs. It decides nothing."""

import asyncio
from collections.abc import Sequence
from typing import assert_never

from antiphon.core.config import SessionConfig
from antiphon.core.inputs import (
    AudioBudgetChanged,
    AudioProduced,
    ClientEventReceived,
    ClientEventRefused,
    Input,
    ItemMeasured,
    SpeechProbability,
    TextProduced,
    TranscriptProduced,
    TransportClosed,
    TransportOpened,
)
from antiphon.core.outputs import (
    CloseSession,
    Emit,
    EndTranscription,
    FeedTranscription,
    MeasureItem,
    Output,
    StartResponse,
    StartTranscription,
    StopResponse,
    StopTranscription,
    TurnClosed,
)
from antiphon.core.session import Session
from antiphon.engines.errors import EngineError
from antiphon.protocol.client_events import InputAudioBufferAppend
from antiphon.protocol.codec import decode_client_event, encode_server_event
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.server_events import Error, ResponseDone
from antiphon.runtime.budget import ByteBudget
from antiphon.runtime.engines import Engines
from antiphon.runtime.hearing import Hearing
from antiphon.runtime.ids import new_id
from antiphon.runtime.latency import TurnClock
from antiphon.runtime.observer import Observer, Outcome, SessionSummary
from antiphon.runtime.outbox import Outbox
from antiphon.runtime.pace import Pace
from antiphon.runtime.settings import RuntimeSettings
from antiphon.runtime.speaking import Fact, Speaking
from antiphon.runtime.transcribing import Transcribing
from antiphon.runtime.transport import Transport, TransportClosedError
from antiphon.runtime.vad_batch import VadBatcher

__all__ = ["Orchestrator"]

_LARGE_FRAME = 64 * 1024
_DRAIN_S = 5.0
_UNKNOWN_FIELDS = 64
_BINARY = ProtocolError("invalid_event", "Binary frames are not part of this API: send each event as JSON text.")


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
        connection_id: str,
    ) -> None:
        self.session = Session(config, new_id=new_id, limits=settings.limits)
        self._id = config.session.id
        self._connection_id = connection_id
        self._transport = transport
        self._engines = engines
        self._settings = settings
        self._observer = observer
        self._decoding = decoding
        self._outbox = Outbox(transport, settings.outbox_bytes)
        self._batcher = batcher
        self._listener = batcher.listen(self._heard, self._fail)
        self._hearing = Hearing(self._listener, self._handle)
        self._clock = TurnClock(self._id)
        self._start = asyncio.get_running_loop().time()
        self._responses: dict[str, asyncio.Task[None]] = {}
        self._to_measure: asyncio.Queue[MeasureItem] = asyncio.Queue()
        self._unknown: set[str] = set()
        self._errors = 0
        self._timed = asyncio.Event()
        self._ended = asyncio.Event()
        self._close = CloseSession()
        self._outcome: Outcome = "closed"
        self._bug: BaseException | None = None

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._start

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        self._observer.session_started(self._id, self._connection_id)
        try:
            await self._run_tasks()
        finally:
            self._batcher.leave(self._listener)
            summary = SessionSummary(
                self._id, self._connection_id, self._outcome, self.now, self._clock.turns, self._errors
            )
            self._observer.session_ended(summary)

    def end(self, code: int, reason: str, outcome: Outcome) -> None:
        """End the session from outside; what was said so far is still sent."""
        self._outcome = outcome
        self._close = CloseSession(code, reason)
        self._ended.set()

    def set_audio_budget(self, max_bytes: int) -> None:
        self._handle(AudioBudgetChanged(max_bytes))

    async def _run_tasks(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._transcribing = Transcribing(self._engines.stt, tasks, self._heard_words, self._id)
                writer = tasks.create_task(self._write(), name=f"writer:{self._id}")
                tasks.create_task(self._read(), name=f"reader:{self._id}")
                tasks.create_task(self._keep_time(), name=f"timer:{self._id}")
                tasks.create_task(self._measure(), name=f"measuring:{self._id}")
                self._handle(TransportOpened())
                await self._ended.wait()
                if self._bug is not None:
                    raise self._bug
                if self._outcome not in ("lost", "slow_client"):
                    self._outbox.end()
                    await asyncio.wait([writer], timeout=_DRAIN_S)
                raise _SessionEnded
        except* _SessionEnded:
            await self._transport.close(self._close.code, self._close.reason)
        except* Exception as group:
            await self._report_bug(group)

    async def _report_bug(self, group: BaseException) -> None:
        """A fault of ours ends this session, cleanly and without details; the process lives."""
        self._outcome = "failed"
        self._observer.fault(self._id, group)
        error = ProtocolError("server_error", "The server had an error; the session ends.", type="server_error")
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._transport.send([encode_server_event(error.as_event(new_id("event")))])
        except (TransportClosedError, TimeoutError):
            pass
        await self._transport.close(1011, "server_error.server_error")

    def _fail(self, error: BaseException) -> None:
        self._bug = error
        self._ended.set()

    # --- in --------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        pace = Pace(self._settings.events_per_s)
        while True:
            try:
                frame = await self._transport.receive()
            except TransportClosedError as closed:
                self._lost(closed)
                return
            await pace.step()
            if isinstance(frame, bytes):
                self._handle(ClientEventRefused(_BINARY))
            elif len(frame) > _LARGE_FRAME:
                async with self._decoding.hold(len(frame)):
                    await self._take(frame)
            else:
                await self._take(frame)

    async def _take(self, frame: str) -> None:
        try:
            decoded = decode_client_event(frame, strict=self._settings.strict)
        except ProtocolError as error:
            self._handle(ClientEventRefused(error))
            return
        for path in decoded.unknown_fields:
            self._note_unknown(path)
        event = decoded.event
        if isinstance(event, InputAudioBufferAppend):
            try:
                await self._hearing.append(
                    event.audio,
                    self.session.settings.audio.input.format.type,
                    detects_turns=lambda: self.session.detects_turns,
                )
            except ProtocolError as error:
                error.event_id = event.event_id if isinstance(event.event_id, str) else None
                self._handle(ClientEventRefused(error))
            return
        await self._hearing.settle()
        self._handle(ClientEventReceived(event))

    def _note_unknown(self, path: str) -> None:
        if path not in self._unknown and len(self._unknown) < _UNKNOWN_FIELDS:
            self._unknown.add(path)
            self._observer.unknown_field(self._connection_id, path)

    def _lost(self, closed: TransportClosedError) -> None:
        self._handle(TransportClosed(closed.clean))
        self._outcome = "closed" if closed.clean else "lost"
        self._ended.set()

    # --- facts of the engines --------------------------------------------------------------------------------------

    def _heard(self, fact: SpeechProbability) -> None:
        # Called from the batch of all sessions: a fault here must end this session only.
        try:
            self._handle(fact)
        except Exception as error:
            self._fail(error)

    def _heard_words(self, fact: Input) -> None:
        if isinstance(fact, TranscriptProduced) and fact.transcript.is_final:
            self._clock.transcript(self.now)
        self._handle(fact)

    def _spoke(self, fact: Fact) -> None:
        if isinstance(fact, TextProduced):
            self._clock.text(fact.response_id, self.now)
        elif isinstance(fact, AudioProduced):
            self._clock.audio(fact.response_id, self.now)
        self._handle(fact)

    async def _measure(self) -> None:
        while True:
            order = await self._to_measure.get()
            try:
                (tokens,) = await self._engines.llm.count([order.text])
            except EngineError:
                continue  # the core goes on with its estimate
            self._handle(ItemMeasured(order.item_id, tokens))

    async def _keep_time(self) -> None:
        while (deadline := self.session.deadline) is not None:
            try:
                async with asyncio.timeout(max(0.0, deadline - self.now)):
                    await self._timed.wait()
                    self._timed.clear()
            except TimeoutError:
                self._perform(self.session.tick(self.now))

    # --- out -------------------------------------------------------------------------------------------------------

    def _handle(self, fact: Input) -> None:
        self._perform(self.session.handle(fact, self.now))

    def _perform(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            self._perform_one(output)

    def _perform_one(self, output: Output) -> None:  # noqa: C901 - a table, checked for completeness
        match output:
            case Emit():
                self._emit(output)
            case FeedTranscription():
                self._transcribing.feed(output)
            case StartTranscription():
                self._transcribing.start(output)
            case EndTranscription():
                self._transcribing.end(output)
                self._timed.set()
            case StopTranscription():
                self._transcribing.stop(output)
            case StartResponse():
                self._start_response(output)
            case StopResponse():
                if task := self._responses.pop(output.response_id, None):
                    task.cancel()
            case MeasureItem():
                self._to_measure.put_nowait(output)
            case TurnClosed():
                self._clock.turn_closed(self.now, output.silence_ms)
            case CloseSession():
                self._close = output
                if output.code == 1001:
                    self._outcome = "expired"
                self._ended.set()
            case _:
                assert_never(output)

    def _start_response(self, order: StartResponse) -> None:
        self._clock.response_started(order.response_id, self.now)
        speaking = Speaking(order, self._engines.llm, self._engines.tts, self._spoke, self._id)
        task = self._tasks.create_task(speaking.run(), name=f"response:{order.response_id}")
        self._responses[order.response_id] = task

    def _emit(self, order: Emit) -> None:
        event = order.event
        if isinstance(event, ResponseDone):
            self._responses.pop(event.response.id, None)
            usage = event.response.usage
            tokens = usage.output_tokens if usage else 0
            if turn := self._clock.done(event.response.id, event.response.status, self.now, tokens):
                self._observer.turn_finished(turn)
        elif isinstance(event, Error):
            self._errors += 1
            self._observer.client_error(self._id, event.error.code or "")
        self._outbox.put(encode_server_event(event))
        if self._outbox.full and not self._ended.is_set():
            self.end(1008, "slow client: too many events were not read", "slow_client")

    async def _write(self) -> None:
        try:
            await self._outbox.run()
        except TransportClosedError as closed:
            self._lost(closed)
